"""The counts of insight at a year of a small town, a city and Beijing: how long each query of the analyst's page and of the
hall screen takes, beside the same question asked of the cases themselves; how long it takes to count everything anew; and
that counts which were kept in step are those which are then made anew.

The cases are those of backend/insight/sample_year.py, with their whole histories. PostgreSQL at each size; SQLite up
to SQLITE_UP_TO. `python -m tests.bench insight` measures up to INSIGHT_CASES (440,000); INSIGHT_CASES=4400000 wants
25 GB of disk and an hour. Conversations are stored for the last days only, as the queries about them look at no
others; as many again as cases were filed in these days became no case.
"""

import hashlib
import os
import random
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from psycopg.types.json import Json
from sqlalchemy import Table, func, insert, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from backend.cases.models import Case, CaseEvent, Visit
from backend.clock import utc_now
from backend.conversations.models import Conversation, Turn
from backend.database import Database
from backend.encryption import Encrypted, EncryptedJson
from backend.insight import figures, rollups, wall
from backend.insight.figures import Slice, midnight
from backend.insight.models import CaseCell, CaseFact, CaseSum
from backend.insight.sample_year import Invention, Rows, city_of, store
from tests.conftest import POSTGRES, build, postgres_url

SIZES = (44_000, 440_000, 4_400_000)
SQLITE_UP_TO = 440_000
DAYS = 365
SEED = 12345
RUNS = 40
NAIVE_RUNS = 5
TALKS_OF = timedelta(days=3)
TOUCHED = 500
"""Cases to which something happens in a minute of the record's busiest hours, and some."""
GIGABYTES = 25
"""Free disk without which the largest size is not begun."""


def run() -> dict[str, Any]:
    """Measure every size and print the tables."""
    largest = int(os.environ.get("INSIGHT_CASES", "440000"))
    found = []
    for size in [one for one in SIZES if one <= largest]:
        if size > 1_000_000 and shutil.disk_usage("/").free < GIGABYTES * 1e9:
            raise SystemExit(f"less than {GIGABYTES} GB of disk are free")
        found.append(measure_postgres(size))
        if size <= SQLITE_UP_TO:
            found.append(measure_sqlite(size))
    return {"sizes": found}


