"""After a failure: while the line could not be reached, the telephone service recorded the callers' messages by itself
(ivr/fallback.py). What it has recorded is looked up here, and each call that has no case gets one."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import or_, select

from backend.cases.models import Case
from backend.outbox import NotSent, OutgoingMessage
from backend.parts import Parts
from ivr.calls import caller_of
from ivr.models import Call, Mark
from ivr.provider import FoundRecording, Provider, ProviderFailed
from ivr.queue import call_over
from ivr.service import Line

log = logging.getLogger(__name__)

MARK = "recordings"
FIRST_LOOK = timedelta(days=7)
"""How far back the first look of all goes."""
SETTLED_AFTER = timedelta(minutes=10)
"""A recording is left alone for so long: its own webhook may still be on its way."""
LOOKS_BACK = timedelta(hours=1)
"""Each look begins so long before the end of the last one, since a recording is listed when it is finished and dated when it
was begun."""


@dataclass(frozen=True)
class Eraser:
    """Has recordings deleted at the telephone service: what the outbox has for the channel `erasure`."""

    provider: Provider

    def send(self, message: OutgoingMessage) -> None:
        """Delete one. Raises NotSent."""
        if not self.provider.configured:
            raise NotSent("no telephone service")
        try:
            self.provider.delete_recording(message.recipient)
        except ProviderFailed as failure:
            raise NotSent(f"recording: {failure}", final=failure.final) from None


@dataclass(frozen=True)
class Recovery:
    """Makes cases of messages that reached the telephone service but not the line; for the worker, every minute."""

    parts: Parts
    provider: Provider

    def work(self) -> None:
        """Look at what was recorded since the last look. When the service can't be asked, the next look goes as far back."""
        if not self.provider.configured:
            return
        now = self.parts.clock()
        with self.parts.database.read() as session:
            mark = session.get(Mark, MARK)
        until = now - SETTLED_AFTER
        try:
            found = self.provider.recordings_since((mark.moment if mark else now - FIRST_LOOK) - LOOKS_BACK)
            for recording in found:
                if recording.recorded_at <= until:
                    self.file(recording)
        except ProviderFailed as failure:
            log.warning("recordings can't be looked up: %s", failure)
            return
        with self.parts.database.write() as session:
            session.merge(Mark(name=MARK, moment=until))

    def file(self, recording: FoundRecording) -> None:
        """The case of a recorded message, if its call has none. Any number of looks makes one."""
        with self.parts.database.read() as session:
            call = session.get(Call, recording.call_sid)
            conversation_id = call.conversation_id if call else None
            its_own = Case.filing_key == f"{recording.call_sid}:message", Case.conversation_id == conversation_id
            if session.scalar(select(Case.id).where(or_(*its_own) if conversation_id else its_own[0])):
                return
        line = Line(self.parts)
        caller, dialled = self.provider.parties_of(recording.call_sid)
        line.answer(recording.call_sid, caller_of(caller), dialled)
        line.recorded(recording.call_sid, recording.url)
        call_over(self.parts, recording.call_sid)
        log.warning("a message recorded while the line was away has become a case: %s", recording.sid)
