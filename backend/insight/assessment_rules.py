"""How agencies are assessed: what counts, what is left out and why, the score, the ranking, who may appeal. Pure; the
numbers that a city sets are in nlu_data/assessment.yml, and docs/assessment.md says it all in words.

The three rates themselves are those of figures.Counts, here over the ratings that count; so there is one definition of
响应率, 解决率 and 满意率 in the line. The five grades, and 基本满意 that counts in part, are those of published rules of
districts.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, Final

import yaml

from backend.insight.figures import Counts
from backend.settings import ROOT

LEFT_OUT: Final = ("appeal", "out_of_remit", "withdrawn", "line")
"""Why a rating doesn't count, the first that holds: an appeal was upheld; the case turned out to be none of the city's or
was joined to another one (剔除, 并单); the citizen took it back; the line itself had answered, so no agency is rated."""
OUT_OF_REMIT: Final = frozenset({"declined", "transferred", "merged"})
GRADE_OF: Final = {True: 4, False: 2}
"""What somebody who was asked yes or no only is taken to have said."""


@dataclass(frozen=True)
class Rating:
    """What was said at the last return visits of `count` cases that are alike in all that counts."""

    value: str  # the agency whose answer was rated (empty: none), or the district or category of the case
    by_line: bool  # the line itself had answered
    state: str  # the final one; empty: still open
    appeal_upheld: bool
    contacted: bool
    solved: bool
    satisfied: bool
    grade: int | None
    count: int = 1


@dataclass(frozen=True)
class Settings:
    """nlu_data/assessment.yml."""

    grades: Mapping[int, float]
    weights: Mapping[str, float]
    least_rated: int
    appeal_days: int
    freeze_day: int


@dataclass(frozen=True)
class Standing:
    """One agency's, district's or category's figures: the ratings that count, the points of their grades, the ratings left
    out by reason; and beside the rates what else the period shows of it."""

    value: str
    counts: Counts
    points: float = 0.0
    left_out: Mapping[str, int] = field(default_factory=dict)
    unreached: int = 0
    send_backs: int = 0

    @property
    def graded(self) -> float | None:
        """The graded satisfaction, 0 to 1: the mean of what the grades count."""
        return self.points / self.counts.visited if self.counts.visited else None

    def score(self, settings: Settings) -> float | None:
        """0 to 100; None without a rating that counts."""
        shares = {
            "contacted": self.counts.contacted_rate,
            "solved": self.counts.solved_rate,
            "satisfaction": self.graded,
        }
        given = [(weight, shares[name]) for name, weight in settings.weights.items()]
        return None if self.graded is None else 100 * sum(weight * (share or 0.0) for weight, share in given)


@cache
def city_settings() -> Settings:
    """The settings of the city. Raises ValueError for ones that can't be."""
    read: dict[str, Any] = yaml.safe_load((ROOT / "nlu_data" / "assessment.yml").read_text(encoding="utf-8"))
    settings = Settings(**read)
    if abs(sum(settings.weights.values()) - 1) > 1e-9 or set(settings.grades) != {1, 2, 3, 4, 5}:
        raise ValueError("nlu_data/assessment.yml: weights add up to 1, and each of the five grades counts something")
    return settings


def left_out(appeal_upheld: bool, state: str, by_line: bool) -> str:
    """Why a rating doesn't count, one of LEFT_OUT; empty: it counts."""
    if appeal_upheld:
        return "appeal"
    if state in OUT_OF_REMIT:
        return "out_of_remit"
    if state == "withdrawn":
        return "withdrawn"
    return "line" if by_line else ""


def standing(value: str, ratings: Iterable[Rating], settings: Settings) -> Standing:
    """The ratings added up. A case is in them once, however often the citizen filed it again: what is joined (并单) has no
    visit of its own."""
    counts, points, out = Counts(), 0.0, Counter[str]()
    for one in ratings:
        if reason := left_out(one.appeal_upheld, one.state, one.by_line):
            out[reason] += one.count
            continue
        said = {"visited": 1, "contacted": one.contacted, "solved": one.solved, "satisfied": one.satisfied}
        counts += Counts(**{name: one.count * int(yes) for name, yes in said.items()})
        points += one.count * settings.grades[one.grade or GRADE_OF[one.satisfied]]
    return Standing(value, counts, points, {reason: out[reason] for reason in LEFT_OUT if out[reason]})


def standings(ratings: Iterable[Rating], settings: Settings) -> dict[str, Standing]:
    """A standing for each agency, district or category that occurs."""
    groups: dict[str, list[Rating]] = {}
    for one in ratings:
        groups.setdefault(one.value, []).append(one)
    return {value: standing(value, group, settings) for value, group in groups.items()}


def ranked(found: Iterable[Standing], settings: Settings) -> list[tuple[int | None, Standing]]:
    """The standings with their places, best first; equal scores share a place. Who has fewer than `least_rated` ratings that
    count comes after all others and has none."""
    every = list(found)
    enough = [one for one in every if one.counts.visited >= settings.least_rated]
    few = [one for one in every if one.counts.visited < settings.least_rated]
    scores = {one.value: round(one.score(settings) or 0.0, 6) for one in enough}
    enough.sort(key=lambda one: (-scores[one.value], one.value))
    placed: list[tuple[int | None, Standing]] = [
        (1 + sum(other > scores[one.value] for other in scores.values()), one) for one in enough
    ]
    return placed + [(None, one) for one in sorted(few, key=lambda one: one.value)]


def may_appeal(said_at: datetime, perfect: bool, now: datetime, settings: Settings) -> bool:
    """Whether a rating can still be appealed against: in time, and there is something to complain of."""
    return not perfect and now <= said_at + timedelta(days=settings.appeal_days)


def month_to_freeze(today: date, settings: Settings) -> date | None:
    """The first day of the month that is to be frozen by now; None: it is too early in this month."""
    last_of_before = today.replace(day=1) - timedelta(days=1)
    return last_of_before.replace(day=1) if today.day >= settings.freeze_day else None
