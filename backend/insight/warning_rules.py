"""Early warning: which counts are more than chance and season explain. Pure: counts in, signals out.

What is expected of a series (a category, a district, both) is its level of the last LEVEL_DAYS, times what kind of day it
is (weekday, holiday, make-up day), times how the season went on a year ago. A count is unusual when it is in the far tail
of the negative binomial distribution around that, whose width has the noise of the series, the uncertainty of its level
and what any model misses. This is the idea of the Farrington family of outbreak detectors (Noufaily et al. 2013), asked of
windows from hours to weeks: the short ones find bursts, the long ones slow rises.

How far out the tail begins follows from how many false alarms a week a city accepts (BUDGETS), shared among all that is
looked at. docs/early-warning.md says what that came to on simulated years.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc
from scipy.stats import betabinom, nbinom

from backend.calendar import is_public_holiday, is_working_day

Floats = NDArray[np.float64]
Kind = Literal["burst", "rise"]

BURST_HOURS: Final = (3, 6, 24)
"""Windows in which bursts are looked for, every hour."""
RISE_DAYS: Final = (7, 14, 28)
"""Windows in which slow rises are looked for, every night."""
BUDGETS: Final[dict[Kind, float]] = {"burst": 1.0, "rise": 0.5}
"""False alarms a week that are accepted, over all series together."""
TOPIC_BUDGET: Final = 0.5
"""The same of new topics."""
GROUP_ALERTS: Final = 2.0
"""Alerts of hot issues a week, right and wrong together."""
GROUP_SIGNS: Final = 4.0
"""Signs of hot issues a week that chance alone may bring; the most unusual of all signs are the alerts."""
SIGN_WEEKS: Final = 8
"""From the signs of how many weeks it is known what is as rare as that."""
LEAST: Final[dict[Kind, int]] = {"burst": 5, "rise": 10}
"""Cases below which nothing is an alarm, however rare (as the Farrington detectors have it)."""
QUIET: Final[dict[Kind, timedelta]] = {"burst": timedelta(hours=36), "rise": timedelta(days=21)}
"""An alarm for the same thing is a new one only after so long without a sign."""
PER_WINDOW: Final[dict[Kind, int]] = {"burst": 1, "rise": 3}
"""Neighbouring windows overlap, so a week holds about so many independent looks for each length of a window in it."""

LEVEL_DAYS: Final = 56
SEASON_DAYS: Final = 7
"""On either side of a day of last year: what the season was then."""
YEAR: Final = 364
"""A year of whole weeks."""
HISTORY: Final = YEAR + LEVEL_DAYS + RISE_DAYS[-1] + SEASON_DAYS + 1
"""Days of which counts are looked at; with fewer there is no season."""
KINDS: Final = 9
"""Kinds of days: Monday to Sunday, day off of a public holiday, make-up day."""
PRIOR_KIND, PRIOR_LEVEL, PRIOR_SEASON, PRIOR_HOURS = 60.0, 2.0, 40.0, 200.0
"""Cases that the more general knowledge counts for beside the series' own: the city's kinds of days, the category's share
in the district, a season like any other, the city's hours."""
PRIOR_SORTING: Final = 4.0
"""Cases for which it counts beside those of groups that one in four isn't sorted as most of its group are."""
MISFIT: Final[dict[Kind, float]] = {"burst": 0.12, "rise": 0.15}
"""Relative error (standard deviation) that is left in any expectation; chosen on development years."""


@dataclass(frozen=True)
class Look:
    """What was counted of all series in one window, the `hours` before `at`, and what was expected."""

    kind: Kind
    hours: int
    at: datetime
    counts: Floats  # (1 + categories) x (1 + districts)
    mean: Floats
    width: Floats  # variance of the expectation's relative error


@dataclass(frozen=True)
class Signal:
    """A series of which too many came in a window. `category` and `district` are numbers of rows (0: all together)."""

    look: Look
    category: int
    district: int
    p: float  # how probable so many or more were

    @property
    def count(self) -> int:
        """The cases."""
        return int(self.look.counts[self.category, self.district])

    @property
    def expected(self) -> float:
        """How many were expected."""
        return float(self.look.mean[self.category, self.district])

    @property
    def since(self) -> datetime:
        """When the window begins."""
        return self.look.at - timedelta(hours=self.look.hours)


