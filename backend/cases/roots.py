"""The one writer of root issues (共性问题): cases of several citizens about the same thing, led by one agency by a plan,
answered by one reply, while each citizen keeps their own case, is told and asked on their own. What is done to the cases
goes through the table of cases/rules.py; what is done to the issue appends to its history in the same transaction, and
can be undone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import delete, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, selectinload

from backend.cases.models import Case
from backend.cases.places import Place, gazetteer
from backend.cases.root_models import KeptApart, RootEvent, RootIssue, RootMember, RootStep
from backend.cases.root_rules import UNDOABLE, WHO, Member, contradiction, path_to_answer, place_of_all, without_house
from backend.cases.rules import FINAL_STATES, OPEN_STATES
from backend.cases.service import Actor, act_on, get_case, is_mobile
from backend.cases.words import MESSAGES, date_words
from backend.city import city_name
from backend.directory.models import Agency, Staff
from backend.errors import Refused
from backend.outbox import put

TITLE_LENGTH: Final = 80
STEP_LENGTH: Final = 200
STEPS: Final = 20
AT_ONCE: Final = 200
"""Cases that one act may add."""
BATCH: Final = 20
"""Cases that one transaction sends or answers, so that nobody else waits long to write; the clock goes on with the rest."""


@dataclass(frozen=True)
class Step:
    """A step of a plan as somebody writes it."""

    what: str
    due_on: date
    done_at: datetime | None = None


def open_root_issue(
    session: Session, title: str, numbers: Sequence[str], actor: Actor, now: datetime, note: str = ""
) -> RootIssue:
    """Make a root issue of these cases, two at least. Raises Refused, also (409) where two of them can't be together."""
    if len(set(numbers)) < 2:
        raise Refused("root_needs_two")
    if not 0 < len(title.strip()) <= TITLE_LENGTH:
        raise Refused("root_title", limit=TITLE_LENGTH)
    require(actor.role, "open")
    root = RootIssue(state="open", title=title.strip(), opened_at=now)
    session.add(root)
    session.flush()
    return do(session, root, "open", actor, now, note, {"cases": add_cases(session, root, numbers, note, now)})


def join(
    session: Session, root_id: int, numbers: Sequence[str], actor: Actor, now: datetime, note: str = ""
) -> RootIssue:
    """Add cases. Raises Refused for one that has ended or is in another issue, and (409) for a pair that can't be together:
    what somebody has kept apart never, what is at two places only with a reason."""
    root = open_one(session, root_id, actor, "join")
    return do(session, root, "join", actor, now, note, {"cases": add_cases(session, root, numbers, note, now)})


def add_cases(session: Session, root: RootIssue, numbers: Sequence[str], note: str, now: datetime) -> list[int]:
    """Let cases become members; their ids."""
    if not 0 < len(numbers) <= AT_ONCE:
        raise Refused("root_cases", limit=AT_ONCE)
    cases = list({case.id: case for case in (get_case(session, number) for number in numbers)}.values())
    taken = dict(
        session.execute(
            select(RootMember.case_id, RootMember.root_id).where(
                RootMember.case_id.in_([case.id for case in cases]), RootMember.left_at.is_(None)
            )
        ).all()
    )
    for case in cases:
        if case.id in taken:
            raise Refused("root_has_case_already", 409, number=case.number, root=f"G{taken[case.id]}")
        if case.state in FINAL_STATES:
            raise Refused("root_case_has_ended", 409, number=case.number)
    become_members(session, root, cases, note, now)
    for case in cases:
        tell(session, root, case, "root_joined", {}, now)
    return [case.id for case in cases]


def become_members(session: Session, root: RootIssue, cases: Sequence[Case], note: str, now: datetime) -> None:
    """Put the cases among the members, if all of them can be together."""
    here = [*current(session, root), *cases]
    members = [member_of(case) for case in here]
    found = contradiction(members, apart(session, [case.id for case in here]))
    if found and (found.said or not note):
        code = "root_kept_apart" if found.said else "root_two_places"
        facts = {"one_place": str(found.one.place), "other_place": str(found.other.place)}
        raise Refused(code, 409, one=found.one.number, other=found.other.number, **facts)
    session.add_all(RootMember(root=root, case_id=case.id, joined_at=now) for case in cases)
    try:
        session.flush()
    except IntegrityError as error:  # somebody else has just put one of them into another issue
        raise Refused("root_changed", 409) from error
    root.place = str(place_of_all([without_house(member.place) for member in members]))[:200]


