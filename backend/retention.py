"""What ends the keeping of personal data: the periods of nlu_data/retention.yml, every night, and a citizen's own request
(个人信息保护法 art. 47).

Of a conversation everything personal goes and the counts stay; of a case the citizen goes and the case stays. Work comes in
small transactions, so nobody waits; what was done is kept as counts (`RetentionReport`), never as the data.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, Final

import yaml
from pydantic import BaseModel
from sqlalchemy import JSON, ForeignKey, String, delete, exists, func, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column, selectinload

from backend.attachments import Attachment
from backend.audit import put_down
from backend.cases.models import Case, Repeat, Visit
from backend.cases.rules import FINAL_STATES
from backend.clock import Clock, local
from backend.conversations.models import Conversation, ConversationNote, ConversationSummary, Leg, Recording, Turn
from backend.database import Base, Database, UtcDateTime
from backend.directory.models import Staff
from backend.encryption import lookup_hash
from backend.errors import Refused
from backend.knowledge.masking import mask
from backend.knowledge.models import Gap
from backend.outbox import OutgoingMessage, put
from backend.settings import ROOT

NIGHT: Final = range(1, 6)
"""The hours, China's time, in which the periods are seen to."""
BATCH: Final = 100
"""Conversations or cases of one transaction."""
AT_WORK_FOR: Final = timedelta(seconds=40)
"""Of each minute, so that one run is over before the next one begins."""
BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
WRITTEN: Final = ("note", "words")
"""What of the details of an act somebody has written or said."""
BASES: Final = ("purpose", "consent", "unlawful", "law")
"""Why a citizen may ask for erasure: the reasons of art. 47 that fit a service line."""


class RetentionReport(Base):
    """What one night, or one request, has erased: how many, of what kind."""

    __tablename__ = "retention_reports"

    id: Mapped[int] = mapped_column(primary_key=True)
    night: Mapped[date | None] = mapped_column(unique=True)  # China's; None: a request
    basis: Mapped[str] = mapped_column(String(20), default="")  # of a request, one of BASES
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))  # who carried a request out
    counts: Mapped[dict[str, int]] = mapped_column(JSON)
    talks_until: Mapped[datetime | None] = mapped_column(UtcDateTime)  # talks that ended until then have been looked at
    began_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Words(BaseModel):
    """Something in both languages."""

    zh: str
    en: str


class Period(BaseModel):
    """How long one kind is kept, what happens then, and why so long."""

    days: int
    what: Words
    then: Words
    why: Words


@cache
def periods() -> dict[str, Period]:
    """The periods, by kind."""
    content = yaml.safe_load((ROOT / "nlu_data" / "retention.yml").read_text(encoding="utf-8"))
    return {kind: Period.model_validate(period) for kind, period in content.items()}


# --- every night ----------------------------------------------------------------------------------------------------

Step = Callable[[Session, RetentionReport, datetime], Mapping[str, int] | None]
"""Erases one batch of what is older than the moment, for the report; what it did, None when nothing is left."""


def erase_old(database: Database, clock: Clock, also: Mapping[str, Step]) -> None:
    """See to the periods: each night once, in as many minutes as it takes. `also` has the steps of other parts, by kind."""
    began = clock()
    night = local(began).date()
    if local(began).hour not in NIGHT:
        return
    with database.write() as session:
        report = session.scalar(select(RetentionReport).where(RetentionReport.night == night))
        if report is None:
            so_far = session.scalar(select(func.max(RetentionReport.talks_until)))
            report = RetentionReport(night=night, counts={}, began_at=began, talks_until=so_far)
            session.add(report)
            session.flush()
        elif report.finished_at:
            return
    for kind, step in {**STEPS, **also}.items():
        limit = began - timedelta(days=periods()[kind].days)
        while True:
            with database.write() as session:
                report = session.get_one(RetentionReport, report.id)
                done = step(session, report, limit)
                report.counts = dict(Counter(report.counts) + Counter(done or {}))
            if done is None:
                break
            if clock() - began > AT_WORK_FOR:
                return
    with database.write() as session:
        session.get_one(RetentionReport, report.id).finished_at = clock()


