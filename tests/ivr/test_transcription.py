"""Recorded messages in words: read once by a service that recognises speech, added to the case as a machine's."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from werkzeug.wrappers import Request, Response

from backend import outbox, settings
from backend.app import create_app
from backend.cases import service as cases
from backend.cases.models import Case, CaseEvent
from backend.cases.service import Actor
from backend.outbox import GAPS, OutgoingMessage
from backend.parts import Parts
from backend.settings import SettingsRefused, load_settings
from ivr.provider import Provider
from ivr.service import Line
from ivr.transcription import Transcriber
from tests.conftest import StandingClock, make_settings
from tests.ivr.service import ACCOUNT, LINE, TelephoneService, told

RECORDING = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Recordings/RE1"
CITIZEN = "+8613800138000"


@dataclass
class SpeechService:
    """A service with OpenAI's audio API, which refuses what the real one refuses
    (platform.openai.com/docs/api-reference/audio/createTranscription). `broken` is the status of all its answers, while
    set."""

    words: str = "明湖区软件园的路灯不亮"
    largest: int = 25_000_000
    broken: int | None = None
    asked: list[dict[str, str]] = field(default_factory=list)

    def __call__(self, environ: Any, start: Any) -> Any:
        return self.answer(Request(environ))(environ, start)

    def answer(self, request: Request) -> Response:
        self.asked.append(request.form.to_dict())
        sound = request.files.get("file")
        if self.broken:
            return told({"error": {"message": "broken"}}, self.broken)
        if request.headers.get("Authorization") != "Bearer right":
            return told({"error": {"code": "invalid_api_key"}}, 401)
        if (request.method, request.path) != ("POST", "/v1/audio/transcriptions"):
            return told({"error": {"type": "invalid_request_error"}}, 404)
        if request.form.get("model") != "whisper-1":
            return told({"error": {"code": "model_not_found"}}, 404)
        if sound is None or not (sound.filename or "").endswith((".wav", ".mp3", ".flac", ".ogg", ".webm", ".m4a")):
            return told({"error": {"param": "file"}}, 400)
        if request.form.get("language", "zh") not in ("zh", "en"):
            return told({"error": {"param": "language"}}, 400)
        data = sound.read()
        if len(data) > self.largest:
            return told({"error": {"message": "Maximum content size limit exceeded"}}, 413)
        if not data.startswith(b"RIFF"):
            return told({"error": {"message": "Invalid file format"}}, 400)
        return told({"text": self.words})


class Messages:
    """A line that records messages, with a telephone service and a speech service behind it."""

    def __init__(self, database_url: str, clock: StandingClock, **changed: Any) -> None:
        service = {"transcription_url": "https://speech.example/v1/", "transcription_model": "whisper-1"}
        chosen = {
            "twilio_account_sid": ACCOUNT,
            "line_number": LINE,
            "transcription_key": "right",
            **service,
            **changed,
        }
        self.parts: Parts = create_app(make_settings(database_url, **chosen), clock=clock).extensions["parts"]
        self.clock, self.telephone, self.speech = clock, TelephoneService(), SpeechService()
        provider = Provider(self.parts.settings, httpx.Client(transport=httpx.WSGITransport(self.telephone)))
        self.transcriber = Transcriber(self.parts, provider, httpx.Client(transport=httpx.WSGITransport(self.speech)))

    def leave(self, call_sid: str = "CA1", language: str = "zh", url: str | None = RECORDING) -> str:
        """Somebody leaves a message; the number of its case."""
        line = Line(self.parts)
        with self.parts.database.write() as session:
            call, _ = line.find(session, call_sid, CITIZEN)
            call.language = language
        line.recorded(call_sid, url)
        with self.parts.database.read() as session:
            return session.scalars(select(Case.number).order_by(Case.id.desc()).limit(1)).one()

    def work(self, times: int = 1) -> None:
        """So many runs of the worker's job, each when the next try is due."""
        for _ in range(times):
            self.transcriber.work()
            self.clock.advance(hours=GAPS[-1].total_seconds() / 3600)

    def notes(self, number: str) -> list[str]:
        """What was added to the case."""
        with self.parts.database.read() as session:
            added = select(CaseEvent).join(Case).where(Case.number == number, CaseEvent.act == "add")
            return [event.details["note"] for event in session.scalars(added)]

    def withdraw(self, number: str) -> None:
        with self.parts.database.write() as session:
            cases.act_on(session, number, "withdraw", Actor("citizen"), {}, self.clock())

    def failed(self) -> list[OutgoingMessage]:
        with self.parts.database.read() as session:
            return outbox.failed(session)


@pytest.fixture
def messages(database_url: str, clock: StandingClock) -> Iterator[Messages]:
    line = Messages(database_url, clock)
    yield line
    line.parts.database.close()


