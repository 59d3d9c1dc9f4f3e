"""Root issues: who may do what to one, which cases can't be in one together, how each case comes to its answer. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Final

from backend.cases.places import Place
from backend.cases.rules import DISPATCHERS, LINE

STATES: Final = ("open", "closed", "merged", "undone")
"""Nothing is done to one that isn't open."""

WHO: Final[Mapping[str, frozenset[str]]] = {
    "open": DISPATCHERS,
    "join": DISPATCHERS | {"citizen", "bot", "operator"},  # the latter only with the case that they are filing
    "split": DISPATCHERS,
    "absorb": DISPATCHERS,
    "assign": DISPATCHERS,
    "send": DISPATCHERS,
    "plan": DISPATCHERS | {"owner"},
    "step": DISPATCHERS | {"owner"},
    "reply": DISPATCHERS | {"owner"},
    "undo": DISPATCHERS,
    "close": DISPATCHERS | LINE,
}
"""act -> who may do it; `owner` is the agency that leads the issue."""

UNDOABLE: Final = frozenset({"open", "join", "split", "absorb", "assign", "plan"})
"""What can be taken back. Citizens have heard an answer, and an agency has been given its cases: that can't."""

TO_THE_ANSWER: Final[Mapping[bool, Mapping[str, tuple[str, ...]]]] = {
    True: {
        "dispatched": ("sign", "reply"),
        "signed": ("reply",),
        "paused": ("resume", "reply"),
        "redo": ("reply",),
        "supervised": ("reply",),
    },
    False: {"filed": ("accept", "answer"), "accepted": ("answer",)},
}
"""Whether the leading agency answers (of cases that are with it) or the desk (of cases that no agency has) -> state of a
case -> the acts of cases/rules.py by which it gets the one reply. All others are told of it, and go on with whoever has
them."""


@dataclass(frozen=True)
class Member:
    """A case as far as grouping looks at it."""

    id: int
    number: str
    place: Place


@dataclass(frozen=True)
class Contradiction:
    """Two cases that can't be in one root issue, because somebody has said so (`said`), or because they are at two
    places."""

    one: Member
    other: Member
    said: bool


def contradiction(members: Sequence[Member], apart: Collection[tuple[int, int]]) -> Contradiction | None:
    """The first pair that can't be together, those that somebody has kept apart before all; None: all can. A~B and B~C
    are not enough where A is not C. `apart`: pairs of ids, the smaller first."""
    by_id = {member.id: member for member in members}
    for one, other in sorted(apart):
        if one in by_id and other in by_id:
            return Contradiction(by_id[one], by_id[other], said=True)
    first_at: dict[Place, Member] = {}
    for member in members:
        first_at.setdefault(without_house(member.place), member)
    for place, member in first_at.items():
        for elsewhere, another in first_at.items():
            if not place.agrees(elsewhere):
                return Contradiction(member, another, said=False)
    return None


def fitting(
    members: Sequence[Member], candidates: Sequence[Member], apart: Collection[tuple[int, int]]
) -> list[Member]:
    """Those of the candidates, the likeliest first, that can all be together with the members and with each other."""
    taken = list(members)
    for candidate in candidates:
        if contradiction([*taken, candidate], apart) is None:
            taken.append(candidate)
    return taken[len(members) :]


def without_house(place: Place) -> Place:
    """The place of a matter that neighbours share."""
    return Place(place.district, place.street, place.community)


def place_of_all(places: Sequence[Place]) -> Place:
    """What the places that are known have in common; who hasn't said where counts for nothing."""
    named = [{part for part in parts if part} for parts in zip(*map(astuple, places), strict=True)]
    return Place(*(next(iter(parts)) if len(parts) == 1 else "" for parts in named))


def path_to_answer(state: str, by_owner: bool, with_owner: bool) -> tuple[str, ...]:
    """The acts by which a case gets the one reply of the leading agency (`by_owner`) or the desk; empty: it doesn't."""
    if by_owner and not with_owner:
        return ()
    return TO_THE_ANSWER[by_owner].get(state, ())
