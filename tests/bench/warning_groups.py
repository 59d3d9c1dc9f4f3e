"""Alerts of hot issues, of words of risks and of new topics on simulated years, beside a plain threshold and three standard
deviations. What counts as found is as in warning.py, with the same seeds for choosing and for reporting.

- Hot issues: every hour the cases of each group in the last 3, 6 and 24 hours (simulated_groups.py), those of 24 for the
  baselines, which look at the mean and the standard deviation of the group's 28 days before. A group that was warned of is
  quiet for QUIET.
- Words of risks: cases by risk and district; of the city's cases as many as SHARES says have such words. The baselines are
  those of warning.py.
- New topics: young groups that the catalogue has no place for, among young groups of usual matters (`topics` says how they
  are invented). The baselines look at what is sorted nowhere, a day's and a week's count.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial
from statistics import median
from typing import Any, Final

import numpy as np

from backend.cases.routing import UNSORTED_CATEGORY
from backend.insight import warning_rules as rules
from backend.insight.warning import YOUNG
from tests.bench import simulated_groups
from tests.bench.simulated_groups import HOURS, WARM_UP, Groups
from tests.bench.simulated_years import DAY, Event, Years, falling

QUIET: Final = round(rules.QUIET["rise"] / timedelta(hours=1))
LEAST: Final = rules.LEAST["burst"]
DAY_HOURS: Final = 24
SIGN_HOURS: Final = rules.SIGN_WEEKS * 168
LEVEL: Final = rules.LEVEL_DAYS * 24
GRID: Final = {"threshold": np.arange(2.0, 30.0, 0.5), "sigma": np.arange(3.0, 40.0, 0.5)}
"""Factors among which the one is chosen with which a baseline raises as many false alarms as we do."""
USUAL: Final = {"threshold": 2.0, "sigma": 3.0}


@dataclass(frozen=True)
class Found:
    """What a method did in one year: alarms, those that were false, and the delay of each thing that happened in hours
    (None: missed)."""

    alarms: int
    false: int
    delays: list[float | None]
    sizes: list[str]


def row_of(parts: Sequence[Found], weeks: float) -> dict[str, Any]:
    """Several years together."""
    delays = [one for part in parts for one in part.delays]
    small = [one for part in parts for one, size in zip(part.delays, part.sizes, strict=True) if size == "small"]
    hits = [one for one in delays if one is not None]
    return {
        "false_per_week": sum(part.false for part in parts) / weeks,
        "alarms_per_week": sum(part.alarms for part in parts) / weeks,
        "recall": len(hits) / len(delays),
        "recall_small": sum(one is not None for one in small) / max(1, len(small)),
        "median_delay_hours": median(hits) if hits else None,
        "events": len(delays),
    }


# --- hot issues -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """A group that got LEAST cases or more in the 24 hours before an hour, and what is known of it."""

    row: int
    hour: int
    counts: dict[int, int]  # of the last so many hours
    before: int  # in the LEVEL_DAYS before the last day
    days: float  # from its first case until then
    daily: tuple[float, float]  # mean and standard deviation of the 28 days before it
    groups: int  # that were alive


Decide = Callable[[Moment], bool]


@dataclass
class Episode:
    """A time in which a group gave signs, and how probable the most unusual one was."""

    begin: int
    last: int
    p: float


def moments(year: Groups) -> list[Moment]:
    """All that can be an alarm, in order."""
    sums = np.zeros((len(year.counts), HOURS + 1), np.int32)
    np.cumsum(year.counts, axis=1, out=sums[:, 1:])
    alive = sums[:, DAY_HOURS + LEVEL :] - sums[:, : -DAY_HOURS - LEVEL] > 0
    groups = np.concatenate([np.full(DAY_HOURS + LEVEL, alive[:, 0].sum()), alive.sum(axis=0)])
    last_day = sums[:, DAY_HOURS:] - sums[:, :-DAY_HOURS]
    first = [int(row.argmax()) for row in year.counts > 0]
    found = []
    for row, at in np.argwhere(last_day >= LEAST):
        hour = int(at) + DAY_HOURS
        if hour < WARM_UP * 24:
            continue
        begin = hour - DAY_HOURS
        days = np.diff(sums[row, begin - 28 * 24 : begin + 1 : 24])
        before = int(sums[row, begin] - sums[row, max(0, begin - LEVEL)])
        spread = float(days.mean()), float(days.std(ddof=1))
        counts = {length: int(sums[row, hour] - sums[row, hour - length]) for length in rules.BURST_HOURS}
        found.append(Moment(int(row), hour, counts, before, (begin - first[row]) / 24, spread, int(groups[hour])))
    return sorted(found, key=lambda one: (one.hour, one.row))


class OursOfGroups:
    """What the line does in a year, with the signs that groups gave so far (warning.note_sign)."""

    def __init__(self) -> None:
        self.episodes: dict[int, list[Episode]] = {}

    def __call__(self, one: Moment) -> bool:
        unusual = rules.of_group(one.counts, one.before, one.days, one.groups)
        if unusual is None:
            return False
        others = [episode for row, some in self.episodes.items() if row != one.row for episode in some]
        known = [episode.p for episode in others if episode.begin >= one.hour - SIGN_HOURS]
        first = min((episode.begin for some in self.episodes.values() for episode in some), default=one.hour)
        own = self.episodes.setdefault(one.row, [])
        if not own or one.hour - own[-1].last > QUIET:
            own.append(Episode(one.hour, one.hour, unusual[0]))
        own[-1].last, own[-1].p = one.hour, min(own[-1].p, unusual[0])
        return unusual[0] < rules.limit_of_groups(known, min(one.hour - first, SIGN_HOURS) / 168)


def plain_of_groups(name: str, factor: float) -> Decide:
    """So many times the mean of four weeks, or one; or the mean and so many standard deviations."""

    def decide(one: Moment) -> bool:
        mean, spread = one.daily
        limit = factor * max(mean, 1.0) if name == "threshold" else mean + factor * spread
        return one.counts[DAY_HOURS] > limit

    return decide


def of_groups(year: Groups, seen: Sequence[Moment], decide: Decide) -> Found:
    """A year of alarms of groups."""
    alarms: list[tuple[int, int]] = []
    last: dict[int, int] = {}
    for one in seen:
        if decide(one):
            if one.hour - last.get(one.row, -QUIET - 1) > QUIET:
                alarms.append((one.row, one.hour))
            last[one.row] = one.hour
    return matched(alarms, [(one.row, one.begin, one.end, one.size) for one in year.happened], 24)


def matched(alarms: Sequence[tuple[int, int]], events: Sequence[tuple[int, int, int, str]], late: int) -> Found:
    """Which alarms (row, hour) are of an event (row, from, until before, size), up to `late` hours after its end."""
    of = [[row == one[0] and one[1] < at <= one[2] + late for one in events] for row, at in alarms]
    delays: list[float | None] = [
        min((at - one[1] for (_, at), hits in zip(alarms, of, strict=True) if hits[place]), default=None)
        for place, one in enumerate(events)
    ]
    return Found(len(alarms), sum(not any(hits) for hits in of), delays, [one[3] for one in events])


def measure_groups(size: int, develop: int, seeds: Sequence[int]) -> dict[str, dict[str, Any]]:
    """All methods on the same years; the factors of "as many" are those of the development year."""
    year = simulated_groups.simulate(develop, size)
    seen = moments(year)
    allowed = of_groups(year, seen, OursOfGroups()).false
    methods: dict[str, Callable[[], Decide]] = {"ours": OursOfGroups}
    for name, factor in USUAL.items():
        methods[f"{name}, as usual"] = partial(plain_of_groups, name, factor)
    for name, grid in GRID.items():
        fits = (one for one in grid if of_groups(year, seen, plain_of_groups(name, one)).false <= allowed)
        methods[f"{name}, as many false alarms"] = partial(plain_of_groups, name, float(next(fits, grid[-1])))
    parts: dict[str, list[Found]] = {name: [] for name in methods}
    for seed in seeds:
        year = simulated_groups.simulate(seed, size)
        seen = moments(year)
        for name, begun in methods.items():
            parts[name].append(of_groups(year, seen, begun()))
    weeks = len(seeds) * (HOURS / 24 - WARM_UP) / 7
    return {name: row_of(some, weeks) for name, some in parts.items()}


# --- words of risks ---------------------------------------------------------------------------------------------------

SHARES: Final = (0.002, 0.010, 0.001)
"""Of a city's cases, those with words of each risk."""
RISK_DISTRICTS: Final = 9
RISK_DAYS: Final = 823
RISK_FROM: Final = 458
"""The first day on which something happens: as in simulated_years.py."""
RISK_EVENTS: Final = 40
RISK_SIZES: Final = {"small": 5, "middle": 9, "large": 20}
RISK_LEAST: Final = 3