def split(session: Session, root_id: int, numbers: Sequence[str], actor: Actor, now: datetime, note: str) -> RootIssue:
    """Take cases out, because they are another matter: they are kept apart from those that stay from now on."""
    root = open_one(session, root_id, actor, "split")
    if not note:
        raise Refused("root_reason")
    wanted = {get_case(session, number).id for number in numbers}
    here = current(session, root)
    going = [case for case in here if case.id in wanted]
    staying = [case for case in here if case.id not in wanted]
    if not going or len(going) < len(wanted):
        raise Refused("root_case_not_here", 409)
    if not staying:
        raise Refused("root_would_be_empty", 409)
    leave(session, root, going, now)
    done = do(session, root, "split", actor, now, note, {"cases": [case.id for case in going]})
    pairs = {(min(one.id, other.id), max(one.id, other.id)) for one in going for other in staying}
    event = done.history[-1]
    session.add_all(
        KeptApart(one_id=one, other_id=other, event_id=event.id)
        for one, other in sorted(pairs - apart(session, [case.id for case in here]))
    )
    for case in going:
        tell(session, root, case, "root_split", {}, now)
    session.flush()
    return done


def absorb(session: Session, root_id: int, into_id: int, actor: Actor, now: datetime, note: str) -> RootIssue:
    """合并: make this issue part of another one, which is given back. Raises Refused as `join` does."""
    if root_id == into_id:
        raise Refused("root_into_itself", 409)
    ready = {one: open_one(session, one, actor, "absorb") for one in sorted((root_id, into_id))}  # locked in one order
    root, into = ready[root_id], ready[into_id]
    moved = current(session, root)
    leave(session, root, moved, now)
    become_members(session, into, moved, note, now)
    root.state, root.into_id = "merged", into.id
    details = {"cases": [case.id for case in moved], "from": root.id}
    do(session, root, "absorb", actor, now, note, {"into": into.id})
    return do(session, into, "absorb", actor, now, note, details)


def assign(session: Session, root_id: int, agency_code: str, actor: Actor, now: datetime, note: str = "") -> RootIssue:
    """指定牵头单位: who leads the issue. The cases stay where they are until they are sent."""
    root = open_one(session, root_id, actor, "assign")
    if session.get(Agency, agency_code) is None:
        raise Refused("unknown_agency", agency=agency_code)
    details = {"agency": agency_code, "before": root.owner_code}
    root.owner_code = agency_code
    return do(session, root, "assign", actor, now, note, details)


def send(session: Session, root_id: int, actor: Actor, now: datetime) -> RootIssue:
    """转给牵头单位: dispatch the cases that no agency has yet to the one that leads."""
    root = open_one(session, root_id, actor, "send")
    if root.owner_code is None:
        raise Refused("root_without_owner", 409)
    waiting = [case.number for case in current(session, root) if case.state in ("filed", "accepted")]
    if not waiting:
        raise Refused("root_nothing_to_send", 409)
    do(session, root, "send", actor, now, "", {"agency": root.owner_code, "sent": [], "left": waiting})
    return go_on(session, root, root.history[-1], actor, now)


def send_one(session: Session, root: RootIssue, event: RootEvent, case: Case, actor: Actor, now: datetime) -> str:
    """Dispatch a case, unless some agency has it by now; in which list of the event it is then."""
    if case.state == "filed":
        act_on(session, case.number, "accept", actor, {}, now)
    if case.state != "accepted":
        return ""
    act_on(session, case.number, "dispatch", actor, {"agency": event.details["agency"]}, now)
    return "sent"


