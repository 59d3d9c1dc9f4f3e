"""Invented years of a city's cases, hour by hour, with things that happen in them: what early warning is measured on.

2025 after fifteen months of history, with the holidays that there were; things happen in 2025. Nothing is drawn
from the model that looks for them: levels wander (an Ornstein-Uhlenbeck process of the logarithm, standard deviation
WANDERS, forgetting in 30 days), every day has noise of its own, seasons don't come on the same day each year, and
spells of weather, which nobody should be warned of as of a thing that happened, multiply a category for some days.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backend.calendar import is_public_holiday, is_working_day

FIRST: Final = date(2023, 10, 1)
SECOND: Final = date(2025, 1, 1)
"""The year in which things happen."""
DAYS: Final = 823
CATEGORIES: Final = 60
DISTRICTS: Final = 9
GROWTH: Final = 1.1
"""From year to year."""
WANDERS: Final = 0.10
CATEGORY_NOISE, CITY_NOISE = 0.10, 0.05
"""Standard deviation of a day's logarithm."""
SPELLS: Final = 6
"""Of weather a year, of 2 to 4 days, each 1.3 to 1.6 times the usual of one seasonal category."""
LOCAL_BURSTS, CITY_BURSTS, RISES = 24, 8, 12
"""Things that happen."""
DAY: Final = (4, 2, 2, 1, 1, 3, 10, 28, 62, 85, 88, 76, 52, 50, 66, 74, 72, 64, 50, 42, 36, 28, 18, 9)
NIGHT: Final = (40, 28, 16, 9, 6, 6, 10, 16, 22, 24, 24, 24, 26, 28, 24, 24, 24, 28, 38, 52, 66, 74, 70, 56)
"""How often somebody calls at each hour, of most matters and of noise at night."""


@dataclass(frozen=True)
class Event:
    """Something that happens: which series, from which hour of all until before which, how many more cases."""

    kind: str  # burst, rise
    category: int  # rows of the counts with their sums: 1 on
    district: int  # 0: the whole city
    begin: int
    end: int
    extra: int
    size: str  # small, middle, large


@dataclass(frozen=True)
class Years:
    """Cases by hour, category and district, and what happened."""

    counts: NDArray[np.uint16]
    events: list[Event]


def simulate(seed: int, per_year: int, events: bool = True) -> Years:
    """A history and a year, about `per_year` cases in the history's first year; the same seed gives the same ones."""
    chance = np.random.default_rng(seed)
    mean = expected(chance, per_year)
    counts = chance.poisson(mean)
    if not events:
        return Years(counts.astype(np.uint16), [])
    found: list[Event] = []
    usual = mean.reshape(DAYS, 24, CATEGORIES, DISTRICTS).sum(axis=1).mean(axis=0)
    for _ in range(LOCAL_BURSTS):
        found.append(burst(chance, counts, usual, int(chance.integers(1, DISTRICTS + 1))))
    for _ in range(CITY_BURSTS):
        found.append(burst(chance, counts, usual, 0))
    for number in range(RISES):
        found.append(rise(chance, counts, mean, usual, whole_city=number % 3 == 0))
    return Years(counts.astype(np.uint16), found)


