"""A first draft of a case from what was said in a conversation, for the operator to check."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from backend.conversations.context import said_by_citizen
from backend.conversations.models import Turn
from bot.catalogue import LOCALES
from bot.say import PHRASES

WHAT_LIMIT = 4000
PLACE_LIMIT = 300
SINCE_LIMIT = 200

OTHER_ASKED: Final = ("ask_contact", "ask_contact_caller", "ask_case_number", "ask_last_digits")
"""The bot's questions whose answers are nothing that belongs into what is reported."""

PLACE: Final = re.compile(
    r"(?:.*?(?:在|住|位于))?(?P<place>\w{1,20}(?:区|县|街道|街|路(?!灯)|巷|胡同|花园|村|镇|栋|幢|号楼|楼|单元|号|室|广场|大厦|公园|学校|医院"
    r"|门口|附近|旁边|对面))"
)
SINCE: Final = re.compile(
    r"(?:从|自)?(?:今天|昨天|前天|今早|昨晚|上周|上个?月|去年|(?:上|这)?周[一二三四五六日天]|\d+月\d+[号日])"
    r"(?:早上|上午|中午|下午|晚上|凌晨)?(?:开始|起|以来)?"
    r"|(?:已经|连续)?[一二三四五六七八九十两半几\d]+个?(?:多)?(?:天|周|星期|礼拜|月|年|小时)(?:多|了|前)*"
)


@dataclass(frozen=True)
class Draft:
    """What the case form starts with."""

    what: str = ""
    place: str = ""
    since: str = ""
    contact: str = ""


def draft_case(turns: Sequence[Turn], caller: str | None) -> Draft:
    """The draft: place and time from the answers to the bot's own questions, else from the citizen's words."""
    place = since = ""
    where_asked, since_asked = questions("ask_where"), questions("ask_since")
    for turn, last in said_by_citizen(turns):
        if last and last.text in where_asked:
            place = turn.text
        elif last and last.text in since_asked:
            since = turn.text
    whole = "\n".join(matters(turns))
    return Draft(
        what=whole[:WHAT_LIMIT],
        place=(place or find_place(whole))[:PLACE_LIMIT],
        since=(since or find_since(whole))[:SINCE_LIMIT],
        contact=(caller or "").removeprefix("+86"),
    )


def matters(turns: Sequence[Turn]) -> list[str]:
    """What the citizen asked or reported of their own accord, not as an answer to the bot's questions."""
    details = questions("ask_where", "ask_since", *OTHER_ASKED)
    return [turn.text for turn, last in said_by_citizen(turns) if last is None or last.text not in details]


def questions(*keys: str) -> set[str]:
    """These questions of the bot as they are asked now, and as they are delivered: the words may have changed since."""
    return {
        words
        for key in keys
        for locale in LOCALES
        for words in (PHRASES.words(key, locale), PHRASES.delivered(key, locale).text)
    }


def find_place(text: str) -> str:
    """The first expression in `text` that looks like a place, or nothing."""
    found = PLACE.search(text)
    return found["place"] if found else ""


def find_since(text: str) -> str:
    """The first expression in `text` that looks like a time, or nothing."""
    found = SINCE.search(text)
    return found[0] if found else ""
