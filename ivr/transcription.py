"""Recorded messages in words: a service that recognises speech reads them, and what it has understood is added to the case,
marked as a machine's.

The recording waits in the outbox, put there in the transaction that keeps it, so that it is read once, and tried again with
growing gaps when the telephone service or this one fails. Any service with OpenAI's audio API does
(https://platform.openai.com/docs/api-reference/audio/createTranscription), such as a faster-whisper or FunASR server of the
city's own.
"""

import logging
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

import httpx
from sqlalchemy.orm import Session

from backend import outbox
from backend.cases import service as cases
from backend.cases.models import Case
from backend.cases.rules import FINAL_STATES
from backend.cases.service import Actor
from backend.errors import Refused
from backend.outbox import NotSent, OutgoingMessage
from backend.parts import Parts
from backend.settings import Settings
from backend.trusted import trusted
from ivr.provider import Provider, ProviderFailed
from ivr.texting import TEXTS

log = logging.getLogger(__name__)

PATIENCE = 300.0
"""Seconds for the service to read a message; without a graphics processor it takes about as long as the message lasts."""
BIGGEST_FILE = 25_000_000
"""Bytes that the service takes at most (https://platform.openai.com/docs/guides/speech-to-text)."""
LONGEST = 5000
"""Characters of a note; three minutes of fast speech have about a thousand."""
LANGUAGES = {"zh": "zh", "en": "en"}
"""Language of the call -> what the service is told (ISO 639-1). Cantonese has no name there: the service finds out."""
UNUSABLE = {400, 413, 415, 422}
"""Statuses that are about this recording, so that it is no use to send it again; others are about the service."""


def order(session: Session, settings: Settings, case: Case, language: str, now: datetime) -> None:
    """Let the recorded message of a case be read, in this transaction; once, however often it is ordered. Does nothing
    where there is no service, or no recording. `language` is that of the call: zh, yue, en."""
    if settings.transcription_url and case.recording_url:
        body = {"case": case.number, "language": language}
        outbox.put(session, f"transcription:{case.number}", "recording", case.recording_url, body, now)


@dataclass(frozen=True)
class Transcriber:
    """Reads the outbox' recordings; for the worker, every minute."""

    parts: Parts
    provider: Provider
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=PATIENCE, verify=trusted()))
    at_work: Lock = field(default_factory=Lock)

    def work(self) -> None:
        """Read what is due. One thread of a worker does so at a time: reading is slow, and others have messages to send."""
        if self.at_work.acquire(blocking=False):
            try:
                outbox.deliver(self.parts.database, self.parts.clock, {"recording": self.send})
            finally:
                self.at_work.release()

    def send(self, message: OutgoingMessage) -> None:
        """Read one recording and add its words to its case. Nothing is added to a case that has ended or has them already,
        nor when nothing was understood. Raises NotSent."""
        number, language = str(message.body["case"]), str(message.body["language"])
        with self.parts.database.read() as session:
            if not lacks_words(cases.get_case(session, number)):
                return
        words = self.words_of(self.sound_of(message.recipient), language)
        if not words:
            return
        note = TEXTS.say("transcribed", language, words=words[:LONGEST]).text
        try:
            with self.parts.database.write() as session:
                if lacks_words(cases.get_case(session, number)):
                    details = {"note": note, "transcribed": True}
                    cases.act_on(session, number, "add", Actor("line"), details, self.parts.clock())
        except Refused as refusal:  # somebody acted on the case at this moment
            raise NotSent(refusal.code) from refusal

    def sound_of(self, url: str) -> bytes:
        """The recording. Raises NotSent; that it can't be found is not final, it may come later than its webhook."""
        try:
            sound = self.provider.fetch_recording(url)
        except ProviderFailed as failure:
            raise NotSent(f"recording: {failure}", final=failure.code == httpx.codes.REQUEST_ENTITY_TOO_LARGE) from None
        if len(sound) > BIGGEST_FILE:
            raise NotSent("recording too large", final=True)
        return sound

    def words_of(self, sound: bytes, language: str) -> str:
        """What the service understands. Raises NotSent."""
        settings = self.parts.settings
        form = {"model": settings.transcription_model, "response_format": "json"}
        if language in LANGUAGES:
            form["language"] = LANGUAGES[language]
        try:
            answer = self.http.post(
                f"{settings.transcription_url.rstrip('/')}/audio/transcriptions",
                data=form,
                files={"file": ("message.wav", sound, "audio/wav")},
                headers={"Authorization": f"Bearer {settings.transcription_key}"} if settings.transcription_key else {},
            )
        except httpx.HTTPError as error:
            raise NotSent(f"no answer ({type(error).__name__})") from None
        if answer.status_code != httpx.codes.OK:
            log.warning("a recording was not transcribed: HTTP %s", answer.status_code)
            raise NotSent(f"HTTP {answer.status_code}", final=answer.status_code in UNUSABLE)
        try:
            return str(answer.json()["text"]).strip()
        except (ValueError, KeyError, TypeError):
            raise NotSent("an answer that is no transcription") from None


def lacks_words(case: Case) -> bool:
    """Whether the case is open and the words of its recording have not been added."""
    return case.state not in FINAL_STATES and not any(event.details.get("transcribed") for event in case.history)
