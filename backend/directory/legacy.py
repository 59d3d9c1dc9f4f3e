"""Old numbers: the hotlines that were merged into 12345, found by the number that was dialled."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.directory.categories import in_use
from backend.directory.models import Agency, LegacyNumber, Staff
from backend.errors import Refused

SHORT = re.compile(r"(?:\+?86)?0?(?:[1-9]\d{1,2})?(12\d{3}|9[56]\d{3,4})")
"""A short number, alone or after an area code: 12XYZ and 95XXX, 96XXX are service numbers (工信部《电信网编号计划》)."""
NUMBER = re.compile(r"\+?\d{3,15}")
NAME_LIMIT = 60
GREETING_LIMIT = 300


@dataclass(frozen=True)
class LegacyContent:
    """What a supervisor says of an old number. `category` and `agency` are codes, or empty."""

    number: str
    name: str
    greeting_zh: str
    greeting_yue: str
    greeting_en: str
    category: str = ""
    agency: str = ""
    basis: str = ""
    active: bool = True


def written(dialled: str) -> str:
    """A dialled number in the one form in which it is kept: a short number without area code (12319), all others as given,
    E.164 (+8655187654321). The user part of a SIP address counts; empty for what is no number. At most 20 characters."""
    plain = re.sub(r"^sips?:|@.*$|[\s()-]", "", dialled)
    if not NUMBER.fullmatch(plain) or not plain.isascii():
        return ""
    short = SHORT.fullmatch(plain)
    return short[1] if short else plain


def legacy_number(session: Session, dialled: str) -> LegacyNumber | None:
    """The old number that was dialled, if it is one and in use."""
    found = session.get(LegacyNumber, written(dialled))
    return found if found and found.active else None


def legacy_numbers(session: Session) -> list[LegacyNumber]:
    """All of them, in the order of their numbers."""
    return list(session.scalars(select(LegacyNumber).order_by(LegacyNumber.number)))


def save(session: Session, content: LegacyContent, by: Staff, now: datetime) -> LegacyNumber:
    """Keep what is said of a number, new or not. Raises Refused with the first thing that is wrong."""
    number = written(content.number)
    if not number:
        raise Refused("number_unreadable")
    for text, limit in (
        (content.name, NAME_LIMIT),
        (content.greeting_zh, GREETING_LIMIT),
        (content.greeting_en, GREETING_LIMIT),
    ):
        require(text, limit)
    require(content.greeting_yue or "-", GREETING_LIMIT)
    require(content.basis or "-", 200)
    known_codes(session, [content.category] if content.category else [])
    if content.agency and session.get(Agency, content.agency) is None:
        raise Refused("code_unknown", value=content.agency)
    row = session.get(LegacyNumber, number) or LegacyNumber(number=number)
    row.name, row.basis, row.active = content.name, content.basis, content.active
    row.greeting_zh, row.greeting_yue, row.greeting_en = content.greeting_zh, content.greeting_yue, content.greeting_en
    row.category_code, row.agency_code = content.category or None, content.agency or None
    row.changed_by_id, row.changed_at = by.id, now
    session.add(row)
    session.flush()
    return row


def require(text: str, limit: int) -> None:
    """Raise Refused unless there is a text of at most `limit` characters."""
    if not text:
        raise Refused("something_empty")
    if len(text) > limit:
        raise Refused("field_too_long", limit=limit, length=len(text))


def known_codes(session: Session, codes: Iterable[str]) -> None:
    """Raise Refused for a code that no category in use has."""
    for code in codes:
        in_use(session, code)
