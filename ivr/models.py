"""Tables: what only a telephone has, the progress of a call, the answers already given to its webhooks, and how a number
wishes to be spoken to."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, Index, String, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from backend.cases.models import Case
from backend.database import Base, UtcDateTime
from backend.encryption import Encrypted


class Call(Base):
    """One telephone call and its conversation. Its steps are numbered in the URLs of its webhooks."""

    __tablename__ = "calls"

    sid: Mapped[str] = mapped_column(String(100), primary_key=True)
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
    no_texts_since: Mapped[datetime | None] = mapped_column(UtcDateTime)  # asked for no more text messages


class CallStep(Base):
    """One webhook of a call: claimed when it first comes, answered once; a repeat gets the same answer."""

    __tablename__ = "call_steps"

    call_sid: Mapped[str] = mapped_column(String(100), primary_key=True)
    step: Mapped[str] = mapped_column(String(40), primary_key=True)
    claimed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    twiml: Mapped[str | None] = mapped_column(Encrypted)


class VisitCall(Base):
    """The telephone's part of one return visit: all tries to reach the citizen about one reply to their case, and what they
    have answered so far. While it waits, `due_at` is the next try; while a call is under way (ringing, talking), when it is
    given up if nothing more is heard of it."""

    __tablename__ = "visit_calls"
    __table_args__ = (Index("ix_visit_calls_due", "state", "due_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(40), unique=True)  # case number and how many replies it had
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    state: Mapped[str] = mapped_column(String(10), default="waiting")  # waiting, ringing, talking, answered, done
    tries: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sid: Mapped[str | None] = mapped_column(String(100), unique=True)  # of the newest try's call
    answered_by: Mapped[str | None] = mapped_column(String(30))  # human, machine_start …, unknown
    outcome: Mapped[str | None] = mapped_column(String(20))  # how the newest try ended
    answers: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    misses: Mapped[int] = mapped_column(default=0)  # times in a row that nothing was understood

    case: Mapped[Case] = relationship()


class Mark(Base):
    """How far something that goes on in time has come, by its name."""

    __tablename__ = "marks"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    moment: Mapped[datetime] = mapped_column(UtcDateTime)
