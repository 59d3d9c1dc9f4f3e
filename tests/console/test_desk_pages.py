"""The operator's desk as a browser gets it: presence, what is offered, who takes it."""

import httpx
import pytest

from backend.conversations import offers, presence, service
from backend.conversations.models import Conversation, Offer
from backend.directory.models import Staff
from backend.parts import Parts
from tests.console.test_gap_pages import log_in, token


def set_presence(web: httpx.Client, value: str) -> httpx.Response:
    return web.post("/console/presence", data={"csrf_token": token(web.get("/console")), "presence": value})


def citizen_waits(parts: Parts, words: str = "路灯不亮") -> str:
    with parts.database.write() as session:
        found, _ = service.open_conversation(session, "chat", "zh", parts.clock())
        service.record(session, found, "citizen", words, parts.clock())
        service.request_operator(session, found, parts.clock())
        return found.id


def deal(parts: Parts) -> None:
    offers.deal(parts.database, parts.clock, parts.telephone)


def answer(web: httpx.Client, parts: Parts, act: str) -> httpx.Response:
    with parts.database.read() as session:
        offer_id = session.query(Offer.id).order_by(Offer.id.desc()).limit(1).scalar()
    return web.post(f"/console/offers/{offer_id}/{act}", data={"csrf_token": token(web.get("/console"))})


@pytest.mark.parametrize(
    ("value", "shown"),
    [("ready", 'data-state="ready"'), ("wrap_up", 'data-state="wrap_up"'), ("break:meal", "小休 · 用餐")],
)
def test_presence_is_set_with_its_reason(web: httpx.Client, value: str, shown: str) -> None:
    log_in(web, "operator1")
    assert set_presence(web, value).status_code == 302
    assert shown in web.get("/console").text


@pytest.mark.parametrize("value", ["break", "break:sunshine", "ready:rest", "away", "", "\x00"])
def test_a_break_without_a_reason_and_states_that_are_not_chosen_are_refused(web: httpx.Client, value: str) -> None:
    log_in(web, "operator1")
    assert set_presence(web, value).status_code == 422


def test_what_is_offered_is_on_the_screen_and_accepting_it_opens_it(web: httpx.Client, parts: Parts) -> None:
    log_in(web, "operator1")
    set_presence(web, "ready")
    conversation_id = citizen_waits(parts)
    deal(parts)
    page = web.get("/console/offers").text
    assert "路灯不亮" in page
    assert 'data-left="20"' in page
    assert answer(web, parts, "accept").headers["Location"] == f"/console/conversations/{conversation_id}"
    assert "路灯不亮" not in web.get("/console/offers").text
    assert 'data-state="busy"' in web.get("/console").text
    assert answer(web, parts, "accept").status_code == 409


def test_who_passes_it_on_sees_the_desk_again(web: httpx.Client, parts: Parts) -> None:
    log_in(web, "operator1")
    set_presence(web, "ready")
    citizen_waits(parts)
    deal(parts)
    assert answer(web, parts, "decline").headers["Location"] == "/console"
    assert "路灯不亮" not in web.get("/console/offers").text
    assert answer(web, parts, "shout").status_code == 404


def test_nobody_answers_an_offer_to_somebody_else(web: httpx.Client, parts: Parts) -> None:
    log_in(web, "operator1")
    set_presence(web, "ready")
    conversation_id = citizen_waits(parts)
    deal(parts)
    web.cookies.clear()
    log_in(web, "operator2")
    assert answer(web, parts, "accept").status_code == 404
    with parts.database.read() as session:
        assert session.get_one(Conversation, conversation_id).state == "waiting"


def test_who_logs_out_is_away_and_is_offered_nothing(web: httpx.Client, parts: Parts) -> None:
    log_in(web, "operator1")
    set_presence(web, "ready")
    web.post("/console/log-out", data={"csrf_token": token(web.get("/console"))})
    citizen_waits(parts)
    deal(parts)
    with parts.database.read() as session:
        staff = session.query(Staff).filter_by(username="operator1").one()
        period = presence.current(session, staff.id)
        assert period
        assert (period.state, period.reason) == ("away", "logged_out")
        assert session.query(Offer).count() == 0