def expected(chance: np.random.Generator, per_year: int) -> NDArray[np.float64]:
    """The mean of each hour (hours x categories x districts)."""
    ranks, places = np.arange(CATEGORIES), np.arange(DISTRICTS)
    share = (1 / (ranks + 4))[:, None] * (1 / (places + 2))[None, :]
    share = share * chance.lognormal(0, 0.4, share.shape)
    share *= per_year / 366 / share.sum()
    days = [FIRST + timedelta(days=number) for number in range(DAYS)]
    level = np.stack([calendar(days, office=bool(chance.random() < 0.5)) for _ in ranks], axis=1)
    level *= np.stack([season(chance, days, int(rank)) for rank in ranks], axis=1)
    level *= GROWTH ** (np.arange(DAYS) / 365)[:, None]
    level *= np.exp(wandering(chance))
    level *= np.exp(chance.normal(0, CATEGORY_NOISE, level.shape) + chance.normal(0, CITY_NOISE, (DAYS, 1)))
    for _ in range(SPELLS * DAYS // 365):
        begin, row = int(chance.integers(0, DAYS - 4)), int(chance.choice(ranks[ranks % 5 < 2]))
        level[begin : begin + int(chance.integers(2, 5)), row] *= chance.uniform(1.3, 1.6)
    hours = np.stack([np.array(NIGHT if chance.random() < 0.15 else DAY, float) for _ in ranks], axis=1)
    hours /= hours.sum(axis=0)
    by_hour = level[:, None, :] * hours[None, :, :]
    found: NDArray[np.float64] = by_hour.reshape(DAYS * 24, CATEGORIES)[:, :, None] * share[None]
    return found


def calendar(days: list[date], office: bool) -> NDArray[np.float64]:
    """How often a matter of offices, or of homes, comes on each day."""
    off, holiday = (0.5, 0.3) if office else (0.9, 0.75)
    week = (1.15, 1.08, 1.03, 1.0, 1.0, off, off * 0.93)

    def of(day: date) -> float:
        if is_public_holiday(day):
            return holiday
        return 1.0 if is_working_day(day) and day.weekday() >= 5 else week[day.weekday()]

    return np.array([of(day) for day in days])


def season(chance: np.random.Generator, days: list[date], rank: int) -> NDArray[np.float64]:
    """The seasons of a category: heating (a step each November and March), summer or winter (a wave), the months before
    school begins, or none; each year some days earlier or later."""
    shift = {year: int(chance.integers(-4, 5)) for year in (2023, 2024, 2025)}
    number = np.array([(day - timedelta(days=shift[day.year])).timetuple().tm_yday for day in days])
    cold = 0.5 + 0.5 * np.cos((number - 15) / 365 * 2 * np.pi)
    if rank % 15 == 1:
        return np.where((number >= 319) | (number < 75), 1.0 + 4 * cold**2, 0.3)
    if rank % 5 == 0:
        return 0.6 + 0.8 * (1 - cold)
    if rank % 15 == 6:
        return np.where((number >= 166) & (number < 244), 2.5, 1.0)
    return 0.7 + 0.6 * cold if rank % 5 == 1 else np.ones(len(days))


def wandering(chance: np.random.Generator) -> NDArray[np.float64]:
    """The logarithm of how far each category's level has wandered, day by day."""
    keeps = np.exp(-1 / 30)
    steps = chance.normal(0, WANDERS * np.sqrt(1 - keeps**2), (DAYS, CATEGORIES))
    found = np.zeros((DAYS, CATEGORIES))
    found[0] = chance.normal(0, WANDERS, CATEGORIES)
    for day in range(1, DAYS):
        found[day] = keeps * found[day - 1] + steps[day]
    return found


def burst(chance: np.random.Generator, counts: NDArray[Any], usual: NDArray[np.float64], district: int) -> Event:
    """Something breaks: within 3 to 24 hours 6, 12 or 25 cases more than usual (so many times the root of what a day of the
    series has, where it has more than one), three times as many when it is in the whole city."""
    category = int(chance.integers(1, CATEGORIES + 1))
    size = str(chance.choice(["small", "middle", "large"]))
    per_day = usual[category - 1, district - 1] if district else usual[category - 1].sum()
    many = {"small": 6, "middle": 12, "large": 25}[size] * max(1.0, float(per_day) ** 0.5) * (1 if district else 3)
    length = int(chance.choice([3, 6, 12, 24]))
    begin = int(chance.integers((SECOND - FIRST).days, DAYS - 3)) * 24 + int(chance.integers(6, 20))
    extra = int(chance.poisson(many))
    hours = begin + chance.choice(length, extra, p=falling(length))
    if district:
        places = np.full(extra, district - 1)
    else:
        places = chance.choice(DISTRICTS, extra, p=usual[category - 1] / usual[category - 1].sum())
    np.add.at(counts[:, category - 1], (hours, places), 1)
    return Event("burst", category, district, begin, begin + length, extra, size)


def falling(length: int) -> NDArray[np.float64]:
    """Shares of hours: most call at once."""
    weights = np.exp(-np.arange(length) / (length / 2))
    found: NDArray[np.float64] = weights / weights.sum()
    return found


def rise(
    chance: np.random.Generator,
    counts: NDArray[Any],
    mean: NDArray[np.float64],
    usual: NDArray[np.float64],
    whole_city: bool,
) -> Event:
    """Something grows worse: in 3 to 8 weeks to 1.6 (small), 2.2 (middle) or 3 times the usual, and two weeks so. Of series
    that have a case every other day at least; of those in one district, if there are any."""
    pairs = np.argwhere(usual >= 0.5)
    category, place = (int(one) for one in pairs[chance.integers(len(pairs))])
    where = slice(None) if whole_city else slice(place, place + 1)
    size = str(chance.choice(["small", "middle", "large"]))
    grows = int(chance.integers(3, 9)) * 7 * 24
    begin = int(chance.integers((SECOND - FIRST).days, DAYS - 75)) * 24
    times = {"small": 0.6, "middle": 1.2, "large": 2.0}[size] * np.minimum(np.arange(grows + 14 * 24) / grows, 1)
    end = begin + len(times)
    more = chance.poisson(mean[begin:end, category, where] * times[:, None])
    counts[begin:end, category, where] += more
    return Event("rise", category + 1, 0 if whole_city else place + 1, begin, end, int(more.sum()), size)
