"""Whether two filings of the same citizen are about the same matter. Pure."""

import re
from typing import Final

ALIKE: Final = 0.5
"""So much of the shorter text's pairs of characters must be in the longer one. It is asked only of one citizen's own open
cases, where the same words again mean the same matter; what differs more is a case of its own,
which a dispatcher can merge."""


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
