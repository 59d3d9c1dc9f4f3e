"""What early warning calls unusual, and what it takes for the same thing."""

from datetime import date, datetime, timedelta

import numpy as np
import pytest

from backend.clock import CHINA
from backend.insight import warning_rules as rules
from backend.insight.warning_rules import Baseline, Episode, Look, Signal

FIRST = date(2024, 1, 1)
AT = datetime(2025, 6, 3, 12, tzinfo=CHINA)
LIMITS: dict[rules.Kind, float] = {"burst": 1e-4, "rise": 1e-3}


def history(days: int = 519, per_day: tuple[float, ...] = (20.0, 5.0, 1.0)) -> np.ndarray:
    """Days x 3 categories x 2 districts of chance alone, with half as many on weekends."""
    chance = np.random.default_rng(7)
    weekday = np.array([0.5 if (FIRST + timedelta(days=day)).weekday() >= 5 else 1.0 for day in range(days)])
    mean = weekday[:, None, None] * np.array(per_day)[None, :, None] * np.array([0.7, 0.3])[None, None]
    return np.asarray(chance.poisson(mean))


def baseline_of(counts: np.ndarray) -> Baseline:
    return rules.make_baseline(rules.with_sums(counts), FIRST, np.ones((24, counts.shape[1] + 1)))


def test_a_burst_is_found_in_its_series_and_a_usual_day_is_not() -> None:
    baseline = baseline_of(history())
    recent = np.zeros((24, 3, 2))
    recent[:, 0, :] = 0.4
    usual = rules.with_sums(recent)
    assert not [one for look in rules.bursts(baseline, usual, AT, 11) for one in rules.unusual(look, 1e-5)]
    recent[-2:, 2, 1] += 4
    found = [
        one for look in rules.bursts(baseline, rules.with_sums(recent), AT, 11) for one in rules.unusual(look, 1e-5)
    ]
    assert min(found, key=lambda one: one.p).category == 3
    assert min(found, key=lambda one: one.p).district == 2


def test_few_cases_are_no_alarm_however_rare() -> None:
    counts = np.zeros((2, 2))
    counts[1, 1] = rules.LEAST["burst"] - 1
    look = Look("burst", 3, AT, counts, np.full((2, 2), 1e-6), np.zeros((2, 2)))
    assert list(rules.unusual(look, 1e-3)) == []


def test_a_slow_rise_is_found_that_no_single_day_shows() -> None:
    counts = history(526)
    counts[-28:, 1, 0] = np.random.default_rng(8).poisson(np.linspace(3.5, 9, 28))
    found = [one for look in rules.rises(baseline_of(counts), AT) for one in rules.unusual(look, 1e-4)]
    assert (2, 1) in {(one.category, one.district) for one in found}


def test_weekends_are_expected_to_be_quieter() -> None:
    baseline = baseline_of(history())
    sunday = next(day for day in range(500, 519) if baseline.kinds[day] == 6)
    quiet, _ = baseline.expected(sunday, 1, "burst")
    busy, _ = baseline.expected(sunday - 3, 1, "burst")
    assert quiet[1, 0] == pytest.approx(busy[1, 0] / 2, rel=0.15)


def test_what_the_season_did_a_year_ago_is_expected_again() -> None:
    counts = history()
    for begin in (90, 90 + rules.YEAR):
        counts[begin : begin + 60] *= 5
    today = 90 + rules.YEAR + 2
    with_season, _ = baseline_of(counts[:today]).expected(today, 1, "burst")
    without, _ = baseline_of(history()[:today]).expected(today, 1, "burst")
    assert with_season[1, 0] > 2 * without[1, 0]


def test_a_holiday_and_a_make_up_day_are_days_of_their_own() -> None:
    assert [rules.kind_of(date(2025, 10, 1)), rules.kind_of(date(2025, 9, 28)), rules.kind_of(date(2025, 9, 27))] == [
        7,
        8,
        5,
    ]


@pytest.mark.parametrize("count", [0, 3, 11])
def test_the_tail_is_that_of_a_negative_binomial_distribution(count: int) -> None:
    from scipy.stats import nbinom

    mean, width = 4.0, 0.3
    size = 1 / width
    assert rules.tail(float(count), mean, width) == pytest.approx(
        nbinom.sf(count - 1, size, size / (size + mean)), abs=1e-6
    )


