"""Routing: what a case is about, which agency it is proposed to, how urgent and how risky it is, each with a probability,
and why. A dispatcher decides; this only proposes.

Certain words come first: the duty list (nlu_data/duties.csv). Otherwise what was learned from the knowledge and from past
dispatches decides (cases/learning.py), and on a line that has learned nothing yet, the nearest article. All three name the
city's agency; the place then moves the case down to the district's own bureau, or to the street's office.
"""

import csv
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cache
from typing import Any, Final

from sqlalchemy.orm import Session

from backend.cases.learning import DISTRICT, LINE_AGENCY, MEANT, STREET, circumstances, in_use
from backend.cases.linear import Linear, Said
from backend.cases.places import Place, gazetteer
from backend.clock import local
from backend.directory.categories import UNSORTED_CATEGORY
from backend.directory.known import agencies_at, categories_at, stand_of
from backend.directory.models import Agency
from backend.directory.service import in_charge
from backend.knowledge.service import Knowledge
from backend.knowledge.text import normalise
from backend.settings import ROOT

__all__ = ["LINE_AGENCY", "UNSORTED_CATEGORY", "Proposal", "propose", "route"]

SURE_ENOUGH: Final = 0.3
"""Below this probability what was found says too little, and the case stays unsorted with the line itself."""
DUTIES_RIGHT: Final = 0.95
"""How often the duty list is right where it speaks; tests/bench/routing.py measures it."""
OTHERS: Final = 3
"""How many agencies a dispatcher is offered."""


@dataclass(frozen=True)
class Proposal:
    """Where a case should go: codes of category and agency, and the probability (0 to 1) that this agency is right. With it
    the next best agencies, urgency and risk with their probabilities, the words that weighed, and the place."""

    category: str
    agency: str
    certainty: float
    others: tuple[tuple[str, float], ...] = ()
    urgency: tuple[str, float] = ("normal", 0.0)
    risk: tuple[str, float] = ("none", 0.0)
    words: tuple[str, ...] = ()
    by: str = "nearest"  # duties, learned, nearest, number (dialled): what the proposal rests on
    place: Place = field(default_factory=Place)

    def details(self) -> dict[str, Any]:
        """What the history of the case keeps of it, for the dispatcher and for those who look at it later."""
        why: dict[str, Any] = {"by": self.by, "words": list(self.words)}
        if self.by != "nearest":
            why |= {
                "others": [[agency, round(probability, 3)] for agency, probability in self.others[1:]],
                "urgency": [self.urgency[0], round(self.urgency[1], 3)],
                "risk": [self.risk[0], round(self.risk[1], 3)],
            }
        return {"proposal": self.agency, "why": why}


@dataclass(frozen=True)
class Duty:
    """One row of the duty list: every group of words must have one in the text, none of the others may be there."""

    all_of: tuple[tuple[str, ...], ...]
    none_of: tuple[str, ...]
    category: str
    agency: str

    def words_in(self, text: str) -> list[str]:
        """The words by which the normalised text falls under this duty; none when it doesn't."""
        if any(word in text for word in self.none_of):
            return []
        found = [next((word for word in group if word in text), "") for group in self.all_of]
        return found if all(found) else []


@cache
def duties() -> tuple[Duty, ...]:
    """The duty list: | between words of which one is enough, blanks between groups of which each must be there."""
    with (ROOT / "nlu_data" / "duties.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            Duty(
                tuple(tuple(map(normalise, group.split("|"))) for group in row["all_of"].split()),
                tuple(normalise(word) for word in row["none_of"].split("|") if word),
                row["category"],
                row["agency"],
            )
            for row in csv.DictReader(file)
        )


def duty_of(text: str) -> tuple[Duty, list[str]] | None:
    """The duty that a normalised text falls under, with its words; None when there is none, or when several categories claim
    it, which is not certain."""
    found = [(duty, words) for duty in duties() if (words := duty.words_in(text))]
    return found[0] if len({duty.category for duty, _ in found}) == 1 else None


