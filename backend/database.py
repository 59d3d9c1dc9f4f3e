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

from sqlalchemy import Connection, DateTime, Dialect, Engine, create_engine, event, text
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.types import TypeDecorator

log = logging.getLogger(__name__)
AFTERWARDS = "afterwards"
POSTGRESQL = {
    # Compiling a query (jit) is for those that run for seconds; it takes a tenth of one where somebody waits for a page.
    "options": "-c jit=off",
    # A server that vanishes without a word (power, network) is given up in 12 s, not in the two hours of the system's own
    # settings (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-KEEPALIVES-IDLE).
    "connect_timeout": 5,
    "keepalives_idle": 6,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 12_000,  # ms
}


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
        self._reader = sessionmaker(self.engine, expire_on_commit=False)
        self._writer, self._quick_writer = (
            sessionmaker(self.engine.execution_options(writing=True, durable=durable), expire_on_commit=False)
            for durable in (True, False)
        )
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
    def write(self, durable: bool = True) -> Iterator[Session]:
        """A session whose changes are committed together at the end, or not at all when something is raised.

        With `durable` they have reached the disk by then. Without, they outlast any process of the line that dies, but
        should the machine lose its power, or PostgreSQL itself be killed, the last moments may be missing (whole
        transactions, in order; at PostgreSQL up to 0.6 s); that is for what is written at every turn of a call, and not for
        what a citizen is told is filed, or that somebody will come (`make_durable`).
        """
        writer = self._writer if durable else self._quick_writer
        with self._turn_to_write, writer.begin() as session:
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


def make_durable(session: Session) -> None:
    """Have this transaction survive PostgreSQL's own death after all, should it have begun as a quick one."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SET LOCAL synchronous_commit TO ON"))


def make_engine(url: str) -> Engine:
    """An engine for `url`, whose connections are prepared and whose transactions begin as the functions below say. What is
    written stays out of its errors, which are logged."""
    if not url.startswith("sqlite"):
        engine = create_engine(
            url, pool_size=20, max_overflow=20, pool_pre_ping=True, hide_parameters=True, connect_args=POSTGRESQL
        )
        event.listen(engine, "begin", begin_in_postgresql)
        return engine
    engine = create_engine(url, connect_args={"timeout": 15}, pool_size=20, max_overflow=20, hide_parameters=True)
    event.listen(engine, "connect", prepare_sqlite)
    event.listen(engine, "begin", begin_in_sqlite)
    return engine


def prepare_sqlite(connection: Any, _: Any) -> None:
    """Set a new connection of SQLite to write-ahead logging."""
    connection.isolation_level = None  # the driver's own BEGIN would come too late; ours is below
    for pragma in ("journal_mode=WAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def begin_in_sqlite(connection: Connection) -> None:
    """Take the write lock when a write begins, and say whether its commit waits for the disk
    (https://www.sqlite.org/pragma.html#pragma_synchronous).

    Without BEGIN IMMEDIATE a transaction that reads first and writes later fails at once when another one wrote in
    between (SQLITE_BUSY_SNAPSHOT, https://www.sqlite.org/isolation.html), instead of waiting its turn.
    """
    options, cursor = connection.get_execution_options(), connection.connection.cursor()
    if options.get("writing"):
        cursor.execute(f"PRAGMA synchronous={'FULL' if options.get('durable', True) else 'NORMAL'}")
    cursor.execute("BEGIN IMMEDIATE" if options.get("writing") else "BEGIN")
    cursor.close()


def begin_in_postgresql(connection: Connection) -> None:
    """Let a quick write not wait for the disk (https://www.postgresql.org/docs/current/wal-async-commit.html)."""
    if not connection.get_execution_options().get("durable", True):
        connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")
