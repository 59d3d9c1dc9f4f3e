"""Who works the line, as administrators keep it: adding, changing, one-time passwords, leaving and coming back.

Nobody is deleted: what they did stays theirs. Every change is in the audit log by itself (models.py, `@audited`).
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.directory import sessions
from backend.directory.models import Agency, Category, Staff
from backend.directory.passwords import ONE_TIME_LASTS, hashed, one_time_password, refuse_weak
from backend.directory.rules import RIGHTS
from backend.errors import Refused

LONGEST_NAME: Final = 60
USERNAME: Final = re.compile(r"[^\W_](?:[\w.@-]{0,58}\w)?")
TELEPHONE: Final = re.compile(r"\+[1-9]\d{5,14}|client:[\w.-]{1,50}")
LANGUAGES: Final = ("zh", "yue", "en")
MOST_CHATS: Final = 10
"""More chats at the same time than anybody can follow."""


@dataclass(frozen=True)
class PersonContent:
    """What a form says of somebody; `skills` are first-level categories, none means all."""

    username: str
    name: str
    role: str
    agency: str = ""
    telephone: str = ""
    languages: tuple[str, ...] = ("zh",)
    skills: tuple[str, ...] = ()
    chat_limit: int | None = 3  # None: what was typed is no number


def content_of(staff: Staff) -> PersonContent:
    """Somebody of the staff as the form shows them."""
    return PersonContent(
        staff.username,
        staff.name,
        staff.role,
        staff.agency_code or "",
        staff.telephone or "",
        tuple(filter(None, staff.languages.split(","))),
        tuple(filter(None, staff.skills.split(","))),
        staff.chat_limit,
    )


def check(session: Session, content: PersonContent, staff: Staff | None = None) -> None:
    """Raise Refused for what can't be; `staff` is who is changed, None: somebody new."""
    name = content.name
    if not name.strip() or name != name.strip() or len(name) > LONGEST_NAME:
        raise Refused("person_name", limit=LONGEST_NAME)
    if staff is None and not USERNAME.fullmatch(content.username):
        raise Refused("username_malformed", limit=LONGEST_NAME)
    if staff is None and session.scalar(select(Staff.id).where(Staff.username == content.username)) is not None:
        raise Refused("username_taken", username=content.username)
    if content.role not in RIGHTS:
        raise Refused("code_unknown", value=content.role)
    if content.role == "agency" and not content.agency:
        raise Refused("agency_of_person")
    if content.agency and session.get(Agency, content.agency) is None:
        raise Refused("unknown_agency", agency=content.agency)
    if content.telephone and not TELEPHONE.fullmatch(content.telephone):
        raise Refused("telephone_of_person", value=content.telephone)
    if not content.languages:
        raise Refused("language_missing")
    for language in content.languages:
        if language not in LANGUAGES:
            raise Refused("code_unknown", value=language)
    if content.chat_limit is None or not 0 <= content.chat_limit <= MOST_CHATS:
        raise Refused("chat_limit", most=MOST_CHATS)
    for skill in content.skills:
        category = session.get(Category, skill)
        if category is None or category.parent_code is not None:
            raise Refused("code_unknown", value=skill)


def add(session: Session, content: PersonContent, now: datetime) -> tuple[Staff, str]:
    """Somebody new, and the one-time password with which they log in first. Raises Refused."""
    check(session, content)
    password = one_time_password()
    staff = Staff(username=content.username, password_hash=hashed(password), one_time_until=now + ONE_TIME_LASTS)
    fill(staff, content)
    session.add(staff)
    try:
        session.flush()
    except IntegrityError as error:  # somebody else has just taken the name
        raise Refused("username_taken", username=content.username) from error
    return staff, password


def change(session: Session, staff: Staff, content: PersonContent) -> None:
    """Somebody as the form says now; the username stays. Raises Refused."""
    check(session, content, staff)
    if content.role != "admin":
        refuse_last_administrator(session, staff)
    fill(staff, content)


def fill(staff: Staff, content: PersonContent) -> None:
    """Write what was checked into the row; only somebody of an agency belongs to one."""
    staff.name, staff.role = content.name, content.role
    staff.agency_code = content.agency or None if content.role == "agency" else None
    staff.telephone = content.telephone or None
    staff.languages, staff.skills = ",".join(content.languages), ",".join(content.skills)
    if content.chat_limit is not None:
        staff.chat_limit = content.chat_limit


def reset_password(session: Session, staff: Staff, now: datetime) -> str:
    """A new one-time password, which is told once; the old password is no longer any good, and every session ends."""
    password = one_time_password()
    staff.password_hash, staff.one_time_until = hashed(password), now + ONE_TIME_LASTS
    sessions.end(session, staff.id, now)
    sessions.forgive(session, staff.username)
    return password


def choose_password(staff: Staff, old: str, new: str, again: str) -> None:
    """The person's own new password, in place of `old`, which they have shown to know. Raises Refused."""
    if new != again:
        raise Refused("passwords_differ")
    if new == old:
        raise Refused("password_same")
    refuse_weak(new, (staff.username, staff.name))
    staff.password_hash, staff.one_time_until = hashed(new), None


def deactivate(session: Session, staff: Staff, by: int, now: datetime) -> None:
    """Somebody has left: from their next request on every page is shut to them. Raises Refused for oneself and for the last
    administrator."""
    if staff.id == by:
        raise Refused("not_oneself", 409)
    refuse_last_administrator(session, staff)
    staff.left_at = staff.left_at or now
    sessions.end(session, staff.id, now)


def activate(staff: Staff) -> None:
    """Somebody is back; their password is as it was."""
    staff.left_at = None


def refuse_last_administrator(session: Session, staff: Staff) -> None:
    """Raise Refused when without this person nobody could keep the staff any more."""
    others = select(func.count()).where(Staff.role == "admin", Staff.left_at.is_(None), Staff.id != staff.id)
    if staff.role == "admin" and staff.left_at is None and not session.scalar(others):
        raise Refused("last_administrator", 409)
