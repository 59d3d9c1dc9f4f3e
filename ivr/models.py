"""Tables: what only a telephone has, the progress of a call and the answers already given to its webhooks."""

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from backend.database import Base, UtcDateTime


class Call(Base):
    """One telephone call and its conversation. Its steps are numbered in the URLs of its webhooks."""

    __tablename__ = "calls"

    sid: Mapped[str] = mapped_column(String(40), primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"), unique=True)
    silences: Mapped[int] = mapped_column(default=0)  # in a row
    no_matches: Mapped[int] = mapped_column(default=0)  # in a row
    counted_step: Mapped[int | None]  # the step that changed these counts last
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class CallStep(Base):
    """One webhook of a call: claimed when it first comes, answered once; a repeat gets the same answer."""

    __tablename__ = "call_steps"

    call_sid: Mapped[str] = mapped_column(String(40), primary_key=True)
    step: Mapped[str] = mapped_column(String(40), primary_key=True)
    claimed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    twiml: Mapped[str | None] = mapped_column(Text)
