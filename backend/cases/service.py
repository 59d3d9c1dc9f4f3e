"""The one writer of cases: filing, every act of the table, looking a case up. Each change appends to the history in the
same transaction."""

import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import phonenumbers
from sqlalchemy import ColumnElement, UnaryExpression, and_, false, func, or_, select, union, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.orm.exc import StaleDataError

from backend import watch
from backend.attachments import hand_over
from backend.audit import put_down
from backend.cases.city_deadlines import deadlines
from backend.cases.deadlines import Deadlines
from backend.cases.effects import EFFECTS, Change, nothing
from backend.cases.models import Case, CaseCounter, CaseEvent, CoHandler, IdentityAccess, Repeat
from backend.cases.numbers import NumberRefused, make_number, parse_number
from backend.cases.places import district_of, spot
from backend.cases.routing import LINE_AGENCY, SURE_ENOUGH, Proposal, propose, route
from backend.cases.rules import FINAL_STATES, OPEN_STATES, Refusal, Situation, decide
from backend.cases.sameness import is_same_matter
from backend.cases.visits import read_answers
from backend.cases.words import MESSAGES, day_words, pause_reason
from backend.city import city_name
from backend.clock import local
from backend.conversations.models import Conversation
from backend.directory.categories import in_use
from backend.directory.known import known_agencies
from backend.directory.legacy import legacy_number
from backend.directory.models import Agency, Staff
from backend.encryption import lookup_hash
from backend.errors import Refused
from backend.knowledge.service import Knowledge
from backend.outbox import put
from backend.webhooks import publish

log = logging.getLogger(__name__)

NOT_FOR_AGENCIES = ("filed", "accepted", "declined", "withdrawn", "transferred", "merged")
"""States in which a case's agency is only proposed, or never came to it."""
PUBLIC = "open311"
"""The channel whose cases everybody may see."""


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
    category: str | None = None  # where whoever files has chosen one
    confidential: bool = False  # no agency may learn who it was
    kind: str = "request"  # a key of rules.KINDS
    urgency: str = "normal"  # a key of rules.URGENCIES


@dataclass(frozen=True)
class Actor:
    """Who acts: a role of the table, and the person where it is one of the staff."""

    role: str
    staff: Staff | None = None
    agency_code: str | None = None  # of an agency's own system, which acts without a person
    system: str = ""  # the name of that system, for the history

    @property
    def agency(self) -> str | None:
        """The agency that this is somebody or something of."""
        return self.staff.agency_code if self.staff else self.agency_code


def file_case(
    session: Session,
    knowledge: Knowledge,
    filing: Filing,
    actor: Actor,
    now: datetime,
    jurisdiction: str,
    proposal: Proposal | None = None,
) -> Case:
    """File a case: number, proposal, deadline, first row of its history. The same `key` gives the same case, and what
    the same citizen has reported already is joined to their open case (并单) and not counted twice. A `proposal` that was
    made before spares others the time for which this transaction would keep them from writing while it is made.

    Raises Refused when nothing is reported.
    """
    if filing.key and session.get_bind().dialect.name == "postgresql":  # SQLite has one writer anyway
        session.execute(select(func.pg_advisory_xact_lock(func.hashtext(filing.key))))
    if filing.key and (filed := filed_with(session, filing.key)):
        return filed
    if not filing.what.strip():
        raise Refused("what_missing")
    same = open_case_of(session, filing)
    if same:
        return join(session, same, filing, actor, now)
    proposal = proposal or propose_for(session, knowledge, filing, now)
    due = deadlines(session, jurisdiction)
    case = Case(
        number=next_number(session, now),
        state="filed",
        channel=filing.channel,
        locale=filing.locale,
        conversation_id=filing.conversation_id,
        filing_key=filing.key,
        what=filing.what.strip(),
        place=filing.place.strip(),
        district=district_of(filing.place, filing.what),
        spot=spot(filing.place, filing.what),
        since=filing.since.strip(),
        contact=filing.contact,
        confidential=filing.confidential,
        recording_url=filing.recording_url,
        kind=filing.kind,
        urgency=filing.urgency,
        category_code=proposal.category,
        agency_code=proposal.agency,
        certainty=proposal.certainty,
        filed_at=now,
        profile=jurisdiction,
        step_since=now,
        due_at=due.reply_due(now, filing.urgency, filing.kind, proposal.category),
    )
    begin_step(case, due, now)
    session.add(case)
    session.flush()
    append(session, case, "file", None, "filed", actor, proposal.details(), now)
    if filing.conversation_id:
        hand_over(session, filing.conversation_id, case.id)
    tell_citizen(session, case, "filed", {}, now)
    watch.CASES.labels(case.channel).inc()
    log.info("case %s of conversation %s is filed", case.number, case.conversation_id)
    return case


