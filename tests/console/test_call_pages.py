"""The console's side of a telephone call, as a browser gets it: the queue, who is in a call, the operator's telephone."""

import re

import httpx
import jwt
import pytest
from flask import Flask

from backend.app import create_app
from backend.conversations import service, telephone
from backend.conversations.models import Conversation, Leg
from backend.conversations.rules import DANGER
from backend.directory.models import Staff
from backend.parts import Parts
from tests.conftest import StandingClock, make_settings
from tests.console.test_gap_pages import log_in, token


def call_waits(parts: Parts) -> str:
    """A citizen waits on the phone; returns the conversation."""
    with parts.database.write() as session:
        found, _ = service.open_conversation(session, "phone", "zh", parts.clock(), "+8613800138000")
        service.request_operator(session, found, parts.clock())
        telephone.enter_queue(session, found, "CA" + "1" * 32, 1, parts.clock())
        return found.id


def talk(parts: Parts, web: httpx.Client) -> str:
    """operator1 takes a call and both are in the conference."""
    conversation_id = call_waits(parts)
    post(web, conversation_id, "take")
    with parts.database.write() as session:
        found = service.get_conversation(session, conversation_id)
        for leg in telephone.legs(session, found):
            if leg.party == "operator":
                telephone.move_leg(session, leg, "ring", parts.clock(), sid="CA" + "2" * 32)
                telephone.joined(session, leg, parts.clock())
        telephone.meet(session, found, "CA" + "1" * 32, parts.clock())
    return conversation_id


def post(web: httpx.Client, conversation_id: str, path: str, **fields: str) -> httpx.Response:
    page = f"/console/conversations/{conversation_id}"
    return web.post(f"{page}/{path}", data={"csrf_token": token(web.get(page)), **fields})


def legs(parts: Parts) -> list[tuple[str, str, str]]:
    with parts.database.read() as session:
        return [(leg.party, leg.state, leg.wish) for leg in session.query(Leg).order_by(Leg.id)]


def test_the_desk_shows_danger_language_and_who_is_to_be_called_back(parts: Parts, web: httpx.Client) -> None:
    conversation_id = call_waits(parts)
    with parts.database.write() as session:
        found = session.get_one(Conversation, conversation_id)
        found.priority, found.language, found.callback_at = DANGER, "yue", parts.clock()
    page = log_in(web, "operator1").get("/console/queue").text
    for mark in ("有危险", "粤语", "要求回电"):
        assert mark in page


def test_taking_a_call_has_the_operators_telephone_rung(parts: Parts, web: httpx.Client) -> None:
    conversation_id = call_waits(parts)
    log_in(web, "operator1")
    assert post(web, conversation_id, "take").status_code == 302
    assert ("operator", "wanted", "") in legs(parts)
    assert "正在呼叫" in web.get(f"/console/conversations/{conversation_id}").text


def test_an_operator_without_a_telephone_takes_no_call_and_the_caller_goes_on_waiting(
    parts: Parts, web: httpx.Client
) -> None:
    with parts.database.write() as session:
        session.query(Staff).filter_by(username="operator1").one().telephone = None
    conversation_id = call_waits(parts)
    log_in(web, "operator1")
    assert "没有登记话机" in post(web, conversation_id, "take").text
    with parts.database.read() as session:
        assert session.get_one(Conversation, conversation_id).state == "waiting"


@pytest.mark.parametrize(
    ("act", "fields", "leg"),
    [
        ("call/hold", {}, ("citizen", "talking", "hold")),
        ("call/queue", {"skill": ""}, ("citizen", "talking", "queue")),
        ("call/agency", {"agency": "C-URBAN", "number": "055112340000"}, ("agency", "wanted", "")),
        ("close", {}, ("operator", "talking", "leave")),
    ],
)
def test_each_button_of_a_call_asks_for_what_it_says(
    parts: Parts, web: httpx.Client, act: str, fields: dict[str, str], leg: tuple[str, str, str]
) -> None:
    conversation_id = talk(parts, log_in(web, "operator1"))
    assert post(web, conversation_id, act, **fields).status_code == 302
    assert leg in legs(parts)


