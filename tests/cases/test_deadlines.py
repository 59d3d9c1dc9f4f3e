"""Deadlines in Chinese working days."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.cases.deadlines import due_at, is_working_day
from backend.clock import CHINA


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