def filed_with(session: Session, key: str) -> Case | None:
    """The case that was filed with this key, or that the filing was joined to."""
    return session.scalar(select(Case).where(Case.filing_key == key)) or session.scalar(
        select(Case).join(Repeat, Repeat.case_id == Case.id).where(Repeat.filing_key == key)
    )


def filed_by_line(session: Session, conversation_id: str) -> Case | None:
    """The last case that the line itself filed from this conversation, because the bot did not answer."""
    return session.scalar(
        select(Case)
        .join(CaseEvent, CaseEvent.case_id == Case.id)
        .where(Case.conversation_id == conversation_id, CaseEvent.act == "file", CaseEvent.role == "line")
        .order_by(Case.id.desc())
        .limit(1)
    )


def open_case_of(session: Session, filing: Filing) -> Case | None:
    """The open case of the same citizen about the same matter at the same place. None for nobody's, and for a recorded
    message, whose matter only a listener knows. What is filed in public joins what was: nobody makes public by it what was
    told to the line alone."""
    if not filing.contact or filing.recording_url:
        return None
    theirs = (
        select(Case)
        .where(Case.contact_hash == lookup_hash(filing.contact), Case.state.in_(OPEN_STATES))
        .order_by(Case.id)
    )
    if filing.channel == PUBLIC:
        theirs = theirs.where(Case.channel == PUBLIC)
    return next(
        (
            case
            for case in session.scalars(theirs.options(selectinload(Case.history)))
            if is_same_matter((case.what, case.place), (filing.what, filing.place))
        ),
        None,
    )


ALIKE_WITHIN = timedelta(days=30)
ALIKE_LOOKED_AT = 500
"""The newest open cases that a filing is compared with."""


def alike(
    session: Session, what: str, place: str, contact: str | None, now: datetime, limit: int
) -> list[tuple[Case, bool]]:
    """Open cases that may be about the same as what is about to be filed, and whether they are the same citizen's: theirs
    first, then those of others that tell of the same matter at the same place, newest first."""
    recent = select(Case).where(Case.state.in_(OPEN_STATES), Case.filed_at > now - ALIKE_WITHIN)
    found: list[tuple[Case, bool]] = []
    for case in session.scalars(recent.order_by(Case.id.desc()).limit(ALIKE_LOOKED_AT)):
        theirs = contact is not None and case.contact == contact
        if theirs or (what and is_same_matter((case.what, case.place), (what, place))):
            found.append((case, theirs))
    return sorted(found, key=lambda pair: not pair[1])[:limit]


def cases_of_contact(session: Session, contact: str, limit: int) -> list[Case]:
    """The cases of whoever left this number (E.164), newest first."""
    theirs = select(Case).where(Case.contact_hash == lookup_hash(contact)).order_by(Case.id.desc())
    return list(session.scalars(theirs.limit(limit)))


def join(session: Session, case: Case, filing: Filing, actor: Actor, now: datetime) -> Case:
    """并单: keep what was filed again with the open case."""
    session.add(
        Repeat(
            case_id=case.id,
            filing_key=filing.key,
            conversation_id=filing.conversation_id,
            channel=filing.channel,
            what=filing.what.strip(),
            filed_at=now,
        )
    )
    if filing.conversation_id:
        hand_over(session, filing.conversation_id, case.id)
    case.repeats += 1
    append(session, case, "add", case.state, case.state, actor, {"note": filing.what.strip(), "repeat": True}, now)
    tell_citizen(session, case, "repeated", {}, now)
    return case


