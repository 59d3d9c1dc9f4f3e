"""What cases are about, as administrators keep it: added, renamed, given to another agency, retired and brought back.

A code stays what it is: cases, what routing has learned and Open311's services point to it. What is retired takes no new
cases; those that have it keep it. Every change is in the audit log by itself (models.py, `@audited`) with what stood there
before, and is undone from there.
"""

import re
from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.audit import AuditEvent
from backend.directory.models import Agency, Category, LegacyNumber
from backend.errors import Refused

UNSORTED_CATEGORY: Final = "GV-OTHER"
"""Of what nothing else fits; it is always in use."""
LONGEST_NAME: Final = 100
CODE: Final = re.compile(r"[A-Z][A-Z0-9]{1,11}", re.ASCII)
"""A first-level code, and what stands after the parent's code and a hyphen in a second-level one (cases/deadlines.py reads
the parent from there)."""


@dataclass(frozen=True)
class CategoryContent:
    """What the form of a category holds; only the second level names an agency."""

    name: str
    name_en: str
    agency: str = ""


def grouped(session: Session) -> list[tuple[Category, list[Category]]]:
    """The first level, each with its second, by their codes; retired ones, too."""
    every = list(session.scalars(select(Category).order_by(Category.code)))
    return [(top, [one for one in every if one.parent_code == top.code]) for top in every if top.parent_code is None]


def first_level(session: Session) -> list[Category]:
    """The first level that is in use."""
    return [top for top, below in grouped(session) if any(one.active for one in below)]


def find(session: Session, code: str) -> Category:
    """The category with this code. Raises Refused."""
    category = session.get(Category, code)
    if category is None:
        raise Refused("not_found", 404)
    return category


def in_use(session: Session, code: str) -> Category:
    """The category with this code, to be given to something new. Raises Refused for one that isn't there or is retired."""
    category = session.get(Category, code)
    if category is None:
        raise Refused("code_unknown", value=code)
    if not category.active:
        raise Refused("category_retired", name=category.name)
    return category


def content_of(category: Category) -> CategoryContent:
    """A category as the form shows it."""
    return CategoryContent(category.name, category.name_en, category.agency_code or "")


def add(session: Session, parent: str, code: str, content: CategoryContent, now: datetime) -> Category:
    """A new category below `parent`, or of the first level where that is empty; `code` is its own part of the code, or empty
    for the one that is proposed. Raises Refused."""
    if parent and find(session, parent).parent_code is not None:
        raise Refused("code_unknown", value=parent)
    check(session, content, parent or None)
    prefix = f"{parent}-" if parent else ""
    taken = {one.removeprefix(prefix) for one in session.scalars(select(Category.code))}
    own = code or proposed_code(content.name_en, taken)
    if not CODE.fullmatch(own):
        raise Refused("category_code", value=own)
    if session.get(Category, prefix + own) is not None:
        raise Refused("code_there", name=prefix + own)
    category = Category(code=prefix + own, parent_code=parent or None)
    fill(category, content, now)
    session.add(category)
    session.flush()
    return category


def proposed_code(name_en: str, taken: Container[str]) -> str:
    """The first word of the English name as a code that isn't taken yet, with a number behind it if need be."""
    word = re.sub(r"[^A-Z0-9]", "", (name_en.upper().split() or [""])[0])[:8]
    base = word if CODE.fullmatch(word) else "NEW"
    return next(code for number in count(1) if (code := base if number == 1 else f"{base}{number}") not in taken)


def change(session: Session, category: Category, content: CategoryContent, now: datetime) -> None:
    """A category as the form says now. Raises Refused."""
    check(session, content, category.parent_code, category.code)
    fill(category, content, now)


def check(session: Session, content: CategoryContent, parent: str | None, code: str = "") -> None:
    """Raise Refused for a name that is missing, too long or another's, and for an agency that isn't there."""
    for name in (content.name, content.name_en):
        if not name.strip() or len(name) > LONGEST_NAME:
            raise Refused("category_name", limit=LONGEST_NAME)
    same = select(Category.code).where(Category.name == content.name, Category.code != code)
    if session.scalar(same.where(Category.parent_code == parent)) is not None:
        raise Refused("category_there", name=content.name)
    if parent is not None and session.get(Agency, content.agency) is None:
        raise Refused("unknown_agency", agency=content.agency)


def fill(category: Category, content: CategoryContent, now: datetime) -> None:
    """Write the form into the row."""
    category.name, category.name_en = content.name, content.name_en
    category.agency_code = content.agency if category.parent_code is not None else None
    category.changed_at = now


def retire(session: Session, category: Category, now: datetime) -> None:
    """No new cases from now on. Raises Refused for the first level, which is in use while something below it is, for what an
    old number gives to its callers' cases, and for what everything falls back to."""
    if category.parent_code is None:
        raise Refused("category_first_level")
    if category.code == UNSORTED_CATEGORY:
        raise Refused("category_needed")
    pointing = select(LegacyNumber.number).where(LegacyNumber.category_code == category.code, LegacyNumber.active)
    numbers = list(session.scalars(pointing.order_by(LegacyNumber.number)))
    if numbers:
        raise Refused("category_of_numbers", numbers=", ".join(numbers))
    category.active, category.changed_at = False, now


def bring_back(category: Category, now: datetime) -> None:
    """New cases again."""
    category.active, category.changed_at = True, now


def last_change(session: Session, code: str = "") -> AuditEvent | None:
    """What was changed last, of this category or of any."""
    found = select(AuditEvent).where(AuditEvent.kind == "category").order_by(AuditEvent.number.desc()).limit(1)
    return session.scalar(found.where(AuditEvent.subject == code) if code else found)


def undo(session: Session, number: int, now: datetime) -> None:
    """Take back the change with this number in the audit log: the category is as it was before; one that was added is
    retired. Raises Refused, also when it has been changed since."""
    event = session.get(AuditEvent, number)
    if event is None or event.kind != "category":
        raise Refused("not_found", 404)
    latest = last_change(session, event.subject)
    if latest is None or latest.number != number:
        raise Refused("category_changed_since", 409)
    category, before = find(session, event.subject), event.before
    if event.act == "added" or before.get("active") is False:
        retire(session, category, now)
    elif before.get("active"):
        bring_back(category, now)
    else:
        was = {"name": category.name, "name_en": category.name_en, "agency_code": category.agency_code} | before
        change(session, category, CategoryContent(was["name"], was["name_en"], was["agency_code"] or ""), now)


def last_changed_at(session: Session) -> datetime | None:
    """When any of them was changed last; None: never since they were loaded."""
    return session.scalar(select(func.max(Category.changed_at)))
