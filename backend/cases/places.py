"""Places: which district, street and community the words of a citizen or a point of the map name.

The city's own gazetteer (nlu_data/places.csv) is the list of names. Parsers of Chinese addresses that exist (cpca, jionlp)
map onto the national list of divisions, ask for the province to be said, and know no estates; within one city, where nobody
says the province, they add nothing to it. Pure, except that the gazetteer is a file that is read once.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from functools import cache
from math import cos, hypot, radians
from typing import Final

from backend.knowledge.text import normalise
from backend.settings import ROOT

HOUSE: Final = re.compile(r"\d+(?:号楼|号院|号|栋|幢|座)(?:\d+单元)?(?:\d+(?:室|号|户|层|楼))?")
KILOMETRES_A_DEGREE: Final = 111.2
COMMUNITY_WITHIN: Final = 0.5
"""Kilometres from a community's point within which a point of the map is taken to be there."""
SPOT_LENGTH: Final = 60
SPOT_LEAST: Final = 2
CITY_WITHIN: Final = 15.0
"""Kilometres from the nearest known point beyond which a point of the map is not in the city."""


@dataclass(frozen=True)
class Place:
    """A place as far as it is known: names of the gazetteer, and the house in the citizen's words. Empty: not known."""

    district: str = ""
    street: str = ""
    community: str = ""
    house: str = ""

    def agrees(self, other: "Place") -> bool:
        """Whether both can be the same place."""
        return all(
            not mine or not theirs or mine == theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)
        )

    def __str__(self) -> str:
        return "".join(astuple(self))


@dataclass(frozen=True)
class Known:
    """One row of the gazetteer: a place, the names that it goes by, and where it is (degrees, None: not known)."""

    place: Place
    names: Sequence[str]
    point: tuple[float, float] | None = None

    @property
    def name(self) -> str:
        """What it is called, without that in which it lies."""
        return self.place.community or self.place.street or self.place.district

    @property
    def kind(self) -> int:
        """0 for a district, 1 for a street or town, 2 for a community, an estate or a road."""
        return 2 if self.place.community else 1 if self.place.street else 0


class Gazetteer:
    """The places of a city."""

    def __init__(self, known: Iterable[Known]) -> None:
        self._known = list(known)
        self._by_name: dict[str, list[Known]] = {}
        for one in self._known:
            for name in one.names:
                self._by_name.setdefault(normalise(name), []).append(one)
        self._by_name.pop("", None)
        self._longest = max(map(len, self._by_name), default=0)

    def find(self, text: str) -> Place:
        """The place that `text` names. Of several districts the last one counts ("不是川北区，是明湖区"). Of a name that two
        places have, only what they have in common is taken, unless the rest of the text tells them apart."""
        plain = normalise(text)
        found = Place()
        hits = [self._by_name[plain[begin:end]] for begin, end in self._spans(plain)]
        for kind in range(3):
            for hit in reversed(hits):
                fitting = [one.place for one in hit if one.kind == kind and one.place.agrees(found)]
                if fitting:
                    found = in_common(fitting)
                    break
        house = HOUSE.search(plain)
        return Place(found.district, found.street, found.community, house[0] if house else "")

    def without(self, text: str) -> str:
        """The normalised text without the names of places, which say nothing about the matter (云水区 is no water)."""
        plain = normalise(text)
        ends = [0, *(end for _, end in self._spans(plain))]
        begins = [*(begin for begin, _ in self._spans(plain)), len(plain)]
        return "".join(plain[end:begin] for end, begin in zip(ends, begins, strict=True))

    def pieces(self, text: str) -> list[tuple[str, bool]]:
        """The normalised text cut up: names of places (True), each by the name that the gazetteer has for it, and what
        stands between them. Of names that follow each other, from the district down to the estate, only the last stays."""
        plain = normalise(text)
        found: list[tuple[str, bool]] = []
        at = 0
        for begin, end in self._spans(plain):
            if at < begin:
                found.append((plain[at:begin], False))
            elif found and found[-1][1]:
                found.pop()
            known = self._by_name[plain[begin:end]]
            found.append((known[0].name if len(known) == 1 else plain[begin:end], True))
            at = end
        return [*found, (plain[at:], False)] if at < len(plain) else found

    def near(self, latitude: float, longitude: float) -> Place:
        """The place around a point of the map, by the nearest points that are known."""
        distances = sorted(
            (kilometres(one.point, (latitude, longitude)), number)
            for number, one in enumerate(self._known)
            if one.point is not None and one.place.street
        )
        if not distances or distances[0][0] > CITY_WITHIN:
            return Place()
        nearest = self._known[distances[0][1]].place
        community = nearest.community if distances[0][0] <= COMMUNITY_WITHIN else ""
        return Place(nearest.district, nearest.street, community)

    def _spans(self, plain: str) -> list[tuple[int, int]]:
        """Where names stand in a normalised text, the longest first where they overlap, in the order of the text."""
        found = []
        begin = 0
        while begin < len(plain):
            longest = min(self._longest, len(plain) - begin)
            end = next(
                (begin + size for size in range(longest, 0, -1) if plain[begin : begin + size] in self._by_name), 0
            )
            if end:
                found.append((begin, end))
            begin = end or begin + 1
        return found


def district_of(place: str, what: str) -> str:
    """The district of a filing: of its place, else of its words. Empty: neither names one, nor a place in one."""
    return gazetteer().find(place).district or gazetteer().find(what).district


def spot(place: str, what: str) -> str:
    """The one name by which a filing's place is compared with its neighbours': the estate, village or road of the gazetteer,
    else the citizen's own words for it without district, street and house. Empty where only a district or nothing is known:
    what is at the same place as that nobody can say."""
    known = gazetteer().find(f"{place} {what}").community
    own = HOUSE.split(gazetteer().without(place))[0] if place else ""
    return (known or re.sub(r"\W+", "", own))[:SPOT_LENGTH] if known or len(own) >= SPOT_LEAST else ""


def in_common(places: Sequence[Place]) -> Place:
    """What all of the places have in common."""
    return Place(*(values[0] if len(set(values)) == 1 else "" for values in zip(*map(astuple, places), strict=True)))


def kilometres(one: tuple[float, float], other: tuple[float, float]) -> float:
    """The distance of two points (latitude, longitude in degrees) that are no more than a city apart."""
    wide = (one[1] - other[1]) * cos(radians((one[0] + other[0]) / 2))
    return KILOMETRES_A_DEGREE * hypot(one[0] - other[0], wide)


@cache
def gazetteer() -> Gazetteer:
    """The gazetteer of nlu_data/places.csv."""
    with (ROOT / "nlu_data" / "places.csv").open(encoding="utf-8", newline="") as rows:
        return Gazetteer(known_of(row) for row in csv.DictReader(rows))


def known_of(row: dict[str, str]) -> Known:
    """A row of the file. A district goes by its name without 区 or 县 as well; other short names are in `aliases`."""
    place = Place(row["district"], row["street"], row["community"])
    name = Known(place, []).name
    short = [] if place.street or place.community else [place.district[:-1]]
    point = (float(row["latitude"]), float(row["longitude"])) if row["latitude"] and row["longitude"] else None
    return Known(place, [name, *short, *row["aliases"].split()], point)
