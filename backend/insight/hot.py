"""Hot issues: which cases tell of the same thing at the same place. Pure: vectors in, groups out.

A case is a vector of two parts: what it means (the vectors of knowledge search) and its words (hashed, weighted by how rare
they are). A group is the sum of its cases' vectors. A new case joins the nearest group that is near enough and at a place
that agrees, or opens one of its own; a nightly pass joins groups that have grown together.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.cases.places import Place
from backend.insight.words import JOINT

Floats = NDArray[np.float32]

BUCKETS: Final = 1024
"""Length of the part of words."""
READ: Final = 200
"""Characters of a message that count: what it is about stands at its beginning."""
MEANING: Final = 0.5
"""Share of the meaning in the similarity, where there is a model."""
NEAR: Final = {True: 0.53, False: 0.18}
"""From which similarity a case joins a group: with meaning, without. The latter was chosen on letters to a city (pair
precision 1.0 at recall 0.37); the former follows from it and from multilingual-e5-small's cosines (different .885, same
.94): words as near as that are needed where the meaning says nothing, and fewer where it agrees. It is not measured yet."""
GROWN_TOGETHER: Final = 0.12
"""Two groups become one from a similarity that is so much higher."""
SAME_PLACE: Final = 0.05
"""So much more alike are a case and a group at the same estate or road."""


def written(said: Iterable[str], seen_in: Mapping[str, int], of: int) -> Floats:
    """The part of words of a message's terms (words.terms): each in a bucket of its own hash, weighted by how rare it is
    among `of` cases (`seen_in`: in how many of them). Unit length, or all zero without a term."""
    vector = np.zeros(BUCKETS, np.float32)
    for term in said:
        spot = zlib.crc32(term.encode())
        weight = log((2 + of) / (1 + min(seen_in.get(term, 0), of)))
        vector[spot % BUCKETS] += weight if spot & 0x10000 else -weight
    return unit(vector)


def features(meaning: Floats | None, words: Floats) -> Floats:
    """Both parts as one vector, whose product with another is their similarity, -1 to 1."""
    if meaning is None:
        return words
    return np.concatenate([unit(meaning) * np.float32(sqrt(MEANING)), words * np.float32(sqrt(1 - MEANING))])


def unit(vector: Floats) -> Floats:
    """The same direction at length 1."""
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector


@dataclass
class Group:
    """A group as it is compared: the sum of its cases' vectors, how many there are, and where they are."""

    total: Floats
    size: int = 1
    district: str = ""
    community: str = ""

    def add(self, vector: Floats, place: Place) -> None:
        """Take in a case."""
        self.total = self.total + vector
        self.size += 1
        self.district = self.district or place.district
        self.community = self.community or place.community


def likeness(similarity: float, group: Group, place: Place) -> float:
    """How near a case is to a group, its place considered; below -1 where it can't be the same: another district, another
    estate."""
    if place.district and group.district and place.district != group.district:
        return -2.0
    if place.community and group.community:
        return similarity + SAME_PLACE if place.community == group.community else -2.0
    return similarity


def nearest(vector: Floats, place: Place, centres: Floats, groups: Sequence[Group], but: int = -1) -> tuple[int, float]:
    """The number of the nearest group and how near it is; -1 without any. `centres`: a row of unit length for each of the
    groups. `but`: one that is not asked."""
    if not groups:
        return -1, -2.0
    similarities = centres @ vector
    first = np.argpartition(-similarities, min(CANDIDATES, len(groups) - 1))[: CANDIDATES + 1]
    found = [(likeness(float(similarities[one]), groups[one], place), -int(one)) for one in first if one != but]
    if not found:
        return -1, -2.0
    best, number = max(found)
    return -number, best


CANDIDATES: Final = 40
"""Groups whose places are looked at: those with the nearest words."""


def grown_together(centres: Floats, groups: Sequence[Group], near: float) -> list[tuple[int, int]]:
    """Pairs (stays, goes) of groups that are one by now; the larger stays, and each goes once."""
    found: list[tuple[int, int]] = []
    gone: set[int] = set()
    for number in sorted(range(len(groups)), key=lambda one: (groups[one].size, -one)):
        group = groups[number]
        if number in gone or group.size < 2:
            continue
        place = Place(district=group.district, community=group.community)
        other, how = nearest(centres[number], place, centres, groups, but=number)
        if other >= 0 and other not in gone and how >= near + GROWN_TOGETHER and groups[other].size >= group.size:
            found.append((other, number))
            gone.add(number)
    return found


def name_of(said: Mapping[str, int], seen_in: Mapping[str, int], of: int, place: str) -> str:
    """A name for a group from its own words: its place, and the words that most of its cases say and few others do. `said`:
    in how many of its cases each term is (words.terms); `seen_in`: in how many of `of` cases of the city."""
    size = max(said.values(), default=0)
    least = 2 if size > 1 else 1

    def weight(term: str) -> float:
        return said[term] * log((2 + of) / (1 + min(seen_in.get(term, 0), of))) * (1.4 if JOINT in term else 1.0)

    chosen: list[str] = []
    for term in sorted(said, key=lambda one: (-weight(one), one)):
        parts = set(term.split(JOINT))
        if said[term] >= least and term != place and not any(parts & set(other.split(JOINT)) for other in chosen):
            chosen.append(term)
        if len(chosen) == 2:
            break
    words = "、".join(term.replace(JOINT, "") for term in chosen)
    return f"{place}：{words}" if place and words else place or words
