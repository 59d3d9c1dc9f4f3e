"""Replies as plain text messages, for channels that show nothing but words: WeChat and SMS."""

import re
from collections.abc import Sequence

from backend.conversations.service import PHRASES
from bot.client import Reply


def as_text(replies: Sequence[Reply], locale: str) -> str:
    """What was replied, with the source of an answer, and with the choices numbered: a number chooses."""
    lines = []
    for reply in replies:
        lines.append(reply.text)
        if reply.act == "answer" and reply.sources:
            lines.append(PHRASES.say("text_source", locale, title=reply.sources[0].title).text)
    choices = replies[-1].choices if replies else ()
    if choices:
        lines.append(PHRASES.say("text_choices", locale).text)
        lines += [f"{number} {choice.label}" for number, choice in enumerate(choices, start=1)]
    return "\n".join(lines)


def pieces(text: str, longest: int) -> list[str]:
    """The text as one message, or as several of at most `longest` characters, cut after a sentence where one ends in the
    later half, and numbered (1/3)."""
    if len(text) <= longest:
        return [text]
    room, rest, cut = longest - len("(99/99)"), text, []
    while rest:
        end = len(rest) if len(rest) <= room else max(rest.rfind(mark, room // 2, room) for mark in "。！？；\n.") + 1
        cut.append(rest[: end or room])
        rest = rest[end or room :]
    return [f"({number}/{len(cut)}){part}" for number, part in enumerate(cut, start=1)]


def language_of(text: str) -> str:
    """zh, or en for words in Latin letters without a Chinese one among them."""
    return "zh" if re.search(r"[一-鿿]", text) or not re.search(r"[a-z]{3}", text, re.IGNORECASE) else "en"
