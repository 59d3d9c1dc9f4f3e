"""The rules of counting: what is rated, what is left out and why, scores and places."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.insight.assessment_rules import (
    LEFT_OUT,
    Rating,
    Settings,
    city_settings,
    left_out,
    may_appeal,
    month_to_freeze,
    ranked,
    standing,
    standings,
)
from tests.conftest import NOON

GOOD = Rating("C-URBAN", False, "closed", False, True, True, True, 5)
RULES = Settings(
    {5: 1.0, 4: 1.0, 3: 0.6, 2: 0.0, 1: 0.0}, {"contacted": 0.2, "solved": 0.4, "satisfaction": 0.4}, 5, 10, 15
)

ratings = st.builds(
    Rating,
    value=st.sampled_from(["C-URBAN", "C-WATER", ""]),
    by_line=st.booleans(),
    state=st.sampled_from(["closed", "", "declined", "transferred", "merged", "withdrawn"]),
    appeal_upheld=st.booleans(),
    contacted=st.booleans(),
    solved=st.booleans(),
    satisfied=st.booleans(),
    grade=st.sampled_from([None, 1, 2, 3, 4, 5]),
    count=st.integers(1, 9),
)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, ""),
        ({"state": ""}, ""),
        ({"appeal_upheld": True, "state": "declined"}, "appeal"),
        ({"state": "declined"}, "out_of_remit"),
        ({"state": "transferred"}, "out_of_remit"),
        ({"state": "merged"}, "out_of_remit"),
        ({"state": "withdrawn"}, "withdrawn"),
        ({"by_line": True}, "line"),
    ],
)
def test_what_does_not_count_is_left_out_with_the_reason(changed: dict[str, object], why: str) -> None:
    rating = replace(GOOD, **changed)  # type: ignore[arg-type]
    assert left_out(rating.appeal_upheld, rating.state, rating.by_line) == why


def test_more_or_less_satisfied_counts_in_part_and_yes_or_no_as_two_grades() -> None:
    said = [GOOD, replace(GOOD, grade=3), replace(GOOD, grade=None), replace(GOOD, grade=None, satisfied=False)]
    found = standing("C-URBAN", said, RULES)
    assert found.counts.satisfied_rate == 0.75  # the rate of the whole line: who says they are satisfied
    assert found.graded == pytest.approx((1 + 0.6 + 1 + 0) / 4)
    assert found.score(RULES) == pytest.approx(100 * (0.2 + 0.4 + 0.4 * 0.65))


def test_nothing_rated_has_no_score() -> None:
    assert standing("C-URBAN", [replace(GOOD, state="withdrawn")], RULES).score(RULES) is None


@given(st.lists(ratings, max_size=20))
def test_each_rating_counts_once_or_is_left_out_once(said: list[Rating]) -> None:
    parts, whole = standings(said, RULES), standing("", said, RULES)
    assert sum(one.counts.visited for one in parts.values()) == whole.counts.visited
    assert sum(sum(one.left_out.values()) for one in parts.values()) == sum(whole.left_out.values())
    assert whole.counts.visited + sum(whole.left_out.values()) == sum(one.count for one in said)
    assert set(whole.left_out) <= set(LEFT_OUT)
    assert whole.graded is None or 0 <= whole.graded <= 1


@given(st.lists(ratings, max_size=20))
def test_the_order_of_ratings_changes_nothing_and_more_of_the_same_is_the_same_share(said: list[Rating]) -> None:
    one, other = standing("", said, RULES), standing("", reversed(said), RULES)
    twice = standing("", [*said, *said], RULES)
    assert (one.counts, one.left_out) == (other.counts, other.left_out)
    assert (one.score(RULES) or 0) == pytest.approx(twice.score(RULES) or 0)


def test_equal_scores_share_a_place_and_who_has_few_ratings_has_none() -> None:
    found = [
        standing("A", [replace(GOOD, count=9)], RULES),
        standing("B", [replace(GOOD, count=5)], RULES),
        standing("C", [replace(GOOD, count=8), replace(GOOD, solved=False)], RULES),
        standing("D", [replace(GOOD, count=4)], RULES),
    ]
    assert [(place, one.value) for place, one in ranked(found, RULES)] == [(1, "A"), (1, "B"), (3, "C"), (None, "D")]


def test_an_appeal_is_for_what_cost_a_point_and_in_time() -> None:
    last = NOON + timedelta(days=RULES.appeal_days)
    assert may_appeal(NOON, False, last, RULES)
    assert not may_appeal(NOON, False, last + timedelta(seconds=1), RULES)
    assert not may_appeal(NOON, True, NOON, RULES)


@pytest.mark.parametrize(
    ("today", "month"),
    [("2026-11-14", None), ("2026-11-15", "2026-10-01"), ("2026-11-30", "2026-10-01"), ("2027-01-15", "2026-12-01")],
)
def test_a_month_is_frozen_once_its_day_has_come(today: str, month: str | None) -> None:
    expected = date.fromisoformat(month) if month else None
    assert month_to_freeze(date.fromisoformat(today), RULES) == expected


def test_the_settings_of_the_city_can_be_used() -> None:
    assert city_settings().grades[5] == 1.0
