"""A hot issue becomes a root issue: its open cases are led, planned and answered together."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.cases import roots
from backend.cases.models import Case
from backend.cases.root_models import RootIssue
from backend.cases.root_rules import fitting
from backend.cases.rules import OPEN_STATES
from backend.cases.service import Actor
from backend.errors import Refused
from backend.insight.models import HotGroup, HotMember


def open_root_of(session: Session, group_id: int, actor: Actor, now: datetime) -> RootIssue:
    """Make a root issue of the open cases of a hot issue that are in none yet and can all be together, those nearest to the
    group first. Raises Refused where fewer than two are left, or (409) the issue was made one before."""
    group = session.get(HotGroup, group_id, with_for_update=True)
    if group is None:
        raise Refused("not_found", 404)
    if group.root_number:
        raise Refused("hot_is_root_already", 409, root=group.root_number)
    query = select(Case.id).join(HotMember, HotMember.case_id == Case.id)
    here = HotMember.group_id == group.id, Case.state.in_(OPEN_STATES)
    ids = list(session.scalars(query.where(*here).order_by(HotMember.likeness.desc(), Case.id).limit(roots.AT_ONCE)))
    by_id = {case.id: case for case in roots.free(session, ids)}
    candidates = [roots.member_of(by_id[one]) for one in ids if one in by_id]
    numbers = [member.number for member in fitting([], candidates, roots.apart(session, ids))]
    root = roots.open_root_issue(session, group.name[: roots.TITLE_LENGTH] or "热点问题", numbers, actor, now)
    group.root_number = root.number
    return root
