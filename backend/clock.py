"""The clock: a function that is passed in, so that tests and replays can hold it still."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

Clock = Callable[[], datetime]
CHINA = ZoneInfo("Asia/Shanghai")
HOURS: Final = re.compile(r"((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d|24:00)", re.ASCII)


def utc_now() -> datetime:
    """The present moment, aware, in UTC: the clock of every running process."""
    return datetime.now(UTC)


def local(moment: datetime) -> datetime:
    """The same moment as the citizen's wall clock shows it."""
    return moment.astimezone(CHINA)


def read_hours(written: str) -> tuple[str, str]:
    """From when until when, of hours of the day written as HH:MM-HH:MM, in China's time. Raises ValueError for anything
    else, and for an end that isn't after the beginning."""
    found = HOURS.fullmatch(written)
    if found is None or found[1] >= found[2]:
        raise ValueError(f"{written} is not HH:MM-HH:MM")
    return found[1], found[2]


def in_hours(now: datetime, written: str) -> bool:
    """Whether the moment is in these hours of the day."""
    begin, end = read_hours(written)
    return begin <= f"{local(now):%H:%M}" < end
