"""How a case is told to a citizen: state, day and answer in their language. Pure."""

from datetime import datetime
from pathlib import Path

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
    """A day, written: 2026年11月30日, 30 November 2026."""
    day = local(moment)
    return f"{day.day} {day:%B %Y}" if locale == "en" else f"{day.year}年{day.month}月{day.day}日"


def day_spoken(moment: datetime, locale: str) -> str:
    """A day, as it is said: 十一月三十日."""
    day = local(moment)
    return f"{day.day} {day:%B}" if locale == "en" else f"{number_zh(day.month)}月{number_zh(day.day)}日"


def number_zh(number: int) -> str:
    """A number in Chinese, as it is counted: 十二, 一百零五, 两千."""
    return counted(str(number))


def answer_of(case: Case) -> str:
    """The agency's last answer, or the reason why the case was declined; empty before either."""
    told = [event for event in case.history if event.act in ("reply", "answer", "decline", "transfer")]
    if not told:
        return ""
    route = told[-1].details.get("route")
    return MESSAGES.words(f"route_{route}", case.locale) if route else str(told[-1].details.get("note", ""))
