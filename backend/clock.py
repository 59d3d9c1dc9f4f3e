"""The clock: a function that is passed in, so that tests and replays can hold it still."""

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

Clock = Callable[[], datetime]
CHINA = ZoneInfo("Asia/Shanghai")


def utc_now() -> datetime:
    """The present moment, aware, in UTC: the clock of every running process."""
    return datetime.now(UTC)


def local(moment: datetime) -> datetime:
    """The same moment as the citizen's wall clock shows it."""
    return moment.astimezone(CHINA)
