"""Root issues on the screens of dispatchers and of the agencies that lead them: the list, one issue, what is done to it."""

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from backend.cases import roots
from backend.cases.root_models import RootIssue
from backend.cases.root_rules import WHO
from backend.cases.roots import STEP_LENGTH, STEPS, TITLE_LENGTH, Step
from backend.cases.service import Actor
from backend.console import words
from backend.console.cases import NOTE_LIMIT, by_district, is_hidden, may_open_root, seen_by
from backend.console.forms import field
from backend.console.log_in import allowed, me
from backend.console.people import staff_names
from backend.directory.models import Staff
from backend.directory.service import agencies
from backend.errors import Refused
from backend.knowledge.masking import mask
from backend.locale import current_locale
from backend.parts import parts

SHOWN: Final = 100
EMPTY_STEPS: Final = 2
"""Empty rows at the end of the plan, to fill in."""
Do = Callable[[Session, int, Actor, datetime], RootIssue]


@allowed("dispatch", "inbox")
def list_roots() -> ResponseReturnValue:
    """The root issues, with an agency those that it leads, and a form for a new one."""
    return list_page()


def list_page(refused: Refused | None = None) -> ResponseReturnValue:
    """The list, after a refusal with its sentence."""
    with parts().database.read() as session:
        html = render_template(
            "console/roots.html",
            rows=roots.list_roots(session, own_agency(), SHOWN),
            states=words.ROOT_STATES,
            may_open=me().may_enter("dispatch"),
            title_length=TITLE_LENGTH,
            typed=request.form,
            refusal=refused.sentence(current_locale()) if refused else None,
            now=parts().clock(),
            here=url_for("console.roots"),
        )
    return html, refused.status if refused else 200


@allowed("dispatch")
def open_root() -> ResponseReturnValue:
    """Make a root issue of the cases named or ticked."""
    try:
        with parts().database.write() as session:
            now = parts().clock()
            number = roots.open_root_issue(session, field("title"), chosen(), actor(session), now, note()).id
    except Refused as refused:
        return list_page(refused)
    return redirect(url_for("console.root", root_id=number))


@allowed("dispatch", "inbox")
def show_root(root_id: int) -> ResponseReturnValue:
    """One root issue: its cases, plan, history, and what this person may do to it."""
    return page(root_id)


def page(root_id: int, refused: Refused | None = None, tried: str = "") -> ResponseReturnValue:
    """The page of an issue, after a refusal with its sentence and the form that was tried."""
    with parts().database.read() as session:
        root = find(session, root_id)
        cases = roots.current(session, root)
        every_agency = agencies(session)
        doer = Actor(me().role, agency_code=me().agency_code)
        seen = seen_by(session, me(), cases)
        answered = [case.number for case in cases if roots.answer_path(root, case, doer)]
        html = render_template(
            "console/root.html",
            root=root,
            cases=cases,
            what={
                case.id: mask(case.what) if is_hidden(me(), case) else case.what for case in cases if case.id in seen
            },
            seen=seen,
            open_count=sum(case.step_due_at is not None for case in cases),
            answered=answered,
            waiting=sum(case.state in ("filed", "accepted") for case in cases),
            acts={act for act, who in WHO.items() if acting_role(root) in who} if root.state == "open" else set(),
            undoable={event.number for event in root.history if roots.is_undoable(root, event)},
            undone={event.details["of"] for event in root.history if event.act == "undo"},
            numbers=numbers_of(session, root),
            words_of=words.ROOT_ACTS,
            states=words.ROOT_STATES,
            agency_groups=by_district(every_agency),
            agency_names={agency.code: agency.name for agency in every_agency},
            staff_names=staff_names(session, (event.staff_id for event in root.history)),
            plan_rows=plan_rows(root, tried),
            step_length=STEP_LENGTH,
            note_limit=NOTE_LIMIT,
            tried=tried,
            typed=request.form,
            today=parts().clock().date(),
            refusal=refused.sentence(current_locale()) if refused else None,
            now=parts().clock(),
            here=url_for("console.root", root_id=root.id),
        )
    return html, refused.status if refused else 200