def measure_postgres(size: int) -> dict[str, Any]:
    """One size on PostgreSQL, in a database that is dropped afterwards."""
    name = f"line_bench_{os.getpid()}"
    with psycopg.connect(POSTGRES, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            return measure("postgresql", postgres_url(name), size, copy_in)
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def measure_sqlite(size: int) -> dict[str, Any]:
    """One size on SQLite."""
    with TemporaryDirectory() as folder:
        return measure("sqlite", f"sqlite:///{Path(folder) / 'line.sqlite3'}", size, put_in)


def measure(kind: str, url: str, size: int, load: Callable[[Database, Iterator[Rows]], None]) -> dict[str, Any]:
    """Load, count anew, ask."""
    build(url)
    database, now = Database(url), utc_now()
    copies = 10 if size > 1_000_000 else 1
    since = figures.today(now) - timedelta(days=DAYS - 1)
    with database.read() as session:
        invention = Invention(city_of(session), SEED, since, DAYS, size // copies, now)
    begun = time.monotonic()
    load(database, recent_talks(invention.cases(1, {}, 1), now - TALKS_OF))
    ask_only(database, round(size * TALKS_OF.days / DAYS), now)
    if copies > 1:
        copy_cases(database, copies)
    with database.write() as session:
        session.execute(text("ANALYZE"))
    loaded = time.monotonic()
    rollups.rebuild(database, utc_now, lambda told: print(f"\r{kind} {told}", end="", flush=True))
    rebuilt = time.monotonic()
    with database.write() as session:
        session.execute(text("ANALYZE"))
    with database.read() as session:
        counted = {
            table.__tablename__: session.scalar(select(func.count()).select_from(table))
            for table in (Case, CaseEvent, CaseFact, CaseCell, CaseSum)
        }
        assert figures.totals(session, Slice(since, figures.today(now) + timedelta(days=1))).filed == counted["cases"]
        result = {
            "database": kind,
            "rows": counted,
            "load_seconds": round(loaded - begun, 1),
            "rebuild_seconds": round(rebuilt - loaded, 1),
            "queries": [timed(session, name, ask, RUNS) for name, ask in queries(session, now).items()],
            "naive": [timed(session, name, ask, NAIVE_RUNS) for name, ask in naive(now).items()],
        }
    result["step"] = time_step(database)
    in_step = digest(database)
    rollups.rebuild(database, utc_now, lambda told: print(f"\r{kind} again {told}", end="", flush=True))
    assert digest(database) == in_step, "counts kept in step differ from those made anew"
    database.close()
    show(result)
    return result


def recent_talks(rows: Iterable[Rows], since: datetime) -> Iterator[Rows]:
    """The same cases, without the conversations of the older ones."""
    for one in rows:
        if one.conversation and one.conversation["started_at"] < since:
            one.case["conversation_id"], one.conversation, one.turns = None, None, []
        yield one


def ask_only(database: Database, number: int, now: datetime) -> None:
    """So many conversations of the last days that became no case: the bot answered, and most were told that it helped; some
    asked for a person. Those that began a few minutes ago go on."""
    chance = random.Random(SEED)
    talks: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    for place in range(number):
        began = now - TALKS_OF * chance.random()
        goes_on, asks = now - began < timedelta(minutes=4), chance.random() < 0.2
        waiting_since = began + timedelta(seconds=40) if asks else None
        taken_at = waiting_since + timedelta(seconds=min(chance.expovariate(1 / 9), 150)) if waiting_since else None
        talk = {
            "id": f"asked-{place}", "channel": chance.choice(("phone", "phone", "chat")), "locale": "zh",
            "state": ("operator" if asks else "bot") if goes_on else "closed", "failures": 0, "callback_tries": 0,
            "language": "zh", "skill": "", "priority": 0, "started_at": began, "waiting_since": waiting_since,
            "taken_at": taken_at, "closed_at": None if goes_on else began + timedelta(minutes=4),
        }  # fmt: skip
        talks.append(talk)
        helped = "solved" if chance.random() < 0.7 else "unsolved"
        said = (("citizen", "公积金怎么提取", None), ("bot", "可以网上办理", "answer"), ("citizen", "好的", helped))
        for turn, (speaker, words, act) in enumerate(said, 1):
            reply = {"act": act, "text": words, "speech": words} if speaker == "bot" else None
            row = {"conversation_id": talk["id"], "number": turn, "speaker": speaker, "text": words, "reply": reply}
            turns.append(row | {"act": act, "said_at": began + timedelta(seconds=15 * turn)})
    with database.write() as session:
        for table, rows in ((Conversation, talks), (Turn, turns)):
            for begin in range(0, len(rows), 2000):
                session.execute(insert(table), rows[begin : begin + 2000])


# --- loading --------------------------------------------------------------------------------------------------------


def put_in(database: Database, rows: Iterator[Rows]) -> None:
    """Into SQLite as the sample year is."""
    with database.write() as session:
        store(session, rows, lambda done: print(f"\rsqlite {done}", end="", flush=True))


def copy_in(database: Database, rows: Iterator[Rows]) -> None:
    """Into PostgreSQL by COPY, a table after the other for each batch."""
    tables: list[tuple[Any, Callable[[Rows], list[dict[str, Any]]]]] = [
        (Conversation, lambda one: [one.conversation] if one.conversation else []),
        (Turn, lambda one: one.turns),
        (Case, lambda one: [one.case]),
        (CaseEvent, lambda one: one.events),
        (Visit, lambda one: one.visits),
    ]
    done = 0
    with connected(database) as connection:
        while batch := [one for _, one in zip(range(20_000), rows, strict=False)]:
            for table, of in tables:
                copy_table(connection, table.__table__, [row for one in batch for row in of(one)])
            connection.commit()
            done += len(batch)
            print(f"\rpostgresql {done}", end="", flush=True)
        for name in ("cases", "case_events"):
            connection.execute(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), (SELECT max(id) FROM {name}))")


def connected(database: Database) -> psycopg.Connection:
    """A connection of the driver's own."""
    return psycopg.connect(database.engine.url.set(drivername="postgresql").render_as_string(False))


def copy_cases(database: Database, copies: int) -> None:
    """As many times the cases with their histories, each copy with the matter, place, agency and channel of another case, so
    that the copies fall into as many different cells as cases of their own would."""
    others = ("place", "what", "district", "category_code", "agency_code", "responsible_code", "channel")
    with connected(database) as connection:
        connection.execute("SET session_replication_role = replica")  # their foreign keys are those of the first ones
        last = {name: connection.execute(f"SELECT max(id) FROM {name}").fetchone() for name in ("cases", "case_events")}
        cases, events = (row[0] if row else 0 for row in last.values())
        for copy in range(1, copies):
            sign = chr(ord("a") + copy)
            of_case = {name: f"o.{name}" for name in others}
            of_case |= {"id": f"c.id + {copy * cases}", "conversation_id": "NULL"}
            of_case |= {"number": f"'{sign}' || substr(c.number, 2)", "filing_key": f"'{sign}' || c.filing_key"}
            other = f"JOIN cases o ON o.id = (c.id - 1 + {copy * 7919}) % {cases} + 1 WHERE c.id <= {cases}"
            copy_rows(connection, Case, of_case, other)
            of_event = {"id": f"c.id + {copy * events}", "case_id": f"c.case_id + {copy * cases}"}
            copy_rows(connection, CaseEvent, of_event, f"WHERE c.id <= {events}")
            of_visit = {"id": "nextval(pg_get_serial_sequence('visits', 'id'))", "case_id": of_event["case_id"]}
            copy_rows(connection, Visit, of_visit, f"WHERE c.case_id <= {cases}")
            connection.commit()
            print(f"\rpostgresql {(copy + 1) * cases}", end="", flush=True)


def copy_rows(connection: psycopg.Connection, table: Any, changed: dict[str, str], which: str) -> None:
    """Rows of a table again, with some columns changed."""
    names = [column.name for column in table.__table__.columns]
    picked = ", ".join(changed.get(name, f"c.{name}") for name in names)
    name = table.__tablename__
    connection.execute(f"INSERT INTO {name} ({', '.join(names)}) SELECT {picked} FROM {name} c {which}")


def copy_table(connection: psycopg.Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Rows with the same columns into one table, encrypted where the line would."""
    if not rows:
        return
    columns, dialect = list(rows[0]), postgresql.dialect()  # type: ignore[no-untyped-call]

    def value_of(name: str, value: Any) -> Any:
        kind = table.c[name].type
        if isinstance(kind, Encrypted | EncryptedJson):
            return kind.process_bind_param(value, dialect)
        return Json(value) if isinstance(value, (dict, list)) else value

    with connection.cursor() as cursor, cursor.copy(f"COPY {table.name} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([value_of(name, row[name]) for name in columns])


# --- asking ---------------------------------------------------------------------------------------------------------


def queries(session: Session, now: datetime) -> dict[str, Callable[[Session], Any]]:
    """What the pages ask: name -> the question, with values that change from time to time."""
    today = figures.today(now)
    year = Slice(today - timedelta(days=DAYS - 1), today + timedelta(days=1))
    quarter = Slice(today - timedelta(days=90), year.until)
    month = Slice(today - timedelta(days=29), year.until)
    chance = random.Random(SEED)
    values = {name: list(figures.by(session, year, name)) for name in rollups.DIMENSIONS}

    def some(wanted: Slice, *dimensions: str) -> Slice:
        for name in dimensions:
            wanted = wanted.narrowed(name, chance.choice(values[name]))
        return wanted

    asked: dict[str, Callable[[Session], Any]] = {}
    for name, wanted in {"month": month, "quarter": quarter, "year": year}.items():
        for question, ask in analysts(some, now).items():
            asked[f"analyst: {question}, {name}"] = partial(ask, wanted=wanted)
    day = Slice(today, year.until)
    asked |= {
        "wall: conversations now": wall.talks_now,
        "wall: conversations today": lambda s: wall.talks_today(s, now),
        "wall: cases today": lambda s: wall.cases_today(s, day, now),
        "wall: trend of 30 days": lambda s: wall.trend(s, day),
        "wall: longest overdue": lambda s: figures.longest_overdue(s, now),
        "wall: everything": lambda s: wall.snapshot(s, now, "zh"),
    }
    return asked


def analysts(some: Callable[..., Slice], now: datetime) -> dict[str, Callable[..., Any]]:
    """What the analyst's page asks of a slice (`wanted`)."""

    def behind(session: Session, wanted: Slice, measure: str) -> Any:
        return figures.cases_behind(session, wanted, measure, now)

    return {
        "totals": lambda session, wanted: figures.totals(session, wanted),
        "totals and the same before": lambda session, wanted: [
            figures.totals(session, one) for one in (wanted, wanted.before())
        ],
        "by category": lambda session, wanted: figures.by(session, wanted, "category"),
        "by agency": lambda session, wanted: figures.by(session, wanted, "agency"),
        "by district in one category": lambda session, wanted: figures.by(
            session, some(wanted, "category"), "district"
        ),
        "over time": lambda session, wanted: figures.over_time(session, wanted),
        "over time in one district": lambda session, wanted: figures.over_time(session, some(wanted, "district")),
        "open and overdue": lambda session, wanted: figures.stock(session, wanted, now),
        "cases behind": lambda session, wanted: behind(session, some(wanted, "district", "category"), "filed"),
        "late cases behind": lambda session, wanted: behind(session, some(wanted, "agency"), "late"),
    }


def naive(now: datetime) -> dict[str, Callable[[Session], Any]]:
    """The same questions asked of the cases themselves."""
    today = figures.today(now)
    until = midnight(today + timedelta(days=1))

    def by_category(session: Session, since: datetime) -> Any:
        within = Case.filed_at >= since, Case.filed_at < until
        return session.execute(
            select(Case.category_code, func.count()).where(*within).group_by(Case.category_code)
        ).all()

    def rates_by_agency(session: Session, since: datetime) -> Any:
        said = [func.count().filter(one) for one in (Visit.solved, Visit.satisfied)]
        query = select(Visit.agency_code, func.count(), *said).where(Visit.said_at >= since, Visit.said_at < until)
        return session.execute(query.group_by(Visit.agency_code)).all()

    def stock(session: Session) -> Any:
        return session.execute(select(func.count()).select_from(Case).where(Case.step_due_at.is_not(None))).scalar()

    return {
        "naive: by category, month": lambda s: by_category(s, until - timedelta(days=30)),
        "naive: by category, year": lambda s: by_category(s, until - timedelta(days=DAYS)),
        "naive: rates by agency, month": lambda s: rates_by_agency(s, until - timedelta(days=30)),
        "naive: rates by agency, year": lambda s: rates_by_agency(s, until - timedelta(days=DAYS)),
        "naive: open": stock,
    }


def timed(session: Session, name: str, ask: Callable[[Session], Any], runs: int) -> dict[str, Any]:
    """p50 and p95 in milliseconds, after one run that is not counted."""
    ask(session)
    taken = []
    for _ in range(runs):
        session.expire_all()
        begun = time.perf_counter()
        ask(session)
        taken.append((time.perf_counter() - begun) * 1000)
    taken.sort()
    return {"query": name, "p50": round(taken[runs // 2], 1), "p95": round(taken[min(runs - 1, int(runs * 0.95))], 1)}


def time_step(database: Database) -> dict[str, Any]:
    """What the job of every minute takes when TOUCHED cases have been sorted into another category since."""
    with database.write() as session:
        mark = rollups.locked_mark(session, "cases")
        mark.value = newest = session.scalar(select(func.max(CaseEvent.id))) or 0
        ids = list(session.scalars(select(Case.id).order_by(Case.id.desc()).limit(TOUCHED)))
        session.execute(update(Case).where(Case.id.in_(ids)).values(category_code="UT-WATER"))
        sorted_anew: dict[str, Any] = {
            "act": "sort",
            "from_state": "signed",
            "to_state": "signed",
            "role": "dispatcher",
        }
        sorted_anew |= {"number": 1000, "details": {}, "acted_at": utc_now()}
        events = [sorted_anew | {"id": newest + place, "case_id": one} for place, one in enumerate(ids, 1)]
        session.execute(insert(CaseEvent), events)
    begun = time.perf_counter()
    rollups.keep_in_step(database, utc_now)
    return {"cases": TOUCHED, "milliseconds": round((time.perf_counter() - begun) * 1000, 1)}


def digest(database: Database) -> str:
    """All cells and sums that count anything, as one number."""
    found = hashlib.sha256()
    with database.read() as session:
        for table, names in ((CaseCell, rollups.CELL), (CaseSum, rollups.SUM)):
            key, measures = ([table.__table__.c[name] for name in some] for some in (names, rollups.MEASURES))
            rows = session.execute(select(*key, *measures).order_by(*key).execution_options(yield_per=10_000))
            for row in rows:
                if any(row[len(key) :]):
                    found.update(str(tuple(row)).encode())
    return found.hexdigest()


def show(result: dict[str, Any]) -> None:
    """The table of one size."""
    rows = ", ".join(f"{count:,} {name}" for name, count in result["rows"].items())
    print(
        f"\r{result['database']}: {rows}; loaded in {result['load_seconds']} s, counted in {result['rebuild_seconds']} s"
    )
    for row in result["queries"] + result["naive"]:
        print(f"  {row['query']:<52} p50 {row['p50']:>9.1f} ms  p95 {row['p95']:>9.1f} ms")
    print(f"  the job with {result['step']['cases']} cases changed: {result['step']['milliseconds']} ms")