# --- the same thing -----------------------------------------------------------------------------------------------------


def look(counts: list[list[float]], mean: list[list[float]]) -> Look:
    return Look("burst", 6, AT, np.array(counts), np.array(mean), np.full((3, 3), 0.02))


def test_a_category_is_not_warned_of_beside_the_district_that_explains_it() -> None:
    seen = look([[40, 32, 8], [31, 25, 6], [9, 7, 2]], [[16, 8, 8], [7, 3, 4], [9, 5, 4]])
    pairs = list(rules.unusual(seen, LIMITS["burst"]))
    assert len(pairs) > 1
    assert [known is None for _, known in rules.sort_out(pairs, [], LIMITS)].count(True) == 1


def test_a_second_district_with_a_burst_of_its_own_is_warned_of() -> None:
    seen = look([[36, 28, 28], [34, 26, 26], [2, 2, 2]], [[8, 4, 4], [4, 2, 2], [4, 2, 2]])
    one = Signal(seen, 1, 1, 1e-9)
    other = Signal(seen, 1, 2, 1e-8)
    assert [known for _, known in rules.sort_out([one, other], [], LIMITS)] == [None, None]


def test_nothing_is_said_twice_until_it_has_been_quiet() -> None:
    seen = look([[20, 20, 0], [20, 20, 0], [0, 0, 0]], [[2, 2, 0.1], [2, 2, 0.1], [0.1, 0.1, 0.1]])
    signal = Signal(seen, 1, 1, 1e-9)
    lately = Episode("burst", 1, 1, AT - rules.QUIET["burst"])
    long_ago = Episode("burst", 1, 1, AT - rules.QUIET["burst"] - timedelta(hours=1))
    assert rules.sort_out([signal], [lately], LIMITS)[0][1] is lately
    assert rules.sort_out([signal], [long_ago], LIMITS)[0][1] is None


def test_of_groups_no_more_become_alerts_than_a_week_may_bring_however_many_are_unusual() -> None:
    """Many matters begin with many cases on their first day: each of these would be an alert by chance alone."""
    chance = np.random.default_rng(5)
    signs: list[float] = []
    raised = 0
    for week in range(40):
        for p in 10 ** -chance.uniform(6, 30, 30):
            known = signs[-rules.SIGN_WEEKS * 30 :]
            raised += p < rules.limit_of_groups(known, min(week, rules.SIGN_WEEKS))
            signs.append(p)
    assert 0.5 * rules.GROUP_ALERTS <= raised / 40 <= 1.5 * rules.GROUP_ALERTS


def test_a_group_is_unusual_in_the_hours_in_which_most_of_its_cases_came() -> None:
    slowly, at_once = (rules.of_group(one, 3, 56, 100) for one in ({3: 2, 6: 4, 24: 12}, {3: 10, 6: 11, 24: 12}))
    assert slowly and at_once
    assert (slowly[1], at_once[1]) == (24, 3) and at_once[0] < slowly[0]
    assert rules.of_group({3: 4, 6: 4, 24: 4}, 0, 0, 1) is None  # fewer than LEAST


def test_a_matter_that_goes_on_as_it_began_is_no_burst() -> None:
    """Six cases a day since five days ago: of a matter eight weeks old the same would be far more than ever."""
    goes_on, counts = {3: 2, 6: 3, 24: 6}, {3: 6, 6: 12, 24: 24}
    assert rules.of_group(goes_on, 30, 5, 100) is None
    assert rules.of_group(counts, 30, 5, 100) is not None
    assert rules.of_group({3: 6, 6: 9, 24: 9}, 30, 56, 100) is not None


def test_a_matter_that_is_sorted_badly_by_chance_is_no_new_topic() -> None:
    """One in four is sorted elsewhere; of so many groups some have half of their cases there."""
    chance = np.random.default_rng(6)
    groups = []
    for _ in range(400):
        away = int(chance.binomial(8, 0.25))
        groups.append({"A": 8 - away, **{f"B{number}": 1 for number in range(away)}})
    usual = rules.usual_sorting(groups, "NONE")
    assert sum(rules.may_be_topic(one, "NONE") for one in groups) > 20
    assert sum(rules.of_topic(one, "NONE", usual, len(groups)) is not None for one in groups) <= 2
    assert rules.of_topic({"NONE": 14, "A": 3, "B": 3}, "NONE", usual, len(groups)) is not None
