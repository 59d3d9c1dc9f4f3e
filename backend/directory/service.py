"""What others ask of the directory: log-in, presence, agencies and categories by code or place."""

from collections.abc import Mapping
from datetime import date, datetime

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.directory.models import Agency, Staff
from backend.directory.rules import PRESENCE_LASTS, RIGHTS

PASSWORDS = PasswordHasher()  # Argon2id with RFC 9106's low-memory parameters, the library's default
NOBODY = PASSWORDS.hash("nobody has this password")  # so that an unknown name takes as long as a wrong password


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
        password_hash=PASSWORDS.hash(password),
        agency_code=agency_code,
        telephone=telephone,
    )
    session.add(staff)
    session.flush()
    return staff


def log_in(session: Session, username: str, password: str) -> Staff | None:
    """Return whose name and password these are, or None."""
    staff = session.scalar(select(Staff).where(Staff.username == username))
    try:
        PASSWORDS.verify(staff.password_hash if staff else NOBODY, password)
    except (VerifyMismatchError, InvalidHashError):
        return None
    return staff


def mark_seen(session: Session, staff: Staff, now: datetime) -> None:
    """Note that this person's console is open."""
    staff.seen_at = now


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