def risk_years(seed: int, per_year: int) -> Years:
    """Cases with words of risks by hour, risk and district, and what happened: within 3 to 24 hours so many more in one
    district."""
    chance = np.random.default_rng(seed)
    places = 1 / (np.arange(RISK_DISTRICTS) + 2)
    mean = np.array(SHARES)[:, None] * (places / places.sum())[None] * per_year / 365
    days = np.exp(chance.normal(0, 0.25, (RISK_DAYS, len(SHARES), 1)))
    hours = np.array(DAY, float) / sum(DAY)
    expected = days[:, None] * hours[None, :, None, None] * mean[None, None]
    counts = chance.poisson(expected).reshape(RISK_DAYS * 24, len(SHARES), RISK_DISTRICTS)
    events = []
    for _ in range(RISK_EVENTS):
        size = str(chance.choice(list(RISK_SIZES)))
        risk, place = int(chance.integers(len(SHARES))), int(chance.integers(RISK_DISTRICTS))
        extra, length = int(chance.poisson(RISK_SIZES[size])), int(chance.choice([3, 6, 12, 24]))
        begin = int(chance.integers(RISK_FROM, RISK_DAYS - 3)) * 24 + int(chance.integers(6, 20))
        np.add.at(counts[:, risk, place], begin + chance.choice(length, extra, p=falling(length)), 1)
        events.append(Event("burst", risk + 1, place + 1, begin, begin + length, extra, size))
    return Years(counts.astype(np.uint16), events)