@dataclass(frozen=True)
class Episode:
    """One thing that was warned of: its series, and when it last gave a sign."""

    kind: Kind
    category: int
    district: int
    last_at: datetime

    def is_same(self, other: "Episode") -> bool:
        """Whether this is the other one, whenever it was seen."""
        return (self.kind, self.category, self.district) == (other.kind, other.category, other.district)


# --- what is expected -------------------------------------------------------------------------------------------------


def with_sums(counts: NDArray[Any]) -> Floats:
    """Counts (time x category x district) with a first row of all categories and a first column of all districts."""
    found = np.zeros((counts.shape[0], counts.shape[1] + 1, counts.shape[2] + 1))
    found[:, 1:, 1:] = counts
    found[:, 0, 1:] = counts.sum(axis=1)
    found[:, :, 0] = found[:, :, 1:].sum(axis=2)
    return found


def kind_of(day: date) -> int:
    """The kind of a day: its weekday, 7 for a holiday's day off, 8 for a weekend's day that is worked."""
    if is_public_holiday(day):
        return 7
    return 8 if day.weekday() >= 5 and is_working_day(day) else day.weekday()


@dataclass(frozen=True)
class Baseline:
    """What is known of all series after a day's end: counts of the days so far (extremes cut down, so that a burst doesn't
    hide the next one), what each kind of day means for each category, the noise from day to day, and the hours."""

    counts: Floats  # days x (1 + categories) x (1 + districts)
    raw: Floats  # the same, not cut down
    kinds: NDArray[np.intp]  # of the days, and of RISE_DAYS[-1] more
    factors: Floats  # kinds x (1 + categories)
    noise: Floats  # relative variance of a day, (1 + categories) x (1 + districts)
    hours: Floats  # share of each hour of a day, 24 x (1 + categories)

    @cached_property
    def today(self) -> tuple[Floats, Floats, Floats]:
        """What is expected of the day after the last one and of the last one, and the relative variance of that."""
        mean, width = self.expected(len(self.counts), 1, "burst")
        return mean, self.expected(len(self.counts) - 1, 1, "burst")[0], width

    def expected(self, begin: int, days: int, kind: Kind) -> tuple[Floats, Floats]:
        """Mean and relative variance of the sum of `days` days from day number `begin` on, by what was counted before it."""
        past = slice(max(0, begin - LEVEL_DAYS), begin)
        own = self.counts[past].sum(axis=0)
        ahead, seen = self.factors[self.kinds[begin : begin + days]], self.factors[self.kinds[past]].sum(axis=0)
        prior = own[:, :1] * own[:1] / max(own[0, 0], 1.0)  # its category's share in its district
        level = (own + PRIOR_LEVEL) / (1 + PRIOR_LEVEL / np.maximum(prior, 1e-3))
        known = own + PRIOR_LEVEL
        season, season_known = self.season(begin, days, past)
        mean = level / seen[:, None] * (ahead.sum(axis=0) * season)[:, None]
        width = self.noise / days + 1 / known + season_known[:, None] + MISFIT[kind] ** 2
        return mean, width

    def season(self, begin: int, days: int, past: slice) -> tuple[Floats, Floats]:
        """How many times the level of `past` is to be expected in a window, by what followed a year ago, for each
        category; and the relative variance of that."""
        first = past.start - YEAR
        if first < 0:
            return np.ones(self.counts.shape[1]), np.zeros(self.counts.shape[1])
        whole = self.counts[:, :, 0]
        usual = self.factors[self.kinds[: len(whole)]]

        def rate(since: int, until: int) -> tuple[Floats, Floats]:
            return whole[since:until].sum(axis=0), usual[since:until].sum(axis=0)

        before, at_before = rate(first, past.stop - YEAR)
        then, at_then = rate(begin - YEAR - SEASON_DAYS, begin - YEAR + days + SEASON_DAYS)
        prior = PRIOR_SEASON
        share = (then + prior) / (before * at_then / at_before + prior)
        return share, 1 / (then + prior)


