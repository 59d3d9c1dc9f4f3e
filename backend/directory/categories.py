"""What cases are about, as administrators keep it: the names, and which agency answers for it.

Codes stay: cases, what routing has learned and Open311's services point to them. Every change is in the audit log by itself
(models.py, `@audited`) with what stood there before, so it can be set back.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.directory.models import Agency, Category
from backend.errors import Refused

LONGEST_NAME: Final = 100


@dataclass(frozen=True)
class CategoryContent:
    """What the form of a category holds; only the second level names an agency."""

    name: str
    name_en: str
    agency: str = ""


def grouped(session: Session) -> list[tuple[Category, list[Category]]]:
    """The first level, each with its second, by their codes."""
    every = list(session.scalars(select(Category).order_by(Category.code)))
    return [(top, [one for one in every if one.parent_code == top.code]) for top in every if top.parent_code is None]


def find(session: Session, code: str) -> Category:
    """The category with this code. Raises Refused."""
    category = session.get(Category, code)
    if category is None:
        raise Refused("not_found", 404)
    return category


def content_of(category: Category) -> CategoryContent:
    """A category as the form shows it."""
    return CategoryContent(category.name, category.name_en, category.agency_code or "")


def change(session: Session, category: Category, content: CategoryContent) -> None:
    """A category as the form says now. Raises Refused for a name that is missing, too long
    or another's, and for an agency that isn't there."""
    for name in (content.name, content.name_en):
        if not name.strip() or len(name) > LONGEST_NAME:
            raise Refused("category_name", limit=LONGEST_NAME)
    same = select(Category.code).where(Category.name == content.name, Category.code != category.code)
    if session.scalar(same.where(Category.parent_code == category.parent_code)) is not None:
        raise Refused("code_there", name=content.name)
    if category.parent_code is not None and session.get(Agency, content.agency) is None:
        raise Refused("unknown_agency", agency=content.agency)
    category.name, category.name_en = content.name, content.name_en
    category.agency_code = content.agency if category.parent_code is not None else None
