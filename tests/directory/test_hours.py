"""Office hours: who answers when."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.directory.hours import is_open, read_hours

OFFICE = "工作日 09:00-12:00,13:00-17:00；周六 09:00-12:00"
MONDAY = datetime(2026, 11, 23)
SATURDAY = datetime(2026, 11, 28)


@pytest.mark.parametrize(
    ("hours", "moment", "working_day", "answers"),
    [
        (OFFICE, MONDAY.replace(hour=9), True, True),
        (OFFICE, MONDAY.replace(hour=12), True, False),
        (OFFICE, MONDAY.replace(hour=9), False, False),  # a holiday
        (OFFICE, SATURDAY.replace(hour=11), False, True),
        (OFFICE, SATURDAY.replace(hour=16), True, True),  # a make-up day
        ("每日 00:00-24:00", SATURDAY.replace(hour=23, minute=59), False, True),
        ("周五至周一 08:00-20:00", MONDAY.replace(hour=8), True, True),
        ("周五至周一 08:00-20:00", datetime(2026, 11, 25, 8), True, False),
        ("", MONDAY, True, True),
    ],
)
def test_an_agency_answers_in_its_hours(hours: str, moment: datetime, working_day: bool, answers: bool) -> None:
    assert is_open(hours, moment, working_day) is answers


@pytest.mark.parametrize(
    "hours", ["早九晚五", "工作日", "工作日 17:00-09:00", "工作日 09:00-25:00", "周八 09:00-10:00"]
)
def test_hours_that_cannot_be_read_are_told_apart(hours: str) -> None:
    assert read_hours(hours) is None


@given(
    hours=st.text(alphabet="工作日每周一至五 09:0-,，；124", max_size=30),
    moment=st.datetimes(),
    working_day=st.booleans(),
)
def test_any_text_is_read_or_not(hours: str, moment: datetime, working_day: bool) -> None:
    assert is_open(hours, moment, working_day) in (True, False)
