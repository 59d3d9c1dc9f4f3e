"""Invented years of hot issues, hour by hour, with things that happen in them: what alerts of groups, words of risks and new
topics are measured on.

There are matters that never end (a square with loud music: a case now and then, all year) and matters that come and go, as
many as it takes for GROUPED of the year's cases. Each goes on as chance has it, on some days more than on others
(the noise of the day is its own), by day and less at weekends. Nothing is drawn from the rules that look at it.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tests.bench.simulated_years import DAY, falling

YEAR_DAYS: Final = 365
WARM_UP: Final = 60
"""Days before the first thing happens."""
HOURS: Final = YEAR_DAYS * 24
FIRST: Final = date(2025, 1, 1)
GROUPED: Final = 0.4
"""Of the cases, those that are not alone."""
LASTING: Final = 0.5
"""Of the grouped cases, those of matters that never end."""
LASTING_GROUPS: Final = 300
DAY_NOISE: Final = 0.35
"""Standard deviation of a day's logarithm, of each matter."""
SIZE_TAIL: Final = 1.3
"""The sizes of matters that come and go are Pareto's, from 2 on."""
MATTER_DAYS: Final = (14.0, 1.0)
"""How long they go on: median in days, standard deviation of the logarithm."""
EVENTS: Final = 60
SIZES: Final = {"small": 6, "middle": 12, "large": 25}
"""Cases that a thing that happens brings, within 3 to 24 hours; as many times the root of what its group has in a day."""


@dataclass(frozen=True)
class Happening:
    """Something that happens in a group: from which hour until before which, how many cases."""

    row: int
    begin: int
    end: int
    extra: int
    size: str


@dataclass(frozen=True)
class Groups:
    """Cases by group and hour, and what happened."""

    counts: NDArray[np.uint16]
    happened: list[Happening]


def simulate(seed: int, per_year: int) -> Groups:
    """A year of groups of a city with so many cases; the same seed gives the same one."""
    chance = np.random.default_rng(seed)
    weights = hours_of_year()
    grouped = per_year * GROUPED
    rows = [*lasting(chance, grouped * LASTING, weights)]
    left = grouped * (1 - LASTING)
    while left > 0:
        size = min(2 + int(chance.pareto(SIZE_TAIL)), 300)
        left -= size
        rows.append(passing(chance, size, weights))
    happened = []
    for _ in range(EVENTS):
        fresh = chance.random() < 0.5
        if fresh:
            rows.append(np.zeros(HOURS, np.uint16))
        row = len(rows) - 1 if fresh else int(chance.integers(LASTING_GROUPS))
        happened.append(happen(chance, rows, row))
    return Groups(np.stack(rows), happened)


def hours_of_year() -> NDArray[np.float64]:
    """How often somebody calls at each hour of the year; the sum is 1."""
    week = [0.7 if (FIRST + timedelta(days=day)).weekday() >= 5 else 1.1 for day in range(YEAR_DAYS)]
    found: NDArray[np.float64] = np.outer(week, np.array(DAY, float)).ravel()
    found /= found.sum()
    return found


def lasting(chance: np.random.Generator, cases: float, weights: NDArray[np.float64]) -> list[NDArray[Any]]:
    """Matters that never end: a few have much, many little."""
    share = 1 / np.arange(4, LASTING_GROUPS + 4)
    means = cases * share / share.sum()
    return [chance.poisson(mean * weights * noise(chance)).astype(np.uint16) for mean in means]


def passing(chance: np.random.Generator, size: int, weights: NDArray[np.float64]) -> NDArray[Any]:
    """A matter that comes and goes."""
    days = int(np.clip(chance.lognormal(np.log(MATTER_DAYS[0]), MATTER_DAYS[1]), 3, 120))
    begin = int(chance.integers(0, YEAR_DAYS - days)) * 24
    at = (weights * noise(chance))[begin : begin + days * 24]
    row = np.zeros(HOURS, np.uint16)
    np.add.at(row, begin + chance.choice(len(at), size, p=at / at.sum()), 1)
    return row


def noise(chance: np.random.Generator) -> NDArray[np.float64]:
    """Of each hour, that of its day; the mean is about 1."""
    return np.repeat(np.exp(chance.normal(-(DAY_NOISE**2) / 2, DAY_NOISE, YEAR_DAYS)), 24)


def happen(chance: np.random.Generator, rows: list[NDArray[Any]], row: int) -> Happening:
    """Something happens in a group: most call at once."""
    size = str(chance.choice(list(SIZES)))
    per_day = float(rows[row].sum()) / YEAR_DAYS
    extra = int(chance.poisson(SIZES[size] * max(1.0, per_day**0.5)))
    length = int(chance.choice([3, 6, 12, 24]))
    begin = int(chance.integers(WARM_UP, YEAR_DAYS - 3)) * 24 + int(chance.integers(6, 20))
    np.add.at(rows[row], begin + chance.choice(length, extra, p=falling(length)), 1)
    return Happening(row, begin, begin + length, extra, size)
