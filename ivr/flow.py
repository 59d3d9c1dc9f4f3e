"""The call flow: what happens next in a call, as pure decisions on plain data.

A call is a row of steps. Each step is a webhook: what the caller did (`Heard`) and where the call stands give a `Next`;
ivr/twiml.py turns that into TwiML. GB/T 33358-2016 wants no key menu at the start, so the line opens with a question;
keys are a fallback for everything that speech does, and 0 or 人工 reaches a person at any moment.
"""

import re
from dataclasses import dataclass
from typing import Literal

from bot.client import Reply

REPROMPTS = 2
"""Different reprompts for silence, and for no-match, before the line goes on to a person."""

LOWEST_CONFIDENCE = 0.3
"""Speech recognised with less than this (0 to 1) is treated as not understood."""

PERSON_KEY = "0"
REPEAT_KEY = "*"
MESSAGE_KEY = "1"


@dataclass(frozen=True)
class Heard:
    """What a <Gather> brought: speech with its confidence (0 to 1), or keys, or neither."""

    speech: str = ""
    confidence: float = 1.0
    digits: str = ""


Intent = Literal["person", "repeat", "silence", "no_match", "say"]


@dataclass(frozen=True)
class Meaning:
    """What the caller wants of the line; `text` is what is said to the bot for `say`."""

    intent: Intent
    text: str = ""


def understand(heard: Heard, last: Reply | None) -> Meaning:
    """What the caller means, given the last thing that the bot said.

    One key chooses among the choices offered; several keys are a number where one was asked for. Any other key is a
    no-match, like speech that was recognised with too little confidence.
    """
    if heard.digits:
        keys = heard.digits.rstrip("#")
        if keys == PERSON_KEY:
            return Meaning("person")
        if keys == REPEAT_KEY:
            return Meaning("repeat")
        wants_number = last is not None and last.expects == "digits"
        if last and last.choices and re.fullmatch(r"[1-9]", keys) and int(keys) <= len(last.choices):
            return Meaning("say", last.choices[int(keys) - 1].label)
        if wants_number and re.fullmatch(r"\d{3,20}", keys):
            return Meaning("say", keys)
        return Meaning("no_match")
    speech = heard.speech.strip()
    if not speech:
        return Meaning("silence")
    if heard.confidence < LOWEST_CONFIDENCE or not re.search(r"\w", speech):
        return Meaning("no_match")
    return Meaning("say", speech)


def reprompt(kind: Literal["silence", "no_match"], times: int) -> str | None:
    """The prompt for the `times`-th silence or no-match in a row (from 1), or None when it is time for a person."""
    return f"{kind}_{times}" if times <= REPROMPTS else None


def confidence_of(value: str | None) -> float:
    """Twilio's `Confidence` (voice/twiml/gather) as a number; 1 when it is missing or unreadable, since some speech models
    send 0.0 or nothing for speech that they recognised well."""
    try:
        number = float(value or "")
    except ValueError:
        return 1.0
    return number if 0.0 < number <= 1.0 else 1.0
