"""What a caller means by speech, keys and silence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.settings import ROOT
from bot.client import Choice, Reply
from ivr.flow import FLOW, Heard, Meaning, confidence_of, draw, manner_after, reprompt, understand

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
        (Heard(digits="5"), None, Meaning("no_match")),
        (Heard(digits="9"), None, Meaning("manner", "en")),
        (Heard(digits="6"), CHOICE, Meaning("text")),
        (Heard(speech="能不能发个短信给我"), CHOICE, Meaning("text")),
        (Heard(speech="收到诈骗短信怎么办"), None, Meaning("say", "收到诈骗短信怎么办")),
        (Heard(digits="8"), CHOICE, Meaning("manner", "yue")),
        (Heard(speech="请说慢一点"), CHOICE, Meaning("manner", "slower")),
        (Heard(speech="English, please."), None, Meaning("manner", "en")),
        (Heard(speech="讲广东话"), None, Meaning("manner", "yue")),
        (Heard(speech="英语考试在哪里报名"), None, Meaning("say", "英语考试在哪里报名")),
        (Heard(speech="水流得慢一点"), None, Meaning("say", "水流得慢一点")),
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


STATES = {rule.state for rule in FLOW} | {rule.target for rule in FLOW}


def test_every_state_of_a_call_leads_to_an_end_and_is_reached_from_the_ring() -> None:
    def reached(begin: str) -> set[str]:
        found: set[str] = set()
        new: set[str] = {begin}
        while new:
            found |= new
            new = {str(rule.target) for rule in FLOW if rule.state in new} - found
        return found

    assert reached("ringing") == STATES
    for state in STATES:
        assert "over" in reached(state)


def test_a_call_is_over_only_after_a_person_a_case_a_promise_to_call_back_or_a_farewell() -> None:
    ends = {(rule.state, rule.event) for rule in FLOW if rule.target == "over"}
    assert ends == {
        ("talking", "finished"),
        ("recording", "recorded"),
        ("waiting", "call_back"),
        ("listening", "farewell"),
    }


def test_an_event_has_one_consequence_in_a_state() -> None:
    events = [(rule.state, rule.event) for rule in FLOW]
    assert len(events) == len(set(events))


def test_a_wish_that_is_fulfilled_already_is_taken_back() -> None:
    assert manner_after("en", "zh", False) == ("en", False)
    assert manner_after("en", "en", True) == ("zh", True)
    assert manner_after("slower", "yue", False) == ("yue", True)
    assert manner_after("slower", "yue", True) == ("yue", False)


def test_the_chart_in_the_documents_is_drawn_from_the_table() -> None:
    assert draw() in (ROOT / "docs" / "call-flow.md").read_text(encoding="utf-8")