def route(
    session: Session,
    knowledge: Knowledge,
    what: str,
    where: str,
    now: datetime,
    point: tuple[float, float] | None = None,
) -> Proposal:
    """The proposal for a request: what it is about, where in the citizen's own words, when, and where on the map (latitude
    and longitude in degrees) if that is known."""
    stand = stand_of(session)
    known, used = agencies_at(stand), categories_at(stand)
    place = place_of(what, where, point)
    today = local(now).date()
    model = in_use(session)
    if model is None:
        found = knowledge.search(session, gazetteer().without(what), now, limit=1)
        nearest = (found.articles[0][0].category_code, found.articles[0][0].agency_code) if found.articles else None
        if nearest and not nearest[1]:  # a passage of a document says nothing about who answers for it
            nearest = None
        return unless_retired(propose(nearest, found.first_is_right, str(place) or where + what, known), used)
    said = Said(
        gazetteer().without(what),
        circumstances(now, place),
        knowledge.vector(what[:MEANT]) if len(model.middle) else None,
    )
    return unless_retired(decide(model, said, place, known, today), used)


def unless_retired(proposal: Proposal, used: Container[str]) -> Proposal:
    """The proposal as it is, or unsorted where its category takes no new cases any more: the agency stays the right one."""
    return proposal if proposal.category in used else replace(proposal, category=UNSORTED_CATEGORY)


def decide(model: Linear, said: Said, place: Place, known: Mapping[str, Agency], today: date) -> Proposal:
    """What the duty list and the model make of a request. Pure."""

    def at_place(agency: str) -> str:
        return in_charge(known, agency_at(agency, place, known), today)

    found = model.ranked(said)
    ranked = [one for one in found["agency"] if one[0] in known or one[0] in (STREET, DISTRICT)]
    categories, urgency, risk = found["category"], found["urgency"][0], found["risk"][0]
    others = tuple((at_place(agency), probability) for agency, probability in ranked[:OTHERS])
    duty = duty_of(said.text)
    if duty and duty[0].agency in known:
        agency = at_place(duty[0].agency)
        rest = tuple(one for one in others if one[0] != agency)[: OTHERS - 1]
        return Proposal(
            duty[0].category,
            agency,
            DUTIES_RIGHT,
            ((agency, DUTIES_RIGHT), *((one, p * (1 - DUTIES_RIGHT)) for one, p in rest)),
            urgency,
            risk,
            tuple(duty[1]),
            "duties",
            place,
        )
    if not ranked or ranked[0][1] < SURE_ENOUGH:
        certainty = ranked[0][1] if ranked else 0.0
        return Proposal(UNSORTED_CATEGORY, LINE_AGENCY, certainty, others, urgency, risk, (), "learned", place)
    other = next(label for label, _ in found["agency"] if label != ranked[0][0])
    words = tuple(model.why("agency", said, ranked[0][0], other))
    category = categories[0][0] if categories[0][1] >= SURE_ENOUGH else UNSORTED_CATEGORY
    return Proposal(category, others[0][0], ranked[0][1], others, urgency, risk, words, "learned", place)


def propose(nearest: tuple[str, str] | None, certainty: float, where: str, known: Mapping[str, Agency]) -> Proposal:
    """The proposal from an article's or a category's own (category, agency), the probability that it is the right one, and
    the place in the citizen's own words."""
    if nearest is None or certainty < SURE_ENOUGH:
        return Proposal(UNSORTED_CATEGORY, LINE_AGENCY, certainty if nearest else 0.0)
    place = gazetteer().find(where)
    return Proposal(nearest[0], agency_at(nearest[1], place, known), certainty, place=place)


def place_of(what: str, where: str, point: tuple[float, float] | None = None) -> Place:
    """The place of a request: what was said of it, else what the matter itself names, else the point of the map."""
    found = gazetteer().find(where)
    if not found.district:
        found = in_full(gazetteer().find(what), found)
    if not found.district and point:
        found = in_full(gazetteer().near(*point), found)
    return found


def in_full(place: Place, with_house_of: Place) -> Place:
    """The place with the house that was said of it."""
    return Place(place.district, place.street, place.community, with_house_of.house or place.house)


def agency_at(agency: str, place: Place, known: Mapping[str, Agency]) -> str:
    """Who answers at this place for what is a city agency's, a district's or a street's; where nobody does, the line."""
    if agency in known:
        bureau = (one for one in known.values() if one.parent_code == agency and one.level == 2)
        own = next((one.code for one in bureau if place.district and one.district == place.district), None)
        return agency if own is None or agency == LINE_AGENCY else own
    of_district = [one for one in known.values() if place.district and one.district == place.district]
    street = (one.code for one in of_district if one.level == 3 and place.street and one.name.startswith(place.street))
    government = (one.code for one in of_district if one.level == 2 and one.parent_code == LINE_AGENCY)
    found = next(street, None) if agency == STREET else None
    return found or next(government, LINE_AGENCY)
