"""How a case is told to a citizen: state, day and answer in their language. Pure."""

from datetime import date, datetime
from pathlib import Path

from backend.cases.deadlines import Period
from backend.cases.models import Case
from backend.cases.rules import PAUSE_REASONS, STATES
from backend.clock import local
from backend.knowledge.speech import counted
from bot.catalogue import Catalogue

MESSAGES = Catalogue(Path(__file__).with_name("messages.yml"))
"""What citizens and the staff are told by SMS."""

STATES_EN = {
    "filed": "filed",
    "accepted": "accepted",
    "dispatched": "sent to the agency",
    "disputed": "being assigned to another agency",
    "signed": "being worked on",
    "paused": "on hold",
    "redo": "being done again",
    "supervised": "under supervision",
    "transferred": "passed to the proper authority",
    "merged": "joined to your earlier case",
    "replied": "answered",
    "visited": "answered and checked with you",
    "closed": "closed",
    "declined": "not accepted",
    "withdrawn": "withdrawn",
}
UNITS_ZH = {"hours": "小时", "working_days": "个工作日", "calendar_days": "天"}
UNITS_EN = {"hours": "hours", "working_days": "working days", "calendar_days": "days"}
PAUSE_REASONS_EN = {
    "citizen": "waiting for papers or help from you",
    "procedure": "a court, arbitration or review procedure is under way",
    "appraisal": "waiting for a test, appraisal or expert opinion",
    "force_majeure": "force majeure",
}


def state_words(state: str, locale: str) -> str:
    """What the state is called."""
    return STATES_EN[state] if locale == "en" else STATES[state]


def pause_reason(reason: str, locale: str) -> str:
    """Why the clock of a case stands still."""
    return PAUSE_REASONS_EN[reason] if locale == "en" else PAUSE_REASONS[reason]


def day_words(moment: datetime, locale: str) -> str:
    """The day of a moment, written: 2026年11月30日, 30 November 2026."""
    return date_words(local(moment).date(), locale)


def date_words(day: date, locale: str) -> str:
    """A day of the calendar, written in the same way."""
    return f"{day.day} {day:%B %Y}" if locale == "en" else f"{day.year}年{day.month}月{day.day}日"


def due_words(moment: datetime, locale: str) -> str:
    """A deadline, written: the day, and the minute where it isn't the day's last."""
    at = local(moment)
    return day_words(moment, locale) if (at.hour, at.minute) == (23, 59) else f"{day_words(moment, locale)} {at:%H:%M}"


def period_words(period: Period, locale: str) -> str:
    """A period, written: 5个工作日, 5 working days."""
    if locale == "en":
        return f"{period.count} {UNITS_EN[period.unit] if period.count > 1 else UNITS_EN[period.unit][:-1]}"
    return f"{period.count}{UNITS_ZH[period.unit]}"


def day_spoken(moment: datetime, locale: str) -> str:
    """A day, as it is said: 十一月三十日."""
    day = local(moment)
    return f"{day.day} {day:%B}" if locale == "en" else f"{number_zh(day.month)}月{number_zh(day.day)}日"


def number_zh(number: int) -> str:
    """A number in Chinese, as it is counted: 十二, 一百零五, 两千."""
    return counted(str(number))


def hold_words(case: Case, locale: str) -> str:
    """Why the clock of a paused case stands still and what is wanted of the citizen; empty for any other."""
    if case.state != "paused":
        return ""
    details = next(event.details for event in reversed(case.history) if event.act == "pause")
    return f"{pause_reason(details['reason'], locale)}{': ' if locale == 'en' else '：'}{details['note']}"


def answer_of(case: Case, locale: str) -> str:
    """The agency's last answer, the reason why the case was declined, or the way that it has to go; empty before any."""
    told = [event for event in case.history if event.act in ("reply", "answer", "decline", "transfer")]
    if not told:
        return ""
    route = told[-1].details.get("route")
    return MESSAGES.words(f"route_{route}", locale) if route else str(told[-1].details.get("note", ""))
