"""What a caller means by speech, keys and silence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.client import Choice, Reply
from ivr.flow import Heard, Meaning, confidence_of, reprompt, understand

CHOICE = Reply("?", "?", choices=(Choice("解决了", "/affirm"), Choice("没解决", "/deny")), expects="choice")
NUMBER = Reply("?", "?", expects="digits")


@pytest.mark.parametrize(
    ("heard", "last", "meaning"),
    [
        (Heard(digits="0"), None, Meaning("person")),
        (Heard(digits="0"), CHOICE, Meaning("person")),
        (Heard(digits="0"), NUMBER, Meaning("person")),
        (Heard(digits="*"), CHOICE, Meaning("repeat")),
        (Heard(digits="2"), CHOICE, Meaning("say", "没解决")),
        (Heard(digits="3"), CHOICE, Meaning("no_match")),
        (Heard(digits="9"), None, Meaning("no_match")),
        (Heard(digits="2600000014"), NUMBER, Meaning("say", "2600000014")),
        (Heard(digits="2600000014"), CHOICE, Meaning("no_match")),
        (Heard(speech="暖气不热"), CHOICE, Meaning("say", "暖气不热")),
        (Heard(speech="暖气不热", confidence=0.1), None, Meaning("no_match")),
        (Heard(speech="……"), None, Meaning("no_match")),
        (Heard(), CHOICE, Meaning("silence")),
    ],
)
def test_speech_keys_and_silence_mean_what_callers_expect(heard: Heard, last: Reply | None, meaning: Meaning) -> None:
    assert understand(heard, last) == meaning


@given(
    st.text(),
    st.floats(allow_nan=True),
    st.text(alphabet="0123456789*#", max_size=40),
    st.sampled_from([None, CHOICE, NUMBER]),
)
def test_whatever_is_heard_means_something(speech: str, confidence: float, digits: str, last: Reply | None) -> None:
    meaning = understand(Heard(speech, confidence, digits), last)
    assert meaning.intent != "say" or meaning.text


def test_two_different_reprompts_and_then_a_person() -> None:
    for kind in ("silence", "no_match"):
        prompts = [reprompt(kind, times) for times in (1, 2, 3)]
        assert prompts[0] != prompts[1]
        assert prompts[2] is None


@pytest.mark.parametrize(
    ("sent", "read"), [("0.83", 0.83), ("0.0", 1.0), ("", 1.0), (None, 1.0), ("x", 1.0), ("nan", 1.0)]
)
def test_a_missing_or_unreadable_confidence_does_not_make_speech_unheard(sent: str | None, read: float) -> None:
    assert confidence_of(sent) == read
