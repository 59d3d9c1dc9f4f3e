"""Text messages: out of the outbox through the telephone service, and in through the signed webhook."""

import httpx
import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from twilio.request_validator import RequestValidator

from backend import outbox
from backend.app import create_app
from backend.cases import service as cases
from backend.cases.service import Actor, Filing
from backend.outbox import OutgoingMessage
from backend.parts import Parts
from ivr.provider import Provider
from ivr.texting import LONGEST, Texter, pieces
from tests.conftest import StandingClock, make_settings
from tests.ivr.service import LINE, TelephoneService

CITIZEN, OTHER = "+8613800138000", "+8613800138001"
BASE = "http://127.0.0.1:8000"


@pytest.fixture
def service() -> TelephoneService:
    return TelephoneService()


@pytest.fixture
def app(sqlite_url: str, clock: StandingClock, service: TelephoneService) -> Flask:
    settings = make_settings(sqlite_url, twilio_account_sid=service.account, line_number=LINE)
    return create_app(settings, clock=clock)


def put(parts: Parts, text: str, to: str = CITIZEN) -> None:
    with parts.database.write() as session:
        outbox.put(session, "case:1", "sms", to, {"text": text}, parts.clock())


def deliver(parts: Parts, service: TelephoneService) -> None:
    http = httpx.Client(transport=httpx.WSGITransport(service))
    texter = Texter(parts, Provider(parts.settings, http))
    outbox.deliver(parts.database, parts.clock, {"sms": texter.send})


def sent(service: TelephoneService) -> list[str]:
    return [form["Body"][0] for form in service.posts("/Messages.json")]


def messages(parts: Parts) -> list[OutgoingMessage]:
    with parts.database.read() as session:
        return list(session.scalars(select(OutgoingMessage).order_by(OutgoingMessage.id)))


def text_in(app: Flask, body: str, sender: str = CITIZEN) -> str:
    return post(app, "/ivr/sms", From=sender, To=LINE, Body=body, MessageSid="SM1").text


def post(app: Flask, path: str, **form: str) -> httpx.Response:
    token = app.extensions["parts"].settings.twilio_auth_token
    signature = RequestValidator(token).compute_signature(BASE + path, form)
    web = httpx.Client(transport=httpx.WSGITransport(app), base_url=BASE)
    return web.post(path, data=form, headers={"X-Twilio-Signature": signature})


def file_case(parts: Parts) -> str:
    with parts.database.write() as session:
        filing = Filing(what="暖气不热", contact=CITIZEN)
        return cases.file_case(
            session, parts.knowledge, filing, Actor("line"), parts.clock(), parts.settings.jurisdiction
        ).number


def test_a_message_goes_out_from_the_line_s_number_and_its_fate_is_asked_for(
    parts: Parts, service: TelephoneService
) -> None:
    put(parts, "您的工单已登记。")
    deliver(parts, service)
    (form,) = service.posts("/Messages.json")
    assert (form["To"], form["From"], form["Body"]) == ([CITIZEN], [LINE], ["您的工单已登记。"])
    assert form["StatusCallback"] == [f"{BASE}/ivr/sms-status"]


def test_a_long_answer_arrives_whole_in_numbered_pieces_each_once(
    parts: Parts, service: TelephoneService, clock: StandingClock
) -> None:
    answer = "".join(f"第{number}条，请带身份证到窗口办理。" for number in range(100))
    put(parts, answer)
    service.broken = (500, 20500)
    deliver(parts, service)  # the pieces are there before the first has been sent
    service.broken = None
    clock.advance(minutes=2)
    deliver(parts, service)
    got = sent(service)
    assert len(got) == len(set(got)) == len(pieces(answer)) > 1
    assert "".join(part.split(")", 1)[1] for part in sorted(got)) == answer


@given(st.text(), st.integers(40, 200))
def test_pieces_lose_nothing_and_fit(text: str, longest: int) -> None:
    cut = pieces(text, longest)
    assert all(len(part) <= longest for part in cut)
    assert "".join(part.split(")", 1)[1] if len(cut) > 1 else part for part in cut) == text


def test_who_has_stopped_messages_gets_none_until_they_start_again(
    app: Flask, parts: Parts, service: TelephoneService
) -> None:
    assert "不再" in text_in(app, "TD")
    put(parts, "您的工单已登记。")
    deliver(parts, service)
    assert sent(service) == [] and messages(parts)[0].state == "failed"
    text_in(app, "jd")
    with parts.database.write() as session:
        outbox.put(session, "case:2", "sms", CITIZEN, {"text": "又一条"}, parts.clock())
    deliver(parts, service)
    assert sent(service) == ["又一条"]


def test_whom_the_service_itself_has_taken_off_is_not_tried_again(parts: Parts, service: TelephoneService) -> None:
    service.stop_words_from.add(CITIZEN)
    put(parts, "您的工单已登记。")
    deliver(parts, service)
    assert (messages(parts)[0].state, messages(parts)[0].tries) == ("failed", 1)


def test_a_message_that_the_network_could_not_deliver_is_seen(
    app: Flask, parts: Parts, service: TelephoneService
) -> None:
    put(parts, "您的工单已登记。")
    deliver(parts, service)
    (message,) = messages(parts)
    for status in ("undelivered", "undelivered", "sent"):  # doubled, and late
        post(app, "/ivr/sms-status", MessageSid=message.receipt or "", MessageStatus=status, ErrorCode="30003")
    assert (messages(parts)[0].state, messages(parts)[0].fault) == ("failed", "error 30003")


def test_a_case_number_is_answered_with_where_the_case_stands(app: Flask, parts: Parts) -> None:
    number = file_case(parts)
    assert "已登记" in text_in(app, f"查 {number}")
    assert "filed" in text_in(app, f"status of {number.replace('-', ' ')}")


def test_a_case_of_somebody_else_sounds_like_one_that_is_not_there(app: Flask, parts: Parts) -> None:
    number = file_case(parts)
    assert text_in(app, number, sender=OTHER) == text_in(app, "26999-99999", sender=OTHER)
    assert "没有找到" in text_in(app, number, sender=OTHER)


def test_anything_else_is_told_what_the_number_understands(app: Flask) -> None:
    assert "工单号" in text_in(app, "你好")
    assert "case number" in text_in(app, "hello there")


@given(st.text(max_size=300))
def test_no_text_is_too_long_for_one_message_of_the_service(text: str) -> None:
    assert all(len(part) <= LONGEST < 1600 for part in pieces(text * 20))
