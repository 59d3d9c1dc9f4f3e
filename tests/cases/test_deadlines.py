"""Deadlines in Chinese working days."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from backend.calendar import is_working_day
from backend.cases.deadlines import Deadlines, Period, shipped_profiles
from backend.clock import CHINA


def deadlines(jurisdiction: str, own_days: dict[date, bool] | None = None) -> Deadlines:
    return Deadlines(shipped_profiles()[jurisdiction], own_days or {})


def due_at(filed: datetime, category: str, jurisdiction: str, urgency: str = "normal") -> datetime:
    return deadlines(jurisdiction).reply_due(filed, urgency, "request", category)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=CHINA)


@pytest.mark.parametrize(
    ("filed", "due"),
    [
        ("2026-11-23 12:00", "2026-11-30 23:59"),  # an ordinary week
        ("2026-11-27 23:50", "2026-12-04 23:59"),  # late on a Friday
        ("2026-09-30 09:00", "2026-10-13 23:59"),  # the National Day holiday, with its make-up Saturday
        ("2025-01-24 09:00", "2025-02-07 23:59"),  # Spring Festival from the 28th; Sunday the 26th is a make-up day
    ],
)
def test_five_working_days_skip_holidays_and_count_make_up_days(filed: str, due: str) -> None:
    assert due_at(at(filed), "UT-HEAT", "shandong") == at(due)


def test_a_filing_before_midnight_in_china_counts_for_its_own_day_whatever_utc_says() -> None:
    before = datetime(2026, 11, 23, 15, 59, tzinfo=UTC)
    after = datetime(2026, 11, 23, 16, 1, tzinfo=UTC)
    assert due_at(after, "UT-HEAT", "shandong") - due_at(before, "UT-HEAT", "shandong") == timedelta(days=1)


def test_beijing_counts_calendar_days_and_hours_for_utilities() -> None:
    filed = at("2026-11-23 12:00")
    assert due_at(filed, "HS-PROP", "beijing") == at("2026-11-30 23:59")
    assert due_at(filed, "UT-HEAT", "beijing") == filed + timedelta(hours=24)


@pytest.mark.parametrize("day", [date(2027, 1, 1), date(2028, 5, 1), date(2030, 10, 1)])
def test_a_fixed_holiday_is_no_working_day_in_a_year_whose_notice_is_not_out(day: date) -> None:
    assert not is_working_day(day)


@given(st.datetimes(datetime(2021, 1, 1), datetime(2035, 12, 31)))
def test_every_deadline_lies_after_at_least_five_days_and_ends_on_a_working_day(filed: datetime) -> None:
    moment = filed.replace(tzinfo=CHINA)
    due = due_at(moment, "GV-OTHER", "shandong")
    assert due.date() - moment.date() >= timedelta(days=5)
    assert is_working_day(due.date())


def test_an_unknown_profile_is_an_error_and_no_silent_default() -> None:
    with pytest.raises(KeyError):
        due_at(at("2026-11-23 12:00"), "UT-HEAT", "atlantis")


@pytest.mark.parametrize(
    ("urgency", "due"),
    [("emergency", "2026-11-23 14:00"), ("urgent", "2026-11-24 12:00"), ("complex", "2026-12-08 23:59")],
)
def test_beijings_four_levels_are_two_hours_a_day_seven_and_fifteen_days(urgency: str, due: str) -> None:
    assert due_at(at("2026-11-23 12:00"), "HS-PROP", "beijing", urgency) == at(due)


@pytest.mark.parametrize("year", range(2021, 2027))
def test_working_days_of_every_known_year_follow_the_state_councils_notice(year: int) -> None:
    """Each day is checked against the calendar itself: a period of one working day ends on the very next working day."""
    day = Period(count=1, unit="working_days")
    for number in range(360):
        filed = datetime(year, 1, 1, 12, tzinfo=CHINA) + timedelta(days=number)
        ends = deadlines("shandong").after(filed, day).date()
        between = [filed.date() + timedelta(days=n) for n in range(1, (ends - filed.date()).days)]
        assert is_working_day(ends)
        assert not any(is_working_day(one) for one in between)


MAKE_UP = {
    2021: "02-07 02-20 04-25 05-08 09-18 09-26 10-09",
    2022: "01-29 01-30 04-02 04-24 05-07 10-08 10-09",
    2023: "01-28 01-29 04-23 05-06 06-25 10-07 10-08",
    2024: "02-04 02-18 04-07 04-28 05-11 09-14 09-29 10-12",
    2025: "01-26 02-08 04-27 09-28 10-11",
    2026: "01-04 02-14 02-28 05-09 09-20 10-10",
}
"""Saturdays and Sundays on which people work, by the notices of the State Council's General Office (节假日安排的通知)."""


