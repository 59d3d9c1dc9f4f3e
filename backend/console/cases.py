"""Cases on the screens of everybody who works them: the list, one case, the acts of its life."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from backend.attachments import BYTES_LIMIT, Attachment, File, accept, attachments_of, keep
from backend.cases import roots, service
from backend.cases.inbox import filled, templates
from backend.cases.models import Case
from backend.cases.root_models import RootIssue
from backend.cases.rules import (
    ANSWERS,
    BEFORE_REPLY,
    KINDS,
    PAUSE_REASONS,
    ROUTES,
    URGENCIES,
    Refusal,
    Rule,
    Situation,
    decide,
    holder,
    possible_acts,
)
from backend.cases.service import Actor
from backend.cases.visits import GRADES
from backend.cases.words import MESSAGES, pause_reason
from backend.console import words
from backend.console.forms import field
from backend.console.log_in import Person, allowed, me
from backend.console.people import staff_names
from backend.directory.models import Agency, Category, Staff
from backend.directory.service import agencies
from backend.errors import Refused
from backend.knowledge.masking import mask
from backend.locale import current_locale
from backend.parts import parts

NOTE_LIMIT: Final = 4000
FIELDS: Final = (
    "note", "agency", *ANSWERS, "grade", "words", "days", "reason", "route", "into", "category", "kind", "urgency",
)  # fmt: skip
"""What the forms of acts may send."""
FOR_CITIZEN: Final = frozenset({"reply", "answer"})
"""Acts whose note, and what files come with it, the citizen sees."""
WITH_FILES: Final = FOR_CITIZEN | {"contribute", "add"}
FILES_LIMIT: Final = 5
"""Files of one act."""
AFTERWARDS: Final = frozenset({"inbox"})
"""Where a form may ask to go after its act instead of to the case."""
ASK_TWICE: Final = frozenset({"withdraw"})
"""Acts that need nothing but can't be undone; their button is behind a heading that says so."""


def due_mark(case: Case, now: datetime) -> str:
    """yellow, red, overdue, or nothing: how far the time of whose turn it is has gone."""
    return "overdue" if case.step_due_at and now > case.step_due_at else case.mark


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
        files = files_of_form() if act in WITH_FILES else []
        with shared.database.write() as session:
            find(session, me(), number)
            actor = Actor(me().role, session.get_one(Staff, me().id))
            changed = service.act_on(session, number, act, actor, details, shared.clock())
            for file in files:
                keep(
                    session,
                    file,
                    shared.clock(),
                    case_id=changed.id,
                    event_id=changed.history[-1].id,
                    staff_id=me().id,
                    for_citizen=act in FOR_CITIZEN,
                )
            still_mine = may_see(session, me(), changed)
    except Refused as refused:
        if refused.status in (403, 404):
            raise
        return page(number, refused, act)
    if field("back") in AFTERWARDS:
        return redirect(url_for(f"console.{field('back')}"))
    return redirect(url_for("console.case", number=number) if still_mine else url_for("console.cases"))


def page(number: str, refused: Refused | None = None, tried: str = "") -> ResponseReturnValue:
    """The page of a case, after a refusal with its sentence and the form of the act that was tried."""
    with parts().database.read() as session:
        found = find(session, me(), number)
        every_agency = agencies(session)
        situation = service.situation(session, found, parts().clock())
        hidden, offered = is_hidden(me(), found), choices(session, found)
        acts = [rule for rule in acts_for(session, found, situation, me()) if rule.act != "merge" or offered["into"]]
        files: dict[int | None, list[Attachment]] = {}
        for one in attachments_of(session, case_id=found.id):
            if not (hidden and one.staff_id is None):  # who sent it may be in a citizen's picture
                files.setdefault(one.event_id, []).append(one)
        own = me().agency_code if me().role == "agency" else None
        html = render_template(
            "console/case.html",
            case=found,
            files=files,
            with_files=WITH_FILES,
            files_limit=FILES_LIMIT,
            templates=[(one.name, filled(one.text, found)) for one in templates(session, own)] if own else [],
            acts=acts,
            **send_back_of(situation, acts),
            ask_twice=ASK_TWICE,
            choices=offered,
            turn=holder(found.state, found.send_backs),
            contact=contact_shown(session, found),
            contact_hidden=bool(found.contact) and hidden,
            what=mask(found.what) if hidden else found.what,
            joined=[(one.number, mask(one.what) if hidden else one.what) for one in service.joined_to(session, found)],
            reply_awaited=found.state in BEFORE_REPLY,
            helpers=[helper.agency_code for helper in found.co_handlers],
            agency_groups=by_district(every_agency),
            agency_names={agency.code: agency.name for agency in every_agency},
            staff_names=staff_names(session, (event.staff_id for event in found.history)),
            tried=tried,
            typed=request.form,
            refusal=refused.sentence(current_locale()) if refused else None,
            mark=due_mark(found, parts().clock()),
            root=roots.root_of(session, found.id),
            may_open_root=may_open_root,
            note_limit=NOTE_LIMIT,
            now=parts().clock(),
            here=url_for("console.case", number=found.number),
        )
    return html, refused.status if refused else 200


