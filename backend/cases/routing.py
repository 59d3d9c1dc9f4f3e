"""Routing: what category a case belongs to and which agency it is proposed to, with a probability.

The nearest article of the knowledge gives the category and the city's agency for it; the district named in the place
moves it down to that district's own bureau where there is one. A dispatcher decides; this only proposes. Pure.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from backend.directory.models import Agency

UNSORTED_CATEGORY = "GV-OTHER"
LINE_AGENCY = "C-LINE"
SURE_ENOUGH = 0.3
"""Below this probability the nearest article says too little, and the case stays unsorted with the line itself."""


@dataclass(frozen=True)
class Proposal:
    """Where a case should go: codes of category and agency, and the probability (0 to 1) that this is right."""

    category: str
    agency: str
    certainty: float


def propose(nearest: tuple[str, str] | None, certainty: float, place: str, agencies: Iterable[Agency]) -> Proposal:
    """Propose category and agency from the nearest article's (category, agency), how sure the search is of it, and the
    place in the citizen's own words."""
    if nearest is None or certainty < SURE_ENOUGH:
        return Proposal(UNSORTED_CATEGORY, LINE_AGENCY, certainty if nearest else 0.0)
    category, city_agency = nearest
    known = list(agencies)
    bureau = next(
        (
            agency
            for agency in known
            if agency.level == 2 and agency.parent_code == city_agency and is_named(agency.district, place)
        ),
        None,
    )
    return Proposal(category, bureau.code if bureau else city_agency, certainty)


def without_places(text: str, agencies: Collection[Agency]) -> str:
    """The text without names of districts and streets, which say nothing about the matter (云水区 is no water)."""
    names = {agency.district for agency in agencies if agency.level > 1}
    names |= {agency.name.removesuffix("办事处").removesuffix("人民政府") for agency in agencies if agency.level == 3}
    return re.sub("|".join(map(re.escape, sorted(names, key=len, reverse=True))), "", text) if names else text


def is_named(district: str, place: str) -> bool:
    """Whether the place names the district, with or without 区 or 县."""
    return district[:-1] in place
