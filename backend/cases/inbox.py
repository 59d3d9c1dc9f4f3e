"""What lies with one agency, by deadline; what colleagues did; and the texts that its replies begin with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ForeignKey, String, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column, selectinload

from backend.audit import audited
from backend.cases.models import Case, CaseEvent
from backend.cases.service import first_of, stands_for, ways_to
from backend.cases.supervision import IS_OPEN
from backend.database import Base, UtcDateTime
from backend.directory.models import Staff
from backend.errors import Refused

SHOWN: Final = 300
DEEDS_SHOWN: Final = 30
TEMPLATES_LIMIT: Final = 100
NAME_LIMIT: Final = 40
TEXT_LIMIT: Final = 2000
IN_HAND: Final = ("signed", "redo", "supervised", "paused")


@audited("reply_template", without=("changed_by_id", "changed_at"))
class ReplyTemplate(Base):
    """A text that an agency's replies begin with; words in braces (BLANKS, in either language) are filled from the case."""

    __tablename__ = "reply_templates"

    id: Mapped[int] = mapped_column(primary_key=True)
    agency_code: Mapped[str] = mapped_column(ForeignKey("agencies.code"), index=True)
    name: Mapped[str] = mapped_column(String(NAME_LIMIT))
    text: Mapped[str] = mapped_column(Text)
    changed_by_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


BLANKS: Final = {"zh": ("{工单号}", "{地点}", "{单位}"), "en": ("{case}", "{place}", "{agency}")}
"""What stands for the number of the case, its place and its agency."""


@dataclass(frozen=True)
class Deed:
    """One act of a colleague."""

    name: str
    act: str
    number: str
    at: datetime


def lists(session: Session, agency_code: str) -> dict[str, list[Case]]:
    """The open cases of an agency, and of those that it stands in for, what is due first on top: `sign`, `hand`, `help` and
    `others`, whose turn it is not."""
    theirs = stands_for(session, agency_code)
    order = Case.step_due_at.asc()
    query = (
        select(Case)
        .where(first_of(ways_to(session, agency_code), [IS_OPEN], order, SHOWN))
        .options(selectinload(Case.category), selectinload(Case.agency), selectinload(Case.co_handlers))
        .order_by(order)
        .limit(SHOWN)
    )
    found: dict[str, list[Case]] = {"sign": [], "hand": [], "help": [], "others": []}
    for case in session.scalars(query):
        found[place_of(case, theirs)].append(case)
    return found


def place_of(case: Case, theirs: frozenset[str]) -> str:
    """In which list of the agency that acts for these an open case stands."""
    if case.agency_code in theirs and case.state == "dispatched":
        return "sign"
    if case.agency_code in theirs and case.state in IN_HAND:
        return "hand"
    is_helper = any(helper.agency_code in theirs for helper in case.co_handlers)
    return "help" if is_helper and case.agency_code not in theirs and case.state in IN_HAND else "others"


def contributed(session: Session, cases: list[Case], agency_code: str) -> set[int]:
    """To which of these cases this agency has said its part, by id."""
    query = (
        select(CaseEvent.case_id)
        .join(Staff, Staff.id == CaseEvent.staff_id)
        .where(
            CaseEvent.act == "contribute",
            CaseEvent.case_id.in_([case.id for case in cases]),
            Staff.agency_code == agency_code,
        )
    )
    return set(session.scalars(query))


def deeds(session: Session, agency_code: str) -> list[Deed]:
    """What people of this agency did last, the newest first."""
    query = (
        select(Staff.name, CaseEvent.act, Case.number, CaseEvent.acted_at)
        .join(Staff, Staff.id == CaseEvent.staff_id)
        .join(Case, Case.id == CaseEvent.case_id)
        .where(Staff.agency_code == agency_code, Staff.role == "agency", CaseEvent.staff_id.is_not(None))
        .order_by(CaseEvent.id.desc())
        .limit(DEEDS_SHOWN)
    )
    return [Deed(*row) for row in session.execute(query)]


def templates(session: Session, agency_code: str) -> list[ReplyTemplate]:
    """The agency's texts, by name."""
    query = select(ReplyTemplate).where(ReplyTemplate.agency_code == agency_code).order_by(ReplyTemplate.name)
    return list(session.scalars(query))


def filled(text: str, case: Case) -> str:
    """A template's text with this case's words in it."""
    for blanks in BLANKS.values():
        for blank, said in zip(blanks, (case.number, case.place, case.agency.name), strict=True):
            text = text.replace(blank, said)
    return text


def save_template(
    session: Session, agency_code: str, template_id: int | None, name: str, text: str, staff: Staff, now: datetime
) -> None:
    """Add a template, or change one of this agency's. Raises Refused."""
    if not name or len(name) > NAME_LIMIT:
        raise Refused("template_name", limit=NAME_LIMIT)
    if not text or len(text) > TEXT_LIMIT:
        raise Refused("template_text", limit=TEXT_LIMIT)
    if template_id is None:
        if len(templates(session, agency_code)) >= TEMPLATES_LIMIT:
            raise Refused("too_many_rows", limit=TEMPLATES_LIMIT)
        row = ReplyTemplate(agency_code=agency_code)
    else:
        row = find_template(session, agency_code, template_id)
    row.name, row.text, row.changed_by_id, row.changed_at = name, text, staff.id, now
    session.add(row)


def find_template(session: Session, agency_code: str, template_id: int) -> ReplyTemplate:
    """A template of this agency. Raises Refused (404)."""
    row = session.get(ReplyTemplate, template_id)
    if row is None or row.agency_code != agency_code:
        raise Refused("not_found", 404)
    return row