def find(session: Session, person: Person, number: str) -> Case:
    """The case, if this person may see it. Raises Refused."""
    found = service.get_case(session, number)
    if not may_see(session, person, found):
        raise Refused("not_allowed", 403)
    return found


def may_see(session: Session, person: Person, found: Case) -> bool:
    """Whether this person may see the case: those of an agency see what service.cases_of says."""
    return person.role != "agency" or service.may_see(session, found, person.agency_code)


def seen_by(session: Session, person: Person, cases: Sequence[Case]) -> set[int]:
    """Which of these cases this person may see, by id: `may_see` for many at once."""
    if person.role != "agency":
        return {case.id for case in cases}
    return service.seen_of(session, [case.id for case in cases], person.agency_code)


def acts_for(session: Session, found: Case, situation: Situation, person: Person) -> list[Rule]:
    """What this person may do to the case now, as the agency that has it, as one that helps, or by their role."""
    try:
        role, _ = service.role_for(session, found, Actor(person.role, agency_code=person.agency_code))
    except Refused:  # it still answers for the case, but another has it now
        return []
    return [rule for rule in possible_acts(situation, role) if rule.act != "protect" or not found.confidential]


def send_back_of(situation: Situation, acts: Sequence[Rule]) -> dict[str, Any]:
    """Until when the agency that has been sent the case may send it back, or why it can't, of which it would look for the
    form in vain."""
    if not any(rule.act == "sign" for rule in acts):
        return {}
    decided = decide(situation, "send_back", "agency", {"note": "?", "agency": "?"})
    if isinstance(decided, Refusal):
        return {"no_send_back": Refused(decided.code).sentence(current_locale())}
    return {"send_back_until": situation.send_back_until}


def may_open_root(person: Person, root: RootIssue) -> bool:
    """Who dispatches, and the agency that leads the root issue."""
    return person.may_enter("dispatch") or (person.role == "agency" and person.agency_code == root.owner_code)


def is_hidden(person: Person, found: Case) -> bool:
    """Whether this person never learns who the citizen is."""
    return person.role == "agency" and found.confidential


def contact_shown(session: Session, found: Case) -> str:
    """The citizen's telephone, if this person has just asked for it (show_identity puts it down); else nothing."""
    if not found.contact or is_hidden(me(), found) or request.endpoint != "console.identity":
        return ""
    return found.contact


@allowed("cases")
def show_identity(number: str) -> ResponseReturnValue:
    """The page of a case with the citizen's telephone; that somebody looked at it is on record."""
    shared = parts()
    try:
        with shared.database.write() as session:
            found = find(session, me(), number)
            staff = session.get_one(Staff, me().id)
            service.look_at_identity(session, found, staff, field("reason"), shared.clock())
    except Refused as refused:
        if refused.code != "reason_missing":
            raise
        return page(number, refused, "identity")
    return page(number)


def details_of_form() -> dict[str, Any]:
    """What the form of an act says. Raises Refused."""
    details = {name: field(name) for name in FIELDS if name in request.form}
    if any(len(value) > NOTE_LIMIT for value in details.values()):
        raise Refused("too_large")
    return details


def files_of_form() -> list[File]:
    """The files that came with an act, looked at. Raises Refused."""
    sent = [one for one in request.files.getlist("files") if one.filename]
    if len(sent) > FILES_LIMIT:
        raise Refused("attachment_count", limit=FILES_LIMIT)
    return [accept(one.read(BYTES_LIMIT + 1), one.filename or "") for one in sent]


def choices(session: Session, case: Case) -> dict[str, list[tuple[str, str]]]:
    """What can be chosen for a need of an act: (code, what it is called)."""
    locale = current_locale()
    offered = or_(Category.active, Category.code == case.category_code)
    categories = session.scalars(select(Category).where(offered).order_by(Category.code))
    yes_no = [("yes", gettext("是")), ("no", gettext("否"))]
    return {
        "reason": [(code, pause_reason(code, locale)) for code in PAUSE_REASONS],
        "route": [(code, MESSAGES.words(f"route_{code}", locale)) for code in ROUTES],
        "kind": [(code, str(words.KINDS[code])) for code in KINDS],
        "urgency": [(code, str(words.URGENCIES[code])) for code in URGENCIES],
        "category": [(one.code, one.name_en if locale == "en" else one.name) for one in categories],
        **dict.fromkeys(ANSWERS, yes_no),
        "grade": [(str(grade), str(words.GRADES[grade])) for grade in GRADES],
        "into": [(one.number, f"{one.number} {one.what[:30]}") for one in service.could_take(session, case)],
    }


def by_district(every_agency: list[Agency]) -> list[tuple[str, list[Agency]]]:
    """The agencies grouped for choosing: the city's own first, then a group a district."""
    groups: dict[str, list[Agency]] = {}
    for agency in every_agency:
        groups.setdefault("" if agency.level == 1 else agency.district, []).append(agency)
    return list(groups.items())