def propose_for(session: Session, knowledge: Knowledge, filing: Filing, now: datetime) -> Proposal:
    """The category and agency that this filing seems to belong to, or those of the category that was chosen. Where its words
    say too little, the old hotline that was dialled says something."""
    proposal = route(session, knowledge, filing.what, filing.place, now)
    if filing.category and filing.category != proposal.category:
        return propose_in(session, filing.category, filing)
    if proposal.certainty >= SURE_ENOUGH or not filing.conversation_id:
        return proposal
    dialled = session.scalar(select(Conversation.dialled).where(Conversation.id == filing.conversation_id))
    old = legacy_number(session, dialled or "")
    if old is None or not (old.category_code and old.agency_code):
        return proposal
    nearest = (old.category_code, old.agency_code)
    at_place = propose(nearest, 1.0, filing.place + filing.what, known_agencies(session))
    return replace(proposal, category=at_place.category, agency=at_place.agency, by="number")


def propose_in(session: Session, category_code: str, filing: Filing) -> Proposal:
    """The category that whoever files has chosen, and its agency at this place. The text says otherwise or nothing, so how
    sure that is nobody knows: a dispatcher looks. Raises Refused for a category that is retired."""
    category = in_use(session, category_code)
    nearest = (category.code, category.agency_code or LINE_AGENCY)
    chosen = propose(nearest, 1.0, filing.place + filing.what, known_agencies(session))
    return replace(chosen, certainty=0.0)


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
    """Do `act` to the case, if the table allows it: the row of its history, what follows from it, and what the citizen is
    told, all in this transaction.

    Raises Refused with the reason otherwise, and when somebody else changed the case meanwhile (409).
    """
    case = get_case(session, number)
    role, agency = role_for(session, case, actor)
    given = read_answers(details) if act == "visit" else dict(details)
    rule = decide(situation(session, case, now), act, role, given)
    if isinstance(rule, Refusal):
        raise Refused(rule.code, 409, **rule.facts)
    kept = {name: value for name, value in given.items() if value not in (None, "")}
    if actor.system:
        kept["system"] = actor.system
    if agency != actor.agency:
        kept["for"] = agency
    due = deadlines(session, case.profile)
    before, reply_due = case.state, case.due_at
    change = Change(session, case, due, role, actor.staff.id if actor.staff else None, kept, now)
    try:
        EFFECTS.get(act, nothing)(change)
        case.state = rule.target
        if case.state != before or act == "order":
            begin_step(case, due, now)
        elif case.due_at != reply_due:
            case.step_due_at = due.step_due(case.state, case.step_since, case.due_at)
            case.mark, case.next_mark_at = "", due.next_mark(case.step_since, case.step_due_at, now)
        append(session, case, act, before, rule.target, replace(actor, role=role), kept, now)
    except (StaleDataError, IntegrityError) as error:  # somebody else's act was committed first
        raise Refused("case_changed", 409) from error
    if rule.tells:
        tell_citizen(session, case, rule.tells, kept, now)
    session.refresh(case)
    return case


def could_take(session: Session, case: Case) -> list[Case]:
    """Into which cases this one can be merged (并单): the other open ones of the same citizen, newest first."""
    if case.contact_hash is None:
        return []
    theirs = select(Case).where(Case.contact_hash == case.contact_hash, Case.state.in_(OPEN_STATES), Case.id != case.id)
    return list(session.scalars(theirs.order_by(Case.id.desc())))


def joined_to(session: Session, case: Case) -> list[Case]:
    """The cases that were merged into this one, oldest first: only those of the same citizen can be."""
    if case.contact_hash is None:
        return []
    theirs = select(Case).where(Case.contact_hash == case.contact_hash, Case.state == "merged")
    return list(session.scalars(theirs.where(Case.merged_into_id == case.id).order_by(Case.id)))