# --- new topics -------------------------------------------------------------------------------------------------------

TOPICS: Final = 24
"""New ones a year."""
TOPIC_CATEGORIES: Final = 60
RIGHT: Final = 0.75
"""Of the cases of a usual matter, those that routing puts into its category; of the rest UNSORTED_SHARE nowhere, the others
into any other one."""
UNSORTED_SHARE: Final = 0.15
NOWHERE: Final = (2.0, 2.0)
"""The share of a new topic's cases that is sorted nowhere: a beta distribution; the others go to NEAREST categories that
sound like it, unevenly (Dirichlet)."""
NEAREST: Final = 4
TOPIC_QUIET: Final = 21
TOPIC_SIZES: Final = {"small": 8, "middle": 20, "large": 50}


@cache
def topics(seed: int, per_year: int) -> tuple[list[list[tuple[int, str]]], list[tuple[int, str]], Counter[int]]:
    """Young groups as lists of (day, category), the first ones new topics; when each of those began and how large it is;
    and how many cases of each day are sorted nowhere, those of groups and all others."""
    chance = np.random.default_rng(seed)
    codes = [f"C{number}" for number in range(TOPIC_CATEGORIES)]
    groups, new = [], []
    for _ in range(TOPICS):
        size = str(chance.choice(list(TOPIC_SIZES)))
        begin, length = int(chance.integers(WARM_UP, 340)), int(chance.integers(5, 22))
        near = chance.choice(codes, NEAREST, replace=False)
        nowhere, shares = chance.beta(*NOWHERE), chance.dirichlet(np.ones(NEAREST))
        days = begin + chance.integers(0, length, max(5, int(chance.poisson(TOPIC_SIZES[size]))))
        sorted_as = chance.choice([UNSORTED_CATEGORY, *near], len(days), p=[nowhere, *(shares * (1 - nowhere))])
        groups.append(sorted(zip(map(int, days), map(str, sorted_as), strict=True)))
        new.append((begin, size))
    left = per_year * simulated_groups.GROUPED * (1 - simulated_groups.LASTING)
    while left > 0:
        size_of = min(2 + int(chance.pareto(simulated_groups.SIZE_TAIL)), 300)
        left -= size_of
        length = int(np.clip(chance.lognormal(np.log(14), 1), 3, 120))
        days = int(chance.integers(0, 365 - length)) + chance.integers(0, length, size_of)
        groups.append(sorted((int(day), routed(chance, codes)) for day in days))
    nowhere_by_day = Counter(day for group in groups for day, code in group if code == UNSORTED_CATEGORY)
    rest = per_year * (1 - simulated_groups.GROUPED * (1 - simulated_groups.LASTING)) / 365
    for day in range(365):
        nowhere_by_day[day] += int(chance.poisson(rest * (1 - RIGHT) * UNSORTED_SHARE))
    return groups, new, nowhere_by_day


