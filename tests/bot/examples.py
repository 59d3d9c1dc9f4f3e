"""The examples that the bot learns from and is tested with, and which of them are near twins. Pure but for `read`."""

import re
import unicodedata
from collections import defaultdict
from pathlib import Path

import yaml

from backend.settings import ROOT
from bot.digits import find_case_number

TRAIN = ROOT / "nlu_data" / "dialogue" / "nlu.yml"
HELD_OUT = ROOT / "tests" / "bot" / "nlu_held_out.yml"
TWINS = 0.5
"""Share of common bigrams from which two sentences are taken for the same one in other clothes."""

Example = tuple[str, str]
"""(text, intent)"""


def read(path: Path) -> list[Example]:
    """The examples of a file of Rasa's training data."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [(line[2:], block["intent"]) for block in data["nlu"] for line in block["examples"].splitlines()]


def normalised(text: str) -> str:
    """What is left of a text to compare: no case, width, spaces or punctuation; each number is #, with a case's number @."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = "".join(sign for sign in folded if sign.isalnum())
    return re.sub(r"[\d零〇幺一二两三四五六七八九十百]+", "@" if find_case_number(text) else "#", words)


def bigrams(text: str) -> frozenset[str]:
    """The pairs of neighbouring characters of the normalised text; a single character stands for itself."""
    words = normalised(text)
    return frozenset(words[at : at + 2] for at in range(max(len(words) - 1, 1)))


def likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard's coefficient: common bigrams / all bigrams of both."""
    return len(one & other) / len(one | other)


def twins(ones: list[Example], others: list[Example]) -> list[tuple[Example, Example, float]]:
    """The pairs of an example of `ones` and one of `others` that are at least TWINS alike."""
    by_bigram: dict[str, set[int]] = defaultdict(set)
    of_others = [bigrams(text) for text, _ in others]
    for place, grams in enumerate(of_others):
        for gram in grams:
            by_bigram[gram].add(place)
    found = []
    for one in ones:
        grams = bigrams(one[0])
        for place in sorted(set().union(*(by_bigram[gram] for gram in grams if gram in by_bigram))):
            alike = likeness(grams, of_others[place])
            if alike >= TWINS:
                found.append((one, others[place], alike))
    return found
