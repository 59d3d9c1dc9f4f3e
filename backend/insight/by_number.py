"""What came of the calls by the number that was dialled, so that a city sees what its old hotlines still bring."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from backend.cases.models import Case
from backend.conversations.models import Conversation, Turn


@dataclass(frozen=True)
class NumberCounts:
    """Calls to one number. `answered`: the bot gave an answer and no person was needed; `handed_over`: a person was asked
    for, by the caller or by the bot; `cases`: cases that came of the calls. `number` is empty where it is not known."""

    number: str
    calls: int
    cases: int
    answered: int
    handed_over: int


def by_number(session: Session, since: datetime, until: datetime) -> list[NumberCounts]:
    """The counts of calls that began from `since` until before `until`, most called first."""
    in_period = (
        Conversation.channel == "phone",
        Conversation.started_at >= since,
        Conversation.started_at < until,
    )
    dialled = func.coalesce(Conversation.dialled, "")
    of_call = Turn.conversation_id == Conversation.id, Turn.act.in_(("answer", "handoff")), Turn.said_at >= since
    each = (
        select(
            Conversation.id,
            dialled.label("number"),
            or_(
                Conversation.waiting_since.is_not(None),
                Conversation.taken_at.is_not(None),
                func.count().filter(Turn.act == "handoff") > 0,
            ).label("to_person"),
            (func.count().filter(Turn.act == "answer") > 0).label("answered"),
        )
        .outerjoin(Turn, and_(*of_call))
        .where(*in_period)
        .group_by(Conversation.id)
        .subquery()
    )
    filed = (
        select(dialled, func.count())
        .join(Case, Case.conversation_id == Conversation.id)
        .where(*in_period, Case.filed_at >= since)
        .group_by(dialled)
    )
    cases = {number: count for number, count in session.execute(filed)}
    counted = select(
        each.c.number,
        func.count(),
        func.count().filter(each.c.answered, ~each.c.to_person),
        func.count().filter(each.c.to_person),
    ).group_by(each.c.number)
    found = [
        NumberCounts(number, calls, cases.get(number, 0), *rest) for number, calls, *rest in session.execute(counted)
    ]
    return sorted(found, key=lambda one: (-one.calls, one.number))
