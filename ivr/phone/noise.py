"""Noise on demand: what telephones, recognisers and networks do to a call. Chance is handed in, so that a noisy call can be
had again."""

from __future__ import annotations

import random
import threading
from functools import cache
from typing import Any

from pypinyin import Style, pinyin

from ivr.phone.call import Answer, Transport

LATE = 5  # so many webhooks are remembered, any of which may come once more, late
Act = dict[str, Any]


class Noise:
    """A share (0 to 1) of what is said is misheard, lost or the end of the call, and that share of webhooks comes twice or
    once more after later ones. With share 0 there is no noise."""

    def __init__(self) -> None:
        self.share = 0.0
        self.random = random.Random(0)
        self._lock = threading.Lock()

    def set(self, seed: int, share: float) -> None:
        """Begin anew: the same seed and acts give the same noise."""
        with self._lock:
            self.random, self.share = random.Random(seed), share

    def strikes(self) -> bool:
        """Whether it happens this time."""
        with self._lock:
            return self.random.random() < self.share

    def distort(self, act: Act) -> Act:
        """What becomes of an act: words turn into others that sound alike, into other words, into silence, and rarely the
        caller hangs up. Everything but speech stays as it is."""
        if act.get("type") != "speak" or not isinstance(act.get("text"), str) or not self.strikes():
            return act
        with self._lock:
            kind = self.random.choices(("homophones", "words", "silence", "hang_up"), (5, 3, 2, 1))[0]
            if kind == "homophones":
                return act | {"text": in_homophones(act["text"], self.random), "confidence": 0.5}
            if kind == "words":
                return act | {"text": with_wrong_words(act["text"], self.random), "confidence": 0.3}
            return {name: value for name, value in act.items() if name == "after"} | {"type": kind}


class NoisyTransport:
    """A transport on which webhooks come twice, or once more after later ones. Twilio may do both when a connection fails
    at the wrong moment; what comes again is the same to the letter, with its I-Twilio-Idempotency-Token."""

    def __init__(self, transport: Transport, noise: Noise) -> None:
        self._transport, self._noise = transport, noise
        self._sent: list[tuple[str, dict[str, str], dict[str, str]]] = []

    def post(self, url: str, params: dict[str, str], headers: dict[str, str]) -> Answer:
        """Send it, perhaps after an older one, perhaps twice; the last answer counts."""
        if self._sent and self._noise.strikes():
            self._transport.post(*self._noise.random.choice(self._sent))
        answer = self._transport.post(url, params, headers)
        self._sent = [*self._sent, (url, params, headers)][-LATE:]
        return self._transport.post(url, params, headers) if self._noise.strikes() else answer

    def get(self, url: str, headers: dict[str, str]) -> Answer:
        """Send it, perhaps twice."""
        answer = self._transport.get(url, headers)
        return self._transport.get(url, headers) if self._noise.strikes() else answer


def in_homophones(text: str, chance: random.Random) -> str:
    """The text with one to three of its characters replaced by others that sound the same."""
    alike = [(at, others) for at, char in enumerate(text) if len(others := homophones().get(char, "")) > 1]
    letters = list(text)
    for at, others in chance.sample(alike, min(len(alike), chance.randint(1, 3))):
        letters[at] = chance.choice(others.replace(text[at], ""))
    return "".join(letters)


def with_wrong_words(text: str, chance: random.Random) -> str:
    """The text with a piece lost and a piece said twice."""
    begin = chance.randrange(len(text) or 1)
    end = min(len(text), begin + chance.randint(1, 3))
    return text[:begin] + text[end:] + text[begin : begin + chance.randint(0, 2)]


@cache
def homophones() -> dict[str, str]:
    """Character -> all that sound like it, among the 3755 most common ones (GB 2312, level 1)."""
    cells = ((row, cell) for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF))
    common = [bytes(each).decode("gb2312") for each in cells if each < (0xD7, 0xFA)]
    by_sound: dict[str, str] = {}
    for char in common:
        sound = pinyin(char, style=Style.TONE)[0][0]
        by_sound[sound] = by_sound.get(sound, "") + char
    return {char: chars for chars in by_sound.values() for char in chars}
