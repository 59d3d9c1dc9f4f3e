"""What others ask of the directory: log-in, presence, agencies and categories by code or place."""

from collections.abc import Mapping
from datetime import date, datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend.directory.models import Agency, Staff
from backend.directory.passwords import hashed, matches
from backend.directory.rules import PRESENCE_LASTS, RIGHTS
from backend.errors import Refused


def add_staff(
    session: Session,
    username: str,
    password: str,
    role: str,
    name: str,
    agency_code: str | None = None,
    telephone: str | None = None,
) -> Staff:
    """Add somebody to the staff. Raises ValueError for a role that doesn't exist."""
    if role not in RIGHTS:
        raise ValueError(f"no such role: {role}")
    staff = Staff(
        username=username,
        name=name,
        role=role,
        password_hash=hashed(password),
        agency_code=agency_code,
        telephone=telephone,
    )
    session.add(staff)
    session.flush()
    return staff


def log_in(session: Session, username: str, password: str, now: datetime) -> Staff:
    """Whose name and password these are. Raises Refused; why it isn't for somebody who knows the password is told to them
    alone."""
    staff = session.scalar(select(Staff).where(Staff.username == username))
    if not matches(staff.password_hash if staff else None, password) or staff is None:
        raise Refused("wrong_password", 401)
    if staff.left_at is not None:
        raise Refused("account_shut", 401)
    if staff.one_time_until is not None and now > staff.one_time_until:
        raise Refused("one_time_over", 401)
    return staff


def known_elsewhere(session: Session, username: str) -> Staff:
    """Whom the city's identity provider names. Raises Refused for who isn't of the staff or has left."""
    staff = session.scalar(select(Staff).where(Staff.username == username))
    if staff is None:
        raise Refused("sign_on_unknown", 403)
    if staff.left_at is not None:
        raise Refused("account_shut", 401)
    return staff


def mark_seen(session: Session, staff_id: int, now: datetime) -> None:
    """Note that this person's console is open."""
    session.execute(update(Staff).where(Staff.id == staff_id).values(seen_at=now))


def present_operators(session: Session, now: datetime) -> list[Staff]:
    """Who could take a conversation now."""
    seen_since = now - PRESENCE_LASTS
    return list(
        session.scalars(
            select(Staff)
            .where(Staff.ready, Staff.seen_at >= seen_since, Staff.role.in_(("operator", "supervisor")))
            .order_by(Staff.id)
        )
    )


def operators_present(session: Session, now: datetime) -> int:
    """How many operators could take a conversation now."""
    return len(present_operators(session, now))


def agencies(session: Session) -> list[Agency]:
    """All agencies, city level first."""
    return list(session.scalars(select(Agency).order_by(Agency.level, Agency.code)))


def in_charge(known: Mapping[str, Agency], code: str, today: date) -> str:
    """Who takes new cases of the agency `code` today: the agency itself, or after its last day its successor."""
    agency = known[code]
    while agency.valid_until is not None and agency.valid_until < today and agency.successor_code:
        agency = known[agency.successor_code]
    return agency.code
