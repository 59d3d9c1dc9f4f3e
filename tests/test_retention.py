"""What is no longer needed is erased, by the night's job and at a citizen's request; what happened to cases stays, and so do
counts and the audit log's chain."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from flask import Flask
from sqlalchemy import select

from backend import outbox, retention
from backend.app import create_app
from backend.audit import first_fault
from backend.cases import service as cases
from backend.cases.service import Actor
from backend.conversations.models import Conversation, Recording
from backend.database import Database
from backend.parts import Parts
from backend.retention import RetentionReport, erase_old
from ivr import once
from ivr.models import CallStep
from ivr.provider import Provider
from ivr.recovery import Eraser
from tests.chat.test_chat import Chat
from tests.conftest import StandingClock, make_settings
from tests.ivr.service import ACCOUNT, LINE, TelephoneService
from tests.test_encryption import everything

NUMBER, NAME = "+8613812345678", "王大明"
NIGHT = datetime(2026, 11, 24, 18, 0, tzinfo=UTC)
"""Two o'clock in China."""
ALSO = {"webhook_answers": once.forget_old}


@pytest.fixture
def app(database_url: str, clock: StandingClock) -> Iterator[Flask]:
    """The application on either database."""
    made = create_app(make_settings(database_url), clock=clock)
    yield made
    made.extensions["parts"].database.close()


def talk(web: httpx.Client, database: Database) -> str:
    """Somebody whose number is known speaks to an operator, who is not there; the conversation is over."""
    chat = Chat(web)
    chat.say("转人工")
    chat.say(f"我叫{NAME}，电话{NUMBER}")
    with database.write() as session:
        conversation = session.get_one(Conversation, chat.id)
        conversation.caller, conversation.state = NUMBER, "closed"
        conversation.closed_at = conversation.started_at
    return chat.id


def file_case(api: httpx.Client, parts: Parts, ended: bool = True) -> str:
    """A case of the same citizen; ended ones were withdrawn."""
    body = {"what": f"我叫{NAME}，3号楼2单元501漏水", "place": "明湖区软件园", "contact": NUMBER}
    number = str(api.post("/api/v1/cases", json=body).json()["number"])
    if ended:
        with parts.database.write() as session:
            cases.act_on(session, number, "withdraw", Actor("citizen"), {"note": f"我是{NAME}"}, parts.clock())
    return number


def at_night(parts: Parts, clock: StandingClock, **later: float) -> dict[str, int]:
    """What the job of a night erases, so much later."""
    clock.now = NIGHT + timedelta(**later)
    erase_old(parts.database, clock, ALSO)
    with parts.database.read() as session:
        report = session.scalars(select(RetentionReport).order_by(RetentionReport.id.desc())).first()
        assert report is not None
        assert report.finished_at
        assert first_fault(session) is None
        return report.counts


def test_a_talk_without_a_case_keeps_its_counts_and_nothing_of_its_citizen(
    web: httpx.Client, parts: Parts, clock: StandingClock
) -> None:
    old = talk(web, parts.database)
    assert at_night(parts, clock, days=363) == {}
    counts = at_night(parts, clock, days=366)
    assert counts["talks"] == 1
    with parts.database.read() as session:
        conversation = session.get_one(Conversation, old)
        assert (conversation.caller, conversation.caller_hash, conversation.erased_at is None) == (None, None, False)
        assert {turn.text for turn in conversation.turns} == {""}
        assert [turn.act for turn in conversation.turns if turn.act] == ["say", "handoff"]
    assert at_night(parts, clock, days=367) == {}


def test_an_ended_case_loses_its_citizen_and_keeps_what_was_done(
    api: httpx.Client, parts: Parts, clock: StandingClock
) -> None:
    ended = file_case(api, parts)
    other = str(api.post("/api/v1/cases", json={"what": "公交车不准点", "contact": NUMBER}).json()["number"])
    counts = at_night(parts, clock, days=1100)
    assert counts["cases"] == 1
    with parts.database.read() as session:
        gone, kept = (cases.get_case(session, number) for number in (ended, other))
        assert (gone.contact, gone.contact_hash, gone.state) == (None, None, "withdrawn")
        assert NAME not in gone.what
        assert "501" not in gone.what
        assert "漏水" in gone.what
        assert [event.act for event in gone.history] == ["file", "withdraw"]
        assert NAME not in str(gone.history[-1].details)
        assert kept.contact == NUMBER
    assert NAME not in everything(parts.database)


