"""Screens in halls: each has a link of its own, which opens the wall and nothing else, until somebody ends it."""

import hashlib
import secrets
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend.errors import Refused
from backend.insight.models import WallScreen

NAME_LIMIT = 60
"""Characters of a screen's name, as the table has them."""


def make_screen(session: Session, name: str, staff_id: int, now: datetime) -> str:
    """Make a screen and return its key, which nobody can read again. Raises Refused without a name."""
    if not name.strip():
        raise Refused("name_missing")
    key = secrets.token_urlsafe(24)
    named = name.strip()[:NAME_LIMIT]
    session.add(WallScreen(name=named, key_hash=hash_of(key), made_by_id=staff_id, made_at=now))
    return key


def screen_of(session: Session, key: str) -> WallScreen | None:
    """The screen that this is the key of, unless it was ended."""
    if not key:
        return None
    screen = session.scalar(select(WallScreen).where(WallScreen.key_hash == hash_of(key)))
    return screen if screen and screen.ended_at is None else None


def note_seen(session: Session, screen_id: int, now: datetime) -> None:
    """A screen was there just now."""
    session.execute(update(WallScreen).where(WallScreen.id == screen_id).values(seen_at=now))


def screens(session: Session) -> list[WallScreen]:
    """The screens that are not ended, the newest first."""
    query = select(WallScreen).where(WallScreen.ended_at.is_(None)).order_by(WallScreen.id.desc())
    return list(session.scalars(query))


def end_screen(session: Session, screen_id: int, now: datetime) -> None:
    """From now on its link opens nothing. Raises Refused (404) for one that isn't there."""
    screen = session.get(WallScreen, screen_id)
    if screen is None:
        raise Refused("not_found", 404)
    screen.ended_at = screen.ended_at or now


def hash_of(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()
