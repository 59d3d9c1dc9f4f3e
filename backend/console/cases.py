"""Cases on the screens of everybody who works them: the list, one case, the acts of its life."""

from datetime import datetime
from typing import Any, Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from backend.cases import service
from backend.cases.models import Case
from backend.cases.rules import possible_acts
from backend.cases.service import Actor
from backend.console.forms import field
from backend.console.log_in import Person, allowed, me
from backend.console.people import staff_names
from backend.directory.models import Agency, Staff
from backend.directory.service import agencies
from backend.errors import Refused
from backend.locale import current_locale
from backend.parts import parts

NOT_YET_ANSWERED: Final = frozenset({"filed", "accepted", "dispatched", "signed"})
NOT_FOR_AGENCIES: Final = frozenset({"filed", "accepted"})
SOON: Final = 0.25
"""A case whose remaining time is less than this part of all its time is marked 将到期."""

NOTE_LIMIT: Final = 4000
ANSWERS: Final = ("contacted", "solved", "satisfied")
ASK_TWICE: Final = frozenset({"withdraw"})
"""Acts that need nothing but can't be undone; their button is behind a heading that says so."""


def due_mark(case: Case, now: datetime) -> str:
    """`overdue`, `soon`, or nothing: how urgent the answer to this case is."""
    if case.state not in NOT_YET_ANSWERED:
        return ""
    if now > case.due_at:
        return "overdue"
    return "soon" if case.due_at - now < (case.due_at - case.filed_at) * SOON else ""


@allowed("cases")
def list_cases() -> ResponseReturnValue:
    """The newest cases; with ?number= the case of that number."""
    wanted = request.args.get("number", "").strip()[:40]
    refused: Refused | None = None
    with parts().database.read() as session:
        if wanted:
            try:
                case = find(session, me(), wanted)
                return redirect(url_for("console.case", number=case.number))
            except Refused as refusal:
                refused = refusal
        found = service.newest_cases(session, agency_code=me().agency_code if me().role == "agency" else None)
    html = render_template(
        "console/cases.html",
        cases=found,
        wanted=wanted,
        refusal=refused.sentence(current_locale()) if refused else None,
        now=parts().clock(),
        due_mark=due_mark,
    )
    return html, refused.status if refused else 200


@allowed("cases")
def show_case(number: str) -> ResponseReturnValue:
    """Everything about one case, and what this person may do to it."""
    return page(number)


@allowed("cases")
def do_act(number: str, act: str) -> ResponseReturnValue:
    """Do one act of the case's life; a refusal is told on the page."""
    shared = parts()
    try:
        details = details_of_form()
        with shared.database.write() as session:
            find(session, me(), number)
            actor = Actor(me().role, session.get_one(Staff, me().id))
            changed = service.act_on(session, number, act, actor, details, shared.clock())
            still_mine = may_see(me(), changed)
    except Refused as refused:
        if refused.status in (403, 404):
            raise
        return page(number, refused, act)
    return redirect(url_for("console.case", number=number) if still_mine else url_for("console.cases"))


def page(number: str, refused: Refused | None = None, tried: str = "") -> ResponseReturnValue:
    """The page of a case, after a refusal with its sentence and the form of the act that was tried."""
    with parts().database.read() as session:
        found = find(session, me(), number)
        every_agency = agencies(session)
        html = render_template(
            "console/case.html",
            case=found,
            acts=possible_acts(found.state, me().role),
            ask_twice=ASK_TWICE,
            agency_groups=by_district(every_agency),
            agency_names={agency.code: agency.name for agency in every_agency},
            staff_names=staff_names(session, (event.staff_id for event in found.history)),
            tried=tried,
            typed=request.form,
            refusal=refused.sentence(current_locale()) if refused else None,
            mark=due_mark(found, parts().clock()),
            note_limit=NOTE_LIMIT,
            now=parts().clock(),
            here=url_for("console.case", number=found.number),
        )
    return html, refused.status if refused else 200


def find(session: Session, person: Person, number: str) -> Case:
    """The case, if this person may see it. Raises Refused."""
    found = service.get_case(session, number)
    if not may_see(person, found):
        raise Refused("not_allowed", 403)
    return found


def may_see(person: Person, found: Case) -> bool:
    """Whether this person may see the case: an agency sees what was sent to it."""
    if person.role != "agency":
        return True
    return found.agency_code == person.agency_code and found.state not in NOT_FOR_AGENCIES


def details_of_form() -> dict[str, Any]:
    """What the form of an act says: note, agency, and the answers of a return visit. Raises Refused."""
    details = {name: field(name) for name in ("note", "agency", *ANSWERS) if name in request.form}
    if len(details.get("note", "")) > NOTE_LIMIT:
        raise Refused("too_large")
    if any(details.get(name, "") not in ("", "yes", "no") for name in ANSWERS):
        raise Refused("bad_request", 400)
    return details


def by_district(every_agency: list[Agency]) -> list[tuple[str, list[Agency]]]:
    """The agencies grouped for choosing: the city's own first, then a group a district."""
    groups: dict[str, list[Agency]] = {}
    for agency in every_agency:
        groups.setdefault("" if agency.level == 1 else agency.district, []).append(agency)
    return list(groups.items())
