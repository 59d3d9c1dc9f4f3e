"""The one writer of cases: filing, every act of the table, looking a case up. Each change appends to the history in the
same transaction."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import phonenumbers
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.orm.exc import StaleDataError

from backend.cases.deadlines import due_at
from backend.cases.models import Case, CaseCounter, CaseEvent
from backend.cases.numbers import NumberRefused, make_number, parse_number
from backend.cases.routing import Proposal, propose, without_places
from backend.cases.rules import Refusal, decide
from backend.clock import local
from backend.directory.models import Agency, Staff
from backend.errors import Refused
from backend.knowledge.service import Knowledge

LOOKUPS_BEFORE_PAUSE = 5
PAUSE_AFTER_WRONG_LOOKUPS = timedelta(hours=1)
"""Four digits of a telephone number are ten thousand tries: so many wrong ones, and the case keeps silent for a while."""


@dataclass(frozen=True)
class Filing:
    """What a citizen reports. `contact` is E.164 or None; `key` names this filing, so that a repeat is the same case."""

    what: str
    place: str = ""
    since: str = ""
    contact: str | None = None
    channel: str = "chat"
    locale: str = "zh"
    conversation_id: str | None = None
    recording_url: str | None = None
    key: str | None = None


@dataclass(frozen=True)
class Actor:
    """Who acts: a role of the table, and the person where it is one of the staff."""

    role: str
    staff: Staff | None = None


def file_case(
    session: Session, knowledge: Knowledge, filing: Filing, actor: Actor, now: datetime, jurisdiction: str
) -> Case:
    """File a case: number, proposal, deadline, first row of its history. The same `key` gives the same case.

    Raises Refused when nothing is reported.
    """
    if filing.key:
        filed = session.scalar(select(Case).where(Case.filing_key == filing.key))
        if filed:
            return filed
    if not filing.what.strip():
        raise Refused("what_missing")
    proposal = propose_for(session, knowledge, filing, now)
    case = Case(
        number=next_number(session, now),
        state="filed",
        channel=filing.channel,
        locale=filing.locale,
        conversation_id=filing.conversation_id,
        filing_key=filing.key,
        what=filing.what.strip(),
        place=filing.place.strip(),
        since=filing.since.strip(),
        contact=filing.contact,
        recording_url=filing.recording_url,
        category_code=proposal.category,
        agency_code=proposal.agency,
        certainty=proposal.certainty,
        filed_at=now,
        due_at=due_at(now, proposal.category, jurisdiction),
    )
    session.add(case)
    session.flush()
    append(session, case, "file", None, "filed", actor, {"proposal": proposal.agency}, now)
    return case


def propose_for(session: Session, knowledge: Knowledge, filing: Filing, now: datetime) -> Proposal:
    """The category and agency that this filing seems to belong to."""
    known = list(session.scalars(select(Agency)))
    found = knowledge.search(session, without_places(filing.what, known), now, limit=1)
    nearest = (found.articles[0][0].category_code, found.articles[0][0].agency_code) if found.articles else None
    return propose(nearest, found.first_is_right, filing.place + filing.what, known)


def next_number(session: Session, now: datetime) -> str:
    """The next case number of the year. The counter's row is locked by the update until the case is committed."""
    year = local(now).year
    counted = update(CaseCounter).where(CaseCounter.year == year).values(filed=CaseCounter.filed + 1)
    serial = session.scalar(counted.returning(CaseCounter.filed))
    if serial is None:  # the first case of a year; another process may be filing it at the same moment
        with suppress(IntegrityError), session.begin_nested():
            session.add(CaseCounter(year=year, filed=0))
        serial = session.scalar(counted.returning(CaseCounter.filed))
        if serial is None:
            raise RuntimeError(f"no counter for the cases of {year}")
    return make_number(year, serial)


