"""How a case is told to a citizen: state, day and answer in their language. Pure."""

from datetime import datetime

from backend.cases.models import Case
from backend.cases.rules import STATES
from backend.clock import local

STATES_EN = {
    "filed": "filed",
    "accepted": "accepted",
    "dispatched": "sent to the agency",
    "signed": "being worked on",
    "replied": "answered",
    "visited": "answered and checked with you",
    "closed": "closed",
    "declined": "not accepted",
    "withdrawn": "withdrawn",
}
ZH_DIGITS = "零一二三四五六七八九"


def state_words(state: str, locale: str) -> str:
    """What the state is called."""
    return STATES_EN[state] if locale == "en" else STATES[state]


def day_words(moment: datetime, locale: str) -> str:
    """A day, written: 2026年11月30日, 30 November 2026."""
    day = local(moment)
    return f"{day.day} {day:%B %Y}" if locale == "en" else f"{day.year}年{day.month}月{day.day}日"


def day_spoken(moment: datetime, locale: str) -> str:
    """A day, as it is said: 十一月三十日."""
    day = local(moment)
    return f"{day.day} {day:%B}" if locale == "en" else f"{number_zh(day.month)}月{number_zh(day.day)}日"


def number_zh(number: int) -> str:
    """A number from 1 to 99 in Chinese."""
    tens, ones = divmod(number, 10)
    ten = "" if tens == 0 else ("十" if tens == 1 else f"{ZH_DIGITS[tens]}十")
    return ten + (ZH_DIGITS[ones] if ones or not tens else "")


def answer_of(case: Case) -> str:
    """The agency's last answer, or the reason why the case was declined; empty before either."""
    told = [event.details.get("note", "") for event in case.history if event.act in ("reply", "answer", "decline")]
    return str(told[-1]) if told else ""
