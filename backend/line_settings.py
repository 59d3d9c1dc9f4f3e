"""What a city changes about its line while it runs: a few settings on a page, over what the environment says.

Every process looks at the record once a second (backend/followed.py), so a change holds in all of them within two seconds.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from backend.audit import audited
from backend.clock import read_hours
from backend.database import Base, Database
from backend.errors import Refused
from backend.followed import Followed
from backend.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LineSettings:
    """The settings that hold now. Times are seconds where nothing else is said."""

    queue_limit: int
    calling_hours: str  # HH:MM-HH:MM in China's time
    call_recording: str  # one of RECORDING
    long_wait: int = 60  # from then on a wait is marked on the desk
    too_long_wait: int = 180
    idle_minutes: int = 10  # after the last word in a chat its citizen is asked; as long after that it is closed
    first_gap: int = 2  # hours to wait after the first try of a return visit without answers: another time of day
    second_gap: int = 20  # after the second: another day
    later_gap: int = 50  # and after each of the others

    @property
    def asked_after(self) -> timedelta:
        """`idle_minutes` as a length of time."""
        return timedelta(minutes=self.idle_minutes)

    def gap_after(self, tries: int) -> timedelta:
        """How long to wait for the next try of a return visit after so many (1 or more) without answers."""
        gaps = (self.first_gap, self.second_gap, self.later_gap)
        return timedelta(hours=gaps[min(tries, len(gaps)) - 1])


RECORDING: Final = ("off", "notice", "consent")
BOUNDS: Final = {
    "queue_limit": (15, 1800),
    "long_wait": (5, 1800),
    "too_long_wait": (10, 3600),
    "idle_minutes": (2, 120),
    "first_gap": (1, 240),
    "second_gap": (1, 240),
    "later_gap": (1, 240),
}
"""The least and the most of each number."""


@audited("setting")
class CitySetting(Base):
    """One setting that the city has changed."""

    __tablename__ = "city_settings"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[str] = mapped_column(String(40))


class SettingsKept:
    """The settings of the line in one process: `delivered` as the environment has them, called: as they hold now."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.delivered = LineSettings(settings.queue_limit, settings.calling_hours, settings.call_recording)
        self._now = Followed(database, self._read, self.delivered)

    def __call__(self) -> LineSettings:
        """What holds now, at most a second old."""
        return self._now()

    def look_again(self) -> None:
        """This process has just changed them."""
        self._now.look_again()

    def change(self, session: Session, wanted: Mapping[str, str]) -> None:
        """Keep these values; what is as delivered needs no row. Raises Refused with the field's name in `facts`."""
        found = settings_of(wanted, self.delivered)
        for name, delivered in asdict(self.delivered).items():
            row = session.get(CitySetting, name)
            value = getattr(found, name)
            if value == delivered:
                if row:
                    session.delete(row)
            elif row:
                row.value = str(value)
            else:
                session.add(CitySetting(name=name, value=str(value)))

    def _read(self, session: Session) -> LineSettings:
        """As delivered, with what the city has changed; a value that this release refuses doesn't count."""
        kept = {row.name: row.value for row in session.scalars(select(CitySetting))}
        found = self.delivered
        for name, value in kept.items():
            try:
                found = replace(found, **{name: value_of(name, value)})
            except (Refused, TypeError):
                log.error("the city's value of %s can't be used; what is delivered holds", name)
        return found


def settings_of(wanted: Mapping[str, str], delivered: LineSettings) -> LineSettings:
    """The settings of a form, which may leave what is delivered as it is. Pure. Raises Refused."""
    values = {
        name: value if wanted[name] == str(value) else value_of(name, wanted[name])
        for name, value in asdict(delivered).items()
    }
    found = LineSettings(**values)
    if found.long_wait >= found.too_long_wait:
        raise Refused("setting_waits", setting="too_long_wait")
    return found


def value_of(name: str, written: str) -> Any:
    """The value of one setting. Raises Refused, whose fact `setting` says which."""
    if name in BOUNDS:
        least, most = BOUNDS[name]
        if not re.fullmatch(r"[0-9]{1,5}", written) or not least <= int(written) <= most:
            raise Refused("setting_number", setting=name, least=least, most=most)
        return int(written)
    if name == "call_recording" and written not in RECORDING:
        raise Refused("bad_request", 400, setting=name)
    if name == "calling_hours":
        try:
            read_hours(written)
        except ValueError as error:
            raise Refused("setting_hours", setting=name) from error
    return written
