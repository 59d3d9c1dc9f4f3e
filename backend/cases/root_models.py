"""Tables of root issues: what many cases have in common, which cases belong to it, its plan, and its history."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from backend.cases.models import Case
from backend.database import Base, UtcDateTime
from backend.directory.models import Agency


class RootIssue(Base):
    """共性问题: cases of several citizens about the same thing. Written only by cases/roots.py."""

    __tablename__ = "root_issues"

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(10), index=True)  # a key of root_rules.STATES
    title: Mapped[str] = mapped_column(String(80))
    place: Mapped[str] = mapped_column(String(200), default="")  # what the places of its cases have in common
    owner_code: Mapped[str | None] = mapped_column(ForeignKey("agencies.code"), index=True)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    replied_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when all were last answered
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    into_id: Mapped[int | None] = mapped_column(ForeignKey("root_issues.id"))  # of which one it has become part
    acts: Mapped[int] = mapped_column(default=0)  # rows of its history

    owner: Mapped[Agency | None] = relationship()
    members: Mapped[list["RootMember"]] = relationship(order_by="RootMember.id", back_populates="root")
    steps: Mapped[list["RootStep"]] = relationship(
        order_by="RootStep.due_on, RootStep.id", cascade="all, delete-orphan"
    )
    history: Mapped[list["RootEvent"]] = relationship(order_by="RootEvent.number", back_populates="root")

    @property
    def number(self) -> str:
        """What people call it by."""
        return f"G{self.id}"


class RootMember(Base):
    """One case in a root issue, from when to when. A case is in one at most."""

    __tablename__ = "root_members"
    __table_args__ = (
        Index(
            "ix_root_members_now",
            "case_id",
            unique=True,
            sqlite_where=text("left_at IS NULL"),
            postgresql_where=text("left_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    root_id: Mapped[int] = mapped_column(ForeignKey("root_issues.id"), index=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    joined_at: Mapped[datetime] = mapped_column(UtcDateTime)
    left_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    root: Mapped[RootIssue] = relationship(back_populates="members")
    case: Mapped[Case] = relationship()


class RootStep(Base):
    """One step of the plan: what is done by when."""

    __tablename__ = "root_steps"

    id: Mapped[int] = mapped_column(primary_key=True)
    root_id: Mapped[int] = mapped_column(ForeignKey("root_issues.id"), index=True)
    what: Mapped[str] = mapped_column(String(200))
    due_on: Mapped[date]
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RootEvent(Base):
    """One act on a root issue, kept for ever, with all that is needed to undo it."""

    __tablename__ = "root_events"
    __table_args__ = (UniqueConstraint("root_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    root_id: Mapped[int] = mapped_column(ForeignKey("root_issues.id"))
    number: Mapped[int]
    act: Mapped[str] = mapped_column(String(10))
    role: Mapped[str] = mapped_column(String(20))
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    note: Mapped[str] = mapped_column(Text, default="")  # why, in the words of whoever did it
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    waiting: Mapped[int] = mapped_column(default=0, server_default="0", index=True)  # cases whose turn is still to come
    acted_at: Mapped[datetime] = mapped_column(UtcDateTime)

    root: Mapped[RootIssue] = relationship(back_populates="history")


class KeptApart(Base):
    """Somebody has said that these two cases are not the same matter: they are never grouped, not through a third either."""

    __tablename__ = "cases_kept_apart"

    one_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    other_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True, index=True)  # the greater id
    event_id: Mapped[int] = mapped_column(ForeignKey("root_events.id"), index=True)  # the act that said so
