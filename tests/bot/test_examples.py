"""What the bot learns from: enough of it, and nothing of it in the test set."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.bot.examples import HELD_OUT, TRAIN, bigrams, likeness, normalised, read, twins

SAME = 0.8
"""From here on two sentences can hardly mean two things."""


def test_every_intent_of_the_dialogue_has_forty_examples() -> None:
    counts = Counter(intent for _, intent in read(TRAIN))
    assert {intent: count for intent, count in counts.items() if count < 40} == {}


def test_no_example_is_given_twice() -> None:
    texts = Counter(text for text, _ in read(TRAIN))
    assert [text for text, count in texts.items() if count > 1] == []


def test_nothing_of_the_test_set_is_learned_from() -> None:
    assert twins(read(HELD_OUT), read(TRAIN)) == []


def test_no_sentence_stands_for_two_intents() -> None:
    for examples in (read(TRAIN), read(HELD_OUT)):
        assert [pair for pair in twins(examples, examples) if pair[2] >= SAME and pair[0][1] != pair[1][1]] == []


def test_numbers_width_and_punctuation_make_no_difference() -> None:
    assert normalised("我的电话是 138-0000-0000。") == normalised("我的电话是１３８００００００００")


@given(st.text(), st.text())
def test_likeness_is_symmetric_and_one_for_the_same(one: str, other: str) -> None:
    assert likeness(bigrams(one), bigrams(one)) == 1
    assert likeness(bigrams(one), bigrams(other)) == likeness(bigrams(other), bigrams(one)) <= 1