def plan(session: Session, root_id: int, steps: Sequence[Step], actor: Actor, now: datetime) -> RootIssue:
    """制定计划: these steps instead of those before; every citizen hears by when the last of them is to be done."""
    root = open_one(session, root_id, actor, "plan")
    if not 0 < len(steps) <= STEPS or any(not 0 < len(step.what) <= STEP_LENGTH for step in steps):
        raise Refused("root_steps", limit=STEPS, length=STEP_LENGTH)
    before = [kept(step) for step in root.steps]
    known = {(step.what, step.due_on): step.done_at for step in root.steps}
    write_steps(root, [Step(one.what, one.due_on, known.get((one.what, one.due_on))) for one in steps])
    session.flush()
    done = do(session, root, "plan", actor, now, "", {"before": before, "steps": [kept(step) for step in root.steps]})
    last = max(steps, key=lambda step: step.due_on)
    for case in current(session, root):
        tell(session, root, case, "root_planned", {"due": date_words(last.due_on, case.locale), "what": last.what}, now)
    return done


def write_steps(root: RootIssue, steps: Iterable[Step]) -> None:
    """Put these steps in the place of those before."""
    root.steps[:] = [RootStep(what=one.what, due_on=one.due_on, done_at=one.done_at) for one in steps]


def kept(step: RootStep) -> dict[str, str | None]:
    """A step as the history keeps it."""
    return {
        "what": step.what,
        "due_on": step.due_on.isoformat(),
        "done_at": step.done_at.isoformat() if step.done_at else None,
    }


def finish_step(session: Session, root_id: int, step_id: int, actor: Actor, now: datetime) -> RootIssue:
    """A step of the plan is done."""
    root = open_one(session, root_id, actor, "step")
    step = next((one for one in root.steps if one.id == step_id), None)
    if step is None or step.done_at is not None:
        raise Refused("root_step_gone", 409)
    step.done_at = now
    return do(session, root, "step", actor, now, "", {"what": step.what})


def reply(session: Session, root_id: int, actor: Actor, now: datetime, note: str) -> RootIssue:
    """统一答复: one reply to all. Each case that the leading agency has (or that no agency has, when the desk answers)
    gets it as its own reply, and its citizen is asked on their own whether it is solved. Who is with another agency, or
    was answered before, is told of it; their case goes on as it stands. Raises Refused, also when no case would get it."""
    root = open_one(session, root_id, actor, "reply")
    if not note:
        raise Refused("act_needs", missing="note")
    still_open = [case for case in current(session, root) if case.state not in FINAL_STATES]
    if not any(answer_path(root, case, actor) for case in still_open):
        raise Refused("root_nobody_to_reply", 409)
    root.replied_at = now
    details = {"replied": [], "told": [], "left": [case.number for case in still_open]}
    do(session, root, "reply", actor, now, note, details)
    return go_on(session, root, root.history[-1], actor, now)


def reply_to_one(session: Session, root: RootIssue, event: RootEvent, case: Case, actor: Actor, now: datetime) -> str:
    """Give a case the one reply, or tell its citizen of it; in which list of the event it is then."""
    if case.state in FINAL_STATES:
        return ""
    acts = answer_path(root, case, actor)
    for act in acts:
        act_on(session, case.number, act, actor, {"note": event.note} if act in ("reply", "answer") else {}, now)
    if not acts:
        tell(session, root, case, "root_replied", {"note": event.note}, now)
    return "replied" if acts else "told"


ONE_BY_ONE: Final = {"send": send_one, "reply": reply_to_one}
"""act -> what is done to each case, BATCH of them in a transaction."""


def go_on(session: Session, root: RootIssue, event: RootEvent, actor: Actor, now: datetime) -> RootIssue:
    """Do the event's act to the next BATCH of the cases that it still has to reach."""
    details = {name: list(value) if isinstance(value, list) else value for name, value in event.details.items()}
    left = details.pop("left")
    for number in left[:BATCH]:
        if where := ONE_BY_ONE[event.act](session, root, event, get_case(session, number), actor, now):
            details[where].append(number)
    if rest := left[BATCH:]:
        details["left"] = rest
    event.details, event.waiting = details, len(rest)
    session.flush()
    return root


