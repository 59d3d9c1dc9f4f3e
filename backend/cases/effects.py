"""What follows from an act besides the state it leads to: one small function an act, in the transaction of the act."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.cases.deadlines import Deadlines
from backend.cases.models import Case, CoHandler, Repeat, SupervisionOrder, Visit
from backend.cases.numbers import NumberRefused, parse_number
from backend.cases.rules import KINDS, OPEN_STATES, PAUSE_REASONS, ROUTES, URGENCIES
from backend.cases.visits import themes_of
from backend.clock import local
from backend.directory.categories import in_use
from backend.directory.known import known_agencies
from backend.directory.models import Agency
from backend.directory.service import in_charge
from backend.errors import Refused


@dataclass(frozen=True)
class Change:
    """One act that the table allows, about to be done to `case`. `details` are kept in the history."""

    session: Session
    case: Case
    due: Deadlines
    role: str
    staff_id: int | None
    details: dict[str, Any]
    now: datetime


def nothing(change: Change) -> None:
    """Most acts do no more than lead to their state."""


def sort(change: Change) -> None:
    """归类: category, kind and urgency as the desk sees them; the deadline counts from the filing as before."""
    case, details = change.case, change.details
    if details["category"] != case.category_code:
        in_use(change.session, details["category"])
    one_of(details["kind"], KINDS)
    one_of(details["urgency"], URGENCIES)
    case.category_code, case.kind, case.urgency = details["category"], details["kind"], details["urgency"]
    case.due_at = change.due.reply_due(case.filed_at, case.urgency, case.kind, case.category_code)


def transfer(change: Change) -> None:
    """移交: only to a route that the citizen can be told."""
    one_of(change.details["route"], ROUTES)


def dispatch(change: Change) -> None:
    """转办: to the agency named. Whoever answered for the case before does so until this one signs."""
    change.case.agency_code = known_agency(change)
    if change.case.responsible_code is None:
        change.case.responsible_code = change.case.agency_code
    close_orders(change, "designated")


def sign(change: Change) -> None:
    """签收: from now on this agency answers for the case."""
    change.case.responsible_code = change.case.agency_code


def send_back(change: Change) -> None:
    """退单: counted, and the agency stays the one that answers for the case."""
    another_agency(change)
    change.details["by"] = change.case.agency_code
    change.case.send_backs += 1


def co_handle(change: Change) -> None:
    """协办: another agency is asked to help; once is enough."""
    case, code = change.case, another_agency(change)
    if code not in {helper.agency_code for helper in case.co_handlers}:
        case.co_handlers.append(CoHandler(agency_code=code, asked_at=change.now))


def ask_extension(change: Change) -> None:
    """申请延期: for no longer than the profile allows."""
    extension_days(change)


def extend(change: Change) -> None:
    """同意延期: the reply is due so many days after it was due before."""
    unit = change.due.profile.extension
    change.case.due_at = change.due.after(change.case.due_at, unit, extension_days(change))


def pause(change: Change) -> None:
    """中止计时: for the listed reasons only."""
    one_of(change.details["reason"], PAUSE_REASONS)


def resume(change: Change) -> None:
    """恢复计时: the reply is due as much later as the clock stood still."""
    case = change.case
    unit = change.due.profile.reply_period(case.urgency, case.kind, case.category_code).unit
    case.due_at = change.due.moved(case.due_at, unit, case.step_since, change.now)


def reply(change: Change) -> None:
    """答复: the citizen is to be asked anew; an open order has its reply."""
    case = change.case
    case.visit_tries = 0
    if case.responsible_code is None and change.role == "agency":
        case.responsible_code = case.agency_code
    for order in case.orders:
        if order.closed_at is None:
            order.reply, order.replied_at = change.details["note"], change.now


def visit(change: Change) -> None:
    """回访: what the citizen said, counted for who answered."""
    details, case = change.details, change.case
    words = str(details.get("words", ""))
    case.visits.append(
        Visit(
            agency_code=case.responsible_code,
            role=change.role,
            contacted=details["contacted"] == "yes",
            solved=details["solved"] == "yes",
            satisfied=details["satisfied"] == "yes",
            grade=details.get("grade"),
            words=words,
            themes=themes_of(words),
            said_at=change.now,
        )
    )


def not_reached(change: Change) -> None:
    """回访未接通: one try more."""
    change.case.visit_tries += 1


def redo(change: Change) -> None:
    """退回重办: by the same agency, in less time than the first time."""
    change.case.redos += 1
    change.case.due_at = change.due.after(change.now, change.due.profile.redo)
    close_orders(change, change.details["note"])


def reopen(change: Change) -> None:
    """重新转办: what the line answered itself is for an agency after all, within the time of a redo."""
    change.case.redos += 1
    change.case.due_at = change.due.after(change.now, change.due.profile.redo)


def supervise(change: Change) -> None:
    """督办: an order with its own deadline, in the register until it is closed. A new one takes the place of the last."""
    close_orders(change, "new_order")
    case = change.case
    case.due_at = change.due.after(change.now, change.due.profile.supervision)
    case.orders.append(
        SupervisionOrder(
            agency_code=case.agency_code,
            ordered_by_id=change.staff_id,
            ordered=change.details["note"],
            ordered_at=change.now,
            due_at=case.due_at,
        )
    )


def close(change: Change) -> None:
    """Every end of a case ends its orders."""
    close_orders(change, change.details.get("note", "closed"))


def merge(change: Change) -> None:
    """并单: this case goes on in another open one of the same citizen, which keeps its words."""
    case, session = change.case, change.session
    try:
        number = parse_number(change.details["into"])
    except NumberRefused as error:
        raise Refused("case_number_wrong") from error
    into = session.scalar(select(Case).where(Case.number == number))
    if into is None or into.id == case.id or into.state not in OPEN_STATES:
        raise Refused("merge_into_open_case", 409)
    if case.contact is None or case.contact != into.contact:
        raise Refused("not_the_same_citizen", 409)
    case.merged_into_id, into.repeats = into.id, into.repeats + 1
    change.details["into"] = number
    session.add(
        Repeat(
            case_id=into.id,
            conversation_id=case.conversation_id,
            channel=case.channel,
            what=case.what,
            filed_at=case.filed_at,
        )
    )


def protect(change: Change) -> None:
    """保密: no agency learns who the citizen is."""
    change.case.confidential = True


def warn(change: Change) -> None:
    """预警: the mark that the clock gives; the next one comes by itself."""
    case = change.case
    case.mark = change.details["mark"]
    if case.step_due_at:
        case.next_mark_at = change.due.next_mark(case.step_since, case.step_due_at, change.now)


EFFECTS: Final[Mapping[str, Callable[[Change], None]]] = {
    "sort": sort,
    "transfer": transfer,
    "dispatch": dispatch,
    "designate": dispatch,
    "sign": sign,
    "send_back": send_back,
    "co_handle": co_handle,
    "ask_extension": ask_extension,
    "extend": extend,
    "pause": pause,
    "resume": resume,
    "reply": reply,
    "answer": reply,
    "visit": visit,
    "not_reached": not_reached,
    "redo": redo,
    "reopen": reopen,
    "supervise": supervise,
    "order": supervise,
    "close": close,
    "uphold": close,
    "conclude": close,
    "close_unanswered": close,
    "withdraw": close,
    "merge": merge,
    "protect": protect,
    "warn": warn,
}
"""act -> what follows from it."""


def one_of(value: Any, known: Mapping[str, str] | tuple[str, ...]) -> None:
    """Raise Refused for a value that isn't one of the known ones."""
    if value not in known:
        raise Refused("code_unknown", value=value)