@allowed("dispatch", "inbox")
def do_act(root_id: int, act: str) -> ResponseReturnValue:
    """Do one act; a refusal is told on the page."""
    if act not in ACTS:
        raise Refused("not_found", 404)
    try:
        with parts().database.write() as session:
            find(session, root_id)
            done = ACTS[act](session, root_id, actor(session), parts().clock())
            into = done.id
    except Refused as refused:
        if refused.status in (403, 404):
            raise
        return page(root_id, refused, act)
    if field("back") == "dispatch":
        return redirect(url_for("console.dispatch"))
    return redirect(url_for("console.root", root_id=into))


def note() -> str:
    """Why, or the answer, as the form says it."""
    return field("note")[:NOTE_LIMIT]


def chosen() -> list[str]:
    """The cases that the form names or has ticked."""
    return [*numbers_in(field("numbers")), *request.form.getlist("number")]


ACTS: Final[dict[str, Do]] = {
    "join": lambda session, root_id, who, now: roots.join(session, root_id, chosen(), who, now, note()),
    "split": lambda session, root_id, who, now: roots.split(session, root_id, chosen(), who, now, note()),
    "absorb": lambda session, root_id, who, now: roots.absorb(session, root_id, other_root(), who, now, note()),
    "assign": lambda session, root_id, who, now: roots.assign(session, root_id, field("agency"), who, now, note()),
    "send": lambda session, root_id, who, now: roots.send(session, root_id, who, now),
    "plan": lambda session, root_id, who, now: roots.plan(session, root_id, steps(), who, now),
    "step": lambda session, root_id, who, now: roots.finish_step(session, root_id, whole(field("step")), who, now),
    "reply": lambda session, root_id, who, now: roots.reply(session, root_id, who, now, note()),
    "undo": lambda session, root_id, who, now: roots.undo(session, root_id, whole(field("event")), who, now, note()),
    "close": lambda session, root_id, who, now: roots.close(session, root_id, who, now, note()),
}
"""act -> how the form asks for it."""


def numbers_in(text: str) -> list[str]:
    """Case numbers as somebody types or pastes them, one after the other."""
    return [number for number in re.split(r"[\s,，;；、]+", text) if number]


def whole(sent: str) -> int:
    """A number that the form sends; 0, which nothing has, for anything else."""
    return int(sent) if re.fullmatch(r"[0-9]{1,9}", sent, re.ASCII) else 0


def other_root() -> int:
    """The other root issue, as people write it: G12, or 12. 0 for anything else."""
    return whole(field("into").upper().removeprefix("G"))


def steps() -> list[Step]:
    """The plan of the form; rows with nothing in them are left out. Raises Refused for a date that is none."""
    found = []
    for what, day in zip(request.form.getlist("step_what"), request.form.getlist("step_day"), strict=False):
        written = what.replace("\x00", "").strip()
        if written or day.strip():
            try:
                found.append(Step(written, date.fromisoformat(day.strip())))
            except ValueError as error:
                raise Refused("root_steps", limit=STEPS, length=STEP_LENGTH) from error
    return found


def plan_rows(root: RootIssue, tried: str) -> list[tuple[str, str]]:
    """The rows of the plan's form: what was typed when it was refused, else the plan as it is; and some to fill in."""
    typed = list(zip(request.form.getlist("step_what"), request.form.getlist("step_day"), strict=False))
    now = typed if tried == "plan" else [(step.what, step.due_on.isoformat()) for step in root.steps]
    return [*now, *[("", "")] * EMPTY_STEPS][:STEPS]


def actor(session: Session) -> Actor:
    """Whoever is logged in."""
    return Actor(me().role, session.get_one(Staff, me().id))


def own_agency() -> str | None:
    """The agency of this person, where they are of one."""
    return me().agency_code if me().role == "agency" else None


def acting_role(root: RootIssue) -> str:
    """As what this person acts on this issue."""
    return "owner" if own_agency() and own_agency() == root.owner_code else me().role


def find(session: Session, root_id: int) -> RootIssue:
    """The issue, if this person may see it: an agency the ones that it leads. Raises Refused."""
    root = roots.get_root(session, root_id)
    if not may_open_root(me(), root):
        raise Refused("not_allowed", 403)
    return root


def numbers_of(session: Session, root: RootIssue) -> dict[int, str]:
    """The numbers of all cases that the history names, by id."""
    return {member.case_id: member.case.number for member in roots.all_members(session, root)}
