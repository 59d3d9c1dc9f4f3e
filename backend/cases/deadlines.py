"""Deadlines: periods of a jurisdiction's profile in working days of China, calendar days or hours, and the marks on the way
to them. Pure: the profile, the city's own days and the moment are passed in; only what ships is read from files, once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from backend.calendar import is_working_day
from backend.cases.rules import KINDS, URGENCIES
from backend.clock import CHINA, local

DATA = Path(__file__).resolve().parents[2] / "nlu_data"

Unit = Literal["hours", "working_days", "calendar_days"]
UNITS: tuple[Unit, ...] = ("hours", "working_days", "calendar_days")
OwnDays = Mapping[date, bool]
"""Days that the city has set to working or not, which come before every other rule."""


class Strict(BaseModel):
    """A part of a profile: nothing in it that isn't known, nothing changed after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Period(Strict):
    """So many hours, working days or calendar days."""

    count: int = Field(ge=1, le=999)
    unit: Unit

    @model_validator(mode="before")
    @classmethod
    def read_short_form(cls, value: Any) -> Any:
        """{working_days: 5} as a person writes it."""
        if isinstance(value, dict) and len(value) == 1 and set(value) <= set(UNITS):
            [(unit, count)] = value.items()
            return {"count": count, "unit": unit}
        return value


class ReplyPeriod(Strict):
    """How long a reply may take to cases of this urgency, kind and category; what is empty fits all."""

    urgency: str = Field("", pattern="|".join(["", *URGENCIES]).join(("^(", ")$")))
    kind: str = Field("", pattern="|".join(["", *KINDS]).join(("^(", ")$")))
    category: str = Field("", max_length=40)
    period: Period

    @model_validator(mode="before")
    @classmethod
    def read_short_form(cls, value: Any) -> Any:
        """{category: UT, hours: 24} as a person writes it."""
        if isinstance(value, dict) and "period" not in value:
            period = {unit: value[unit] for unit in UNITS if unit in value}
            return {name: part for name, part in value.items() if name not in UNITS} | {"period": period}
        return value

    def fits(self, urgency: str, kind: str, category: str) -> bool:
        """Whether this row is about such a case."""
        return (
            self.urgency in ("", urgency)
            and self.kind in ("", kind)
            and (self.category in ("", category) or category.startswith(f"{self.category}-"))
        )


Told = Literal["handler", "holder", "above", "supervisor"]
TOLD: tuple[Told, ...] = get_args(Told)
"""Who can be told: `handler` the person who signed for the case (as long as nobody has, all whose turn it is), `holder` all
whose turn it is, `above` the agency over theirs, `supervisor`."""
Mark = Literal["yellow", "red", "overdue"]
MARKS: tuple[Mark, ...] = get_args(Mark)
LATEST = 3
"""The last step of a chain comes when the time is over so many times."""


class Warning(Strict):
    """One step of the escalation chain: the mark that a case has when this part of its time is over, and who is told then.
    Above 1 the time is over already, and whoever was told has let it lie."""

    mark: Mark
    at: float = Field(gt=0, le=LATEST)
    tells: tuple[Told, ...]

    @model_validator(mode="after")
    def is_overdue_when_the_time_is_over(self) -> "Warning":
        """A case is overdue when its time is over, and not before."""
        if (self.mark == "overdue") != (self.at >= 1):
            raise ValueError("overdue is what comes at the end of the time or after it")
        return self


class Profile(Strict):
    """All periods of a jurisdiction (nlu_data/deadlines.yml says what each is)."""

    source: str = Field(min_length=1, max_length=500)
    reply: tuple[ReplyPeriod, ...] = Field(min_length=1, max_length=50)
    accept: Period
    dispatch: Period
    sign: Period
    send_back: Period
    rule: Period
    extension: Period
    pause: Period
    visit: Period
    review: Period
    redo: Period
    supervision: Period
    supervise_after: Period
    unanswered: Period
    visit_tries: int = Field(ge=1, le=20)
    warnings: tuple[Warning, ...]

    @model_validator(mode="after")
    def covers_every_case(self) -> "Profile":
        """The last row of `reply` must fit all, so that no case is without a deadline."""
        if not self.reply[-1].fits("", "", ""):
            raise ValueError("the last reply period must fit every case")
        return self

    @field_validator("warnings")
    @classmethod
    def goes_up(cls, chain: tuple[Warning, ...]) -> tuple[Warning, ...]:
        """The chain is in the order of time, its marks go up, and one step comes at the very end of the time."""
        if [step.at for step in chain] != sorted({step.at for step in chain}):
            raise ValueError("warnings must be in the order of time")
        marks = [MARKS.index(step.mark) for step in chain]
        if marks != sorted(marks) or all(step.at != 1 for step in chain):
            raise ValueError("marks must go up, and one must come when the time is over")
        return chain

    def reply_period(self, urgency: str, kind: str, category: str) -> Period:
        """How long the reply to such a case may take."""
        return next(row.period for row in self.reply if row.fits(urgency, kind, category))


