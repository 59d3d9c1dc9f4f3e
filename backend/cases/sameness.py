"""Whether two filings are about the same matter: of one citizen, or of neighbours. Pure, but for a file read once."""

import re
from collections.abc import Collection
from functools import cache, lru_cache
from math import sqrt
from typing import Final

import rjieba

from backend.cases.places import gazetteer
from backend.settings import ROOT

ALIKE: Final = 0.5
"""So much of the shorter text's pairs of characters must be in the longer one. It is asked only of one citizen's own open
cases, where the same words again mean the same matter; what differs more is a case of its own,
which a dispatcher can merge."""

NEAR: Final = 0.39
"""From which likeness neighbours' filings at the same place are offered as the same matter. Chosen on one half of the
letters to a city whose groups somebody has published, without looking at their place: the lowest at which nine of ten
pairs are right (`make bench ONLY=sameness`, which also has what it does on the other half)."""
READ: Final = 200
"""Characters of a filing that count: what it is about stands at its beginning."""


def is_same_matter(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two (what, place) tell of the same: alike in words, and not at two places that have nothing in common."""
    if overlap(one[0], other[0]) < ALIKE:
        return False
    return not (one[1] and other[1]) or overlap(one[1], other[1]) >= ALIKE


def overlap(one: str, other: str) -> float:
    """How much of the shorter text's pairs of neighbouring characters is in the longer, 0 to 1."""
    first, second = sorted((pairs(one), pairs(other)), key=len)
    return len(first & second) / len(first) if first else float(one.strip() == other.strip())


def pairs(text: str) -> set[str]:
    """Pairs of neighbouring letters, digits and characters; whatever stands between them is nothing."""
    plain = re.sub(r"\W+", "", text.lower())
    return {plain[at : at + 2] for at in range(len(plain) - 1)}


def likeness(one: str, other: str) -> float:
    """How alike two citizens' words for a matter are, 0 to 1: the mean of what their words and their pairs of characters
    have in common (cosine). Words find 停水 in another sentence, pairs find what is cut into words in two ways."""
    first, second = features(one[:READ]), features(other[:READ])
    return (cosine(first[0], second[0]) + cosine(first[1], second[1])) / 2


def cosine(one: Collection[str], other: Collection[str]) -> float:
    """The cosine of two sets of words, a long word counting more than a short one."""
    shared = sum(len(word) ** 2 for word in one if word in other)
    lengths = sqrt(sum(len(word) ** 2 for word in one) * sum(len(word) ** 2 for word in other))
    return shared / lengths if lengths else 0.0


@lru_cache(maxsize=20_000)
def features(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """The telling words and the pairs of characters of a text, names of places left out: they are compared as places."""
    plain = gazetteer().without(text)
    words = frozenset(word for word in rjieba.cut(plain) if word[0].isalnum() and word not in stop_words())
    return words, frozenset(pairs(plain))


@cache
def stop_words() -> frozenset[str]:
    """nlu_data/stop_words.txt: words of every message to a city line."""
    lines = (ROOT / "nlu_data" / "stop_words.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())
