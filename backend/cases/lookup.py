"""Where a case stands, for who knows its number and the last four digits of the telephone that was left with it.

Numbers can be counted up and four digits are ten thousand tries, so tries are counted for each number, whether there is such
a case or not: a wrong number and wrong digits get the same answer for the same work, and neither can be tried for long.
"""

import hmac
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, TypeVar

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.cases.models import Case, LookupTries
from backend.cases.numbers import NumberRefused, parse_number
from backend.cases.service import get_case
from backend.clock import Clock
from backend.database import Database
from backend.errors import Refused

T = TypeVar("T")
TRIES: Final = 5
PAUSE: Final = timedelta(hours=1)
"""So many wrong tries of a number, and it can't be looked up until so long after the last of them."""
NOBODY: Final = "none"
"""What the digits of a case are compared with that isn't there, or has no telephone: four digits never equal it."""


def look_up(database: Database, number: str, last_digits: str, now: datetime, show: Callable[[Case], T]) -> T:
    """What `show` makes of the case, called within the transaction that found it. Raises Refused: the number is none (422),
    no such case or other digits (404, and the try is counted), too many tries (429)."""
    try:
        written = parse_number(number)
    except NumberRefused as error:
        raise Refused("case_number_wrong") from error
    if not re.fullmatch(r"[0-9]{4}", last_digits):
        raise Refused("case_not_found", 404)  # nobody guesses with these, so it doesn't count as a try
    with database.write() as session:
        if count_try(session, written, now) > TRIES:
            raise Refused("too_many_lookups", 429)
        contact = session.scalar(select(Case.contact).where(Case.number == written))
        if hmac.compare_digest((contact or NOBODY)[-4:], last_digits):
            session.execute(delete(LookupTries).where(LookupTries.number == written))
            return show(get_case(session, written))
    raise Refused("case_not_found", 404)  # outside the transaction, so that the try is counted


def count_try(session: Session, number: str, now: datetime) -> int:
    """Count a try before anything is compared, so that many at once are no more tries than one after another; returns how
    many there were. Nothing is added once there are too many, so the pause ends."""
    old = LookupTries.tried_at <= now - PAUSE
    session.execute(delete(LookupTries).where(LookupTries.number == number, old))
    with suppress(IntegrityError), session.begin_nested():  # the first try of a number
        session.add(LookupTries(number=number, tries=0, tried_at=now))
    counted = update(LookupTries).where(LookupTries.number == number, LookupTries.tries < TRIES)
    tries = session.scalar(counted.values(tries=LookupTries.tries + 1, tried_at=now).returning(LookupTries.tries))
    return tries or TRIES + 1


def forget_old(database: Database, clock: Clock) -> None:
    """Delete what no longer stops anybody: what the clock does."""
    with database.write() as session:
        session.execute(delete(LookupTries).where(LookupTries.tried_at <= clock() - PAUSE))
