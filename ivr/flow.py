"""The call flow: what happens next in a call, as pure decisions on plain data.

A call is a row of steps. Each step is a webhook: what the caller did, or what became of the queue, is an event; FLOW says
what the line does then and where that leaves the call. ivr/twiml.py turns what is to be done into TwiML, ivr/relay.py into
the messages of a stream. `python -m ivr.flow` draws the table (docs/call-flow.md).

GB/T 33358-2016 wants no key menu at the start, so the line opens with a question; keys are a fallback for everything that
speech does, and 0 or 人工 reaches a person at any moment.
"""

import re
from dataclasses import dataclass
from typing import Literal

from backend.conversations.safety import plain
from bot.client import Reply

State = Literal["ringing", "listening", "waiting", "talking", "recording", "over"]
Does = Literal["listen", "enqueue", "wait", "connect", "record", "hang_up"]


@dataclass(frozen=True)
class Rule:
    """One row of the flow: in `state`, `event` makes the line do something, which leaves the call in `target`."""

    state: State
    event: str
    does: Does
    target: State


FLOW: tuple[Rule, ...] = (
    Rule("ringing", "call", "listen", "listening"),
    Rule("listening", "answered", "listen", "listening"),  # the bot replied, and the talk goes on
    Rule("listening", "repeat", "listen", "listening"),
    Rule("listening", "manner", "listen", "listening"),  # another language, or slower
    Rule("listening", "text", "listen", "listening"),  # the last answer as a text message
    Rule("listening", "silence", "listen", "listening"),
    Rule("listening", "no_match", "listen", "listening"),
    Rule("listening", "give_up", "enqueue", "waiting"),  # one silence or no-match too many
    Rule("listening", "person", "enqueue", "waiting"),  # 0, 人工, or the bot hands over
    Rule("listening", "message", "record", "recording"),  # the bot asks for one
    Rule("listening", "bot_down", "record", "recording"),
    Rule("listening", "farewell", "hang_up", "over"),
    Rule("listening", "nobody", "record", "recording"),  # a person is wanted, and none is there
    Rule("waiting", "round", "wait", "waiting"),  # position, expected wait, music
    Rule("waiting", "taken", "connect", "talking"),
    Rule("waiting", "message", "record", "recording"),
    Rule("waiting", "call_back", "hang_up", "over"),  # the place in the queue is kept
    Rule("waiting", "too_long", "record", "recording"),
    Rule("waiting", "nobody", "record", "recording"),
    Rule("talking", "no_answer", "enqueue", "waiting"),  # the operator's telephone; the place is kept
    Rule("talking", "transferred", "connect", "talking"),
    Rule("talking", "nobody", "record", "recording"),
    Rule("talking", "finished", "hang_up", "over"),
    Rule("recording", "recorded", "hang_up", "over"),  # a case, with or without words
    *(
        Rule(state, "fault", "record", "recording")  # a webhook failed: the number's fallback URL
        for state in ("ringing", "listening", "waiting", "talking")
    ),
)


@dataclass(frozen=True)
class Next:
    """What the line does next in a call: it says the prompts and listens, records, puts the caller into the queue, or
    hangs up. `offers` are languages whose key is told, each in its own language; `language` and `slow` are how the rest is
    said."""

    does: Does
    prompts: tuple[str, ...] = ()
    expects_digits: bool = False
    offers: tuple[str, ...] = ()
    language: str = "zh"
    slow: bool = False


def what_follows(state: State, event: str) -> Rule:
    """The row of the flow for this event. Raises KeyError for an event that can't happen in this state."""
    for rule in FLOW:
        if (rule.state, rule.event) == (state, event):
            return rule
    raise KeyError((state, event))


def follow(event: str, *prompts: str, expects_digits: bool = False, offers: tuple[str, ...] = ()) -> Next:
    """What the line does at `event` while it listens, and what it says then."""
    return Next(what_follows("listening", event).does, prompts, expects_digits, offers)


REPROMPTS = 2
"""Different reprompts for silence, and for no-match, before the line goes on to a person."""

LOWEST_CONFIDENCE = 0.3
"""Speech recognised with less than this (0 to 1) is treated as not understood."""

PERSON_KEY = "0"
REPEAT_KEY = "*"
MESSAGE_KEY = "1"

LANGUAGES = ("zh", "yue", "en")
MANNER_KEYS = {"7": "slower", "8": "yue", "9": "en"}
"""Keys that change how the line speaks, where they choose nothing else; once more changes it back."""
TEXT_KEY = "6"
TEXT_WORDS = re.compile(
    r"(能不能|可以|可不可以|帮我|请)*(把)?(答案|答复|这个|刚才的|内容)?(发(个|条)?短信(给我)?|用?短信发(给我|过来)?|发到?我?手机(上|里)?)(吗|好吗|可以吗)?"
    r"|(can you |please )*(text|sms) (it to )?me( the answer| that| it)?|send me (a text|an sms)"
)
"""What callers say who want the answer as a text message."""

