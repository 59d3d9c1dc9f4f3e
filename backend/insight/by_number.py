"""What came of the calls by the number that was dialled, so that a city sees what its old hotlines still bring."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
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
    said = select(Turn.id).where(Turn.conversation_id == Conversation.id)
    to_person = or_(
        Conversation.waiting_since.is_not(None),
        Conversation.taken_at.is_not(None),
        said.where(Turn.act == "handoff").exists(),
    )
    answered = said.where(Turn.act == "answer").exists()
    of_call = select(func.count(Case.id)).where(Case.conversation_id == Conversation.id).correlate(Conversation)
    each = (
        select(
            func.coalesce(Conversation.dialled, "").label("number"),
            of_call.scalar_subquery().label("cases"),
            to_person.label("to_person"),
            answered.label("answered"),
        )
        .where(*in_period)
        .subquery()
    )
    counted = select(
        each.c.number,
        func.count(),
        func.sum(each.c.cases),
        func.count().filter(each.c.answered, ~each.c.to_person),
        func.count().filter(each.c.to_person),
    ).group_by(each.c.number)
    found = [NumberCounts(number, calls, int(cases), *rest) for number, calls, cases, *rest in session.execute(counted)]
    return sorted(found, key=lambda one: (-one.calls, one.number))
