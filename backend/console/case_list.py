"""The list of cases: narrowed by where a case stands, whose it is, what it is about and what is said in it, newest first, a
page at a time. Pages are found by the last case shown, never by counting from the first, so the last page of a year is as
quick as the first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import ColumnElement, UnaryExpression, or_, select, true
from sqlalchemy.orm import Session, selectinload

from backend.cases import service
from backend.cases.models import Case
from backend.cases.rules import OPEN_STATES, STATES
from backend.console import words
from backend.console.cases import due_mark, find, is_hidden
from backend.console.log_in import Person, allowed, me
from backend.errors import Refused
from backend.insight.figures import with_all_below
from backend.insight.models import CaseFact
from backend.insight.names import names
from backend.knowledge.masking import mask
from backend.locale import current_locale
from backend.parts import parts

PAGE: Final = 50
OPEN: Final = "open"
"""Stands for every state in which somebody still has to act."""
FILTERS: Final = ("state", "mark", "district", "category", "agency")
LONGEST_ID: Final = 2**31 - 1


@dataclass(frozen=True)
class Page:
    """Cases, newest first, and whether there are newer and older ones."""

    cases: Sequence[Case]
    newer: bool
    older: bool


@allowed("cases")
def list_cases() -> ResponseReturnValue:
    """A page of the cases that the address asks for; whoever types a case's number comes to that case."""
    said = request.args.get("q", "").replace("\x00", "").strip()[:100]
    asked = {name: request.args.get(name, "").replace("\x00", "")[:40] for name in FILTERS}
    now, person = parts().clock(), me()
    refused: Refused | None = None
    with parts().database.read() as session:
        if is_a_number(said):
            try:
                case = find(session, person, said)
                return redirect(url_for("console.case", number=case.number))
            except Refused as refusal:
                refused = refusal
        wanted = conditions(session, person, asked, "" if refused else said, now)
        page = page_of(session, ways(session, person), wanted, id_of("before"), id_of("after"))
        called = names(session, current_locale())
        html = render_template(
            "console/cases.html",
            page=page,
            what={case.id: mask(case.what) if is_hidden(person, case) else case.what for case in page.cases},
            said=said,
            chosen=asked,
            filtered=bool(said or any(asked.values())),
            states={OPEN: gettext("在办")} | {state: words.state_name(state) for state in STATES},
            choices={name: called.of_dimension[name] for name in FILTERS[2:]},
            kept={name: value for name, value in {**asked, "q": said}.items() if value},
            refusal=refused.sentence(current_locale()) if refused else None,
            now=now,
            due_mark=due_mark,
        )
    return html, refused.status if refused else 200


def is_a_number(said: str) -> bool:
    """Whether somebody means a case's number, also one with a digit lost, rather than words or a telephone number."""
    return sum(letter.isdigit() for letter in said) in (9, 10) and all(
        letter.isdigit() or letter in " -—–－" for letter in said
    )


def id_of(name: str) -> int:
    """A place in the list that the address names; 0 for none."""
    return min(max(0, request.args.get(name, default=0, type=int)), LONGEST_ID)


def ways(session: Session, person: Person) -> Sequence[ColumnElement[bool]]:
    """By which this person comes to the cases that they may see (service.ways_to)."""
    of_agency = person.role == "agency" and person.agency_code
    return service.ways_to(session, of_agency) if of_agency else (true(),)


def conditions(
    session: Session, person: Person, asked: Mapping[str, str], said: str, now: datetime
) -> list[ColumnElement[bool]]:
    """What the cases of the list have in common. A category or an agency stands for all below it; a district is that of the
    place, as the figures count it, which is known a minute after filing."""
    found: list[ColumnElement[bool]] = []
    if asked["state"] == OPEN:
        found.append(Case.state.in_(OPEN_STATES))
    elif asked["state"] in STATES:
        found.append(Case.state == asked["state"])
    if asked["mark"] == "overdue":
        found.append(Case.step_due_at < now)
    elif asked["mark"]:
        found += [Case.mark == asked["mark"], Case.step_due_at >= now]
    if asked["category"]:
        found.append(Case.category_code.in_(with_all_below(session, "category", asked["category"])))
    if asked["agency"]:
        found.append(Case.agency_code.in_(with_all_below(session, "agency", asked["agency"])))
    if asked["district"]:
        found.append(Case.id.in_(select(CaseFact.case_id).where(CaseFact.district == asked["district"])))
    for word in said.split():
        found.append(or_(Case.what.contains(word, autoescape=True), Case.place.contains(word, autoescape=True)))
        if person.role == "agency":  # who a protected citizen is can't be found out by asking whether they are in it
            found.append(Case.confidential.is_(False))
    return found


def page_of(
    session: Session,
    ways: Sequence[ColumnElement[bool]],
    wanted: Sequence[ColumnElement[bool]],
    before: int,
    after: int,
) -> Page:
    """The cases just before (older than) or after (newer than) a case's id, or the newest; both sides of what is shown are
    looked at with one row more than a page has."""

    def nearest(order: UnaryExpression[int], *bound: ColumnElement[bool]) -> list[Case]:
        query = select(Case).where(service.first_of(ways, [*wanted, *bound], order, PAGE + 1))
        query = query.options(selectinload(Case.agency), selectinload(Case.category))
        return list(session.scalars(query.order_by(order).limit(PAGE + 1)))

    if after:
        found = nearest(Case.id.asc(), Case.id > after)
        return Page(found[:PAGE][::-1], newer=len(found) > PAGE, older=True)
    found = nearest(Case.id.desc(), *([Case.id < before] if before else []))
    return Page(found[:PAGE], newer=bool(before), older=len(found) > PAGE)
