"""Tables: cases, their history, and the counter that their numbers come from."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from backend.database import Base, UtcDateTime
from backend.directory.models import Agency, Category


class Case(Base):
    """工单: one request of one citizen. Written only by cases/service.py, through the table in cases/rules.py."""

    __tablename__ = "cases"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(11), unique=True)
    state: Mapped[str] = mapped_column(String(20), index=True)
    version: Mapped[int] = mapped_column()
    channel: Mapped[str] = mapped_column(String(10))  # chat, phone, api, operator
    locale: Mapped[str] = mapped_column(String(5))
    conversation_id: Mapped[str | None] = mapped_column(ForeignKey("conversations.id"), index=True)
    filing_key: Mapped[str | None] = mapped_column(String(80), unique=True)  # a filing repeated is one case
    what: Mapped[str] = mapped_column(Text)
    place: Mapped[str] = mapped_column(String(300), default="")
    since: Mapped[str] = mapped_column(String(200), default="")
    contact: Mapped[str | None] = mapped_column(String(20))  # E.164; None: anonymous, or nothing left
    recording_url: Mapped[str | None] = mapped_column(String(500))
    category_code: Mapped[str] = mapped_column(ForeignKey("categories.code"))
    agency_code: Mapped[str] = mapped_column(ForeignKey("agencies.code"), index=True)
    certainty: Mapped[float]  # probability, 0 to 1, that the proposed agency is right
    filed_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    wrong_lookups: Mapped[int] = mapped_column(default=0)
    wrong_lookup_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    agency: Mapped[Agency] = relationship()
    category: Mapped[Category] = relationship()
    history: Mapped[list["CaseEvent"]] = relationship(order_by="CaseEvent.number", back_populates="case")

    # Two people acting at once: one success, one refusal.
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  # SQLAlchemy reads it from the class


class CaseEvent(Base):
    """One act on a case, kept for ever; the state can be recomputed from these rows."""

    __tablename__ = "case_events"
    __table_args__ = (UniqueConstraint("case_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"))
    number: Mapped[int]
    act: Mapped[str] = mapped_column(String(20))
    from_state: Mapped[str | None] = mapped_column(String(20))
    to_state: Mapped[str] = mapped_column(String(20))
    role: Mapped[str] = mapped_column(String(20))  # who acted: citizen, bot, line, or a role of the staff
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # what the act needed: note, agency, answers
    acted_at: Mapped[datetime] = mapped_column(UtcDateTime)

    case: Mapped[Case] = relationship(back_populates="history")


class CaseCounter(Base):
    """How many cases were filed in a year (Asia/Shanghai); the next number comes from here."""

    __tablename__ = "case_counters"

    year: Mapped[int] = mapped_column(primary_key=True)
    filed: Mapped[int]