def role_for(session: Session, case: Case, actor: Actor) -> tuple[str, str | None]:
    """As what somebody acts on this case, and for which agency: an agency as the case's own or as a co-handler, for itself
    or for one that it stands in for. Raises Refused (403) otherwise."""
    if actor.role != "agency" or actor.agency == case.agency_code:
        return actor.role, actor.agency
    theirs = stands_for(session, actor.agency)
    if case.agency_code in theirs:
        return "agency", case.agency_code
    helped = [helper.agency_code for helper in case.co_handlers if helper.agency_code in theirs]
    if helped:
        return "co_handler", actor.agency if actor.agency in helped else helped[0]
    raise Refused("not_allowed", 403)


def stands_for(session: Session, agency_code: str | None) -> frozenset[str]:
    """The agency, and those that name it as their substitute (代管单位): for as long as they do, it sees and acts on their
    cases. Empty for no agency."""
    if agency_code is None:
        return frozenset()
    return frozenset({agency_code, *session.scalars(select(Agency.code).where(Agency.substitute_code == agency_code))})


def situation(session: Session, case: Case, now: datetime) -> Situation:
    """What the conditions of the table look at."""
    due = deadlines(session, case.profile)
    sent_back_until = due.after(case.step_since, due.profile.send_back) if case.state == "dispatched" else None
    return Situation(
        state=case.state,
        past=tuple((event.act, event.details) for event in case.history),
        agency=case.agency_code,
        now=now,
        due_at=case.due_at,
        send_back_until=sent_back_until,
        unanswered_from=unanswered_from(case, due),
    )


def citizens_situation(case: Case, now: datetime) -> Situation:
    """The same as far as a citizen's acts depend on it, which know no limits of time."""
    past = tuple((event.act, event.details) for event in case.history)
    return Situation(case.state, past, case.agency_code, now, case.due_at)


def words_today(session: Session, number: str, now: datetime) -> int:
    """How often the citizen has added words to the case in the last 24 hours."""
    since = now - timedelta(hours=24)
    events = get_case(session, number).history
    return sum(event.act == "add" and event.role == "citizen" and event.acted_at > since for event in events)


def unanswered_from(case: Case, due: Deadlines) -> datetime | None:
    """From when a case that was answered may end without the citizen's word: so many days after the last of so many tries to
    reach them, or, where nobody left a telephone, after the reply. None: they are still being asked."""
    if case.state != "replied":
        return None
    tries = [
        event.acted_at for event in case.history if event.act == "not_reached" and event.acted_at >= case.step_since
    ]
    if case.contact is None:
        return due.after(case.step_since, due.profile.unanswered)
    return due.after(tries[-1], due.profile.unanswered) if len(tries) >= due.profile.visit_tries else None


def begin_step(case: Case, due: Deadlines, now: datetime) -> None:
    """The case comes into its state: from now on, and until when, it is somebody's turn."""
    case.step_since, case.mark = now, ""
    if case.state in FINAL_STATES:
        case.step_due_at = case.next_mark_at = None
        return
    case.step_due_at = due.step_due(case.state, now, case.due_at)
    case.next_mark_at = due.next_mark(now, case.step_due_at, now)


def tell_citizen(session: Session, case: Case, key: str, details: Mapping[str, Any], now: datetime) -> None:
    """Put into the outbox what the citizen is told, once for each row of the history; who left no mobile number is told when
    they ask."""
    if case.contact is None or not is_mobile(case.contact):
        return
    text = citizen_words(session, case, key, details)
    put(session, f"case:{case.number}:{len(case.history)}:{key}", "sms", case.contact, {"text": text}, now)


def citizen_words(session: Session, case: Case, key: str, details: Mapping[str, Any]) -> str:
    """The sentence of messages.yml for this case."""
    agency = session.get_one(Agency, case.agency_code).name
    reason = details.get("reason", "")
    facts = {
        "city": city_name(case.locale),
        "number": case.number,
        "due": day_words(case.due_at, case.locale),
        "agency": agency,
        "note": details.get("note", ""),
        "into": details.get("into", ""),
        "reason": pause_reason(reason, case.locale) if reason else "",
        "route": MESSAGES.words(f"route_{details['route']}", case.locale) if "route" in details else "",
    }
    return MESSAGES.say(key, case.locale, **facts).text


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
    told = {"number": case.number, "act": act, "state": after, "agency": case.agency_code, "version": case.version}
    publish(session, f"{case.number}:{len(case.history)}", f"case.{act}", told, [case.agency_code], now)


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


