"""Hot issues: which cases tell of the same thing at the same place. Pure: texts and places in, groups out.

A case is a vector of two parts: what it means (the vectors of knowledge search, seen from their middle, as they all lie in
one corner) and its runs of two and three characters, hashed and weighted by how rare they are. A group is the sum of its
cases' vectors. A new case joins the nearest group that is near enough and at a place that agrees, or opens one of its
own.
At night, groups that have grown together are joined and those that hold two matters are split. How this was chosen among
words, meaning and other ways to group, docs/hot-issues.md tells; tests/bench/hot.py measures it.
"""

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.cases.places import Place, gazetteer
from backend.insight.words import JOINT
from backend.knowledge.masking import mask

Floats = NDArray[np.float32]
Spots = NDArray[np.int64]

READ: Final = 200
"""Characters of a message that count: what it is about stands at its beginning."""
LENGTH: Final = 1024
"""Of a vector. Twice as many were no better."""
COUNTED_IN: Final = 1 << 18
"""Counters of the rarity of runs."""
MEANING: Final = 0.5
"""Share of the meaning in the likeness, where there is a model."""
MIDDLE_OF: Final = 100
"""Cases from which on the middle of their meanings is known."""
NEAR: Final = {True: 0.22, False: 0.12}
NEAR_A_CHARACTER: Final = 1.6
"""From NEAR (with meaning, without) + NEAR_A_CHARACTER / (characters of the message) on a case joins a group: two short
texts are alike by chance sooner. Chosen on the development half of tests/bench/hot.py, on whole letters, their openings and
titles."""
GROWN_TOGETHER: Final = {True: 0.35, False: 0.2}
"""Two groups become one from this similarity, with meaning and without."""
SAME_PLACE: Final = 0.05
"""So much more alike are a case and a group at the same estate or road."""
CANDIDATES: Final = 40
"""Groups whose places are looked at: those with the nearest words."""
TOGETHER: Final = 256
"""Groups that are compared with all others at once: what that takes of memory is bounded."""
APART: Final = 0.15
"""A group is split where its halves are less alike than this."""
LEAST_APART: Final = 4
"""Cases below which nobody can tell two matters from one."""
TURNS: Final = 10
NOT_SAID: Final = re.compile(r"\W+")


def runs(text: str) -> Spots:
    """The runs of two and three characters of a message, each once, as numbers. Names of places don't count, as `likeness`
    asks where it is, nor does what is personal."""
    said = NOT_SAID.sub("", gazetteer().without(mask(text[:READ])))
    found = {said[at : at + size] for size in (2, 3) for at in range(len(said) - size + 1)}
    return np.array(sorted(zlib.crc32(run.encode()) for run in found), np.int64)


class Rarity:
    """In how many messages each run was."""

    def __init__(self) -> None:
        self.messages = 0
        self._seen = np.zeros(COUNTED_IN, np.int32)

    def add(self, said: Spots) -> None:
        """Count a message."""
        self.messages += 1
        self._seen[np.unique(said % COUNTED_IN)] += 1

    def vector(self, said: Spots) -> Floats:
        """A message's runs, each at the place and with the sign of its number, weighted by how rare it is. Unit length; all
        zero without a run."""
        seen = np.minimum(self._seen[said % COUNTED_IN], self.messages)
        weights = np.log((2 + self.messages) / (1 + seen)) * np.where(said >> 20 & 1, 1, -1)
        return unit(np.bincount(said % LENGTH, weights, LENGTH).astype(np.float32))


def unit(vector: Floats) -> Floats:
    """The same direction at length 1."""
    length = float(np.linalg.norm(vector))
    return np.asarray(vector / np.float32(length) if length else vector, np.float32)


def features(meaning: Floats | None, said: Floats) -> Floats:
    """Both parts as one vector of unit length. `meaning`: seen from the middle; all zero: that isn't known yet; None: there
    is no model."""
    if meaning is None:
        return said
    return unit(np.concatenate([unit(meaning) * np.float32(sqrt(MEANING)), said * np.float32(sqrt(1 - MEANING))]))


def near(characters: int, meant: bool) -> float:
    """How alike a message of so many characters must be to a group to join it. `meant`: what it means is known."""
    return NEAR[meant] + NEAR_A_CHARACTER / max(1, min(characters, READ))


@dataclass
class Group:
    """What is known of a group beside its direction: how long the sum of its vectors is, how many they are, and where."""

    length: float
    size: int = 1
    district: str = ""
    community: str = ""


