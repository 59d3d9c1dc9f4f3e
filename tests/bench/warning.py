"""Early warning on simulated years (simulated_years.py), beside a plain threshold and a rule of three standard deviations.

Development years (DEVELOPMENT) chose the constants of backend/insight/warning_rules.py and to what the baselines are set
when they may raise as many false alarms as we do; the figures are those of other seeds (REPORT). What counts as found: an
alarm between the beginning of a thing and a day (a week, of rises) after its end, for a series that has cases in common with
it. Every alarm that is of nothing is a false one; a second alarm of the same thing is a repetition.

`python -m tests.bench warning` measures the reported seeds; WARNING_SEEDS=development the others.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from statistics import median
from typing import Any, Final

import numpy as np

from backend.clock import CHINA
from backend.insight import warning_rules as rules
from backend.insight.warning_rules import Baseline, Episode, Kind, Look, Signal
from tests.bench import warning_groups
from tests.bench.simulated_years import CATEGORIES, DISTRICTS, FIRST, SECOND, Event, Years, simulate

DEVELOPMENT: Final = (1, 2, 3)
REPORT: Final = (101, 102)
SIZES: Final = (44_000, 440_000)
"""Cases in a year."""
SERIES: Final = (CATEGORIES + 1) * (DISTRICTS + 1)
LATE: Final[dict[str, timedelta]] = {"burst": timedelta(days=1), "rise": timedelta(days=7)}
USUAL: Final[dict[str, dict[Kind, float]]] = {
    "threshold": {"burst": 2.0, "rise": 1.5},
    "sigma": {"burst": 3.0, "rise": 3.0},
}
"""How the baselines are usually set: twice a day's mean and half as much again as a week's; three standard deviations."""

MATCHED: Final[dict[int, dict[str, dict[Kind, float]]]] = {
    44_000: {"threshold": {"burst": 6.0, "rise": 4.0}, "sigma": {"burst": 7.0, "rise": 8.0}},
    440_000: {"threshold": {"burst": 7.5, "rise": 5.0}, "sigma": {"burst": 6.0, "rise": 10.0}},
}
"""Factors with which the baselines raise about as many false alarms as we do (as the first development year had it)."""
LIMITS: Final[dict[Kind, float]] = {kind: rules.threshold(kind, SERIES) for kind in rules.BUDGETS}
NO_LIMITS: Final[dict[Kind, float]] = {"burst": -1.0, "rise": -1.0}
Method = Callable[["View"], Iterable[Signal]]


@dataclass(frozen=True)
class Alarm:
    """An alarm that was raised."""

    kind: Kind
    category: int
    district: int
    at: int  # the hour


@dataclass
class View:
    """What a method may look at in an hour: all that was counted before it."""

    days: rules.Floats  # the days so far
    recent: rules.Floats  # the last 24 hours
    at: datetime
    hour: int  # of the day, the last one that is over; 23 at midnight
    baseline: Baseline | None


def views(years: Years, with_baseline: bool) -> Iterator[View]:
    """Each hour of 2025."""
    hourly = years.counts
    shape = -1, 24, *hourly.shape[1:]
    daily = rules.with_sums(hourly.reshape(shape).sum(axis=1))
    summed = rules.with_sums(hourly[(SECOND - FIRST).days * 24 - 24 :])
    for day in range((SECOND - FIRST).days, len(daily)):
        first = max(0, day - rules.HISTORY)
        past, baseline = daily[first:day], None
        if with_baseline:
            weeks = hourly[(day - rules.LEVEL_DAYS) * 24 : day * 24].reshape(shape)
            by_hour = weeks.sum(axis=(0, 3))
            by_hour = np.concatenate([by_hour.sum(axis=1, keepdims=True), by_hour], axis=1).astype(float)
            baseline = rules.make_baseline(past, FIRST + timedelta(days=first), by_hour)
        midnight = datetime.combine(FIRST + timedelta(days=day), time(), CHINA)
        for hour in range(24):
            begin = (day - (SECOND - FIRST).days) * 24 + hour + 1
            yield View(past, summed[begin : begin + 24], midnight + timedelta(hours=hour + 1), hour, baseline)


# --- methods ----------------------------------------------------------------------------------------------------------


def ours(limits: Mapping[Kind, float], least: Mapping[int, int] | None = None) -> Method:
    """What the line does."""

    def method(view: View) -> Iterator[Signal]:
        assert view.baseline is not None
        for look in rules.bursts(view.baseline, view.recent, view.at, view.hour):
            yield from rules.unusual(look, limits["burst"], least)
        if view.hour == 0:
            for look in rules.rises(view.baseline, view.at):
                yield from rules.unusual(look, limits["rise"], least)

    return method


def plain(name: str, factors: Mapping[Kind, float], least: Mapping[Kind, int] = rules.LEAST) -> Method:
    """A plain threshold (so many times the mean of four weeks, or one; of weeks, of eight) or the mean and so many standard
    deviations; of the last 24 hours, and every night of the last seven days."""

    def high(past: rules.Floats, factor: float) -> rules.Floats:
        mean = past.mean(axis=0)
        limit: rules.Floats = (
            np.maximum(mean, 1) * factor if name == "threshold" else mean + factor * past.std(axis=0, ddof=1)
        )
        return limit

    def method(view: View) -> Iterator[Signal]:
        yield from above("burst", view, view.recent.sum(axis=0), view.days[-28:], 24)
        if view.hour == 0:
            weeks = view.days[-63:].reshape(9, 7, *view.days.shape[1:]).sum(axis=1)
            yield from above("rise", view, weeks[-1], weeks[:-1], 168)

    def above(kind: Kind, view: View, counts: rules.Floats, past: rules.Floats, hours: int) -> Iterator[Signal]:
        limit = high(past, factors[kind])
        look = Look(kind, hours, view.at, counts, past.mean(axis=0), np.zeros_like(counts))
        for row, column in np.argwhere((counts >= least[kind]) & (counts > limit)):
            yield Signal(look, int(row), int(column), float(limit[row, column] / counts[row, column]))

    return method


def raised(years: Years, method: Method, with_baseline: bool, limits: Mapping[Kind, float] = LIMITS) -> list[Alarm]:
    """The alarms of a year, each once for one thing; what shares cases with an alarm is the same thing for the baselines,
    which can't tell how much of it that explains."""
    limits = limits if with_baseline else NO_LIMITS
    episodes: list[Episode] = []
    found = []
    start = datetime.combine(FIRST, time(), CHINA)
    for view in views(years, with_baseline):
        for signal, known in rules.sort_out(method(view), episodes, limits):
            kind, at = signal.look.kind, signal.look.at
            if known is None:
                found.append(Alarm(kind, signal.category, signal.district, round((at - start) / timedelta(hours=1))))
                episodes.append(Episode(kind, signal.category, signal.district, at))
            else:
                episodes = [replace(one, last_at=at) if one.is_same(known) else one for one in episodes]
    return found