def make_baseline(counts: Floats, first: date, hourly: Floats) -> Baseline:
    """`counts`: days x categories x districts with their sums (with_sums), from the day `first` on; `hourly`: cases by hour
    of the day (24 x categories, with the sum) over the last weeks."""
    days = len(counts)
    kinds = np.array([kind_of(first + timedelta(days=number)) for number in range(days + RISE_DAYS[-1])])
    factors = factors_of(counts[-YEAR:, :, 0], kinds[max(0, days - YEAR) : days])
    by_day = factors[kinds[:days]][:, :, None]
    capped = cut_down(counts, by_day)
    noise = noise_of(capped[-LEVEL_DAYS * 3 :], by_day[-LEVEL_DAYS * 3 :])
    city = hourly[:, :1] / max(hourly[:, 0].sum(), 1.0) if hourly[:, 0].sum() else np.full((24, 1), 1 / 24)
    hours = (hourly + PRIOR_HOURS * city) / (hourly.sum(axis=0) + PRIOR_HOURS)
    return Baseline(capped, counts, kinds, factors, noise, hours)


def factors_of(counts: Floats, kinds: NDArray[np.intp]) -> Floats:
    """How many times the usual comes on each kind of day, for each category (counts: days x categories); what is seldom
    counted is drawn to the whole city's; make-up days and holidays that never were, to Wednesdays and Sundays."""
    around = moving_mean(counts, 14)
    found = np.ones((KINDS, counts.shape[1]))
    for kind in range(KINDS):
        on = kinds == kind
        fallback = found[{7: 6, 8: 2}.get(kind, kind), 0]
        whole = (counts[on, 0].sum() + PRIOR_KIND * fallback) / (around[on, 0].sum() + PRIOR_KIND)
        found[kind] = (counts[on].sum(axis=0) + PRIOR_KIND * whole) / (around[on].sum(axis=0) + PRIOR_KIND)
        found[kind, 0] = whole
    return found


def moving_mean(counts: Floats, half: int) -> Floats:
    """The mean of each day and `half` days on either side of it, as far as there are any."""
    days = len(counts)
    sums = np.concatenate([np.zeros((1, *counts.shape[1:])), np.cumsum(counts, axis=0)])
    low, high = np.maximum(np.arange(days) - half, 0), np.minimum(np.arange(days) + half + 1, days)
    found: Floats = (sums[high] - sums[low]) / (high - low).reshape(-1, *[1] * (counts.ndim - 1))
    return found


def cut_down(counts: Floats, factors: Floats) -> Floats:
    """Counts whose extreme days are no higher than three standard deviations over the weeks before or after them, whichever
    are higher: a burst is cut down, a level that stays is not."""
    days = len(counts)
    sums = np.concatenate([np.zeros((1, *counts.shape[1:])), np.cumsum(counts / factors, axis=0)])
    at = np.arange(days)

    def mean(low: NDArray[np.intp], high: NDArray[np.intp]) -> Floats:
        low, high = np.clip(low, 0, days), np.clip(high, 0, days)
        found: Floats = (sums[high] - sums[low]) / np.maximum(high - low, 1)[:, None, None]
        return found

    usual = np.maximum(mean(at - 14, at), mean(at + 1, at + 15)) * factors
    found: Floats = np.minimum(counts, usual + 3 * np.sqrt(usual + (0.2 * usual) ** 2) + 1)
    return found


def noise_of(counts: Floats, factors: Floats) -> Floats:
    """The relative variance from day to day beyond that of chance (Poisson), for each series; a seldom one's is drawn to
    that of its category."""
    usual = moving_mean(counts / factors, 7) * factors
    more = ((counts - usual) ** 2 * 15 / 14 - usual).sum(axis=0)
    weight = (usual**2).sum(axis=0)
    whole = np.maximum(more[:, :1], 0) / np.maximum(weight[:, :1], 1e-9)
    prior = 100.0  # days of one case
    found: Floats = np.maximum((more + prior * whole) / (weight + prior), 0.0)
    return found


def tail(count: Floats | float, mean: Floats | float, width: Floats | float) -> Any:
    """The probability of so many or more under a negative binomial distribution of this mean and a variance of
    mean + width * mean²."""
    size = 1 / np.maximum(width, 1e-6)
    return betainc(np.maximum(count, 1e-9), size, mean / (mean + size))


# --- what is unusual --------------------------------------------------------------------------------------------------