class Groups:
    """Groups by number, as a new case is compared with them."""

    def __init__(self) -> None:
        self.all: list[Group] = []
        self._room = np.zeros((0, 0), np.float32)

    @property
    def centres(self) -> Floats:
        """A row of unit length for each."""
        return self._room[: len(self.all)]

    def total(self, number: int) -> Floats:
        """The sum of a group's vectors."""
        return np.asarray(self._room[number] * np.float32(self.all[number].length), np.float32)

    def put(self, total: Floats, size: int, place: Place, number: int = -1) -> int:
        """A group, in place of the one with this number or as a new one; its number."""
        if number < 0:
            number = len(self.all)
            if number == len(self._room):
                room = np.zeros((max(64, 2 * number), len(total)), np.float32)
                room[:number] = self.centres if number else 0
                self._room = room
            self.all.append(Group(0.0))
        self.all[number] = Group(float(np.linalg.norm(total)), size, place.district, place.community)
        self._room[number] = unit(total)
        return number

    def take(self, vector: Floats, place: Place, least: float) -> tuple[int, float]:
        """The group that a case joins or opens, and how near it is (1: it opened it)."""
        number, how = self.nearest(vector, place)
        if number < 0 or how < least:
            return self.put(vector, 1, place), 1.0
        group = self.all[number]
        where = Place(district=group.district or place.district, community=group.community or place.community)
        return self.put(self.total(number) + vector, group.size + 1, where, number), how

    def nearest(self, vector: Floats, place: Place) -> tuple[int, float]:
        """The number of the nearest group and how near it is; -1 where none can be the same."""
        if not self.all:
            return -1, -2.0
        return self._best(self.centres @ vector, place)

    def grown_together(self, among: Sequence[int], least: float) -> list[tuple[int, int]]:
        """Pairs (stays, goes) of groups that are one by now, so alike are they, for each of `among` that has more than one
        case; the larger stays, and each goes once."""
        found: list[tuple[int, int]] = []
        gone: set[int] = set()
        asked = sorted((one for one in among if self.all[one].size > 1), key=lambda one: (self.all[one].size, -one))
        for begin in range(0, len(asked), TOGETHER):
            numbers = asked[begin : begin + TOGETHER]
            for number, similarities in zip(numbers, self.centres[numbers] @ self.centres.T, strict=True):
                group = self.all[number]
                similarities[[number, *gone]] = -1
                other, how = self._best(similarities, Place(district=group.district, community=group.community))
                if number not in gone and how >= least and self.all[other].size > 1:
                    goes, stays = sorted((number, other), key=lambda one: (self.all[one].size, -one))
                    found.append((stays, goes))
                    gone.add(goes)
        return found

    def _best(self, similarities: Floats, place: Place) -> tuple[int, float]:
        """The best of the CANDIDATES with the nearest words, by their places too."""
        first = np.argpartition(-similarities, min(CANDIDATES, len(self.all) - 1))[: CANDIDATES + 1]
        best, number = max((likeness(float(similarities[one]), self.all[one], place), -int(one)) for one in first)
        return -number, best


def likeness(similarity: float, group: Group, place: Place) -> float:
    """How near a case is to a group, its place considered; below -1 where it can't be the same: another district, another
    estate."""
    if place.district and group.district and place.district != group.district:
        return -2.0
    if place.community and group.community:
        return similarity + SAME_PLACE if place.community == group.community else -2.0
    return similarity


def apart(vectors: Floats) -> NDArray[np.bool_]:
    """Which cases of a group are of another matter than the rest: the smaller of its two halves (spherical 2-means, begun
    with the two cases that are most apart), where their centres are not APART alike; none otherwise."""
    none = np.zeros(len(vectors), np.bool_)
    if len(vectors) < LEAST_APART:
        return none
    one = int((vectors @ vectors.sum(axis=0)).argmin())
    other = int((vectors @ vectors[one]).argmin())
    centres = vectors[[one, other]]
    side = none
    for _ in range(TURNS):
        before, side = side, vectors @ centres[1] > vectors @ centres[0]
        if (side == before).all() or side.all() or not side.any():
            break
        centres = np.stack([unit(vectors[~side].sum(axis=0)), unit(vectors[side].sum(axis=0))])
    if side.all() or not side.any() or float(centres[0] @ centres[1]) >= APART:
        return none
    return side if side.sum() * 2 <= len(side) else ~side


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
