"""While the line is away the telephone service records by itself; when the line is back each call has its case."""

import sys
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from sqlalchemy import select

from backend.cases.models import Case
from backend.conversations.models import Conversation
from backend.parts import Parts
from ivr import fallback
from ivr.phone.call import PracticeCall
from ivr.phone.twiml import parse_twiml
from ivr.provider import Provider
from ivr.recovery import Recovery
from tests.conftest import NOON, StandingClock, make_settings
from tests.ivr.service import ACCOUNT, LINE, TelephoneService

CITIZEN = "+8613800138000"


@pytest.fixture
def service() -> TelephoneService:
    return TelephoneService()


@pytest.fixture
def recovery(parts: Parts, service: TelephoneService) -> Recovery:
    settings = make_settings("sqlite://", twilio_account_sid=ACCOUNT, line_number=LINE)
    return Recovery(parts, Provider(settings, httpx.Client(transport=httpx.WSGITransport(service))))


def record(service: TelephoneService, call_sid: str, minutes_ago: int = 30, **changed: Any) -> None:
    """The service has recorded a message."""
    sid = f"RE{len(service.recordings)}"
    created = NOON.timestamp() - 60 * minutes_ago
    service.callers[call_sid] = CITIZEN
    service.recordings.append(
        {
            "sid": sid,
            "call_sid": call_sid,
            "duration": "9",
            "date_created": format_datetime(NOON.fromtimestamp(created, NOON.tzinfo)),
            "source": "RecordVerb",
            "status": "completed",
            "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Recordings/{sid}.json",
            **changed,
        }
    )


def filed(parts: Parts) -> list[Case]:
    with parts.database.read() as session:
        return list(session.scalars(select(Case)))


def test_a_message_left_while_the_line_was_away_becomes_one_case(
    recovery: Recovery, service: TelephoneService, parts: Parts, clock: StandingClock
) -> None:
    record(service, "CA1")
    for _ in range(3):
        recovery.work()
        clock.advance(minutes=1)
    (case,) = filed(parts)
    assert case.contact == CITIZEN and case.channel == "phone"
    assert case.recording_url and case.recording_url.endswith("/Recordings/RE0")
    assert recovery.provider.fetch_recording(case.recording_url) == b"RIFF"
    with parts.database.read() as session:
        assert session.scalars(select(Conversation)).one().state == "closed"


def test_a_message_that_the_line_has_filed_itself_is_not_filed_again(
    recovery: Recovery, service: TelephoneService, parts: Parts, call: PracticeCall, clock: StandingClock
) -> None:
    call.start("http://127.0.0.1:8000/ivr/voice")
    call.press("0")
    call.finish_recording(12)
    record(service, call.state.call_sid)
    recovery.work()
    assert len(filed(parts)) == 1


def test_a_message_just_left_and_a_recorded_talk_are_left_alone(
    recovery: Recovery, service: TelephoneService, parts: Parts, clock: StandingClock
) -> None:
    record(service, "CA1", minutes_ago=2)
    record(service, "CA2", source="Conference")
    recovery.work()
    assert filed(parts) == []
    clock.advance(minutes=15)
    recovery.work()
    assert len(filed(parts)) == 1


def test_when_the_service_can_t_be_asked_the_next_look_goes_as_far_back(
    recovery: Recovery, service: TelephoneService, parts: Parts, clock: StandingClock
) -> None:
    recovery.work()
    service.broken = (503, 20503)
    clock.advance(days=2)
    recovery.work()
    service.broken = None
    recovery.work()
    looks = [asked["DateCreated>"][0] for _, path, asked in service.asked if path.endswith("/Recordings.json")]
    assert len(looks) == 2
    assert datetime.fromisoformat(looks[1]) < NOON  # before the failure, not after it


def test_the_texts_for_the_service_s_own_bins_are_twiml_that_records_and_ends(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fallback, "load_settings", lambda: make_settings("sqlite://"))
    monkeypatch.setattr(sys, "argv", ["fallback"])
    fallback.main()
    goodbye = capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["fallback", "https://handler.twilio.com/twiml/EH1"])
    fallback.main()
    message = capsys.readouterr().out
    assert parse_twiml(goodbye, "text/xml") and parse_twiml(
        message, "text/xml"
    )  # the practice phone refuses what Twilio would
    verbs = [verb.tag for verb in ElementTree.fromstring(message)]
    assert verbs[-2:] == ["Record", "Redirect"] and "Play" not in verbs
    assert "127.0.0.1" not in message + goodbye  # nothing of ours is needed
    assert "幺幺零" in message and len(message.encode()) < 64_000