def threshold(kind: Kind, series: int) -> float:
    """The probability below which a count is an alarm, so that BUDGETS false ones a week are expected over all series."""
    return BUDGETS[kind] / looks(kind, series)


def looks(kind: Kind, series: int) -> float:
    """About how many independent looks at so many series a week holds."""
    hours = BURST_HOURS if kind == "burst" else [days * 24 for days in RISE_DAYS]
    return series * sum(PER_WINDOW[kind] * 168 / length for length in hours)


def bursts(baseline: Baseline, recent: Floats, at: datetime, hour: int) -> Iterator[Look]:
    """The last hours of today, the day after the baseline's last. `recent`: the counts of the BURST_HOURS[-1] hours before
    `at`, by hour, with their sums; `hour`: that of the last one (China's time)."""
    mean_today, mean_before, width = baseline.today
    for length in BURST_HOURS:
        back = hour - np.arange(length)
        shares = baseline.hours[back % 24]
        mean = mean_today * shares[back >= 0].sum(axis=0)[:, None] + mean_before * shares[back < 0].sum(axis=0)[:, None]
        yield Look("burst", length, at, recent[-length:].sum(axis=0), mean, width)


def rises(baseline: Baseline, at: datetime) -> Iterator[Look]:
    """The last weeks, which end at `at` with the baseline's last day."""
    days = len(baseline.counts)
    for length in RISE_DAYS:
        if days >= length + LEVEL_DAYS // 2:
            mean, width = baseline.expected(days - length, length, "rise")
            yield Look("rise", length * 24, at, baseline.counts[-length:].sum(axis=0), mean, width)


def unusual(look: Look, limit: float, least: Mapping[int, int] | None = None) -> Iterator[Signal]:
    """The series of which more came than the limit allows; `least`: for bursts of some categories, what stands for LEAST."""
    enough = np.full((len(look.counts), 1), LEAST[look.kind])
    for category, number in (least or {}).items():
        enough[category] = number if look.kind == "burst" else LEAST["rise"]
    rows, columns = np.nonzero((look.counts >= enough) & (look.counts > look.mean))
    found = tail(look.counts[rows, columns], look.mean[rows, columns], look.width[rows, columns])
    for row, column, p in zip(rows, columns, found, strict=True):
        if p < limit:
            yield Signal(look, int(row), int(column), float(p))


def of_group(counts: Mapping[int, int], before: int, days: float, groups: int) -> tuple[float, int] | None:
    """How unusual a group's cases of the last hours are (`counts`: of the last so many hours) that had `before` in the
    `days` since its first one, LEVEL_DAYS at most: the probability of so many or more in the most unusual window, and the
    hours of that; None where it is nothing unusual among so many groups. That a group has a first case is no news."""
    width, found = 1 / (before + 1), []
    for hours, count in counts.items():
        if count >= LEAST["burst"]:
            more = count if before else count - 1
            found.append((float(tail(float(more), level_of_group(before, days, hours), width)), hours))
    return min(found) if found and min(found)[0] < GROUP_SIGNS / looks("burst", max(groups, 1)) else None


def level_of_group(before: int, days: float, hours: int) -> float:
    """How many cases are expected of a group in so many hours: as many as since its first one. A matter that is young has
    not been quiet before, it wasn't there: spread over weeks, each further day of it would look like a burst."""
    return (before + 1) / (min(max(days, 1), LEVEL_DAYS) + 1) * hours / 24


def limit_of_groups(signs: Iterable[float], weeks: float) -> float:
    """The probability below which a group's sign is an alert, when in the last weeks (SIGN_WEEKS at most) groups gave these
    signs. No distribution tells how many a matter that is new has on its first day: so an alert is what is as unusual as
    GROUP_ALERTS a week were."""
    places = int(GROUP_ALERTS * weeks)
    known = sorted(signs)
    return known[places] if places < len(known) else 1.0


@dataclass(frozen=True)
class Sorting:
    """How cases of usual matters are sorted: the share that isn't in the category of most of its group, and how alike
    groups are in that (the correlation within a group of the beta-binomial distribution)."""

    share: float
    alike: float