def test_a_recorded_message_is_added_to_its_case_once_marked_as_a_machine_s(messages: Messages) -> None:
    number = messages.leave()
    messages.leave()  # the webhook comes again
    messages.work(3)
    (note,) = messages.notes(number)
    assert messages.speech.words in note and "机器转写" in note
    assert messages.speech.asked == [{"model": "whisper-1", "response_format": "json", "language": "zh"}]
    with messages.parts.database.read() as session:
        event = cases.get_case(session, number).history[-1]
        assert (event.role, event.staff_id) == ("line", None)
        assert RECORDING not in str(event.details)


@pytest.mark.parametrize(("language", "told_as", "mark"), [("en", "en", "machine"), ("yue", None, "机器转写")])
def test_the_service_is_told_the_language_of_the_call_if_it_has_a_name_for_it(
    messages: Messages, language: str, told_as: str | None, mark: str
) -> None:
    number = messages.leave(language=language)
    messages.work()
    assert messages.speech.asked[0].get("language") == told_as
    assert mark in messages.notes(number)[0]


def test_a_job_that_did_its_work_and_died_before_it_said_so_adds_nothing_again(messages: Messages) -> None:
    number = messages.leave()
    with messages.parts.database.read() as session:
        message = session.scalars(select(OutgoingMessage).where(OutgoingMessage.channel == "recording")).one()
    for _ in range(2):
        messages.transcriber.send(message)
    assert len(messages.notes(number)) == len(messages.speech.asked) == 1


@pytest.mark.parametrize("status", [401, 429, 503])
def test_a_service_that_fails_is_asked_again(messages: Messages, status: int) -> None:
    number = messages.leave()
    messages.speech.broken = status
    messages.work(2)
    assert messages.notes(number) == []
    messages.speech.broken = None
    messages.work()
    assert len(messages.notes(number)) == 1


def test_a_recording_that_is_not_there_yet_is_fetched_later(messages: Messages) -> None:
    number = messages.leave()
    messages.telephone.broken = (404, 20404)
    messages.work()
    assert messages.speech.asked == []
    messages.telephone.broken = None
    messages.work()
    assert len(messages.notes(number)) == 1


def test_a_recording_that_the_service_finds_too_large_is_not_sent_again(messages: Messages) -> None:
    messages.leave()
    messages.speech.largest = 3
    messages.work(3)
    assert len(messages.speech.asked) == 1
    assert [message.fault for message in messages.failed()] == ["HTTP 413"]


def test_a_recording_of_somebody_else_s_address_is_never_fetched(messages: Messages) -> None:
    number = messages.leave(url="https://elsewhere.example/RE1")
    messages.work(len(GAPS) + 2)
    assert not messages.notes(number) and not messages.speech.asked and not messages.telephone.asked
    assert len(messages.failed()) == 1


def test_a_case_that_is_over_meanwhile_is_left_alone(messages: Messages) -> None:
    number = messages.leave()
    messages.withdraw(number)
    messages.work()
    assert not messages.notes(number) and not messages.speech.asked and not messages.failed()


def test_a_case_that_ends_while_its_recording_is_read_is_left_alone(
    messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = messages.leave()
    answer = messages.speech.answer

    def answer_slowly(request: Request) -> Response:
        messages.withdraw(number)
        return answer(request)

    monkeypatch.setattr(messages.speech, "answer", answer_slowly)
    messages.work()
    assert not messages.notes(number) and not messages.failed()


def test_silence_adds_nothing(messages: Messages) -> None:
    number = messages.leave()
    messages.speech.words = "  "
    messages.work(2)
    assert not messages.notes(number) and not messages.failed()
    assert len(messages.speech.asked) == 1


@pytest.mark.parametrize("url", [RECORDING, None])
def test_without_a_service_or_a_recording_nothing_is_ordered(
    sqlite_url: str, clock: StandingClock, url: str | None
) -> None:
    messages = Messages(sqlite_url, clock, **({"transcription_url": ""} if url else {}))
    messages.leave(url=url)
    with messages.parts.database.read() as session:
        assert "recording" not in session.scalars(select(OutgoingMessage.channel)).all()


@pytest.mark.parametrize(
    ("url", "model", "named"), [("speech.example", "whisper-1", "_URL"), ("https://a.example", "", "_MODEL")]
)
def test_a_service_without_an_address_or_a_model_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str, model: str, named: str
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    for name in settings.SECRET_NAMES:
        monkeypatch.setenv(name, "x" * 32)
    monkeypatch.setenv("TRANSCRIPTION_URL", url)
    monkeypatch.setenv("TRANSCRIPTION_MODEL", model)
    with pytest.raises(SettingsRefused, match=f"TRANSCRIPTION{named}"):
        load_settings()
