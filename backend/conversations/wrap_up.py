"""What is left to do when a talk is over: its outcome (wrap-up code; empty where none is needed), and notes for colleagues.

Who has not said what came of a talk is given no other one.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from backend import changes
from backend.conversations import presence
from backend.conversations.models import Conversation, ConversationNote, Leg, Turn
from backend.directory.models import Staff
from backend.encryption import lookup_hash
from backend.errors import Refused

OUTCOMES: Final = ("answered", "filed", "followed_up", "passed_on", "out_of_remit", "dropped", "silent", "other")
"""Answered on the spot, case filed, told where a case stands, passed on to another service, outside the line's remit, the
citizen left, nobody spoke or a nuisance, other."""
NOTE_LIMIT: Final = 1000


def unfinished(session: Session, staff_id: int) -> list[Conversation]:
    """The talks of which this operator has not said what came of them, oldest first."""
    return list(
        session.scalars(
            select(Conversation)
            .where(Conversation.operator_id == staff_id, Conversation.state == "closed", Conversation.wrap_up.is_(None))
            .options(selectinload(Conversation.turns))
            .order_by(Conversation.closed_at)
        )
    )


def must_finish(session: Session, staff: Staff) -> None:
    """Raises Refused (409) for who has a talk to finish first."""
    if session.scalar(
        select(Conversation.id)
        .where(Conversation.operator_id == staff.id, Conversation.state == "closed", Conversation.wrap_up.is_(None))
        .limit(1)
    ):
        raise Refused("wrap_up_first", 409)


def have_met(session: Session, conversation: Conversation) -> bool:
    """Whether the operator who has the conversation came to talk with the citizen: a call may be over while it rings. An
    operator whom the service could not ring (`failed`) was dialled from the caller's side (ivr/queue.py)."""
    answered = select(Leg.id).where(Leg.conversation_id == conversation.id, Leg.party == "operator")
    answered = answered.where(Leg.talked_at.is_not(None) | (Leg.outcome == "failed"))
    return conversation.channel == "chat" or session.scalar(answered.limit(1)) is not None


def begin(session: Session, staff: Staff, now: datetime) -> None:
    """A talk of this operator is over: unless they talk with others too, their after-call work begins."""
    others = select(Conversation.id).where(Conversation.operator_id == staff.id, Conversation.state == "operator")
    if staff.ready and session.scalar(others.limit(1)) is None:
        presence.set_presence(session, staff, "wrap_up", now)


def finish(session: Session, conversation: Conversation, staff: Staff, outcome: str, now: datetime) -> None:
    """Keep what came of the talk; with nothing more to finish the operator is ready again, if they were at after-call work.

    Raises Refused for an outcome that does not exist, and for whoever had not the conversation.
    """
    if conversation.operator_id != staff.id or conversation.state != "closed":
        raise Refused("conversation_moved", 409)
    if outcome not in OUTCOMES:
        raise Refused("outcome_missing")
    conversation.wrap_up = outcome
    session.flush()
    period = presence.current(session, staff.id)
    if period and period.state == "wrap_up" and not unfinished(session, staff.id):
        presence.set_presence(session, staff, "ready", now)


def add_note(session: Session, conversation: Conversation, staff: Staff, text: str, now: datetime) -> None:
    """Keep a note for colleagues, which the citizen never sees. Raises Refused for an empty and an overlong one."""
    text = text.strip()
    if not text:
        raise Refused("empty_message")
    if len(text) > NOTE_LIMIT:
        raise Refused("long_message", limit=NOTE_LIMIT)
    session.add(ConversationNote(conversation_id=conversation.id, staff_id=staff.id, text=text, noted_at=now))
    changes.note(session, "turn", now, conversation.id, conversation.operator_id)


def notes(session: Session, conversation_id: str) -> list[ConversationNote]:
    """The notes on a conversation, oldest first."""
    wanted = select(ConversationNote).where(ConversationNote.conversation_id == conversation_id)
    return list(session.scalars(wanted.order_by(ConversationNote.id)))


def count_notes(session: Session, conversation_id: str) -> int:
    """How many there are."""
    wanted = select(func.count()).where(ConversationNote.conversation_id == conversation_id)
    return session.scalar(wanted) or 0


def earlier(session: Session, caller: str, before: Conversation, limit: int) -> list[tuple[Conversation, str]]:
    """The caller's earlier conversations, newest first, each with what they said first."""
    found = session.scalars(
        select(Conversation)
        .where(Conversation.caller_hash == lookup_hash(caller), Conversation.id != before.id)
        .order_by(Conversation.started_at.desc())
        .limit(limit)
    ).all()
    said: dict[str, str] = {}
    for conversation_id, words in session.execute(
        select(Turn.conversation_id, Turn.text)
        .where(Turn.conversation_id.in_([one.id for one in found]), Turn.speaker == "citizen")
        .order_by(Turn.number)
    ):
        said.setdefault(conversation_id, words)
    return [(one, said.get(one.id, "")) for one in found]