def act_on(session: Session, number: str, act: str, actor: Actor, details: Mapping[str, Any], now: datetime) -> Case:
    """Do `act` to the case, if the table allows it. Raises Refused with the reason otherwise, and when somebody else
    changed the case meanwhile (409)."""
    case = get_case(session, number)
    if actor.role == "agency" and (actor.staff is None or actor.staff.agency_code != case.agency_code):
        raise Refused("not_allowed", 403)
    history = tuple((event.act, event.details) for event in case.history)
    target = decide(case.state, act, actor.role, details, history)
    if isinstance(target, Refusal):
        raise Refused(target.code, 409, **target.facts)
    kept = {name: value for name, value in details.items() if value not in (None, "")}
    if act == "dispatch":
        if session.get(Agency, details["agency"]) is None:
            raise Refused("unknown_agency", agency=details["agency"])
        case.agency_code = details["agency"]
    before, case.state = case.state, target
    try:
        append(session, case, act, before, target, actor, kept, now)
    except (StaleDataError, IntegrityError) as error:  # somebody else's act was committed first
        raise Refused("case_changed", 409) from error
    session.refresh(case)
    return case


def append(
    session: Session,
    case: Case,
    act: str,
    before: str | None,
    after: str,
    actor: Actor,
    details: Mapping[str, Any],
    now: datetime,
) -> None:
    """Add one row to the case's history."""
    session.add(
        CaseEvent(
            case=case,
            number=len(case.history) + 1,
            act=act,
            from_state=before,
            to_state=after,
            role=actor.role,
            staff_id=actor.staff.id if actor.staff else None,
            details=dict(details),
            acted_at=now,
        )
    )
    session.flush()


def get_case(session: Session, number: str) -> Case:
    """The case with this number. Raises Refused (404, or 422 when the check digit is wrong)."""
    try:
        written = parse_number(number)
    except NumberRefused as error:
        raise Refused("case_number_wrong") from error
    case = session.scalar(select(Case).where(Case.number == written).options(selectinload(Case.history)))
    if case is None:
        raise Refused("case_not_found", 404)
    return case


def look_up(session: Session, number: str, last_digits: str, now: datetime) -> Case | None:
    """The case for a citizen who knows its number and the last four digits of its telephone, or None.

    A wrong number and wrong digits look the same from outside. After LOOKUPS_BEFORE_PAUSE wrong tries the case can't be
    looked up for PAUSE_AFTER_WRONG_LOOKUPS: Refused (429). None must be committed, so that the try is counted.
    """
    try:
        case = get_case(session, number)
    except Refused as refusal:
        if refusal.code == "case_number_wrong":
            raise
        return None
    paused = case.wrong_lookup_at is not None and now - case.wrong_lookup_at < PAUSE_AFTER_WRONG_LOOKUPS
    if paused and case.wrong_lookups >= LOOKUPS_BEFORE_PAUSE:
        raise Refused("too_many_lookups", 429)
    if case.contact and len(last_digits) == 4 and case.contact.endswith(last_digits):
        case.wrong_lookups = 0
        return case
    case.wrong_lookups = case.wrong_lookups + 1 if paused else 1
    case.wrong_lookup_at = now
    return None


def newest_cases(session: Session, limit: int = 100, agency_code: str | None = None) -> list[Case]:
    """The newest cases, all or one agency's, for the console's list."""
    query = select(Case).options(selectinload(Case.agency), selectinload(Case.category)).order_by(Case.id.desc())
    if agency_code:
        query = query.where(
            Case.agency_code == agency_code, Case.state.not_in(("filed", "accepted", "declined", "withdrawn"))
        )
    return list(session.scalars(query.limit(limit)))


def contact_number(text: str | None) -> str | None:
    """A telephone number in E.164, None for nothing or 'anonymous'. Raises Refused for anything else."""
    if not text or text == "anonymous":
        return None
    try:
        number = phonenumbers.parse(re.sub(r"[^\d+]", "", text), "CN")
    except phonenumbers.NumberParseException as error:
        raise Refused("bad_contact") from error
    if not phonenumbers.is_possible_number(number):
        raise Refused("bad_contact")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
