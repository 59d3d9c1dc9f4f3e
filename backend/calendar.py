"""Which days offices work in China. Pure, except that the city's own calendar is a file that is read once."""

import csv
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path

import chinese_calendar

CALENDAR_FILE = Path(__file__).resolve().parents[1] / "nlu_data" / "calendar.csv"

FIXED_HOLIDAYS = frozenset({(1, 1), (5, 1), (5, 2), (10, 1), (10, 2), (10, 3)})
"""(month, day) of the statutory holidays that don't move with the moon: 全国年节及纪念日放假办法 (State Council Order
No. 795, 2024), article 2."""


@cache
def city_calendar() -> dict[date, bool]:
    """nlu_data/calendar.csv: days that the city has set to working or not, which come before every other rule."""
    with CALENDAR_FILE.open(encoding="utf-8", newline="") as rows:
        return {date.fromisoformat(row["date"]): row["working"] == "1" for row in csv.DictReader(rows)}


def is_working_day(day: date, own_days: Mapping[date, bool] | None = None) -> bool:
    """Whether offices work on `day`: the city's own days (None: those of the file), then the State Council's yearly notice
    with its make-up days (chinesecalendar), and for years whose notice is not out, weekdays less the fixed holidays."""
    own_days = city_calendar() if own_days is None else own_days
    if day in own_days:
        return own_days[day]
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:
        return day.weekday() < 5 and (day.month, day.day) not in FIXED_HOLIDAYS


def is_public_holiday(day: date) -> bool:
    """Whether `day` is one of a public holiday's days off, which an ordinary weekend isn't; a day that the city works is
    none. For years whose notice is not out, only the holidays that don't move are known."""
    if city_calendar().get(day):
        return False
    try:
        is_off, name = chinese_calendar.get_holiday_detail(day)
    except NotImplementedError:
        return (day.month, day.day) in FIXED_HOLIDAYS
    return bool(is_off and name)
