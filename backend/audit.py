"""The audit log: every change that a person makes in administration, in the transaction of the change, in one table that can
only grow.

A model says with `@audited` that changes to its rows are put down; nobody has to remember to do it. `put_down` is for what
changes no row, such as a log-in. Who acts is set once a request (`acting`); what the clock and the jobs do is no person's
act and is not here. Each row holds the hash of the one before, so a row that was changed or taken out afterwards is found by
`python -m backend.verify_audit`; triggers of the database refuse UPDATE and DELETE (migration 0010).
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from sqlalchemy import JSON, String, event, insert, inspect, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from backend.clock import Clock
from backend.database import Base, UtcDateTime

Model = TypeVar("Model", bound=Base)

TEXT_LIMIT: Final = 500
"""Longer values are cut in the log; what texts said before stands in their own versions."""
HIDDEN: Final = "••••"
FIRST_HASH: Final = "0" * 64
"""What the first row says of the one before it."""


class AuditEvent(Base):
    """One change, kept for ever."""

    __tablename__ = "audit_events"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # 1, 2, 3 … without a gap
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    staff_id: Mapped[int | None]  # None: a person at the machine itself
    name: Mapped[str] = mapped_column(String(60))  # as it was then
    role: Mapped[str] = mapped_column(String(20))
    address: Mapped[str] = mapped_column(String(60))  # from where
    kind: Mapped[str] = mapped_column(String(30), index=True)  # what was changed: staff, agency, prompt …
    subject: Mapped[str] = mapped_column(String(120))  # which one
    act: Mapped[str] = mapped_column(String(30))  # added, changed, removed, or an act of its own
    before: Mapped[dict[str, Any]] = mapped_column(JSON)
    after: Mapped[dict[str, Any]] = mapped_column(JSON)
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class AuditHead(Base):
    """The end of the chain: one row, whose lock makes writers queue, so that the chain never forks."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int]
    hash: Mapped[str] = mapped_column(String(64))


@dataclass(frozen=True)
class Acting:
    """Who acts, from where, and the clock by which they do."""

    name: str
    role: str
    address: str
    clock: Clock
    staff_id: int | None = None


@dataclass(frozen=True)
class Watched:
    """What of a model's rows is put down: `columns` or all but `without`; of `hidden` ones only that they changed, of
    `masked` ones the last four signs."""

    kind: str
    columns: frozenset[str]
    hidden: frozenset[str]
    masked: frozenset[str]


_acting: ContextVar[Acting | None] = ContextVar("acting", default=None)
_watched: dict[type[Base], Watched] = {}


@contextmanager
def acting(who: Acting) -> Iterator[None]:
    """Everything inside is done by `who`."""
    token = _acting.set(who)
    try:
        yield
    finally:
        _acting.reset(token)


def set_acting(who: Acting | None) -> None:
    """The same for as long as this thread serves the request; None: nobody any more."""
    _acting.set(who)


def audited(
    kind: str,
    only: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
    hidden: tuple[str, ...] = (),
    masked: tuple[str, ...] = (),
) -> Callable[[type[Model]], type[Model]]:
    """Class decorator: what a person changes in rows of this model is put down as `kind`."""

    def watch(model: type[Model]) -> type[Model]:
        names = {column.key for column in model.__table__.columns}
        unknown = {*only, *without, *hidden, *masked} - names
        if unknown:
            raise ValueError(f"{model.__name__} has no columns {unknown}")
        _watched[model] = Watched(kind, frozenset(only or names - set(without)), frozenset(hidden), frozenset(masked))
        return model

    return watch


def kinds() -> list[str]:
    """Everything that rows can be about."""
    return sorted({watched.kind for watched in _watched.values()} | {"log_in", "deadlines", "identity", "erasure"})


def columns() -> set[str]:
    """Every column that rows can have a before and an after of."""
    return {name for watched in _watched.values() for name in watched.columns}


@event.listens_for(Session, "after_flush")
def put_down_changes(session: Session, _: Any) -> None:
    """Put down what this flush changed in audited rows; they have their keys by now, and still know what they were."""
    if _acting.get() is None:
        return
    for row in (*session.new, *session.dirty, *session.deleted):
        watched = _watched.get(type(row))
        if watched is None:
            continue
        before, after = changes(row, watched)
        if row in session.new:
            act, before = "added", {}
        elif row in session.deleted:
            act, before, after = "removed", whole(row, watched), {}
        else:
            act = "changed"
        if before or after:
            keys = inspect(row).identity or inspect(type(row)).primary_key_from_instance(row)
            put_down(session, watched.kind, ":".join(map(str, keys)), act, before, after)


def changes(row: Base, watched: Watched) -> tuple[dict[str, Any], dict[str, Any]]:
    """The watched columns that changed, as they were and as they are."""
    before, after = {}, {}
    state = inspect(row)
    for column in state.mapper.column_attrs:
        history = state.attrs[column.key].history
        if column.key in watched.columns and history.has_changes():
            old, new = (next(iter(values or ()), None) for values in (history.deleted, history.added))
            if old != new:
                before[column.key], after[column.key] = shown(column.key, old, watched), shown(column.key, new, watched)
    return before, after


def whole(row: Base, watched: Watched) -> dict[str, Any]:
    """The watched columns of a row that is about to go."""
    loaded = inspect(row).dict
    return {name: shown(name, loaded.get(name), watched) for name in sorted(watched.columns)}


def shown(column: str, value: Any, watched: Watched) -> Any:
    """A value as the log may show it: JSON's own types, nothing personal."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if column in watched.hidden:
        return HIDDEN
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str).strip('"')
    if column in watched.masked:
        return f"{HIDDEN}{text[-4:]}" if len(text) > 4 else HIDDEN
    return text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]}…"


def put_down(
    session: Session,
    kind: str,
    subject: str,
    act: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Append one row, by whoever acts; nothing when it is no person who does."""
    who = _acting.get()
    if who is None:
        return
    connection = session.connection()  # not the session itself, which may be in the middle of its flush
    counted = update(AuditHead).values(number=AuditHead.number + 1).returning(AuditHead.number, AuditHead.hash)
    number, previous = connection.execute(counted).one()
    row: dict[str, Any] = {
        "number": number,
        "at": who.clock(),
        "staff_id": who.staff_id,
        "name": who.name,
        "role": who.role,
        "address": who.address[:60],
        "kind": kind,
        "subject": subject[:120],
        "act": act,
        "before": dict(before or {}),
        "after": dict(after or {}),
        "previous": previous,
    }
    row["hash"] = hash_of(row)
    connection.execute(insert(AuditEvent).values(row))
    connection.execute(update(AuditHead).values(hash=row["hash"]))


def hash_of(row: Mapping[str, Any]) -> str:
    """SHA-256 of everything that a row says, the hash of the one before it included; hexadecimal."""
    said = {name: value for name, value in row.items() if name != "hash"}
    said["at"] = said["at"].astimezone(UTC).isoformat()
    return hashlib.sha256(json.dumps(said, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def first_fault(session: Session) -> int | None:
    """The number of the first row that isn't as it was written, or is missing; None: the chain is whole."""
    expected, previous = 0, FIRST_HASH
    for row in session.scalars(select(AuditEvent).order_by(AuditEvent.number).execution_options(yield_per=500)):
        expected += 1
        said = {column.key: getattr(row, column.key) for column in AuditEvent.__table__.columns}
        if row.number != expected or row.previous != previous or row.hash != hash_of(said):
            return expected
        previous = row.hash
    head = session.get_one(AuditHead, 1)
    return None if (head.number, head.hash) == (expected, previous) else expected + 1