MANNER_WORDS = {
    "zh": re.compile(r"(讲|说|我说|我讲)?(普通话|国语|中文|汉语)|(speak |in )?(mandarin|chinese)"),
    "yue": re.compile(r"(讲|说|我说|我讲)?(广东话|粤语|白话)|(speak |in )?cantonese"),
    "en": re.compile(r"(讲|说|我说|我讲)?(英语|英文)|((can you |do you |i )?speak |in )?english"),
    "slower": re.compile(
        r"(你|能不能|可以|可不可以)*(说|讲)?(得)?太?(慢(一)?(点|些|啲)(说|讲)?|慢慢(说|讲)|快了)(吗|好吗)?"
        r"|((can you |could you )?(speak|talk) )?(more )?slow(er|ly)|slow down|too fast"
    ),
}
"""What callers say, and nothing else, who want the line to speak otherwise."""


@dataclass(frozen=True)
class Heard:
    """What a <Gather> brought: speech with its confidence (0 to 1), or keys, or neither."""

    speech: str = ""
    confidence: float = 1.0
    digits: str = ""


Intent = Literal["person", "repeat", "manner", "text", "silence", "no_match", "say"]


@dataclass(frozen=True)
class Meaning:
    """What the caller wants of the line; `text` is what is said to the bot for `say`, and for `manner` a language or
    `slower`."""

    intent: Intent
    text: str = ""


def understand(heard: Heard, last: Reply | None) -> Meaning:
    """What the caller means, given the last thing that the bot said.

    One key chooses among the choices offered; several keys are a number where one was asked for. Any other key is a
    no-match, like speech that was recognised with too little confidence.
    """
    if heard.digits:
        return understand_keys(heard.digits.rstrip("#"), last)
    speech = heard.speech.strip()
    if not speech:
        return Meaning("silence")
    if heard.confidence < LOWEST_CONFIDENCE or not re.search(r"\w", speech):
        return Meaning("no_match")
    manner = next((manner for manner, words in MANNER_WORDS.items() if words.fullmatch(plain(speech))), None)
    if TEXT_WORDS.fullmatch(plain(speech)):
        return Meaning("text")
    return Meaning("manner", manner) if manner else Meaning("say", speech)


def understand_keys(keys: str, last: Reply | None) -> Meaning:
    """What keys mean: 0 and * always the same; then a choice of the last reply, the number that it asked for, or a
    manner of speaking."""
    if keys == PERSON_KEY:
        return Meaning("person")
    if keys == REPEAT_KEY:
        return Meaning("repeat")
    if last and last.choices and re.fullmatch(r"[1-9]", keys) and int(keys) <= len(last.choices):
        return Meaning("say", last.choices[int(keys) - 1].label)
    if last and last.expects == "digits" and re.fullmatch(r"\d{3,20}", keys):
        return Meaning("say", keys)
    if keys == TEXT_KEY:
        return Meaning("text")
    if keys in MANNER_KEYS:
        return Meaning("manner", MANNER_KEYS[keys])
    return Meaning("no_match")


def manner_after(wish: str, language: str, slow: bool) -> tuple[str, bool]:
    """Language and slowness after a wish; the wish for what is already so takes it back."""
    if wish == "slower":
        return language, not slow
    return ("zh" if wish == language else wish), slow


def reprompt(kind: Literal["silence", "no_match"], times: int) -> str | None:
    """The prompt for the `times`-th silence or no-match in a row, or None when it is time for a person. A webhook
    that is repeated after the caller has gone on finds none counted any more."""
    return f"{kind}_{max(times, 1)}" if times <= REPROMPTS else None


def confidence_of(value: str | None) -> float:
    """Twilio's `Confidence` (voice/twiml/gather) as a number; 1 when it is missing or unreadable, since some speech models
    send 0.0 or nothing for speech that they recognised well."""
    try:
        number = float(value or "")
    except ValueError:
        return 1.0
    return number if 0.0 < number <= 1.0 else 1.0


def draw() -> str:
    """The flow as a state chart in Mermaid."""
    rows = [f"    {rule.state} --> {rule.target}: {rule.event} / {rule.does}" for rule in FLOW]
    return "\n".join(["stateDiagram-v2", "    [*] --> ringing", *rows, "    over --> [*]"])


if __name__ == "__main__":
    print(draw())
