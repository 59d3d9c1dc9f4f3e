"""Text messages: out of the outbox through the telephone service, and in through the signed webhook."""

from uuid import uuid4

import httpcore
import httpx
import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from twilio.request_validator import RequestValidator

from backend import outbox
from backend.app import create_app
from backend.attachments import Attachment
from backend.cases import service as cases
from backend.cases.models import Case
from backend.cases.service import Actor, Filing
from backend.chat.media import PhotoFetcher
from backend.chat.texts import pieces
from backend.conversations import service as conversations
from backend.conversations.models import Conversation, Turn
from backend.directory.models import Staff
from backend.outbox import OutgoingMessage
from backend.parts import Parts
from ivr.provider import Provider
from ivr.texting import LONGEST, Texter
from tests.chat.test_chat import picture
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


def text_in(app: Flask, body: str, sender: str = CITIZEN, sid: str = "", **more: str) -> str:
    sid = sid or f"SM{uuid4().hex}"
    return post(app, "/ivr/sms", From=sender, To=LINE, Body=body, MessageSid=sid, **more).text


def said_in(parts: Parts) -> list[tuple[str, str]]:
    """Who said what, in all conversations."""
    with parts.database.read() as session:
        return [(turn.speaker, turn.text) for turn in session.scalars(select(Turn).order_by(Turn.id))]


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
    assert len(got) == len(set(got)) == len(pieces(answer, LONGEST)) > 1
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


def test_anything_else_is_a_conversation_that_goes_on(app: Flask, parts: Parts) -> None:
    assert "转接人工" in text_in(app, "转人工")
    text_in(app, "三号楼的路灯不亮")
    assert [who for who, _ in said_in(parts)] == ["citizen", "bot", "citizen"]
    with parts.database.read() as session:
        talk = session.scalars(select(Conversation)).one()
        assert (talk.channel, talk.caller, talk.state) == ("sms", CITIZEN, "waiting")


def test_a_repeated_text_message_changes_nothing_and_is_answered_the_same(app: Flask, parts: Parts) -> None:
    first = text_in(app, "转人工", sid="SM1")
    assert text_in(app, "转人工", sid="SM1") == first
    assert [who for who, _ in said_in(parts)] == ["citizen", "bot"]


def test_what_is_said_while_the_bot_is_down_becomes_a_case_of_this_telephone(app: Flask, parts: Parts) -> None:
    assert "工单" in text_in(app, "三号楼的路灯不亮")
    with parts.database.read() as session:
        (case,) = session.scalars(select(Case)).all()
        assert (case.contact, case.channel) == (CITIZEN, "sms")


def test_what_an_operator_says_goes_out_as_a_text_message(
    app: Flask, parts: Parts, service: TelephoneService, operator: Staff
) -> None:
    text_in(app, "转人工")
    with parts.database.write() as session:
        talk, staff = session.scalars(select(Conversation)).one(), session.get_one(Staff, operator.id)
        conversations.take(session, talk, staff, parts.clock())
        conversations.operator_says(session, talk, staff, "您好，请说具体地点。", parts.clock())
    deliver(parts, service)
    assert sent(service)[-1] == "您好，请说具体地点。"


def test_a_text_message_with_a_wrong_signature_is_refused_and_noted(
    app: Flask, parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    web = httpx.Client(transport=httpx.WSGITransport(app), base_url=BASE)
    form = {"From": CITIZEN, "To": LINE, "Body": "转人工", "MessageSid": "SM1"}
    assert web.post("/ivr/sms", data=form, headers={"X-Twilio-Signature": "bad"}).status_code == 403
    assert "wrong signature" in caplog.text and said_in(parts) == []


MEDIA = f"https://api.twilio.com/2010-04-01/Accounts/{'AC' + '1' * 32}/Messages/MM1/Media/ME1"


def photo_answer(status: str = "200 OK", content: bytes = b"", location: str = "") -> list[bytes]:
    """What a host of photos sends back."""
    more = f"Location: {location}\r\n" if location else ""
    return [f"HTTP/1.1 {status}\r\n{more}Content-Length: {len(content)}\r\n\r\n".encode(), content]


def fetch_photos(parts: Parts, *answers: list[bytes]) -> None:
    """Let the outbox fetch photos from a host that answers so."""
    backend = httpcore.MockBackend([part for answer in answers for part in answer])
    pool = httpcore.ConnectionPool(network_backend=backend)
    outbox.deliver(parts.database, parts.clock, {"photo": PhotoFetcher(parts, pool).send})


def send_picture(app: Flask, url: str = MEDIA) -> str:
    return text_in(app, "", sid="MM1", NumMedia="1", MediaUrl0=url, MediaContentType0="image/jpeg")


def test_a_picture_message_s_photo_is_fetched_and_kept_once(app: Flask, parts: Parts) -> None:
    send_picture(app)
    send_picture(app)
    fetch_photos(parts, photo_answer(content=picture()))
    with parts.database.read() as session:
        (kept,) = session.scalars(select(Attachment)).all()
        assert kept.media_type == "image/jpeg" and kept.conversation_id is not None
    assert [who for who, _ in said_in(parts)] == ["citizen", "line"]
    assert "照片已收到" in messages(parts)[-1].body["text"]


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/photo.jpg",
        "http://api.twilio.com/photo.jpg",
        "https://api.twilio.com.example.org/photo.jpg",
        "https://api.twilio.com@example.org/photo.jpg",
        "https://api.twilio.com:8080/photo.jpg",
        "file:///etc/passwd",
    ],
)
def test_a_photo_is_fetched_from_the_provider_s_hosts_alone(app: Flask, parts: Parts, url: str) -> None:
    send_picture(app, url)
    fetch_photos(parts, photo_answer(content=picture()))
    assert messages(parts)[0].state == "failed" and said_in(parts) == []


def test_a_redirect_of_the_provider_leads_nowhere_else(app: Flask, parts: Parts) -> None:
    send_picture(app)
    fetch_photos(parts, photo_answer("302 Found", location="https://169.254.169.254/latest/meta-data"))
    assert messages(parts)[0].state == "failed" and said_in(parts) == []


def test_who_sends_what_is_no_picture_is_told_so(app: Flask, parts: Parts) -> None:
    send_picture(app)
    fetch_photos(parts, photo_answer(content=b"no picture"))
    assert "图片" in messages(parts)[-1].body["text"] and messages(parts)[-1].recipient == CITIZEN


@given(st.text(max_size=300))
def test_no_text_is_too_long_for_one_message_of_the_service(text: str) -> None:
    assert all(len(part) <= LONGEST < 1600 for part in pieces(text * 20, LONGEST))