# --- figures ----------------------------------------------------------------------------------------------------------


def is_of(alarm: Alarm, event: Event) -> bool:
    """Whether an alarm is of this thing."""
    late = round(LATE[event.kind] / timedelta(hours=1))
    at = event.begin < alarm.at <= event.end + late
    return at and rules.meet(alarm.category, event.category) and rules.meet(alarm.district, event.district)


def figures(years: Years, alarms: Sequence[Alarm]) -> dict[str, Any]:
    """What was found, how late, how often in vain; the sums, so that seeds can be added up."""
    matched = [[event for event in years.events if is_of(alarm, event)] for alarm in alarms]
    false = {
        kind: sum(alarm.kind == kind and not of for alarm, of in zip(alarms, matched, strict=True))
        for kind in rules.BUDGETS
    }
    found: dict[str, list[float | None]] = {}
    repeated = 0
    for event in years.events:
        hits = [alarm.at - event.begin for alarm, of in zip(alarms, matched, strict=True) if event in of]
        delay = min(hits) if hits else None
        for key in (event.kind, f"{event.kind} {event.size}"):
            found.setdefault(key, []).append(delay)
        repeated += max(0, len(hits) - 1)
    weeks = (len(years.counts) / 24 - (SECOND - FIRST).days) / 7
    return {"delays": found, "false": false, "repeated": repeated, "weeks": weeks}