PERIODS = tuple(name for name, field in Profile.model_fields.items() if field.annotation is Period)
"""The names of a profile's single periods, in their order."""

STEPS: Mapping[str, str] = {
    "filed": "accept",
    "accepted": "dispatch",
    "dispatched": "sign",
    "disputed": "rule",
    "paused": "pause",
    "replied": "visit",
    "visited": "review",
}
"""open state -> the period in which whose turn it is must act; in all others it is the reply that is due."""


@cache
def shipped_profiles() -> dict[str, Profile]:
    """The profiles of nlu_data/deadlines.yml."""
    loaded = yaml.safe_load((DATA / "deadlines.yml").read_text(encoding="utf-8"))
    return {name: Profile.model_validate(profile) for name, profile in loaded.items()}


@dataclass(frozen=True)
class Deadlines:
    """A profile with the city's own days: everything that deadlines depend on but the moment itself."""

    profile: Profile
    own_days: OwnDays

    def after(self, start: datetime, period: Period, count: int | None = None) -> datetime:
        """When `period` (or `count` of its units) from `start` is over.

        Hours count from the moment itself; days from the day after, and end with the last minute of the last day in
        Asia/Shanghai.
        """
        left = period.count if count is None else count
        if period.unit == "hours":
            return start + timedelta(hours=left)
        day = local(start).date()
        while left:
            day += timedelta(days=1)
            left -= self.counts(day, period.unit)
        return datetime.combine(day, time(23, 59), tzinfo=CHINA)

    def counts(self, day: date, unit: Unit) -> bool:
        """Whether a period in `unit` runs on this day."""
        return unit != "working_days" or is_working_day(day, self.own_days)

    def moved(self, due: datetime, unit: Unit, stopped: datetime, resumed: datetime) -> datetime:
        """A deadline whose clock stood still from `stopped` to `resumed`: later by that time, or by the days of its unit."""
        if unit == "hours":
            return due + (resumed - stopped)
        day, last = local(stopped).date(), local(resumed).date()
        missed = 0
        while day < last:
            day += timedelta(days=1)
            missed += self.counts(day, unit)
        return self.after(due, Period(count=1, unit=unit), missed) if missed else due

    def reply_due(self, filed_at: datetime, urgency: str, kind: str, category: str) -> datetime:
        """When the reply to such a case is due."""
        return self.after(filed_at, self.profile.reply_period(urgency, kind, category))

    def step_due(self, state: str, since: datetime, reply_due: datetime) -> datetime:
        """By when whose turn it is in the open `state`, entered at `since`, must have acted."""
        step = STEPS.get(state)
        return self.after(since, getattr(self.profile, step)) if step else reply_due

    def mark(self, since: datetime, due: datetime, now: datetime) -> str:
        """The last mark whose part of the time from `since` to `due` is over: yellow, red, overdue, or nothing."""
        reached = [warning.mark for warning in self.profile.warnings if now > self.moment(since, due, warning.at)]
        return reached[-1] if reached else ""

    def next_mark(self, since: datetime, due: datetime, now: datetime) -> datetime | None:
        """When the next mark comes, None when there is none left."""
        moments = (self.moment(since, due, warning.at) for warning in self.profile.warnings)
        return next((moment for moment in moments if moment >= now), None)

    def tells(self, since: datetime, due: datetime, mark: str, pending: datetime, now: datetime) -> tuple[str, ...]:
        """Who is told at `now` of a case that has this mark and whose next step was to come at `pending`: all whom the steps
        name that have come since, each once, however long nobody looked."""
        told = [
            one
            for step in self.profile.warnings
            if (moment := self.moment(since, due, step.at)) < now and (moment >= pending or is_above(step.mark, mark))
            for one in step.tells
        ]
        return tuple(dict.fromkeys(told))

    @staticmethod
    def moment(since: datetime, due: datetime, part: float) -> datetime:
        """The moment at which `part` of the time is over; what was due before it began is over at once."""
        return due if due <= since else since + (due - since) * part


def is_above(mark: str, other: str) -> bool:
    """Whether a mark says that it is later than another, or than none."""
    return other not in MARKS or MARKS.index(mark) > MARKS.index(other)
