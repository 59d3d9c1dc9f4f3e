"""Tables: conversations and their turns, the one record of everything that was said on either channel."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from backend.database import Base, UtcDateTime
from backend.directory.models import Staff


class Conversation(Base):
    """One call or chat. `state` moves as conversations/rules.py says; at most one operator holds it."""

    __tablename__ = "conversations"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    channel: Mapped[str] = mapped_column(String(10))  # chat or phone
    locale: Mapped[str] = mapped_column(String(5))
    state: Mapped[str] = mapped_column(String(10), default="bot", index=True)
    caller: Mapped[str | None] = mapped_column(String(20))  # E.164, only on the phone and when not withheld
    token_hash: Mapped[str | None] = mapped_column(String(64))  # of the secret that a chat page holds
    failures: Mapped[int] = mapped_column(default=0)  # questions in a row that the bot did not settle
    operator_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    waiting_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    operator: Mapped[Staff | None] = relationship()
    turns: Mapped[list["Turn"]] = relationship(order_by="Turn.number", back_populates="conversation")


class Turn(Base):
    """One thing that somebody said. What the bot said keeps its whole reply: choices, sources, act."""

    __tablename__ = "turns"
    __table_args__ = (
        UniqueConstraint("conversation_id", "number"),
        UniqueConstraint("conversation_id", "message_key"),
        # All that outcomes.py reads, so that it need not fetch the rows with their long replies.
        Index(
            "ix_turns_outcomes",
            *("said_at", "act", "conversation_id", "number", "article_id"),
            sqlite_where=text("act IS NOT NULL"),
            postgresql_where=text("act IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"))
    number: Mapped[int]
    speaker: Mapped[str] = mapped_column(String(10))  # citizen, bot, operator, line (the service itself)
    text: Mapped[str] = mapped_column(Text)
    reply: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    act: Mapped[str | None] = mapped_column(String(10))  # what the bot's reply does (bot/client.py)
    article_id: Mapped[str | None] = mapped_column(String(80))  # the article that the bot spoke of
    message_key: Mapped[str | None] = mapped_column(String(80))  # the channel's name for a message: once only
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    said_at: Mapped[datetime] = mapped_column(UtcDateTime)

    conversation: Mapped[Conversation] = relationship(back_populates="turns")
