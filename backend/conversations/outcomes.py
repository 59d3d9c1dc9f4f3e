"""What came of the answers: per article, and which of several articles was chosen. Read from the turns alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Integer, and_, case, func, select
from sqlalchemy.orm import Session, aliased

from backend.clock import Clock
from backend.conversations.models import Turn
from backend.conversations.rules import choosing, chosen_message
from backend.database import Database
from bot.client import Reply

CLICKS_LEARNED = timedelta(days=365)
"""Older choices were made among other articles."""


@dataclass(frozen=True)
class Outcomes:
    """How often an article was given as the answer, and what the citizen or the line made of it.

    Each answer counts once: handed over to a person before the next answer, else said not to have helped, else said to
    have helped, else nothing was said of it.
    """

    article_id: str
    asked: int
    solved: int
    unsolved: int
    handed_over: int

    @property
    def judged(self) -> int:
        """How many of the answers something is known of."""
        return self.solved + self.unsolved + self.handed_over

    @property
    def solved_rate(self) -> float:
        """How many of the judged answers helped, 0 to 1, smoothed by one of each (Laplace), so that a single failure does
        not stand before twenty."""
        return (self.solved + 1) / (self.judged + 2)


def outcomes(session: Session, since: datetime, until: datetime) -> list[Outcomes]:
    """The outcomes of the answers given from `since` until before `until`, worst solved rate first."""
    is_answer = case((Turn.act == "answer", 1), else_=0)
    said = (
        select(
            Turn.conversation_id,
            # The bot's answers are counted through each conversation: all that is said up to the next answer has its number.
            func.sum(is_answer).over(partition_by=Turn.conversation_id, order_by=Turn.number).label("answer"),
            case((Turn.act == "answer", Turn.article_id)).label("article_id"),
            case((Turn.act == "handoff", 1), else_=0).label("handed_over"),
            case((Turn.act == "unsolved", 1), else_=0).label("unsolved"),
            case((Turn.act == "solved", 1), else_=0).label("solved"),
        )
        .where(Turn.act.in_(("answer", "solved", "unsolved", "handoff")))
        .where(Turn.said_at >= since, Turn.said_at < until)
        .subquery()
    )
    each = (
        select(
            func.max(said.c.article_id).label("article_id"),
            func.max(said.c.handed_over).label("handed_over"),
            func.max(said.c.unsolved).label("unsolved"),
            func.max(said.c.solved).label("solved"),
        )
        .where(said.c.answer > 0)
        .group_by(said.c.conversation_id, said.c.answer)
        .subquery()
    )
    not_over = 1 - each.c.handed_over
    counts = select(
        each.c.article_id,
        func.count(),
        func.sum(not_over * (1 - each.c.unsolved) * each.c.solved, type_=Integer),
        func.sum(not_over * each.c.unsolved, type_=Integer),
        func.sum(each.c.handed_over, type_=Integer),
    ).group_by(each.c.article_id)
    found = [Outcomes(*row) for row in session.execute(counts)]
    return sorted(found, key=lambda one: (one.solved_rate, -one.asked, one.article_id))


def recent_clicks(database: Database, clock: Clock) -> list[tuple[str, str]]:
    """The clicks of the last CLICKS_LEARNED, for search to learn from."""
    with database.read() as session:
        return clicks(session, clock() - CLICKS_LEARNED)


def clicks(session: Session, since: datetime) -> list[tuple[str, str]]:
    """Pairs of what a citizen asked and the id of the article that they then chose from a list, oldest first.

    The questions are as they were asked, with whatever the citizen said in them: for learning, not for showing.
    """
    asked, offered, choice, given = (aliased(Turn) for _ in range(4))

    def before(earlier: type[Turn], later: type[Turn], speaker: str) -> ColumnElement[bool]:
        return and_(
            earlier.conversation_id == later.conversation_id,
            earlier.number == later.number - 1,
            earlier.speaker == speaker,
        )

    rows: Sequence[tuple[str, dict[str, object], str, str]] = session.execute(
        select(asked.text, offered.reply, choice.text, given.article_id)
        .join(choice, before(choice, given, "citizen"))
        .join(offered, before(offered, choice, "bot"))
        .join(asked, before(asked, offered, "citizen"))
        .where(offered.act == "clarify", given.act == "answer", given.said_at >= since)
        .order_by(given.id)
    ).all()
    return [
        (question, article_id)
        for question, offer, said, article_id in rows
        if chosen_message(said, Reply.from_json(offer)) == choosing(article_id)
    ]