def unfinished(session: Session) -> list[int]:
    """The acts that have not reached all of their cases yet, by the id of their row in the history."""
    return list(session.scalars(select(RootEvent.id).where(RootEvent.waiting > 0).order_by(RootEvent.id)))


def finish_some(session: Session, event_id: int, now: datetime) -> bool:
    """Go on with such an act, as whoever began it; whether there is more to do."""
    event = session.get_one(RootEvent, event_id)
    root = session.get_one(RootIssue, event.root_id, with_for_update=True)
    session.refresh(event)  # somebody may have gone on with it before the lock was ours
    if event.waiting:
        staff = session.get_one(Staff, event.staff_id) if event.staff_id else None
        go_on(session, root, event, Actor(event.role, staff, root.owner_code, event.details.get("system", "")), now)
    return event.waiting > 0


def answer_path(root: RootIssue, case: Case, actor: Actor) -> tuple[str, ...]:
    """By which acts this case gets the one reply from whoever acts; empty: it doesn't."""
    return path_to_answer(case.state, actor.role == "agency", case.agency_code == root.owner_code)


def close(session: Session, root_id: int, actor: Actor, now: datetime, note: str = "") -> RootIssue:
    """办结: only when every case in it has ended, each by its own citizen's word (or their silence)."""
    root = open_one(session, root_id, actor, "close")
    left = [case.number for case in current(session, root) if case.state in OPEN_STATES]
    if left:
        raise Refused("root_has_open_cases", 409, count=len(left), numbers="、".join(left[:5]))
    root.state, root.closed_at = "closed", now
    return do(session, root, "close", actor, now, note, {})


def settled_roots(session: Session, limit: int) -> list[int]:
    """The issues that were answered and have no open case left: the clock closes them."""
    still = (
        select(RootMember.root_id)
        .join(Case, Case.id == RootMember.case_id)
        .where(RootMember.left_at.is_(None), Case.state.in_(OPEN_STATES))
    )
    ready = RootIssue.state == "open", RootIssue.replied_at.is_not(None), RootIssue.id.not_in(still)
    return list(session.scalars(select(RootIssue.id).where(*ready).order_by(RootIssue.id).limit(limit)))


# --- undoing --------------------------------------------------------------------------------------------------------


def undo(session: Session, root_id: int, number: int, actor: Actor, now: datetime, note: str) -> RootIssue:
    """撤销: take back the act with this number of the history, with a reason. What was done since stays as far as it is not
    touched. Raises Refused (409) for what can't be taken back, or has been."""
    root = open_one(session, root_id, actor, "undo")
    if not note:
        raise Refused("root_reason")
    event = next((one for one in root.history if one.number == number), None)
    if event is None or not is_undoable(root, event):
        raise Refused("root_not_undoable", 409)
    UNDO[event.act](session, root, event, now)
    return do(session, root, "undo", actor, now, note, {"of": number})


def is_undoable(root: RootIssue, event: RootEvent) -> bool:
    """Whether an act can be taken back: it is of that kind, was not, and nothing stands on it. The opening goes only while
    nobody was answered; of owners and plans only the last."""
    undone = {one.details["of"] for one in root.history if one.act == "undo"}
    if root.state != "open" or event.act not in UNDOABLE or event.number in undone:
        return False
    later = [one for one in root.history if one.number > event.number and one.number not in undone]
    if event.act == "open":
        return not any(one.act in ("reply", "absorb") for one in later)
    if event.act == "plan":
        return not any(one.act in ("plan", "step") for one in later)
    if event.act == "assign":
        return not any(one.act in ("assign", "send") for one in later)
    return True


def undo_open(session: Session, root: RootIssue, event: RootEvent, now: datetime) -> None:
    """The issue is none: every case is alone again."""
    gone = current(session, root)
    leave(session, root, gone, now)
    root.state, root.closed_at = "undone", now


