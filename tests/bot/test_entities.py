"""Entities: who, where, when, which authority, telephone and case numbers, without Rasa."""

import re
from collections import Counter

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from backend.settings import ROOT
from bot.digits import digit_runs, find_case_number, find_phone, in_digits, number
from bot.entities import Gazetteer, find_people, find_times

GAZETTEER = Gazetteer.read(ROOT / "nlu_data")
MARKED = re.compile(r"\[(?P<said>[^\]]+)\]\((?P<entity>\w+)\)")
SENTENCES = yaml.safe_load((ROOT / "tests" / "bot" / "entities.yml").read_text(encoding="utf-8"))
LEAST_F1 = {"person": 0.9, "time": 0.9, "agency": 0.9, "place": 0.85, "phone": 1.0, "case_number": 1.0}


def found_in(text: str) -> set[tuple[str, str]]:
    """(entity, what was said or the number that it says) of everything found in `text`."""
    others = [*find_people(text), *find_times(text), *GAZETTEER.find(text)]
    numbers = {"phone": find_phone(text), "case_number": find_case_number(text)}
    return {(one.entity, text[one.start : one.end]) for one in others} | {
        (entity, value) for entity, value in numbers.items() if value
    }


def marked_in(sentence: str) -> set[tuple[str, str]]:
    """The same, of what is marked."""
    read = {"phone": find_phone, "case_number": find_case_number}
    return {
        (mark["entity"], read[mark["entity"]](mark["said"]) or "?" if mark["entity"] in read else mark["said"])
        for mark in MARKED.finditer(sentence)
    }


def scores() -> dict[str, float]:
    """F1 of each entity over the development list; right only when entity and extent both are."""
    right: Counter[str] = Counter()
    found: Counter[str] = Counter()
    marked: Counter[str] = Counter()
    for sentence in SENTENCES:
        got, wanted = found_in(MARKED.sub(r"\g<said>", sentence)), marked_in(sentence)
        right.update(entity for entity, _ in got & wanted)
        found.update(entity for entity, _ in got)
        marked.update(entity for entity, _ in wanted)
    return {entity: 2 * right[entity] / (found[entity] + marked[entity]) for entity in marked}


def test_entities_are_found_whole_on_the_development_list() -> None:
    assert len(SENTENCES) >= 120
    reached = scores()
    assert {entity: score for entity, score in reached.items() if score < LEAST_F1[entity]} == {}


@given(st.text())
def test_no_text_breaks_the_finding_and_everything_found_stands_in_it(text: str) -> None:
    for found in [*find_people(text), *find_times(text), *GAZETTEER.find(text)]:
        assert 0 <= found.start < found.end <= len(text)


@pytest.mark.parametrize(
    ("said", "digits"),
    [
        ("两千零二十五年", "2025年"),
        ("二零二五年十一月二十号", "2025年11月20号"),
        ("十点半", "10点半"),
        ("一百五", "150"),
        ("一百零五", "105"),
        ("2025年", "2025年"),
    ],
)
def test_number_words_become_digits(said: str, digits: str) -> None:
    assert in_digits(said) == digits


@given(st.integers(min_value=0, max_value=9999))
def test_a_number_said_in_words_is_read_back(value: int) -> None:
    assert number(in_words(value)) == str(value)


def in_words(value: int) -> str:
    """The Chinese number word of 0 to 9999, in full."""
    if value == 0:
        return "零"
    words = ""
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = value // unit % 10
        if digit:
            words += "零一二三四五六七八九"[digit] + name
        elif words and value % unit and not words.endswith("零"):
            words += "零"
    return words


@given(st.text(alphabet="0123456789", min_size=8, max_size=8), st.sampled_from(["", " ", "，", "-", "。 "]))
def test_a_telephone_number_is_the_same_said_or_typed(rest: str, breath: str) -> None:
    typed = f"138{rest}"
    said = "".join("零幺二三四五六七八九"[int(digit)] for digit in typed)
    assert find_phone(said) == find_phone(f"{said[:3]}{breath}{said[3:7]}{breath}{said[7:]}") == f"+86{typed}"


@pytest.mark.parametrize(
    "said", ["一三八后面八个零", "幺三八四个零再四个零", "one three eight then double oh triple oh triple oh"]
)
def test_digits_said_by_their_count_are_written_out(said: str) -> None:
    assert digit_runs(said) == ["13800000000"]