def together(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Recall, median delay in hours, false alarms a week, of several seeds."""
    weeks = sum(one["weeks"] for one in parts)
    delays: dict[str, list[float | None]] = {}
    for one in parts:
        for key, some in one["delays"].items():
            delays.setdefault(key, []).extend(some)
    return {
        "false_per_week": {kind: sum(one["false"][kind] for one in parts) / weeks for kind in rules.BUDGETS},
        "repeated_per_week": sum(one["repeated"] for one in parts) / weeks,
        "recall": {key: sum(one is not None for one in some) / len(some) for key, some in sorted(delays.items())},
        "events": {key: len(some) for key, some in sorted(delays.items())},
        "median_delay_hours": {
            key: median(hits) if (hits := [one for one in some if one is not None]) else None
            for key, some in sorted(delays.items())
        },
    }


def run() -> dict[str, Any]:
    """Measure all methods on both sizes and print the tables."""
    seeds = DEVELOPMENT if os.environ.get("WARNING_SEEDS") == "development" else REPORT
    found: dict[str, Any] = {"seeds": seeds, "stated_false_per_week": rules.BUDGETS, "sizes": {}}
    for size in SIZES:
        methods = {"ours": ours(LIMITS)} | {
            f"{name}, {how}": plain(name, factors[name])
            for how, factors in (("as usual", USUAL), ("as many false alarms", MATCHED[size]))
            for name in factors
        }
        parts: dict[str, list[dict[str, Any]]] = {name: [] for name in methods}
        for seed in seeds:
            years = simulate(seed, size)
            for name, method in methods.items():
                parts[name].append(figures(years, raised(years, method, name == "ours")))
                print(f"\r{size} cases, seed {seed}: {name:<40}", end="", flush=True)
        print()
        found["sizes"][size] = {name: together(some) for name, some in parts.items()}
        show(size, found["sizes"][size])
        for what, table in others(size, seeds).items():
            found["sizes"][size][what] = table
            show_other(f"{what}, {size:,} cases a year", table)
    return found


def others(size: int, seeds: Sequence[int]) -> dict[str, dict[str, dict[str, Any]]]:
    """The same of hot issues, words of risks and new topics."""
    return {
        "hot issues": warning_groups.measure_groups(size, DEVELOPMENT[0], seeds),
        "words of risks": measure_risks(size, seeds),
        "new topics": warning_groups.measure_topics(size, DEVELOPMENT[0], seeds),
    }


def measure_risks(size: int, seeds: Sequence[int]) -> dict[str, dict[str, Any]]:
    """All methods on the words of risks, of which fewer cases are enough for an alert."""
    series = (len(warning_groups.SHARES) + 1) * (warning_groups.RISK_DISTRICTS + 1)
    limits: dict[Kind, float] = {kind: rules.threshold(kind, series) for kind in rules.BUDGETS}
    least = {place + 1: warning_groups.RISK_LEAST for place in range(len(warning_groups.SHARES))}
    enough: dict[Kind, int] = {"burst": warning_groups.RISK_LEAST, "rise": rules.LEAST["rise"]}

    def alarms(years: Years, name: str, factor: float) -> list[Alarm]:
        if name == "ours":
            return raised(years, ours(limits, least), True, limits)
        return raised(years, plain(name, {"burst": factor, "rise": factor}, enough), False)

    develop = warning_groups.risk_years(DEVELOPMENT[0], size)
    allowed = sum(figures(develop, alarms(develop, "ours", 0))["false"].values())
    methods = {"ours": ("ours", 0.0)} | {
        f"{name}, as usual": (name, factor) for name, factor in warning_groups.USUAL.items()
    }
    for name, grid in warning_groups.GRID.items():
        fits = (
            float(one)
            for one in grid[::4]
            if sum(figures(develop, alarms(develop, name, float(one)))["false"].values()) <= allowed
        )
        methods[f"{name}, as many false alarms"] = name, next(fits, float(grid[-1]))
    found = {}
    for name, how in methods.items():
        years = [warning_groups.risk_years(seed, size) for seed in seeds]
        row = together([figures(one, alarms(one, *how)) for one in years])
        found[name] = {
            "false_per_week": sum(row["false_per_week"].values()),
            "recall": row["recall"]["burst"],
            "recall_small": row["recall"]["burst small"],
            "median_delay_hours": row["median_delay_hours"]["burst"],
            "events": row["events"]["burst"],
        }
    return found


def show_other(title: str, methods: Mapping[str, dict[str, Any]]) -> None:
    """One of the other tables."""
    print(f"{title:<44}{'false/week':>12}{'recall':>8}{'small':>8}{'delay h':>10}")
    for name, row in methods.items():
        delay = row["median_delay_hours"]
        print(
            f"{name:<44}{row['false_per_week']:>12.2f}{row['recall']:>8.2f}{row['recall_small']:>8.2f}"
            f"{'-' if delay is None else f'{delay:.0f}':>10}"
        )


def show(size: int, methods: Mapping[str, dict[str, Any]]) -> None:
    """One table."""
    print(f"{size:,} cases a year       {'bursts':^38}   {'slow rises':^38}")
    print(f"{'method':<32}" + 2 * f"{'false/week':>12}{'recall':>8}{'small':>8}{'delay h':>10}   ")
    for name, row in methods.items():
        line = f"{name:<32}"
        for kind in rules.BUDGETS:
            delay = row["median_delay_hours"][kind]
            line += (
                f"{row['false_per_week'][kind]:>12.2f}{row['recall'][kind]:>8.2f}{row['recall'][f'{kind} small']:>8.2f}"
            )
            line += f"{'-' if delay is None else f'{delay:.0f}':>10}   "
        print(line)