def undo_join(session: Session, root: RootIssue, event: RootEvent, now: datetime) -> None:
    """Those that joined then, and are still here, are alone again."""
    going = [case for case in current(session, root) if case.id in event.details["cases"]]
    if len(going) == len(current(session, root)):
        raise Refused("root_would_be_empty", 409)
    leave(session, root, going, now)


def undo_split(session: Session, root: RootIssue, event: RootEvent, now: datetime) -> None:
    """Those that were taken out come back, as far as they are free and open; they are no longer kept apart."""
    session.execute(delete(KeptApart).where(KeptApart.event_id == event.id))
    back = free(session, event.details["cases"])
    if not back:
        raise Refused("root_not_undoable", 409)
    become_members(session, root, back, "together before", now)


def undo_absorb(session: Session, root: RootIssue, event: RootEvent, now: datetime) -> None:
    """The issue that became part of this one is one of its own again, with those of its cases that are still here."""
    if "from" not in event.details:
        raise Refused("root_not_undoable", 409)
    other = session.get_one(RootIssue, event.details["from"])
    moved = [case for case in current(session, root) if case.id in event.details["cases"]]
    if not moved or len(moved) == len(current(session, root)):
        raise Refused("root_would_be_empty", 409)
    leave(session, root, moved, now)
    other.state, other.into_id = "open", None
    session.add_all(RootMember(root=other, case_id=case.id, joined_at=now) for case in moved)
    other.acts += 1
    add_event(session, other, "undo", "line", None, "", {"of": other.acts - 1}, now)


def undo_assign(session: Session, root: RootIssue, event: RootEvent, now: datetime) -> None:
    """Whoever led it before leads it again."""
    root.owner_code = event.details["before"]


def undo_plan(session: Session, root: RootIssue, event: RootEvent, now: datetime) -> None:
    """The plan before is the plan again."""
    write_steps(root, [read_step(step) for step in event.details["before"]])


def read_step(step: Mapping[str, str | None]) -> Step:
    """A step as the history has kept it."""
    done = step["done_at"]
    return Step(
        str(step["what"]), date.fromisoformat(str(step["due_on"])), datetime.fromisoformat(done) if done else None
    )


UNDO: Final = {
    "open": undo_open,
    "join": undo_join,
    "split": undo_split,
    "absorb": undo_absorb,
    "assign": undo_assign,
    "plan": undo_plan,
}
"""act -> what takes it back."""


# --- reading --------------------------------------------------------------------------------------------------------


def get_root(session: Session, root_id: int) -> RootIssue:
    """The root issue with this id. Raises Refused (404)."""
    root = session.get(RootIssue, root_id)
    if root is None:
        raise Refused("root_not_found", 404)
    return root


def current(session: Session, root: RootIssue) -> list[Case]:
    """The cases that are in it now, in the order in which they were filed."""
    session.flush()
    query = select(Case).join(RootMember, RootMember.case_id == Case.id).options(selectinload(Case.agency))
    here = RootMember.root_id == root.id, RootMember.left_at.is_(None)
    return list(session.scalars(query.where(*here).order_by(Case.id)))


def all_members(session: Session, root: RootIssue) -> list[RootMember]:
    """Every case that is or was in it."""
    query = select(RootMember).where(RootMember.root_id == root.id).options(selectinload(RootMember.case))
    return list(session.scalars(query))


def root_of(session: Session, case_id: int) -> RootIssue | None:
    """The root issue in which this case is now."""
    query = select(RootIssue).join(RootMember, RootMember.root_id == RootIssue.id)
    return session.scalar(query.where(RootMember.case_id == case_id, RootMember.left_at.is_(None)))


def list_roots(session: Session, owner_code: str | None, limit: int) -> list[tuple[RootIssue, int, int]]:
    """Root issues, the open ones first, then the newest: (issue, cases in it, open ones of them). `owner_code`: only
    those that this agency leads."""
    cases = func.count(RootMember.id)
    still_open = func.count(Case.id).filter(Case.state.in_(OPEN_STATES))
    query = (
        select(RootIssue, cases, still_open)
        .outerjoin(RootMember, (RootMember.root_id == RootIssue.id) & RootMember.left_at.is_(None))
        .outerjoin(Case, Case.id == RootMember.case_id)
        .options(selectinload(RootIssue.owner), selectinload(RootIssue.steps))
        .group_by(RootIssue.id)
        .order_by(RootIssue.state != "open", RootIssue.id.desc())
        .limit(limit)
    )
    if owner_code:
        query = query.where(RootIssue.owner_code == owner_code)
    return [(root, count, left) for root, count, left in session.execute(query)]


