"""Logging in more than once too often, and being logged in: both in the record, so that all processes share them.

A person's session is a row; the cookie has its key, of which only the hash is kept. It ends an hour after the last thing
that its person did, and twelve hours after the log-in, whatever they did (NIST SP 800-63B asks for an hour and a day,
GB/T 22239-2019 for an end after idleness), when they end it, and when their password or account changes.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import BindParameter, ColumnElement, ForeignKey, String, bindparam, delete, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from backend.audit import put_down
from backend.database import Base, UtcDateTime
from backend.directory.models import Staff
from backend.errors import Refused

IDLE: Final = timedelta(hours=1)
LASTS: Final = timedelta(hours=12)
TOUCH_EVERY: Final = timedelta(minutes=1)
"""No more often is it written down that a session is used."""
KEPT: Final = timedelta(days=30)

WINDOW: Final = timedelta(minutes=15)
"""Wrong passwords are counted for so long, and so long a lock lasts."""
TRIES_OF_ACCOUNT: Final = 5
TRIES_OF_ADDRESS: Final = 30
"""More than of an account: a whole centre may share one address."""


class StaffSession(Base):
    """Somebody logged in with one browser."""

    __tablename__ = "staff_sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), index=True)
    address: Mapped[str] = mapped_column(String(60))
    browser: Mapped[str] = mapped_column(String(200))  # as it calls itself
    began_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class LogInAttempt(Base):
    """A password that was not right, or whose check is under way."""

    __tablename__ = "log_in_attempts"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(60), index=True)  # as it was typed
    address: Mapped[str] = mapped_column(String(60), index=True)
    tried_at: Mapped[datetime] = mapped_column(UtcDateTime)


@dataclass(frozen=True)
class Lock:
    """Until when nobody may try, and whose tries were too many: `account` or `address`."""

    until: datetime
    of: str


def lock_of(session: Session, username: str, address: str, now: datetime) -> Lock | None:
    """Whether no password is looked at now, for this name or from this address."""
    for of, column, value, limit in (
        ("account", LogInAttempt.username, username, TRIES_OF_ACCOUNT),
        ("address", LogInAttempt.address, address, TRIES_OF_ADDRESS),
    ):
        tries = select(LogInAttempt.tried_at).where(column == value, LogInAttempt.tried_at > now - WINDOW)
        newest = list(session.scalars(tries.order_by(LogInAttempt.id.desc()).limit(limit)))
        if len(newest) == limit:
            return Lock(newest[-1] + WINDOW, of)
    return None


def begin_attempt(session: Session, username: str, address: str, now: datetime) -> None:
    """Count a try before its password is looked at, so that many at once are not more tries than one after another. Raises
    Refused when there were too many."""
    # one try of a name at a time, also with PostgreSQL, whose writers do not wait for each other otherwise
    session.scalar(select(Staff.id).where(Staff.username == username).with_for_update())
    lock = lock_of(session, username, address, now)
    if lock:
        raise locked_out(lock, now)
    session.add(LogInAttempt(username=username[:60], address=address[:60], tried_at=now))


def fail_attempt(session: Session, username: str, address: str, now: datetime) -> Lock | None:
    """Put down that a password was wrong, and the lock when it was one too many."""
    staff_id = session.scalar(select(Staff.id).where(Staff.username == username))
    lock = lock_of(session, username, address, now)
    if staff_id is not None:
        put_down(session, "log_in", str(staff_id), "failed", after={"username": username})
    if lock:
        subject = address if lock.of == "address" else str(staff_id or "")
        put_down(session, "log_in", subject, "locked", after={"of": lock.of, "until": lock.until.isoformat()})
    return lock


def locked_out(lock: Lock, now: datetime) -> Refused:
    """What the person is told: for how many minutes, and whose tries were too many."""
    return Refused(f"locked_{lock.of}", 429, minutes=-(-(lock.until - now) // timedelta(minutes=1)))


def forgive(session: Session, username: str) -> None:
    """Forget the wrong tries of a name: the right password came, or an administrator unlocked it."""
    session.execute(delete(LogInAttempt).where(LogInAttempt.username == username))


def begin(session: Session, staff: Staff, address: str, browser: str, now: datetime) -> str:
    """Somebody has logged in; returns the key of the session, which is told to their browser alone."""
    key = secrets.token_urlsafe(32)
    session.add(
        StaffSession(
            key_hash=hash_of(key),
            staff_id=staff.id,
            address=address[:60],
            browser=browser[:200],
            began_at=now,
            used_at=now,
        )
    )
    put_down(session, "log_in", str(staff.id), "logged_in")
    return key


def hash_of(key: str) -> str:
    """What is kept of a key; it is chance enough not to need a slow hash."""
    return hashlib.sha256(key.encode()).hexdigest()


def find(session: Session, key: str, now: datetime) -> tuple[StaffSession, Staff] | None:
    """The session of this key and whose it is, unless it has ended."""
    row = session.execute(FIND, {"key_hash": hash_of(key), "used": now - IDLE, "began": now - LASTS}).one_or_none()
    return (row[0], row[1]) if row else None


def going_on(
    used: datetime | BindParameter[datetime], began: datetime | BindParameter[datetime]
) -> tuple[ColumnElement[bool], ...]:
    """What holds of a session that has not ended: used and begun after these moments."""
    return StaffSession.ended_at.is_(None), StaffSession.used_at > used, StaffSession.began_at > began


# Made once: every request of a console runs it, and to put it together costs more.
FIND = (
    select(StaffSession, Staff)
    .join(Staff, Staff.id == StaffSession.staff_id)
    .where(
        StaffSession.key_hash == bindparam("key_hash"),
        Staff.left_at.is_(None),
        *going_on(bindparam("used"), bindparam("began")),
    )
)


def of_person(session: Session, staff_id: int, now: datetime) -> list[StaffSession]:
    """Where somebody is logged in, the newest first."""
    query = select(StaffSession).where(StaffSession.staff_id == staff_id, *going_on(now - IDLE, now - LASTS))
    return list(session.scalars(query.order_by(StaffSession.id.desc())))


def touch(session: Session, session_id: int, now: datetime) -> None:
    """Somebody has done something with it."""
    session.execute(update(StaffSession).where(StaffSession.id == session_id).values(used_at=now))


def end(session: Session, staff_id: int, now: datetime, only: int | None = None, but: int | None = None) -> None:
    """End somebody's sessions: all, `only` that one, or all `but` one."""
    query = update(StaffSession).where(StaffSession.staff_id == staff_id, StaffSession.ended_at.is_(None))
    if only is not None:
        query = query.where(StaffSession.id == only)
    if but is not None:
        query = query.where(StaffSession.id != but)
    session.execute(query.values(ended_at=now))


def forget_old(session: Session, now: datetime) -> None:
    """Old tries and sessions are of no use to anybody; that somebody logged in stays in the audit log."""
    session.execute(delete(LogInAttempt).where(LogInAttempt.tried_at < now - 2 * WINDOW))
    old = or_(StaffSession.began_at < now - KEPT, StaffSession.ended_at < now - KEPT)
    session.execute(delete(StaffSession).where(old))
