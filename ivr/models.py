"""Tables: what only a telephone has, the progress of a call, the answers already given to its webhooks, and how a number
wishes to be spoken to."""

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from backend.database import Base, UtcDateTime


class Call(Base):
    """One telephone call and its conversation. Its steps are numbered in the URLs of its webhooks."""

    __tablename__ = "calls"

    sid: Mapped[str] = mapped_column(String(40), primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"), unique=True)
    language: Mapped[str] = mapped_column(String(5), default="zh", server_default="zh")  # spoken: zh, yue, en
    slow: Mapped[bool] = mapped_column(default=False, server_default=false())  # slower words, longer pauses
    silences: Mapped[int] = mapped_column(default=0)  # in a row
    no_matches: Mapped[int] = mapped_column(default=0)  # in a row
    counted_step: Mapped[int | None]  # the step that changed these counts last
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class CallerWish(Base):
    """How a number wishes to be spoken to, and whether it may be called; kept under a keyed hash of the number
    (wishes.hashed), which says nothing to whoever reads the table."""

    __tablename__ = "caller_wishes"

    number_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    language: Mapped[str] = mapped_column(String(5), default="zh")
    slow: Mapped[bool] = mapped_column(default=False)
    no_calls_since: Mapped[datetime | None] = mapped_column(UtcDateTime)  # asked not to be called for return visits


class CallStep(Base):
    """One webhook of a call: claimed when it first comes, answered once; a repeat gets the same answer."""

    __tablename__ = "call_steps"

    call_sid: Mapped[str] = mapped_column(String(40), primary_key=True)
    step: Mapped[str] = mapped_column(String(40), primary_key=True)
    claimed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    twiml: Mapped[str | None] = mapped_column(Text)
