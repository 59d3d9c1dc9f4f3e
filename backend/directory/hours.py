"""When an agency answers: office hours as people write them, 工作日 09:00-12:00,13:00-17:00；周六 09:00-12:00. Pure."""

import re
from datetime import datetime

DAYS = "一二三四五六日"
PART = re.compile(rf"(每日|工作日|周[{DAYS}](?:至周[{DAYS}])?)[ \t]*([0-9:,， \t-]+)")
SPAN = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-4]):([0-5]\d)")

Spans = list[tuple[str, list[tuple[int, int]]]]
"""(days as written, [(first minute of the day, minute after the last)])."""


def read_hours(hours: str) -> Spans | None:
    """The parts of office hours (；between them), or None when they can't be read. Empty hours have no parts."""
    found: Spans = []
    for part in filter(str.strip, re.split("[；;]", hours)):
        match = PART.fullmatch(part.strip())
        if match is None:
            return None
        spans = []
        for one in re.split("[,，]", match[2]):
            span = SPAN.fullmatch(one.strip())
            if span is None:
                return None
            begin, end = (int(span[place]) * 60 + int(span[place + 1]) for place in (1, 3))
            if not begin < end <= 24 * 60:
                return None
            spans.append((begin, end))
        found.append((match[1], spans))
    return found


def is_open(hours: str, moment: datetime, working_day: bool) -> bool:
    """Whether somebody answers at `moment` (China's clock); hours that aren't known are taken to be all day, so that nobody
    is passed over for want of a note. 周六 means every Saturday, 工作日 what the calendar calls a working day."""
    parts = read_hours(hours)
    if not parts:
        return True
    minute = moment.hour * 60 + moment.minute
    return any(
        is_day(days, moment.weekday(), working_day) and any(begin <= minute < end for begin, end in spans)
        for days, spans in parts
    )


def is_day(days: str, weekday: int, working_day: bool) -> bool:
    """Whether the day is one of `days` (每日, 工作日, 周一, 周一至周五); `weekday` counts from 0 for Monday."""
    if days == "每日":
        return True
    if days == "工作日":
        return working_day
    first, last = DAYS.index(days[1]), DAYS.index(days[-1])
    return first <= weekday <= last if first <= last else weekday >= first or weekday <= last
