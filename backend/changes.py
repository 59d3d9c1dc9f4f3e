"""What has changed, as a list that only grows: whoever changes what people watch notes it in the same transaction, and the
events process (backend/events.py) reads the list and tells the consoles. A note says where to look, never what is there.

One table read by its key works the same on SQLite and PostgreSQL, with any number of web processes, and a console that was
cut off can be told what it has missed.
"""

from datetime import datetime, timedelta

from sqlalchemy import String, delete, func, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from backend.clock import Clock
from backend.database import Base, Database, UtcDateTime

KEPT_FOR = timedelta(minutes=10)
"""A console that was away for longer looks at everything anew."""


class Change(Base):
    """Something that changed: `turn`, `typing` and `call` of a conversation, its `state` (the queue changed too), an `offer`
    to one of the staff, their `presence`."""

    __tablename__ = "changes"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    conversation_id: Mapped[str | None] = mapped_column(String(40))
    staff_id: Mapped[int | None]  # whom of the staff it is about
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


ADD = insert(Base.metadata.tables["changes"])
"""On the table, past the ORM: a note is written at every turn."""


def note(
    session: Session, kind: str, now: datetime, conversation_id: str | None = None, staff_id: int | None = None
) -> None:
    """Note a change; it counts when the transaction is committed."""
    session.execute(ADD, {"kind": kind, "conversation_id": conversation_id, "staff_id": staff_id, "changed_at": now})


def newest(session: Session) -> int:
    """The number of the last change so far."""
    return session.scalar(select(func.max(Change.id))) or 0


def since(session: Session, number: int) -> list[Change]:
    """The changes after this number, oldest first."""
    return list(session.scalars(select(Change).where(Change.id > number).order_by(Change.id)))


def is_kept(session: Session, number: int) -> bool:
    """Whether `since` still knows everything after this number."""
    oldest = session.scalar(select(func.min(Change.id)))
    return oldest is None or number >= oldest - 1


def forget_old(database: Database, clock: Clock) -> None:
    """Delete what nobody will ask for any more. The last one stays, so that SQLite gives no number twice."""
    last = select(func.max(Change.id)).scalar_subquery()
    with database.write() as session:
        session.execute(delete(Change).where(Change.changed_at < clock() - KEPT_FOR, Change.id < last))