def old_messages(session: Session, report: RetentionReport, limit: datetime) -> Mapping[str, int] | None:
    """What has been sent, or has failed."""
    old = select(OutgoingMessage.id).where(
        OutgoingMessage.state.in_(("sent", "failed")), OutgoingMessage.put_at < limit
    )
    gone = session.scalars(old.order_by(OutgoingMessage.id).limit(10 * BATCH)).all()
    session.execute(delete(OutgoingMessage).where(OutgoingMessage.id.in_(gone)))
    return {"messages": len(gone)} if gone else None


def old_recordings(session: Session, report: RetentionReport, limit: datetime) -> Mapping[str, int] | None:
    """Recordings of talks with operators."""
    old = select(Recording).where(Recording.recorded_at < limit).limit(BATCH)
    return erase_recordings(session, session.scalars(old).all(), report.began_at) or None


def old_talks(session: Session, report: RetentionReport, limit: datetime) -> Mapping[str, int] | None:
    """Conversations of which no case came, in the order in which they ended; each is looked at in one night only."""
    since = Conversation.closed_at > (report.talks_until or BEGINNING)
    ends = session.scalars(
        select(Conversation.closed_at)
        .where(since, Conversation.closed_at < limit)
        .order_by(Conversation.closed_at)
        .limit(BATCH)
    ).all()
    if not ends:
        return None
    came = or_(
        exists().where(Case.conversation_id == Conversation.id),
        exists().where(Repeat.conversation_id == Conversation.id),
    )
    old = select(Conversation.id).where(
        since, Conversation.closed_at <= ends[-1], Conversation.erased_at.is_(None), ~came
    )
    report.talks_until = ends[-1]
    return erase_talks(session, session.scalars(old).all(), report.began_at)


def old_cases(session: Session, report: RetentionReport, limit: datetime) -> Mapping[str, int] | None:
    """Cases that have ended."""
    ended = Case.step_due_at.is_(None), Case.state.in_(FINAL_STATES), Case.erased_at.is_(None)
    old = select(Case).where(*ended, Case.step_since < limit).order_by(Case.step_since).limit(BATCH)
    found = session.scalars(old.options(selectinload(Case.history))).all()
    return erase_identities(session, found, report.began_at) or None


STEPS: Final[Mapping[str, Step]] = {
    "outgoing": old_messages,
    "recordings": old_recordings,
    "talks": old_talks,
    "cases": old_cases,
}


# --- a citizen's request --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kept:
    """What is kept of who has a number."""

    ended: Sequence[Case]
    open: Sequence[Case]  # still needed: the purpose isn't reached
    talks: Sequence[str]  # ids of conversations that are over and belong to no open case

    @property
    def counts(self) -> dict[str, int]:
        """How many of each."""
        return {"cases": len(self.ended), "open_cases": len(self.open), "talks": len(self.talks)}


def kept_of(session: Session, number: str) -> Kept:
    """What is kept of the number (E.164) and not erased yet."""
    found = session.scalars(
        select(Case)
        .where(Case.contact_hash == lookup_hash(number), Case.erased_at.is_(None))
        .options(selectinload(Case.history))
    ).all()
    still_open = [case for case in found if case.state not in FINAL_STATES]
    needed = {case.conversation_id for case in still_open} | set(
        session.scalars(select(Repeat.conversation_id).where(Repeat.case_id.in_([case.id for case in still_open])))
    )
    theirs = or_(Conversation.caller_hash == lookup_hash(number), Conversation.peer_hash == lookup_hash(number))
    over = select(Conversation.id).where(theirs, Conversation.state == "closed", Conversation.erased_at.is_(None))
    return Kept(
        ended=[case for case in found if case.state in FINAL_STATES],
        open=still_open,
        talks=[one for one in session.scalars(over) if one not in needed],
    )


def erase_citizen(session: Session, number: str, basis: str, staff: Staff, now: datetime) -> RetentionReport:
    """Erase at once what is kept of a number and not needed for an open case; returns the report that stays. That the number
    is the citizen's own is for `staff` to see to. Raises Refused for a reason that the law doesn't give."""
    if basis not in BASES:
        raise Refused("reason_missing")
    kept = kept_of(session, number)
    done = Counter(erase_talks(session, kept.talks, now)) + Counter(erase_identities(session, kept.ended, now))
    counts = dict(done) | ({"open_cases": len(kept.open)} if kept.open else {})
    report = RetentionReport(basis=basis, staff_id=staff.id, counts=counts, began_at=now, finished_at=now)
    session.add(report)
    session.flush()
    put_down(session, "erasure", str(report.id), "erased", after={"basis": basis, **counts})
    return report


