"""Pure decisions about a conversation: who may hold it, what a short answer chooses, when a person is due."""

import re

from backend.conversations.safety import plain
from bot.client import Reply

MESSAGE_LIMIT = 2000
"""Characters in one message."""

FAILURES_BEFORE_HANDOFF = 2

MOVES: dict[tuple[str, str], str] = {
    ("bot", "request"): "waiting",
    ("waiting", "take"): "operator",
    ("waiting", "leave"): "bot",
    ("operator", "hand_back"): "bot",
    ("bot", "close"): "closed",
    ("waiting", "close"): "closed",
    ("operator", "close"): "closed",
}
"""(state, act) -> state. A conversation is with the bot, waiting, with an operator, or closed."""

ORDINALS = {
    "1": 0, "一": 0, "第一": 0, "第一个": 0, "前一个": 0, "前面那个": 0, "一号": 0, "first": 0, "the first": 0,
    "the first one": 0, "one": 0,
    "2": 1, "二": 1, "两": 1, "第二": 1, "第二个": 1, "后一个": 1, "后面那个": 1, "二号": 1, "second": 1, "the second": 1,
    "the second one": 1, "two": 1,
    "3": 2, "三": 2, "第三": 2, "第三个": 2, "三号": 2, "third": 2, "the third": 2, "the third one": 2, "three": 2,
    "4": 3, "四": 3, "第四": 3, "第四个": 3, "四号": 3, "fourth": 3, "the fourth": 3, "the fourth one": 3, "four": 3,
}  # fmt: skip
"""Short answers -> place in the list of choices."""


def chosen_message(text: str, last: Reply | None) -> str | None:
    """What `text` means as an answer to the choices of the last reply, or None when it chooses none of them.

    A key, an ordinal, a label, or one of the words that a choice lists for itself.
    """
    if last is None or not last.choices:
        return None
    said = plain(text)
    for choice in last.choices:
        if said in {plain(choice.label), *map(plain, choice.words)}:
            return choice.message
    place = ORDINALS.get(said)
    if place is not None and place < len(last.choices):
        return last.choices[place].message
    return None


def choosing(article_id: str) -> str:
    """What the choice of an article sends to the bot."""
    return f'/choose{{"article": "{article_id}"}}'


def without_commands(text: str) -> str:
    """`text` as it may be sent to the bot: Rasa reads a leading slash as a command, which only choices may give."""
    return re.sub(r"^[\s/]+", "", text) or "?"


def needs_person(failures: int) -> bool:
    """Whether the bot has failed often enough that a person must take over."""
    return failures >= FAILURES_BEFORE_HANDOFF
