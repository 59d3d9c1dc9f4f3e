"""The record: one SQLAlchemy engine, and the two ways to touch it, `read()` and `write()`.

A transaction never spans a call to another process (the bot, Twilio): the bot's own actions write to this record,
and SQLite has one writer.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from sqlalchemy import DateTime, Dialect, Engine, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.types import TypeDecorator

log = logging.getLogger(__name__)
AFTERWARDS = "afterwards"


class Base(DeclarativeBase):
    """Base class of all tables."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC on every database (SQLite forgets the zone, so it is put back)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time needs a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """The record behind one DATABASE_URL."""

    def __init__(self, url: str) -> None:
        self.engine = make_engine(url)
        # SQLite has one writer, and a thread that finds it busy sleeps longer and longer; here threads queue instead.
        self._turn_to_write: AbstractContextManager[Any] = Lock() if url.startswith("sqlite") else nullcontext()
        writing = self.engine.execution_options(writing=True)
        self._reader = sessionmaker(self.engine, expire_on_commit=False)
        self._writer = sessionmaker(writing, expire_on_commit=False)
        self._afterwards: dict[str, Callable[[], object]] = {}

    def close(self) -> None:
        """Let go of every connection."""
        self.engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session to read in; what it changes is thrown away."""
        with self._reader() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are committed together at the end, or not at all when something is raised."""
        with self._turn_to_write, self._writer.begin() as session:
            yield session
        for topic in session.info.get(AFTERWARDS, ()):
            self._tell(topic)

    def after_commit(self, topic: str, do: Callable[[], object]) -> None:
        """From now on do this after each transaction in which `tell_after_commit` was called with the topic."""
        self._afterwards[topic] = do

    def _tell(self, topic: str) -> None:
        """What is committed stays so whatever comes of this."""
        try:
            self._afterwards.get(topic, lambda: None)()
        except Exception:  # such as a queue that can't be reached
            log.exception("what follows a transaction has failed: %s", topic)


def tell_after_commit(session: Session, topic: str) -> None:
    """Have what Database.after_commit names done once the transaction is committed."""
    session.info.setdefault(AFTERWARDS, set()).add(topic)


def make_engine(url: str) -> Engine:
    """An engine for `url`; SQLite is set to write-ahead logging and to take its write lock when a write begins.

    Without BEGIN IMMEDIATE a transaction that reads first and writes later fails at once when another one wrote in
    between (SQLITE_BUSY_SNAPSHOT, https://www.sqlite.org/isolation.html), instead of waiting its turn.
    """
    if not url.startswith("sqlite"):
        return create_engine(url, pool_size=20, max_overflow=20, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": 15}, pool_size=20, max_overflow=20)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN would come too late; ours is below
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine
