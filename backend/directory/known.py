"""The agencies, and the categories in use, as every process keeps them between changes: routing looks at all of them for
each filing, and a city has more than a thousand, which seldom change."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import event, select, update
from sqlalchemy.orm import Session

from backend.directory.models import Agency, Category, DirectoryStand


@dataclass(frozen=True)
class Stand:
    """By what one stand of the directory is known, and the session that it can be read in, which makes no difference."""

    session: Session = field(compare=False)
    token: str


def stand_of(session: Session) -> Stand:
    """How the directory stands in the record."""
    return Stand(session, session.scalar(select(DirectoryStand.token)) or "")


def known_agencies(session: Session) -> Mapping[str, Agency]:
    """All agencies by code, as they stand in the record. To be read only: they belong to no session."""
    return agencies_at(stand_of(session))


def known_categories(session: Session) -> Mapping[str, Category]:
    """The categories of the second level that are in use, by code: what new cases can be about. To be read only, too."""
    return categories_at(stand_of(session))


@lru_cache(maxsize=2)
def agencies_at(stand: Stand) -> Mapping[str, Agency]:
    """The agencies of one stand."""
    with Session(stand.session.connection()) as apart:
        found = {agency.code: agency for agency in apart.scalars(select(Agency).order_by(Agency.level, Agency.code))}
        apart.expunge_all()
    return found


@lru_cache(maxsize=2)
def categories_at(stand: Stand) -> Mapping[str, Category]:
    """The categories of one stand."""
    used = select(Category).where(Category.active, Category.parent_code.is_not(None)).order_by(Category.code)
    with Session(stand.session.connection()) as apart:
        found = {category.code: category for category in apart.scalars(used)}
        apart.expunge_all()
    return found


@event.listens_for(Session, "before_flush")
def note_change(session: Session, *_: Any) -> None:
    """Whoever changes an agency or a category makes a new stand, in the same transaction. By chance and not by counting:
    what is rolled back leaves no number that another change could have again."""
    if any(isinstance(row, Agency | Category) for row in (*session.new, *session.dirty, *session.deleted)):
        session.execute(update(DirectoryStand).values(token=secrets.token_hex(8)))
