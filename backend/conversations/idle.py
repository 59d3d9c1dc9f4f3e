"""What the clock does to conversations in writing: a citizen who has gone silent is asked, then the conversation is closed,
with all that was said kept. Who waits for a person is never closed, nor who waits for an operator's answer."""

import logging
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from backend.clock import Clock
from backend.conversations import service
from backend.conversations.models import Conversation, Turn
from backend.database import Database
from backend.errors import Refused

TEXTS_LAST = timedelta(hours=24)
"""In WeChat and SMS people answer when they have time, and a question there is one more message: those are not asked."""
AT_A_TIME = 500
"""Conversations that one round looks at; the rest has its turn a minute later."""
log = logging.getLogger(__name__)


def close_idle(database: Database, clock: Clock, asked_after: timedelta) -> None:
    """Ask or close what has been silent for so long; each conversation in a transaction of its own. `asked_after` the last
    word on a chat page its citizen is asked, and as long after that the chat is closed."""
    with database.read() as session:
        silent = list(session.scalars(select(Conversation.id).where(*is_silent(clock(), asked_after)).limit(AT_A_TIME)))
    for conversation_id in silent:
        try:
            with database.write() as session:
                query = select(Conversation).where(Conversation.id == conversation_id, *is_silent(clock(), asked_after))
                if conversation := session.scalar(query.with_for_update()):
                    ask_or_close(session, conversation, clock())
        except Refused as refusal:  # somebody moved it at this moment
            log.info("the clock left a conversation alone: %s", refusal.code)


def is_silent(now: datetime, asked_after: timedelta) -> tuple[ColumnElement[bool], ...]:
    """The condition that nothing was said for so long, and that it is the citizen's turn to say something."""
    last = select(func.max(Turn.number)).where(Turn.conversation_id == Conversation.id).correlate(Conversation)
    ours = select(Turn.id).where(Turn.conversation_id == Conversation.id, Turn.number == last.scalar_subquery())
    since_page, since_text = now - asked_after, now - TEXTS_LAST
    return (
        Conversation.state.in_(("bot", "operator")),
        Conversation.channel != "phone",
        ours.where(
            or_(
                (Conversation.channel == "chat") & (Turn.said_at < since_page),
                (Conversation.channel != "chat") & (Turn.said_at < since_text),
            ),
            or_(Conversation.state == "bot", Turn.speaker != "citizen"),
        )
        .correlate(Conversation)
        .exists(),
    )


def ask_or_close(session: Session, conversation: Conversation, now: datetime) -> None:
    """Ask whether the citizen is still there; close the conversation when that was asked already."""
    if conversation.channel != "chat":
        service.move(session, conversation, "close", now)
    elif conversation.idle_asked_at is None:
        conversation.idle_asked_at = now
        service.tell(session, conversation, "still_there", now)
    else:
        service.tell(session, conversation, "closed_idle", now)
        service.move(session, conversation, "close", now)
