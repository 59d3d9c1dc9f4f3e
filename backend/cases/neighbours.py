"""What neighbours have reported already: near-duplicates at the same place, offered to whoever is filing and to dispatchers.

Whoever files is told how many and where, never another's words or who they are; and only from LEAST citizens on, so that
nobody can be recognised by it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from backend.cases import roots, routing
from backend.cases.models import Case
from backend.cases.places import gazetteer, spot
from backend.cases.root_models import RootIssue, RootMember
from backend.cases.root_rules import fitting, without_house
from backend.cases.rules import OPEN_STATES
from backend.cases.sameness import NEAR, likeness
from backend.cases.service import Actor, Filing, act_on, file_case, filed_with, open_case_of
from backend.errors import Refused
from backend.knowledge.service import Knowledge

WITHIN: Final = timedelta(days=30)
LOOKED_AT: Final = 300
"""The newest open cases at the place that a filing is compared with."""
LEAST: Final = 3
"""Citizens from which on whoever files is told of them."""


@dataclass(frozen=True)
class Near:
    """A case of somebody else about what seems to be the same matter, how alike it is (0 to 1), and the open root issue
    that it is in."""

    case: Case
    likeness: float
    root_id: int | None


@dataclass(frozen=True)
class Offer:
    """What whoever files may know: how many citizens have reported it, and where; the root issue stays inside."""

    citizens: int
    place: str
    root_id: int | None


def near(session: Session, what: str, place: str, contact: str | None, now: datetime) -> list[Near]:
    """Open cases of others at the same place that tell of the same, the likeliest first. None where the place isn't known as
    far as an estate or a road."""
    here = spot(place, what)
    if not here or not what.strip():
        return []
    where = without_house(gazetteer().find(f"{place} {what}"))
    recent = (
        select(Case, RootIssue.id)
        .outerjoin(RootMember, (RootMember.case_id == Case.id) & RootMember.left_at.is_(None))
        .outerjoin(RootIssue, (RootIssue.id == RootMember.root_id) & (RootIssue.state == "open"))
        .where(Case.spot == here, Case.state.in_(OPEN_STATES), Case.filed_at > now - WITHIN)
        .options(selectinload(Case.agency))
        .order_by(Case.id.desc())
        .limit(LOOKED_AT)
    )
    found = [
        Near(case, how, root_id)
        for case, root_id in session.execute(recent)
        if (contact is None or case.contact != contact)
        and (how := likeness(case.what, what)) >= NEAR
        and where.agrees(without_house(roots.place_of(case)))
    ]
    return sorted(found, key=lambda one: (-one.likeness, one.case.id))


def offer(session: Session, what: str, place: str, contact: str | None, now: datetime) -> Offer | None:
    """What whoever files such a matter is offered; None: nothing, or too few for nobody to be recognised."""
    found = near(session, what, place, contact, now)
    issues = Counter(one.root_id for one in found if one.root_id is not None)
    root_id = issues.most_common(1)[0][0] if issues else None
    cases = {one.case.id: one.case for one in found}
    if root_id is not None:
        cases |= {case.id: case for case in roots.current(session, roots.get_root(session, root_id))}
    citizens = count_citizens([case.contact for case in cases.values()])
    return Offer(citizens, spot(place, what), root_id) if citizens >= LEAST else None


def count_citizens(contacts: Sequence[str | None]) -> int:
    """How many people these are: by number, each that left none being one."""
    return len({one for one in contacts if one}) + sum(one is None for one in contacts)


def file_with_answer(
    session: Session,
    knowledge: Knowledge,
    filing: Filing,
    together: bool | None,
    actor: Actor,
    now: datetime,
    jurisdiction: str,
    routed: routing.Proposal | None = None,
) -> Case:
    """File a case of somebody who was told of their neighbours and said whether theirs is the same matter (`together`; None:
    wasn't asked). It is a case of its own in any way; the same matter joins the root issue, where there is one and nobody
    has kept it apart. `routed` is as in file_case. What was said is on the case's record, where a dispatcher sees it."""
    is_repeat = together is not None and filing.key is not None and filed_with(session, filing.key) is not None
    if together is None or is_repeat or open_case_of(session, filing):
        return file_case(session, knowledge, filing, actor, now, jurisdiction, routed)
    found = offer(session, filing.what, filing.place, filing.contact, now)
    case = file_case(session, knowledge, filing, actor, now, jurisdiction, routed)
    if found is None:
        return case
    said = "市民说明与邻居反映的是同一件事" if together else "市民说明与邻居反映的不是同一件事"
    details = {"note": f"{said}（{found.citizens}人，{found.place}）"}
    act_on(session, case.number, "add", actor, details, now)
    if together and found.root_id is not None:
        try:
            roots.join(session, found.root_id, [case.number], actor, now)
        except Refused as refusal:  # it ended meanwhile, or the places differ: the case stands alone
            if refusal.status != 409:
                raise
    return case


@dataclass(frozen=True)
class Proposal:
    """What a dispatcher is offered for a case: open root issues that it may belong to, with how alike their likeliest case
    is, and cases in none that can all be put together with it."""

    issues: list[tuple[RootIssue, float]]
    cases: list[Near]


def propose(session: Session, case: Case, now: datetime) -> Proposal:
    """Root issues and free cases like this one. What contradicts is left out: kept apart by somebody, at another place
    than one that was taken before."""
    others = [one for one in near(session, case.what, case.place, case.contact, now) if one.case.id != case.id]
    apart = roots.apart(session, [case.id, *(one.case.id for one in others)])
    mine = roots.member_of(case)
    likeliest: dict[int, float] = {}
    for one in others:
        if one.root_id is not None:
            likeliest.setdefault(one.root_id, one.likeness)
    issues = []
    for root_id, how in likeliest.items():
        root = roots.get_root(session, root_id)
        members = [roots.member_of(member) for member in roots.current(session, root)]
        if fitting(members, [mine], apart):
            issues.append((root, how))
    alone = [one for one in others if one.root_id is None]
    fit = {member.id for member in fitting([mine], [roots.member_of(one.case) for one in alone], apart)}
    return Proposal(issues, [one for one in alone if one.case.id in fit])