def usual_sorting(groups: Iterable[Mapping[str, int]], unsorted: str) -> Sorting:
    """The same of groups (cases by category), without those that may be new topics."""
    usual = [one for one in groups if not may_be_topic(one, unsorted)]
    cases = np.array([sum(one.values()) for one in usual], float)
    away = cases - np.array([most_sorted(one, unsorted) for one in usual], float)
    share = (away.sum() + 1) / (cases.sum() + PRIOR_SORTING)
    chance = share * (1 - share)
    more = ((away - cases * share) ** 2 - cases * chance).sum()
    alike = more / max((cases * (cases - 1) * chance).sum(), 1e-9)
    return Sorting(float(share), float(np.clip(alike, 0.001, 0.5)))


def most_sorted(categories: Mapping[str, int], unsorted: str) -> int:
    """Of a group's cases, how many are in the category that most of them were sorted into."""
    return max((number for code, number in categories.items() if code != unsorted), default=0)


def may_be_topic(categories: Mapping[str, int], unsorted: str) -> bool:
    """Whether no category has more than half of the cases: what was sorted nowhere is in none."""
    return 2 * most_sorted(categories, unsorted) <= sum(categories.values())


def of_topic(categories: Mapping[str, int], unsorted: str, usual: Sorting, young: int) -> float | None:
    """How probable it is that so many cases of a usual matter are outside the category of most of them; None where that is
    nothing unusual among so many young groups, or they are fewer than LEAST. As a group is young for four weeks and grows,
    each is counted for about one independent look a week."""
    cases = sum(categories.values())
    if cases < LEAST["burst"] or not may_be_topic(categories, unsorted):
        return None
    away = cases - most_sorted(categories, unsorted)
    size = 1 / usual.alike - 1
    p = float(betabinom.sf(away - 1, cases, usual.share * size, (1 - usual.share) * size))
    return p if p < TOPIC_BUDGET / max(young, 1) else None


def years_between(p: float, hours: int) -> float:
    """In how many years one series has so unlikely a count once by chance."""
    return 1 / (max(p, 1e-12) * 365.25 * 24 / hours)


def upper_limit(mean: float, width: float) -> int:
    """The count that chance exceeds on one day in forty."""
    size = 1 / max(width, 1e-6)
    return int(nbinom.ppf(0.975, size, size / (size + mean)))


# --- what is new ------------------------------------------------------------------------------------------------------


def sort_out(
    signals: Iterable[Signal], known: Sequence[Episode], limits: Mapping[Kind, float]
) -> list[tuple[Signal, Episode | None]]:
    """Each signal with the episode of which it is a further sign, or None for one that is new; the most unusual first. A
    series that shares cases with one that was warned of is new only if it is unusual without what is known already."""
    active, found = list(known), list[tuple[Signal, Episode | None]]()
    for signal in sorted(signals, key=lambda one: (one.p, one.category == 0, one.district == 0)):
        alive = [one for one in active if signal.look.at - one.last_at <= QUIET[one.kind]]
        same = [one for one in alive if (one.category, one.district) == (signal.category, signal.district)]
        near = [one for one in alive if meet(one.category, signal.category) and meet(one.district, signal.district)]
        if same or (near and unexplained(signal, near) >= limits[signal.look.kind]):
            found.append((signal, (same or near)[0]))
        else:
            active.append(Episode(signal.look.kind, signal.category, signal.district, signal.look.at))
            found.append((signal, None))
    return found


def meet(one: int, other: int) -> bool:
    """Whether two categories, or two districts, have cases in common."""
    return one == other or 0 in (one, other)


def unexplained(signal: Signal, near: Iterable[Episode]) -> float:
    """How probable the count of a signal is when what is known of other series is taken for granted: one that holds the
    signal's own raises what is expected of it, of all others the surplus that they have in common is left out."""
    look, here = signal.look, (signal.category, signal.district)
    count, expected = look.counts[here], look.mean[here]
    for one in near:
        both = (signal.category or one.category, signal.district or one.district)
        if both == here:
            wide = (one.category, one.district)
            expected = max(expected, look.mean[here] * look.counts[wide] / max(look.mean[wide], 1e-9))
        else:
            count -= max(0.0, look.counts[both] - look.mean[both])
    return float(tail(count, expected, look.width[here])) if count >= LEAST[look.kind] else 1.0