def awaiting_visit(session: Session, limit: int = 500) -> list[Case]:
    """The cases whose citizen is still to be asked by telephone whether it is solved, longest waiting first."""
    query = select(Case).where(to_be_asked(session)).order_by(Case.step_due_at, Case.id)
    return list(session.scalars(query.limit(limit)))


def to_be_asked(session: Session) -> ColumnElement[bool]:
    """Whose citizen is still to be asked by telephone: answered, with a contact, and not yet tried so often that only the
    link is left."""
    profiles = session.scalars(select(Case.profile).where(Case.state == "replied").distinct())
    tries = {profile: deadlines(session, profile).profile.visit_tries for profile in profiles}
    left = [and_(Case.profile == profile, Case.visit_tries < most) for profile, most in tries.items()]
    return and_(Case.state == "replied", Case.contact.is_not(None), or_(false(), *left))


def ways_to(session: Session, agency_code: str) -> list[ColumnElement[bool]]:
    """By which an agency comes to what it may see: it was sent to it, it still answers for it, or was asked to help with it;
    and the same of those that it stands in for."""
    theirs = sorted(stands_for(session, agency_code))
    return [
        and_(Case.agency_code.in_(theirs), Case.state.not_in(NOT_FOR_AGENCIES)),
        Case.responsible_code.in_(theirs),
        Case.id.in_(select(CoHandler.case_id).where(CoHandler.agency_code.in_(theirs))),
    ]


def cases_of(session: Session, agency_code: str) -> ColumnElement[bool]:
    """What an agency may see."""
    return or_(*ways_to(session, agency_code))


def first_of(
    ways: Sequence[ColumnElement[bool]], wanted: Sequence[ColumnElement[bool]], order: UnaryExpression[Any], limit: int
) -> ColumnElement[bool]:
    """The first cases in this order of those that any of the ways leads to and that are as wanted, for a query that orders
    and limits in the same way. Each way is gone by its own index and no further than that; of all ways as one condition
    SQLite reads and sorts whatever an agency ever had."""
    each = [select(Case.id).where(way, *wanted).order_by(order).limit(limit).subquery() for way in ways]
    return Case.id.in_(union(*(select(one.c.id) for one in each)))


def may_see(session: Session, case: Case, agency_code: str | None) -> bool:
    """Whether `cases_of` has this case."""
    theirs = stands_for(session, agency_code)
    sent = case.agency_code in theirs and case.state not in NOT_FOR_AGENCIES
    return sent or case.responsible_code in theirs or any(helper.agency_code in theirs for helper in case.co_handlers)


def seen_of(session: Session, ids: Sequence[int], agency_code: str | None) -> set[int]:
    """Those of these cases that `cases_of` has."""
    if agency_code is None:
        return set()
    return set(session.scalars(select(Case.id).where(Case.id.in_(ids), cases_of(session, agency_code))))


def look_at_identity(session: Session, case: Case, staff: Staff, reason: str, now: datetime) -> str | None:
    """The citizen's telephone, and a row of who looked at it and why. An agency never learns who a confidential citizen is:
    Refused (403)."""
    if case.confidential and staff.role == "agency":
        raise Refused("identity_protected", 403)
    if case.confidential and not reason:
        raise Refused("reason_missing")
    put_down(session, "identity", case.number, "looked_at", after={"reason": reason[:300]})
    session.add(IdentityAccess(case_id=case.id, staff_id=staff.id, reason=reason[:300], looked_at=now))
    return case.contact


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


def is_mobile(number: str) -> bool:
    """Whether an SMS can reach this number (E.164)."""
    kind = phonenumbers.number_type(phonenumbers.parse(number))
    return kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE)