def test_a_job_that_was_ended_goes_on_the_next_minute_and_a_night_has_one_report(
    web: httpx.Client, parts: Parts, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        talk(web, parts.database)
        clock.advance(minutes=1)
    monkeypatch.setattr(retention, "BATCH", 1)
    monkeypatch.setattr(retention, "AT_WORK_FOR", timedelta(seconds=-1))
    clock.now = NIGHT + timedelta(days=366)
    for _ in range(20):
        erase_old(parts.database, clock, ALSO)
    with parts.database.read() as session:
        (report,) = session.scalars(select(RetentionReport)).all()
        assert report.counts["talks"] == 3
        assert report.finished_at


def test_by_day_nothing_is_erased(web: httpx.Client, parts: Parts, clock: StandingClock) -> None:
    talk(web, parts.database)
    clock.advance(days=400)
    erase_old(parts.database, clock, ALSO)
    with parts.database.read() as session:
        assert session.scalars(select(RetentionReport)).all() == []


def test_messages_and_answers_to_webhooks_go_when_nobody_asks_for_them_any_more(
    api: httpx.Client, parts: Parts, clock: StandingClock
) -> None:
    file_case(api, parts, ended=False)
    with parts.database.write() as session:
        session.query(outbox.OutgoingMessage).update({"state": "sent"})
        session.add(CallStep(call_sid="CA1", step="1", claimed_at=clock(), twiml="<Response/>"))
    counts = at_night(parts, clock, days=200)
    assert counts["messages"] >= 1
    assert counts["webhook_answers"] == 1


def test_a_recording_is_deleted_at_the_telephone_service(web: httpx.Client, parts: Parts, clock: StandingClock) -> None:
    url = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Recordings/RE1"
    conversation_id = talk(web, parts.database)
    with parts.database.write() as session:
        session.add(Recording(sid="RE1", conversation_id=conversation_id, url=url, seconds=5, recorded_at=clock()))
    assert at_night(parts, clock, days=200)["recordings"] == 1
    service = TelephoneService()
    settings = make_settings("sqlite://", twilio_account_sid=ACCOUNT, line_number=LINE)
    provider = Provider(settings, httpx.Client(transport=httpx.WSGITransport(service)))
    outbox.deliver(parts.database, clock, {"erasure": Eraser(provider).send})
    assert [(method, path.rsplit("/", 1)[-1]) for method, path, _ in service.asked] == [("DELETE", "RE1.json")]
    with parts.database.read() as session:
        assert session.get(Recording, "RE1") is None


def log_in(web: httpx.Client, username: str) -> None:
    page = web.get("/console/log-in")
    form = {"username": username, "password": "correct horse battery", "csrf_token": token_of(page.text)}
    assert web.post("/console/log-in", data=form).status_code == 302


def token_of(page: str) -> str:
    return page.split('name="csrf_token" value="')[1].split('"')[0]


def ask(web: httpx.Client, **fields: str) -> httpx.Response:
    token = token_of(web.get("/console/erasure").text)
    return web.post("/console/erasure", data={"csrf_token": token, **fields})


def test_a_supervisor_erases_at_a_citizens_request_what_no_open_case_needs(
    api: httpx.Client, parts: Parts, clock: StandingClock
) -> None:
    ended = file_case(api, parts)
    still_open = str(api.post("/api/v1/cases", json={"what": "公交车不准点", "contact": NUMBER}).json()["number"])
    talk(api, parts.database)
    log_in(api, "supervisor1")
    seen = ask(api, number=NUMBER)
    assert 'data-testid="kept"' in seen.text
    with parts.database.read() as session:
        assert cases.get_case(session, ended).contact == NUMBER, "looking erases nothing"
    assert 'data-testid="erased"' in ask(api, number=NUMBER, confirmed="yes", basis="consent").text
    with parts.database.read() as session:
        assert cases.get_case(session, ended).contact is None
        assert cases.get_case(session, still_open).contact == NUMBER
        (report,) = session.scalars(select(RetentionReport)).all()
        assert report.counts == {"talks": 1, "cases": 1, "open_cases": 1}
        assert NUMBER not in str(report.counts)
        assert first_fault(session) is None
    audit = api.get("/console/audit").text
    assert 'data-act="erased"' in audit
    assert NUMBER[3:] not in audit


def test_without_a_reason_of_the_law_or_a_number_nothing_is_erased(api: httpx.Client, parts: Parts) -> None:
    ended = file_case(api, parts)
    log_in(api, "supervisor1")
    assert ask(api, number=NUMBER, confirmed="yes", basis="because").status_code == 422
    assert ask(api, number="12").status_code == 422
    with parts.database.read() as session:
        assert cases.get_case(session, ended).contact == NUMBER
