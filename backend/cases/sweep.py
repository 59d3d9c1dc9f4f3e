"""What the clock does to cases: a job calls `sweep` every minute. Each deadline is a fact of its case, so a job that was
down for a day changes none; it only comes later to say so. Each case is a transaction of its own, through the table."""

import logging
from collections.abc import Callable, Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, and_, false, or_, select
from sqlalchemy.orm import Session

from backend.cases import links, roots
from backend.cases.city_deadlines import deadlines
from backend.cases.models import Case
from backend.cases.rules import OPEN_STATES, holder, settled
from backend.cases.service import Actor, act_on, get_case, is_mobile, unanswered_from
from backend.cases.words import MESSAGES, day_words
from backend.city import city_name
from backend.clock import Clock
from backend.database import Database
from backend.directory.models import Agency, Staff
from backend.errors import Refused
from backend.outbox import put

LINE = Actor("line")
AT_A_TIME = 500
"""Cases of one kind that one round looks at; the rest has its turn a minute later."""
SUPERVISED_WHEN_OVERDUE = ("dispatched", "signed", "redo")
log = logging.getLogger(__name__)


def sweep(database: Database, clock: Clock, secret_key: str, base_url: str) -> None:
    """Give marks, tell who must know, open supervision, let clocks go on, send links, close what is settled."""
    now = clock()

    def link(session: Session, number: str) -> None:
        send_link(session, number, f"{base_url}/c/{links.sign(secret_key, number)}", now)

    for wanted, verb in (
        ((Case.state == "paused", Case.step_due_at < now), lambda session, number: resume(session, number, now)),
        ((Case.state == "visited",), lambda session, number: close_settled(session, number, now)),
        ((Case.state == "replied", Case.visit_tries > 0), link),
        ((Case.state == "replied",), lambda session, number: close_unanswered(session, number, now)),
        ((Case.next_mark_at < now, Case.state.in_(OPEN_STATES)), lambda session, number: warn(session, number, now)),
        (
            (Case.mark == "overdue", Case.state.in_(SUPERVISED_WHEN_OVERDUE)),
            lambda session, number: supervise_overdue(session, number, now),
        ),
    ):
        for_each(database, wanted, verb)
    finish_roots(database, now)
    close_roots(database, now)


def finish_roots(database: Database, now: datetime) -> None:
    """What was done to a root issue with many cases reaches the rest of them, a batch in each transaction."""
    with database.read() as session:
        begun = roots.unfinished(session)
    for event_id in begun:
        more = True
        while more:
            try:
                with database.write() as session:
                    more = roots.finish_some(session, event_id, now)
            except Refused as refusal:  # somebody changed one of the cases at this moment: again in the next round
                log.info("the clock left act %d of a root issue for later: %s", event_id, refusal.code)
                break


def close_roots(database: Database, now: datetime) -> None:
    """A root issue that was answered ends with the last of its cases."""
    with database.read() as session:
        ready = roots.settled_roots(session, AT_A_TIME)
    for number in ready:
        try:
            with database.write() as session:
                roots.close(session, number, LINE, now)
        except Refused as refusal:
            log.info("the clock left root issue %d alone: %s", number, refusal.code)


def for_each(database: Database, wanted: Iterable[ColumnElement[bool]], verb: Callable[[Session, str], None]) -> None:
    """Do `verb` to each of these cases; one that somebody else changes at this moment waits for the next round."""
    with database.read() as session:
        numbers = session.scalars(select(Case.number).where(*wanted).order_by(Case.step_due_at).limit(AT_A_TIME)).all()
    for number in numbers:
        try:
            with database.write() as session:
                verb(session, number)
        except Refused as refusal:
            log.info("the clock left case %s alone: %s", number, refusal.code)


def warn(session: Session, number: str, now: datetime) -> None:
    """Give the case the mark that its time has reached, and tell whom the profile's chain names for the steps that have come
    since somebody was told last."""
    case = get_case(session, number)
    due = deadlines(session, case.profile)
    if case.step_due_at is None or case.next_mark_at is None:
        return
    mark = due.mark(case.step_since, case.step_due_at, now)
    if not mark:  # the chain was changed meanwhile, and nothing has come yet
        return
    told = due.tells(case.step_since, case.step_due_at, case.mark, case.next_mark_at, now)
    act_on(session, number, "warn", LINE, {"mark": mark, "tells": list(told)}, now)
    tell_staff(session, case, f"staff_{mark}", people(session, case, told), now)