@pytest.mark.parametrize("year", MAKE_UP)
def test_a_week_of_working_days_over_every_holiday_works_on_the_make_up_days_and_on_no_other_weekend(year: int) -> None:
    days = [date(year, 1, 1) + timedelta(days=number) for number in range(365)]
    weekends = [
        f"{day:%m-%d}" for day in days if day.weekday() > 4 and deadlines("shandong").counts(day, "working_days")
    ]
    assert weekends == MAKE_UP[year].split()
    for day in days:
        due = due_at(datetime(year, day.month, day.day, 12, tzinfo=CHINA), "GV-OTHER", "shandong").date()
        span = [day + timedelta(days=number + 1) for number in range((due - day).days)]
        worked = [one for one in span if is_working_day(one)]
        assert (len(worked), worked[-1]) == (5, due)


def test_a_day_that_the_city_sets_comes_before_every_calendar() -> None:
    filed = at("2026-11-23 12:00")
    closed = deadlines("shandong", {date(2026, 11, 25): False, date(2026, 11, 28): True})
    assert closed.reply_due(filed, "normal", "request", "GV-OTHER") == at("2026-11-30 23:59")
    assert deadlines("shandong", {date(2026, 11, 25): False}).reply_due(filed, "normal", "request", "X") == at(
        "2026-12-01 23:59"
    )


@given(
    st.sampled_from(["hours", "working_days", "calendar_days"]),
    st.datetimes(datetime(2021, 1, 1), datetime(2026, 11, 1)),
    st.integers(0, 40),
)
def test_a_clock_that_stood_still_never_brings_a_deadline_forward(unit: Any, due: datetime, days: int) -> None:
    stopped = due.replace(tzinfo=CHINA) - timedelta(days=1)
    moved = deadlines("shandong").moved(due.replace(tzinfo=CHINA), unit, stopped, stopped + timedelta(days=days))
    assert moved >= due.replace(tzinfo=CHINA)


@given(st.integers(1, 10**6), st.integers(0, 2 * 10**6))
def test_marks_come_in_their_order_and_the_next_one_is_always_ahead(span: int, elapsed: int) -> None:
    since = at("2026-11-23 12:00")
    due, now = since + timedelta(seconds=span), since + timedelta(seconds=elapsed)
    mark, next_at = deadlines("shandong").mark(since, due, now), deadlines("shandong").next_mark(since, due, now)
    assert (mark == "overdue") == (now > due)
    assert next_at is None or next_at >= now
    last = due + (due - since) * (deadlines("shandong").profile.warnings[-1].at - 1)
    assert (next_at is None) == (now > last)


@pytest.mark.parametrize(
    "wrong",
    [
        {"reply": [{"urgency": "urgent", "hours": 2}]},  # not every case has a deadline
        {"sign": {"working_days": 0}},
        {"sign": {"fortnights": 1}},
        {"warnings": [{"mark": "red", "at": 0.8, "tells": []}, {"mark": "yellow", "at": 0.5, "tells": []}]},
        {"warnings": [{"mark": "overdue", "at": 0.9, "tells": []}, {"mark": "overdue", "at": 1, "tells": []}]},
        {"warnings": [{"mark": "yellow", "at": 0.5, "tells": ["holder"]}]},  # nothing comes when the time is over
        {"warnings": [{"mark": "overdue", "at": 1, "tells": ["mayor"]}]},
        {"surprise": 1},
    ],
)
def test_a_profile_that_can_not_be_is_refused(wrong: dict[str, Any]) -> None:
    shipped = shipped_profiles()["shandong"].model_dump(mode="json")
    with pytest.raises(ValidationError):
        type(shipped_profiles()["shandong"]).model_validate(shipped | wrong)