def routed(chance: np.random.Generator, codes: Sequence[str]) -> str:
    """Where routing puts a case of a usual matter, whose category is the first one."""
    if chance.random() < RIGHT:
        return codes[0]
    return UNSORTED_CATEGORY if chance.random() < UNSORTED_SHARE else str(codes[int(chance.integers(1, len(codes)))])


def ours_of_topics(groups: Sequence[Sequence[tuple[int, str]]]) -> Iterator[tuple[int, int]]:
    """(group, day) of each alarm, once a group: what the line does every night with the groups of LEVEL_DAYS."""
    came: dict[int, list[tuple[int, str]]] = {}
    for number, group in enumerate(groups):
        for day, code in group:
            came.setdefault(day, []).append((number, code))
    seen, last, warned = [Counter[str]() for _ in groups], dict[int, int](), set[int]()
    for day in range(365):
        for number, code in came.get(day, ()):
            seen[number][code] += 1
            last[number] = day
        if day < WARM_UP:
            continue
        known = [one for one, at in last.items() if at > day - rules.LEVEL_DAYS and seen[one].total() >= LEAST]
        usual = rules.usual_sorting([seen[one] for one in known], UNSORTED_CATEGORY)
        young = [one for one in known if groups[one][0][0] > day - YOUNG.days]
        for number in young:
            unusual = rules.of_topic(seen[number], UNSORTED_CATEGORY, usual, len(young))
            if number not in warned and unusual is not None:
                warned.add(number)
                yield number, day + 1


def plain_of_topics(name: str, factor: float, nowhere: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """(0, day) of each alarm of what is sorted nowhere, by a day's count beside the 28 before or a week's beside the eight
    before; quiet for three weeks after a sign."""
    daily = np.array([nowhere[day] for day in range(365)], float)
    last = -TOPIC_QUIET - 1
    for day in range(WARM_UP + 4, 365):
        weeks = daily[day - 62 : day + 1].reshape(9, 7).sum(axis=1)
        over = (above(daily[day], daily[day - 28 : day], name, factor), above(weeks[-1], weeks[:-1], name, factor))
        if any(over):
            if day - last > TOPIC_QUIET:
                yield 0, day + 1
            last = day


def above(count: float, past: Any, name: str, factor: float) -> bool:
    """Whether a plain rule calls a count unusual."""
    mean = float(past.mean())
    limit = factor * max(mean, 1.0) if name == "threshold" else mean + factor * float(past.std(ddof=1))
    return count >= LEAST and count > limit


def measure_topics(size: int, develop: int, seeds: Sequence[int]) -> dict[str, dict[str, Any]]:
    """All methods on the same years."""

    def of(seed: int, name: str, factor: float) -> Found:
        groups, new, nowhere = topics(seed, size)
        if name == "ours":
            alarms = list(ours_of_topics(groups))
            events = [(number, 24 * begin, 24 * begin, kind) for number, (begin, kind) in enumerate(new)]
        else:
            alarms = list(plain_of_topics(name, factor, nowhere))
            events = [(0, 24 * begin, 24 * begin, kind) for begin, kind in new]
        return matched([(row, 24 * day) for row, day in alarms], events, 24 * YOUNG.days)

    allowed = of(develop, "ours", 0).false
    methods = {"ours": ("ours", 0.0)} | {f"{name}, as usual": (name, factor) for name, factor in USUAL.items()}
    for name, grid in GRID.items():
        fits = (float(one) for one in grid if of(develop, name, float(one)).false <= allowed)
        methods[f"{name}, as many false alarms"] = name, next(fits, float(grid[-1]))
    weeks = len(seeds) * (365 - WARM_UP) / 7
    return {name: row_of([of(seed, *how) for seed in seeds], weeks) for name, how in methods.items()}
