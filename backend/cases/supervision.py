"""What supervisors watch: cases by deadline, agencies by what they let lie or pass round, what comes again and again, the
register of orders, and who looked at who a citizen is."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session, selectinload

from backend.cases.models import Case, CaseEvent, IdentityAccess, SupervisionOrder
from backend.directory.models import Agency, Staff

SHOWN = 100
IS_OPEN = Case.step_due_at.is_not(None)
"""The same as a state in OPEN_STATES (service.begin_step), and what indexes know of the few among all that have ended."""


@dataclass(frozen=True)
class AgencyLoad:
    """One agency's open cases: how many it answers for, how many of them are overdue, were sent back, were redone."""

    name: str
    open: int
    overdue: int
    send_backs: int
    redos: int


def by_deadline(session: Session) -> list[Case]:
    """The open cases, the step that is due first or longest overdue at the top."""
    query = select(Case).where(IS_OPEN).order_by(Case.step_due_at).limit(SHOWN)
    return list(session.scalars(query.options(selectinload(Case.agency), selectinload(Case.category))))


def by_repetition(session: Session) -> list[Case]:
    """The open cases that came again, were sent back or redone, most often first."""
    often = Case.repeats + Case.send_backs + Case.redos
    query = select(Case).where(IS_OPEN, often > 0).order_by(often.desc(), Case.id).limit(SHOWN)
    return list(session.scalars(query.options(selectinload(Case.agency), selectinload(Case.category))))


def by_agency(session: Session, now: datetime) -> list[AgencyLoad]:
    """Each agency that answers for open cases, most overdue first. A send-back counts for who sent the case back."""
    by = CaseEvent.details["by"].as_string()
    counted = session.execute(select(by, func.count()).where(CaseEvent.act == "send_back").group_by(by))
    sent_back = {code: count for code, count in counted}
    overdue = func.sum(case((Case.step_due_at < now, 1), else_=0))
    rows = session.execute(
        select(Agency.code, Agency.name, func.count(), overdue, func.sum(Case.redos))
        .join(Case, Case.responsible_code == Agency.code)
        .where(IS_OPEN)
        .group_by(Agency.code, Agency.name)
        .order_by(overdue.desc(), func.count().desc(), Agency.code)
        .limit(SHOWN)
    )
    return [AgencyLoad(name, count, late, sent_back.get(code, 0), redos) for code, name, count, late, redos in rows]


def register(session: Session) -> list[SupervisionOrder]:
    """The register of electronic supervision: open orders first, then the newest."""
    query = select(SupervisionOrder).options(selectinload(SupervisionOrder.case), selectinload(SupervisionOrder.agency))
    newest = query.order_by(SupervisionOrder.closed_at.is_not(None), SupervisionOrder.id.desc())
    return list(session.scalars(newest.limit(SHOWN)))


def accesses(session: Session) -> list[tuple[IdentityAccess, str, str]]:
    """Who looked at who a citizen is, newest first: (row, name of the staff, number of the case)."""
    query = (
        select(IdentityAccess, Staff.name, Case.number)
        .join(Staff, Staff.id == IdentityAccess.staff_id)
        .join(Case, Case.id == IdentityAccess.case_id)
        .order_by(IdentityAccess.id.desc())
    )
    return [(row, name, number) for row, name, number in session.execute(query.limit(SHOWN))]