def test_a_colleague_at_work_is_offered_for_a_transfer_and_is_rung(parts: Parts, web: httpx.Client) -> None:
    conversation_id = talk(parts, log_in(web, "operator1"))
    with parts.database.write() as session:
        colleague = session.query(Staff).filter_by(username="operator2").one()
        colleague.ready, colleague.seen_at = True, parts.clock()
    assert colleague.name in web.get(f"/console/conversations/{conversation_id}").text
    assert post(web, conversation_id, "call/transfer", staff=str(colleague.id)).status_code == 302
    assert legs(parts)[-1] == ("operator", "wanted", "")


def test_a_supervisor_may_listen_and_an_operator_may_not(parts: Parts, web: httpx.Client) -> None:
    conversation_id = talk(parts, log_in(web, "operator1"))
    web.cookies.clear()
    log_in(web, "operator2")
    assert post(web, conversation_id, "call/listener").status_code == 403
    web.cookies.clear()
    log_in(web, "supervisor1")
    assert "旁听" in web.get(f"/console/conversations/{conversation_id}").text
    assert post(web, conversation_id, "call/listener").status_code == 302
    assert legs(parts)[-1] == ("listener", "wanted", "")


def test_a_page_made_while_the_service_was_still_asked_learns_how_the_supervisor_is_heard_now(
    parts: Parts, web: httpx.Client
) -> None:
    conversation_id = talk(parts, log_in(web, "operator1"))
    web.cookies.clear()
    log_in(web, "supervisor1")
    post(web, conversation_id, "call/listener")
    with parts.database.write() as session:
        ear = session.query(Leg).filter_by(party="listener").one()
        telephone.move_leg(session, ear, "ring", parts.clock(), sid="CA" + "3" * 32)
        telephone.joined(session, ear, parts.clock())
    page = web.get(f"/console/conversations/{conversation_id}").text
    stand, after = (re.findall(rf'name="{name}" value="([^"]*)"', page)[0] for name in ("stand", "after"))
    with parts.database.write() as session:
        ear = session.query(Leg).filter_by(party="listener").one()
        telephone.heard_as(session, ear, "coach", parts.clock())
    news = web.get(f"/console/conversations/{conversation_id}/turns", params={"stand": stand, "after": after})
    assert (news.status_code, 'data-as="coach"' in news.text) == (200, True)


def test_an_act_that_does_not_exist_and_a_colleague_who_does_not_are_refused(parts: Parts, web: httpx.Client) -> None:
    conversation_id = talk(parts, log_in(web, "operator1"))
    assert post(web, conversation_id, "call/shout").status_code == 404
    assert post(web, conversation_id, "call/transfer", staff="999999").status_code == 400
    assert post(web, conversation_id, "call/agency", agency="C-URBAN", number="12").status_code == 422


def test_without_an_account_there_is_no_token_and_the_page_says_so(web: httpx.Client) -> None:
    log_in(web, "operator1")
    assert web.get("/console/voice-token").status_code == 404
    page = web.get("/console/softphone")
    assert "没有开通网页话机" in page.text
    assert "/phone?as=operator1" in page.text


def test_the_token_lets_a_browser_take_its_operators_calls_and_nothing_else(
    sqlite_url: str, clock: StandingClock
) -> None:
    account = {"twilio_account_sid": "AC" + "1" * 32, "twilio_api_key": "SK" + "2" * 32, "twilio_api_secret": "s" * 32}
    app: Flask = create_app(make_settings(sqlite_url, **account), clock=clock)
    web = httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000")
    assert web.get("/console/voice-token").status_code in (302, 401)
    log_in(web, "operator1")
    page = web.get("/console/softphone")
    assert "wss://voice-js.roaming.twilio.com" in page.headers["Content-Security-Policy"]
    given = web.get("/console/voice-token").json()["token"]
    claims = jwt.decode(given, "s" * 32, algorithms=["HS256"])
    assert claims["grants"]["identity"] == "operator1"
    assert claims["grants"]["voice"] == {"incoming": {"allow": True}}
