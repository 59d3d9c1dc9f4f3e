"""Pure decisions about a conversation: who may hold it, who is next, what a short answer chooses, when a person is due."""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from backend.conversations.safety import plain
from bot.client import Reply

MESSAGE_LIMIT = 2000
"""Characters in one message."""

PHOTO = "photo"
"""The act of a turn that is a photo: nothing is said in it."""

FAILURES_BEFORE_HANDOFF = 2

MOVES: dict[tuple[str, str], str] = {
    ("bot", "request"): "waiting",
    ("waiting", "take"): "operator",
    ("waiting", "leave"): "bot",
    ("operator", "hand_back"): "bot",
    ("operator", "transfer"): "operator",  # to another one, who has answered
    ("operator", "queue_again"): "waiting",  # the operator's telephone did not answer, or the matter is another's
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


NORMAL, REPEATED, DANGER = 0, 1, 2
"""Priorities in the queue: danger comes before who called lately and was not helped, and they before all others."""
REPEATS_WITHIN = timedelta(hours=24)


class Waits(Protocol):
    """Somebody in the queue, as far as their place depends on it."""

    @property
    def id(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def skill(self) -> str: ...
    @property
    def priority(self) -> int: ...
    @property
    def waiting_since(self) -> datetime | None: ...


Someone = TypeVar("Someone", bound=Waits)


def in_order(waiting: Iterable[Someone], languages: Sequence[str] = (), skills: Sequence[str] = ()) -> list[Someone]:
    """Who is to be taken first by an operator with these languages and skills (none: all of them).

    Those in another language come last. Danger comes before the operator's own matters, those before other matters, then
    who has called before, then the longest wait.
    """

    def place(one: Someone) -> tuple[bool, bool, bool, int, bool, datetime | None, str]:
        foreign = bool(languages) and one.language not in languages
        unfamiliar = bool(skills) and bool(one.skill) and one.skill not in skills
        since = one.waiting_since
        return foreign, one.priority < DANGER, unfamiliar, -one.priority, since is None, since, one.id

    return sorted(waiting, key=place)


def listed(codes: str) -> tuple[str, ...]:
    """The languages or skills of one of the staff, which the directory keeps with commas between them."""
    return tuple(re.findall(r"[^\s,，、;；]+", codes))


ENOUGH_HANDLED = 5
"""Conversations from which a wait may be foretold; with fewer only the place is told."""


def expected_wait(place: int, operators: int, handled: Sequence[timedelta]) -> int | None:
    """Whole minutes, rounded up, that the caller at this place (1: next) will wait, or None when nothing is known.

    While all of n operators are busy, for a mean time T with each conversation, one of them becomes free every T / n, so
    the k-th in the queue waits k T / n.
    """
    if operators < 1 or len(handled) < ENOUGH_HANDLED:
        return None
    mean = sum(handled, timedelta()) / len(handled)
    return max(1, math.ceil(place * mean / operators / timedelta(minutes=1)))


class Offerable(Waits, Protocol):
    """Somebody in the queue, as far as it decides to whom they are offered."""

    @property
    def channel(self) -> str: ...


Waiting = TypeVar("Waiting", bound=Offerable)

UNFAMILIAR_AFTER = timedelta(seconds=60)
"""Who has waited so long is offered to operators for other matters too."""


@dataclass(frozen=True)
class Ready:
    """An operator who is ready, as far as an offer depends on it."""

    id: int
    languages: tuple[str, ...]
    skills: tuple[str, ...]  # none: all matters
    has_telephone: bool
    calls: int  # that they hold now
    chats: int
    chat_limit: int
    idle_since: datetime

    def has_room(self, channel: str) -> bool:
        """A call needs the whole operator; chats go beside each other, up to the operator's own limit."""
        if channel == "phone":
            return self.has_telephone and not self.calls and not self.chats
        return not self.calls and self.chats < self.chat_limit

    def knows(self, skill: str) -> bool:
        """Whether matters of this kind are the operator's own."""
        return not skill or not self.skills or skill in self.skills


def offers_for(
    waiting: Iterable[Waiting], ready: Sequence[Ready], passed: Mapping[str, Collection[int]], now: datetime
) -> list[tuple[Waiting, Ready]]:
    """Who is offered to whom now, at most one to each operator. `passed`: to whom a conversation has been offered lately
    without coming of it.

    The language counts while anybody who is ready speaks it, busy or not; the matter does too, unless there is danger or the
    wait is longer than UNFAMILIAR_AFTER. Among those who fit it is who has the fewest chats and has been idle the longest.
    """
    pairs: list[tuple[Waiting, Ready]] = []
    free = list(ready)
    for one in in_order(waiting):
        speakers = [staff for staff in ready if one.language in staff.languages] or ready
        waited = now - (one.waiting_since or now)
        patient = one.priority < DANGER and waited < UNFAMILIAR_AFTER
        fitting = ([staff for staff in speakers if staff.knows(one.skill)] if patient else []) or speakers
        able = [
            staff
            for staff in free
            if staff in fitting and staff.has_room(one.channel) and staff.id not in passed.get(one.id, ())
        ]
        if able:
            chosen = min(able, key=lambda staff: (staff.chats, staff.idle_since, staff.id))
            free.remove(chosen)
            pairs.append((one, chosen))
    return pairs


CALLBACK_TRIES = 3
"""So often a citizen who asked to be called back is called; then what they said becomes a case."""

LEG_MOVES: dict[tuple[str, str], str] = {
    ("wanted", "ring"): "ringing",
    ("wanted", "end"): "over",
    ("queued", "join"): "talking",
    ("queued", "end"): "over",
    ("ringing", "join"): "talking",
    ("ringing", "end"): "over",
    ("talking", "queue"): "queued",
    ("talking", "end"): "over",
}
"""(state, act) -> state of one telephone in a conversation: it is to be rung, waits in the queue, rings (or hears what the
call is about), talks with the others, or is over."""

SUPERVISING = ("listener", "coach", "barge")
"""As what a supervisor is in a call: unheard, heard by the operator alone, heard by everybody."""

WISHES = ("join", "queue", "hold", "resume", "leave", *SUPERVISING)
"""What the telephone service is asked for about a leg: to bring it in from the queue, to put it back there, to let it hear
music, to let it talk again, to end it, to let a supervisor be heard otherwise than before."""


def may_record(setting: str, consent: bool | None) -> bool:
    """Whether a call with an operator is recorded: `off` never, `notice` always (the caller is told), `consent` only if the
    caller has said yes."""
    return setting == "notice" or (setting == "consent" and consent is True)