def supervise_overdue(session: Session, number: str, now: datetime) -> None:
    """What an agency has left overdue for so long is put under supervision by itself."""
    case = get_case(session, number)
    due = deadlines(session, case.profile)
    if case.step_due_at and now > due.after(case.step_due_at, due.profile.supervise_after):
        act_on(session, number, "supervise", LINE, {"note": "超期未办，自动督办"}, now)
        tell_staff(session, case, "staff_supervised", people(session, case, ("holder", "above", "supervisor")), now)


def resume(session: Session, number: str, now: datetime) -> None:
    """A clock that has stood still for as long as it may goes on."""
    act_on(session, number, "resume", LINE, {}, now)


def close_settled(session: Session, number: str, now: datetime) -> None:
    """What is solved by the citizen's own word is closed; all else waits for the reviewer."""
    case = get_case(session, number)
    visits = [event.details for event in case.history if event.act == "visit"]
    if visits and settled(visits[-1]):
        act_on(session, number, "close", LINE, {}, now)


def send_link(session: Session, number: str, address: str, now: datetime) -> None:
    """Who could not be reached by telephone gets a link to answer by, once for each reply."""
    case = get_case(session, number)
    due = deadlines(session, case.profile)
    if case.visit_tries < due.profile.visit_tries or case.contact is None or not is_mobile(case.contact):
        return
    facts = {"city": city_name(case.locale), "number": number, "link": address, "days": links.LASTS.days}
    text = MESSAGES.say("visit_link", case.locale, **facts).text
    key = f"case:{number}:visit_link:{int(case.step_since.timestamp())}"
    put(session, key, "sms", case.contact, {"text": text}, now)


def close_unanswered(session: Session, number: str, now: datetime) -> None:
    """Who could not be reached, and did not answer by the link either, is asked no more. That is never counted as satisfied:
    there is no visit to count."""
    case = get_case(session, number)
    since = unanswered_from(case, deadlines(session, case.profile))
    if since is not None and now >= since:
        act_on(session, number, "close_unanswered", LINE, {}, now)


def people(session: Session, case: Case, whom: tuple[str, ...]) -> list[Staff]:
    """The staff that `whom` (deadlines.TOLD) means for this case; nobody who has left."""
    role = holder(case.state, case.send_backs)
    conditions = {"supervisor": Staff.role == "supervisor", "holder": Staff.role == role}
    if role == "agency":
        agency = session.get_one(Agency, case.agency_code)
        theirs = [agency.code, agency.substitute_code] if agency.substitute_code else [agency.code]
        conditions["holder"] = and_(Staff.role == "agency", Staff.agency_code.in_(theirs))
        conditions["above"] = and_(Staff.role == "agency", Staff.agency_code == agency.parent_code)
    handler = signed_by(session, case) if role == "agency" else None
    conditions["handler"] = Staff.id == handler.id if handler else conditions["holder"]
    wanted = [conditions[one] for one in whom if one in conditions]
    return list(session.scalars(select(Staff).where(or_(false(), *wanted), Staff.left_at.is_(None)).order_by(Staff.id)))


def signed_by(session: Session, case: Case) -> Staff | None:
    """Who signed for the case since it was dispatched; None: nobody has, or a system that is no person, or who has left."""
    last = next((event for event in reversed(case.history) if event.act in ("dispatch", "designate", "sign")), None)
    if last is None or last.act != "sign" or last.staff_id is None:
        return None
    staff = session.get_one(Staff, last.staff_id)
    return staff if staff.left_at is None else None


def tell_staff(session: Session, case: Case, key: str, staff: list[Staff], now: datetime) -> None:
    """An SMS to each who has a mobile number; all of them see it in their lists anyway."""
    text = MESSAGES.say(key, "zh", number=case.number, due=day_words(case.step_due_at or case.due_at, "zh")).text
    for one in staff:
        if one.telephone and one.telephone.startswith("+") and is_mobile(one.telephone):
            put(session, f"case:{case.number}:{len(case.history)}:{one.id}", "sms", one.telephone, {"text": text}, now)