def apart(session: Session, ids: Sequence[int]) -> set[tuple[int, int]]:
    """The pairs that somebody has kept apart, of which one at least is among these cases."""
    among = or_(KeptApart.one_id.in_(ids), KeptApart.other_id.in_(ids))
    return {(one, other) for one, other in session.execute(select(KeptApart.one_id, KeptApart.other_id).where(among))}


def free(session: Session, ids: Sequence[int]) -> list[Case]:
    """Those of these cases that are open and in no root issue."""
    taken = select(RootMember.case_id).where(RootMember.left_at.is_(None))
    query = select(Case).where(Case.id.in_(ids), Case.state.in_(OPEN_STATES), Case.id.not_in(taken))
    return list(session.scalars(query.order_by(Case.id)))


def member_of(case: Case) -> Member:
    """A case as grouping looks at it; only its own words say where it is."""
    return Member(case.id, case.number, place_of(case))


def place_of(case: Case) -> Place:
    """Where a case is by the citizen's words."""
    return gazetteer().find(f"{case.place} {case.what}")


# --- what every act does --------------------------------------------------------------------------------------------


def open_one(session: Session, root_id: int, actor: Actor, act: str) -> RootIssue:
    """An open root issue to which this actor may do this, locked: of two people acting at once, the second one sees what the
    first has done. Raises Refused."""
    root = session.get(RootIssue, root_id, with_for_update=True, populate_existing=True)
    if root is None:
        raise Refused("root_not_found", 404)
    is_owner = actor.role == "agency" and actor.agency is not None and actor.agency == root.owner_code
    require("owner" if is_owner else actor.role, act)
    if root.state != "open":
        raise Refused("root_has_ended", 409)
    if waiting := sum(event.waiting for event in root.history):
        raise Refused("root_busy", 409, count=waiting)
    return root


def require(role: str, act: str) -> None:
    """Raises Refused (403) unless the role may do this."""
    if role not in WHO[act]:
        raise Refused("not_allowed", 403)


def leave(session: Session, root: RootIssue, cases: Sequence[Case], now: datetime) -> None:
    """These cases are members no longer."""
    ids = {case.id for case in cases}
    for member in root.members:
        if member.left_at is None and member.case_id in ids:
            member.left_at = now
    session.flush()


def do(
    session: Session, root: RootIssue, act: str, actor: Actor, now: datetime, note: str, details: Mapping[str, Any]
) -> RootIssue:
    """Append the act to the history."""
    root.acts += 1
    system = {"system": actor.system} if actor.system else {}
    add_event(session, root, act, actor.role, actor.staff.id if actor.staff else None, note, {**details, **system}, now)
    session.refresh(root)
    return root


def add_event(
    session: Session,
    root: RootIssue,
    act: str,
    role: str,
    staff_id: int | None,
    note: str,
    details: Mapping[str, Any],
    now: datetime,
) -> None:
    """One row of the history."""
    about = {"act": act, "role": role, "staff_id": staff_id, "note": note, "details": dict(details), "acted_at": now}
    session.add(RootEvent(root_id=root.id, number=root.acts, **about))
    session.flush()


def tell(session: Session, root: RootIssue, case: Case, key: str, facts: Mapping[str, str], now: datetime) -> None:
    """Put into the outbox what one citizen is told of the issue that their case is in: nothing of the others."""
    if case.contact is None or not is_mobile(case.contact):
        return
    text = MESSAGES.say(key, case.locale, city=city_name(case.locale), number=case.number, **facts).text
    put(session, f"root:{root.id}:{root.acts}:{case.number}:{key}", "sms", case.contact, {"text": text}, now)
