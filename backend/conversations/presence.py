"""Presence of the staff who talk to citizens: ready, after-call work, break or away, since when and why.

`Staff.ready` says whether somebody is at work: takes conversations now, or as soon as their after-call work is done. It
changes here alone, together with the period that is kept.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from backend import changes
from backend.conversations.models import PresencePeriod
from backend.directory.models import Staff

STATES: Final = ("ready", "wrap_up", "break", "away")
BREAK_REASONS: Final = ("rest", "meal", "meeting", "training", "equipment", "other")
AWAY_REASONS: Final = ("missed", "lost", "logged_out")
"""An offer was missed, nothing more was heard of the console, or they have logged out."""


def set_presence(session: Session, staff: Staff, state: str, now: datetime, reason: str = "") -> None:
    """Begin a period of this state, unless it goes on already. Raises ValueError for a state that does not exist."""
    if state not in STATES:
        raise ValueError(f"no such state: {state}")
    last = current(session, staff.id)
    at_work = state in ("ready", "wrap_up")
    if last and (last.state, last.reason, staff.ready) == (state, reason, at_work):
        return
    if last:
        last.ended_at = now
    session.add(PresencePeriod(staff_id=staff.id, state=state, reason=reason, began_at=now))
    staff.ready = at_work
    changes.note(session, "presence", now, staff_id=staff.id)


def state_of(staff: Staff, period: PresencePeriod | None) -> str:
    """How somebody is present, one of STATES; `period` is the one that goes on."""
    if staff.ready:
        return "wrap_up" if period and period.state == "wrap_up" else "ready"
    return "break" if period and period.state == "break" else "away"


def current(session: Session, staff_id: int) -> PresencePeriod | None:
    """The period that goes on; None for who has never been there."""
    return session.scalar(
        select(PresencePeriod)
        .where(PresencePeriod.staff_id == staff_id, PresencePeriod.ended_at.is_(None))
        .order_by(PresencePeriod.id.desc())
        .limit(1)
    )


def currents(session: Session, staff_ids: Iterable[int]) -> dict[int, PresencePeriod]:
    """The same for many."""
    found = session.scalars(
        select(PresencePeriod)
        .where(PresencePeriod.staff_id.in_(staff_ids), PresencePeriod.ended_at.is_(None))
        .order_by(PresencePeriod.id)
    )
    return {period.staff_id: period for period in found}


def times(session: Session, staff_id: int, since: datetime, now: datetime) -> dict[str, timedelta]:
    """How long somebody has been in each state since then."""
    ended = or_(PresencePeriod.ended_at.is_(None), PresencePeriod.ended_at > since)
    spent: dict[str, timedelta] = defaultdict(timedelta)
    for period in session.scalars(select(PresencePeriod).where(PresencePeriod.staff_id == staff_id, ended)):
        spent[period.state] += (period.ended_at or now) - max(period.began_at, since)
    return dict(spent)
