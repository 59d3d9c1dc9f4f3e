"""What all tests share: a clock that stands still, settings, and a record on SQLite and on PostgreSQL, made by the real
migrations and filled with the real starter content."""

import contextlib
import os
import random
import shutil
import socket
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from alembic import command
from alembic.config import Config
from flask import Flask
from werkzeug.routing import Rule

from backend.app import create_app
from backend.database import Database
from backend.directory.models import Staff
from backend.knowledge.search import Entry, Index, Vectors
from backend.load_starter import load_starter
from backend.parts import Parts
from backend.settings import ROOT, Settings
from ivr.phone.call import HttpTransport, PracticeCall

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
"""A Monday, 12 o'clock in China."""
POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgresql://127.0.0.1/postgres")
os.environ |= {"DATA_KEYS": f"{'d' * 43}=", "BOT_DATA_KEYS": f"{'b' * 43}=", "LOOKUP_KEY": "l" * 32}
"""Of all records that tests make, in whatever process."""


@pytest.fixture(scope="session", autouse=True)
def made_once() -> Iterator[None]:
    """What every test's application makes anew though it is the same each time: the index of the starter articles, which
    is only read once it is built (1.5 s of a core), and werkzeug's compiled routes (0.15 s)."""
    of_entries: dict[str, Index] = {}
    of_route: dict[tuple[Any, ...], Any] = {}
    compile_route = Rule._compile_builder

    def index(entries: Sequence[Entry], vectors: Vectors | None = None, previous: Index | None = None) -> Index:
        if vectors or previous:
            return Index(entries, vectors, previous)
        key = repr(entries)
        if key not in of_entries:
            of_entries[key] = Index(entries)
        return of_entries[key]

    def compiled(rule: Rule, append_unknown: bool = True) -> Any:
        key = (*rule._trace, *(rule.defaults or {}).items(), append_unknown)
        if key not in of_route:
            of_route[key] = compile_route(rule, append_unknown)
        return of_route[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("backend.knowledge.service.Index", index)
        patched.setattr(Rule, "_compile_builder", compiled)
        yield


class StandingClock:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **time: float) -> None:
        """Move on by so many seconds, minutes, hours, days."""
        self.now += timedelta(**time)


def make_settings(database_url: str, **changed: Any) -> Settings:
    """Settings of a development line on this record, whose bot isn't there unless `bot_url` says where."""
    return Settings(
        **{
            "environment": "development",
            "database_url": database_url,
            "bot_url": f"http://127.0.0.1:{closed_port()}",
            "public_base_url": "http://127.0.0.1:8000",
            "secret_key": "k" * 32,
            "api_token": "api-token",
            "bot_token": "bot-token",
            "twilio_auth_token": "t" * 32,
            "console_password": "correct horse battery",
            "embedding": "none",  # where a test is about meaning it says so; two thousand vectors take a minute
            **changed,
        }
    )


def closed_port() -> int:
    """A port at which nobody listens; below those that the system gives to outgoing connections, so that none takes it
    before the process that is to listen there has started."""
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def missing_service(what: str) -> None:
    """Skip on a newcomer's machine; in CI everything must be there."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} must be there in CI")
    pytest.skip(f"{what} is not there on this machine")


def build(url: str) -> None:
    """Migrate and fill a fresh record."""
    config = Config(ROOT / "backend" / "migrations" / "alembic.ini")
    config.attributes["url"] = url
    command.upgrade(config, "head")
    record = Database(url)
    with record.write() as session:
        load_starter(session, make_settings(url), NOON)
    record.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filled SQLite file to copy."""
    path = tmp_path_factory.mktemp("record") / "template.sqlite3"
    build(f"sqlite:///{path}")
    with Database(f"sqlite:///{path}").engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture(scope="session")
def postgres_template() -> Iterator[str]:
    """The name of a filled PostgreSQL database to copy."""
    name = f"line_template_{os.getpid()}"
    try:
        admin = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        missing_service("PostgreSQL (TEST_POSTGRES_URL)")
        raise
    with admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            build(postgres_url(name))
            yield name
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def postgres_url(name: str) -> str:
    """SQLAlchemy's URL for a database of the test server."""
    return POSTGRES.replace("postgresql://", "postgresql+psycopg://").rsplit("/", 1)[0] + f"/{name}"


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A filled SQLite record of this test's own."""
    shutil.copy(sqlite_template, tmp_path / "line.sqlite3")
    return f"sqlite:///{tmp_path / 'line.sqlite3'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A filled record of this test's own, on each database."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    template = request.getfixturevalue("postgres_template")
    name = f"line_test_{os.getpid()}"
    with psycopg.connect(POSTGRES, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield postgres_url(name)
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The record."""
    record = Database(database_url)
    yield record
    record.close()


@pytest.fixture
def clock() -> StandingClock:
    """Monday noon, until a test moves it."""
    return StandingClock()


@pytest.fixture
def app(sqlite_url: str, clock: StandingClock) -> Flask:
    """The whole web application, with no bot behind it."""
    return create_app(make_settings(sqlite_url), clock=clock)


@pytest.fixture
def parts(app: Flask) -> Parts:
    """What the application's requests work with."""
    found: Parts = app.extensions["parts"]
    return found


@pytest.fixture
def web(app: Flask) -> httpx.Client:
    """A client over HTTP semantics to the application in this process."""
    return httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000")


@pytest.fixture
def api(web: httpx.Client) -> httpx.Client:
    """The same with the integrators' token."""
    web.headers["Authorization"] = "Bearer api-token"
    return web


@pytest.fixture
def call(app: Flask) -> PracticeCall:
    """A telephone that dials the application in this process, through its real, signed webhooks."""
    return practice_call(app)


def practice_call(app: Flask) -> PracticeCall:
    """Another telephone for the same application."""
    settings = app.extensions["parts"].settings
    return PracticeCall.new(
        settings.base_url,
        auth_token=settings.twilio_auth_token,
        transport=HttpTransport(httpx.Client(transport=httpx.WSGITransport(app))),
        fallback_url=f"{settings.base_url}/ivr/fallback",
        status_callback=f"{settings.base_url}/ivr/status",
    )


@pytest.fixture
def operator(parts: Parts) -> Staff:
    """An operator who is there and ready."""
    with parts.database.write() as session:
        staff = session.query(Staff).filter_by(username="operator1").one()
        staff.ready, staff.seen_at = True, parts.clock()
        return staff
