"""Noise is what happens to calls: words misheard, silence, webhooks that come again."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ivr.phone.call import PracticeCall
from ivr.phone.exchange import make_exchange
from ivr.phone.noise import Noise, NoisyTransport, homophones, in_homophones, with_wrong_words
from ivr.phone.switch import Switch
from tests.ivr.phone.test_call import BASE, TOKEN, Clock, Line


def noise(share: float, seed: int = 1) -> Noise:
    made = Noise()
    made.set(seed, share)
    return made


def test_without_noise_everything_stays_as_it_is() -> None:
    act = {"type": "speak", "text": "暖气不热"}
    assert Noise().distort(act) is act


def test_homophones_sound_alike() -> None:
    assert {"期", "七", "妻"} <= set(homophones()["期"])
    heard = in_homophones("暖气不热已经三天了", random.Random(4))
    assert heard != "暖气不热已经三天了" and len(heard) == len("暖气不热已经三天了")
    for said, got in zip("暖气不热已经三天了", heard, strict=True):
        assert got == said or got in homophones()[said]


@given(text=st.text(max_size=40), seed=st.integers(0, 1000))
def test_whatever_is_said_can_be_misheard(text: str, seed: int) -> None:
    assert len(in_homophones(text, random.Random(seed))) == len(text)
    assert len(with_wrong_words(text, random.Random(seed))) <= len(text) + 2


def test_every_kind_of_noise_happens_and_only_to_speech() -> None:
    loud = noise(1.0)
    kinds = {loud.distort({"type": "speak", "text": "暖气不热", "after": 3})["type"] for _ in range(100)}
    assert kinds == {"speak", "silence", "hang_up"}
    assert loud.distort({"type": "press", "digits": "1"}) == {"type": "press", "digits": "1"}


def test_the_same_seed_makes_the_same_noise() -> None:
    def heard() -> list[Any]:
        made = noise(0.5, seed=9)
        return [made.distort({"type": "speak", "text": "暖气不热"}) for _ in range(20)]

    assert heard() == heard()


def test_webhooks_come_twice_and_late_to_the_letter_and_the_call_goes_on() -> None:
    line = Line(voice="<Gather input='speech' action='/turn'/>", turn="<Gather input='speech' action='/turn'/>")
    call = PracticeCall.new(BASE, auth_token=TOKEN, transport=NoisyTransport(line, noise(0.5)))
    call.start("/voice")
    for _ in range(10):
        call.speak("喂")
    tokens = [request.token for request in line.requests]
    assert len(set(tokens)) == 11 < len(tokens)
    late = [at for at, token in enumerate(tokens) if token in tokens[: at - 1]]
    assert late, "none came after a later one"


def test_noise_is_switched_on_at_a_window() -> None:
    line = Line(turn="<Hangup/>", **{"ivr/voice": "<Gather input='speech' action='/turn'/>", "ivr/status": ""})
    switch = Switch(BASE, auth_token=TOKEN, transport=line, clock=Clock())
    window = make_exchange(switch, noise=(made := Noise())).test_client()
    auth = {"auth": (switch.account_sid, TOKEN)}
    assert window.post("/practice/noise", json={"seed": 3, "share": 1.0}, **auth).status_code == 204
    assert made.share == 1.0
    window.post("/practice/windows/+8613900000001", json={"type": "dial"}, **auth)
    window.post("/practice/windows/+8613900000001", json={"type": "speak", "text": "暖气不热"}, **auth)
    said = [request.params.get("SpeechResult") for request in line.requests]
    assert "暖气不热" not in said