def known_agency(change: Change) -> str:
    """The code of the agency that the act names, or after its last day of the agency that it was merged into, which is what
    the history says then. Raises Refused for one that isn't there, and (409) for one that ended without a successor."""
    code = str(change.details["agency"])
    agency = change.session.get(Agency, code)
    if agency is None:
        raise Refused("unknown_agency", agency=code)
    today = local(change.now).date()
    if not has_ended(agency, today):
        return code
    taker = in_charge(known_agencies(change.session), code, today)
    if has_ended(change.session.get_one(Agency, taker), today):
        raise Refused("agency_ended", 409, agency=agency.name)
    change.details.update(agency=taker, named=code)
    return taker


def has_ended(agency: Agency, today: date) -> bool:
    """Whether the agency's last day is over."""
    return agency.valid_until is not None and agency.valid_until < today


def another_agency(change: Change) -> str:
    """The same for what only another agency can do. Raises Refused (409) when the one named was merged into the case's own
    agency."""
    code = known_agency(change)
    if code == change.case.agency_code:
        raise Refused("another_agency_wanted", 409)
    return code


def extension_days(change: Change) -> int:
    """How much longer the act asks for, in the unit of the profile's extension. Raises Refused for too long."""
    limit, days = change.due.profile.extension.count, str(change.details["days"])
    if not (days.isascii() and days.isdigit() and 1 <= int(days[:6]) <= limit):
        raise Refused("extension_too_long", limit=limit)
    change.details["days"] = int(days)
    return int(days)


def close_orders(change: Change, closing: str) -> None:
    """Close what orders are open."""
    for order in change.case.orders:
        if order.closed_at is None:
            order.closing, order.closed_at = closing, change.now
