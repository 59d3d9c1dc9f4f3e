"""Deadlines: a profile's period counted from the moment of filing, in working days of China or otherwise. Pure, except
that the profile and the city's own calendar are files that are read once."""

import csv
from datetime import date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import chinese_calendar
import yaml

from backend.clock import CHINA, local

DATA = Path(__file__).resolve().parents[2] / "nlu_data"

FIXED_HOLIDAYS = frozenset({(1, 1), (5, 1), (5, 2), (10, 1), (10, 2), (10, 3)})
"""(month, day) of the statutory holidays that don't move with the moon: 全国年节及纪念日放假办法 (State Council Order
No. 795, 2024), article 2."""


@cache
def profiles() -> dict[str, dict[str, Any]]:
    """The jurisdiction profiles of nlu_data/deadlines.yml."""
    loaded: dict[str, dict[str, Any]] = yaml.safe_load((DATA / "deadlines.yml").read_text(encoding="utf-8"))
    return loaded


@cache
def city_calendar() -> dict[date, bool]:
    """nlu_data/calendar.csv: days that the city has set to working or not, which come before every other rule."""
    with (DATA / "calendar.csv").open(encoding="utf-8", newline="") as rows:
        return {date.fromisoformat(row["date"]): row["working"] == "1" for row in csv.DictReader(rows)}


def is_working_day(day: date) -> bool:
    """Whether offices work on `day`: the city's own table, then the State Council's yearly notice with its make-up days
    (chinesecalendar), and for years whose notice is not out, weekdays less the fixed holidays."""
    if day in city_calendar():
        return city_calendar()[day]
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:
        return day.weekday() < 5 and (day.month, day.day) not in FIXED_HOLIDAYS


def due_at(filed_at: datetime, category_code: str, jurisdiction: str) -> datetime:
    """When the reply to a case filed at `filed_at` (aware) is due.

    Days count from the day after filing and end with the last minute of the last day in Asia/Shanghai; hours count from
    the moment of filing. Raises KeyError for a profile that isn't there.
    """
    profile = profiles()[jurisdiction]
    period = profile.get(category_code) or profile.get(category_code.split("-")[0]) or profile["default"]
    if "hours" in period:
        return filed_at + timedelta(hours=period["hours"])
    day = local(filed_at).date()
    if "calendar_days" in period:
        day += timedelta(days=period["calendar_days"])
    else:
        left = period["working_days"]
        while left:
            day += timedelta(days=1)
            left -= is_working_day(day)
    return datetime.combine(day, time(23, 59), tzinfo=CHINA)