def reports(session: Session, limit: int) -> list[RetentionReport]:
    """The newest reports."""
    return list(session.scalars(select(RetentionReport).order_by(RetentionReport.id.desc()).limit(limit)))


# --- erasing --------------------------------------------------------------------------------------------------------


def erase_talks(session: Session, ids: Sequence[str], now: datetime) -> dict[str, int]:
    """Erase who spoke and what was said in these conversations, and what came with them and belongs to no case."""
    if not ids:
        return {}
    session.execute(update(Turn).where(Turn.conversation_id.in_(ids)).values(text="", reply=None))
    session.execute(update(Leg).where(Leg.conversation_id.in_(ids), Leg.party == "citizen").values(telephone=None))
    for table in (ConversationNote, ConversationSummary):
        session.execute(delete(table).where(table.conversation_id.in_(ids)))
    for gap in session.scalars(select(Gap).where(Gap.conversation_id.in_(ids))):
        gap.question = mask(gap.question)
    recordings = session.scalars(select(Recording).where(Recording.conversation_id.in_(ids))).all()
    done = Counter(erase_recordings(session, recordings, now))
    photos = Attachment.conversation_id.in_(ids), Attachment.case_id.is_(None)
    done += Counter(files=erase_files(session, *photos))
    nobody = dict.fromkeys(("caller", "caller_hash", "peer", "peer_hash", "callback_to", "token_hash"))
    session.execute(update(Conversation).where(Conversation.id.in_(ids)).values(**nobody, erased_at=now))
    return {"talks": len(ids), **done}


def erase_identities(session: Session, cases: Sequence[Case], now: datetime) -> dict[str, int]:
    """Erase who filed these cases: the number, the conversations, recordings, their photos; and cover up names, numbers and
    doors in what they said. What agencies did and wrote stays, with the same covered up."""
    if not cases:
        return {}
    ids = [case.id for case in cases]
    done: Counter[str] = Counter()
    for case in cases:
        if case.recording_url:
            put(session, f"erase:{case.number}", "erasure", case.recording_url, {}, now)
            done["recordings"] += 1
        case.contact = case.recording_url = None
        case.what, case.place, case.since = mask(case.what), mask(case.place), mask(case.since)
        case.erased_at = now
        for event in case.history:
            event.details = covered(event.details)
    repeats = session.scalars(select(Repeat).where(Repeat.case_id.in_(ids))).all()
    for repeat in repeats:
        repeat.what = mask(repeat.what)
    for visit in session.scalars(select(Visit).where(Visit.case_id.in_(ids), Visit.words != "")):
        visit.words = mask(visit.words)
    done["files"] += erase_files(session, Attachment.case_id.in_(ids), Attachment.staff_id.is_(None))
    talks = {case.conversation_id for case in cases} | {repeat.conversation_id for repeat in repeats}
    session.flush()
    done += Counter(erase_talks(session, [talk for talk in talks if talk], now))
    return {"cases": len(ids), **done}


def covered(details: Mapping[str, Any]) -> dict[str, Any]:
    """The details of an act with what is personal covered up in what was written."""
    return {name: mask(text) if name in WRITTEN and isinstance(text, str) else text for name, text in details.items()}


def erase_recordings(session: Session, recordings: Sequence[Recording], now: datetime) -> dict[str, int]:
    """Have the sound deleted at the telephone service, and forget where it is."""
    for recording in recordings:
        put(session, f"erase:{recording.sid}", "erasure", recording.url, {}, now)
        session.delete(recording)
    session.flush()
    return {"recordings": len(recordings)} if recordings else {}


def erase_files(session: Session, *which: Any) -> int:
    """Delete these files; returns how many."""
    found = session.scalar(select(func.count()).select_from(Attachment).where(*which)) or 0
    if found:
        session.execute(delete(Attachment).where(*which))
    return found
