"""A line with 100,000 cases and their whole history: what every page with a list takes at the server, and what filing takes,
with routing and without, on SQLite and PostgreSQL. Beside p50 and p95 it says the quickest of all runs and the processor's
time of this process, which say what is the line's own where the machine has other things to do, and each page's queries.

Baseline for the list of cases: the same page found by counting from the first (OFFSET), as paging is done otherwise. The
cases are those of backend/insight/sample_year.py; CASES sets how many there are.
"""

import os
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import httpx
import psycopg
from flask import Flask
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import selectinload

from backend.app import create_app
from backend.cases import learning, service
from backend.cases.models import Case, CaseEvent
from backend.cases.service import Actor, Filing
from backend.clock import utc_now
from backend.database import Database
from backend.directory.models import Staff
from backend.insight import rollups
from backend.insight.sample_year import fill
from backend.parts import Parts
from tests.conftest import POSTGRES, build, make_settings, postgres_url
from tests.console.test_gap_pages import log_in
from tests.console.test_lists import LIST, PAGES, queries_of

SEED = 12345
DAYS = 365
RUNS = 30
FILINGS = 60
LIST_LIMIT, FILING_LIMIT, ROUTED_LIMIT = 200, 50, 150
"""Milliseconds, p95."""
MATTERS = ("小区暖气不热，家里只有十五度", "楼下工地半夜施工太吵", "路灯坏了一个星期没人修", "垃圾桶满了没人清运")


def run() -> dict[str, Any]:
    """Measure both databases and print the tables."""
    count = int(os.environ.get("CASES", "100000"))
    with TemporaryDirectory() as folder:
        found = [measure("sqlite", f"sqlite:///{Path(folder) / 'line.sqlite3'}", count)]
    name = f"line_bench_{os.getpid()}"
    with psycopg.connect(POSTGRES, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            found.append(measure("postgresql", postgres_url(name), count))
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    return {"databases": found}


def measure(kind: str, url: str, count: int) -> dict[str, Any]:
    """One database: filled, learned from, looked at, filed into."""
    build(url)
    app = create_app(make_settings(url, embedding="none"))
    parts: Parts = app.extensions["parts"]
    fill(parts.database, utc_now(), count, DAYS, SEED, lambda done: print(f"\r{kind} {done}", end="", flush=True))
    give_work(parts.database)
    rollups.rebuild(parts.database, utc_now)
    learning.learn(parts.database, parts.embedder, utc_now())
    with parts.database.write() as session:
        session.execute(text("ANALYZE"))
    with parts.database.read() as session:
        rows = {
            table.__tablename__: session.scalar(select(func.count()).select_from(table)) for table in (Case, CaseEvent)
        }
    result = {"database": kind, "rows": rows, "lists": lists(app, parts), "filing": filing(parts)}
    parts.database.close()
    show(result)
    return result


def give_work(database: Database) -> None:
    """Let the agency that looks at its lists be the one with the most cases."""
    most = select(Case.agency_code).group_by(Case.agency_code).order_by(func.count().desc()).limit(1)
    with database.write() as session:
        session.execute(update(Staff).where(Staff.username == "agency1").values(agency_code=session.scalar(most)))


def lists(app: Flask, parts: Parts) -> list[dict[str, Any]]:
    """Every page with a list by who looks at it; the list of cases with its filters and at its far end."""
    with parts.database.read() as session:
        middle = (session.scalar(select(func.max(Case.id))) or 0) // 2
    narrowed = {
        "q": "号楼", "state": "signed", "mark": "overdue", "category": "UT", "agency": "C-URBAN", "district": "明湖区",
        "before": str(middle), "after": "1",
    }  # fmt: skip
    addresses = [(who, page) for who, pages in PAGES.items() for page in pages]
    addresses += [("supervisor1", f"{LIST}?{httpx.QueryParams({name: value})}") for name, value in narrowed.items()]
    addresses += [
        ("supervisor1", f"{LIST}?{httpx.QueryParams(q='没有这样的词')}"),
        ("agency1", f"{LIST}?before={middle}"),
    ]
    table = []
    browsers = {who: log_in(browser(app), who) for who in PAGES}
    for who, page in addresses:
        table.append(looked_at(parts.database, f"{page} ({who})", partial(get, browsers[who], page)))
    stranger = browser(app)
    table.append(looked_at(parts.database, "/cases (citizen)", partial(get, stranger, "/cases")))
    table.append(timed(f"baseline: half way by OFFSET {middle}", lambda: by_offset(parts.database, middle)))
    return table


def looked_at(database: Database, what: str, act: Callable[[], object]) -> dict[str, Any]:
    """What a page takes, and how often it asks the record."""
    found = timed(what, act)
    with queries_of(database) as sent:
        act()
    return found | {"queries": len(sent)}


def browser(app: Flask) -> httpx.Client:
    """Somebody's browser, at the application in this process."""
    return httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000", timeout=None)


def get(web: httpx.Client, page: str) -> None:
    """Ask for a page."""
    web.get(page).raise_for_status()


def by_offset(database: Database, skipped: int) -> None:
    """Half way down the list by counting from the first."""
    with database.read() as session:
        query = select(Case).options(selectinload(Case.agency), selectinload(Case.category)).order_by(Case.id.desc())
        list(session.scalars(query.offset(skipped).limit(50)))


def filing(parts: Parts) -> list[dict[str, Any]]:
    """Filing by citizens who have left a telephone, with routing (by words alone without EMBEDDING), and without it."""
    chance, spent = random.Random(SEED), []
    routing = service.propose_for

    def routed(*args: Any) -> Any:
        begun = time.perf_counter()
        found = routing(*args)
        spent.append((time.perf_counter() - begun) * 1000)
        return found

    def one() -> None:
        what = f"{chance.choice(MATTERS)}，已经第{chance.randrange(1000)}次反映"
        wanted = Filing(what=what, place="明湖区软件园3号楼", contact=f"+86100{chance.randrange(10**8):08d}")
        with parts.database.write() as session:
            service.file_case(session, parts.knowledge, wanted, Actor("bot"), utc_now(), "beijing")

    with patch.object(service, "propose_for", routed):
        whole = timed("filing with routing", one, FILINGS)
    rest = [total - part for total, part in zip(whole["all"], spent[-FILINGS:], strict=True)]
    return [whole | {"all": []}, {"what": "filing without routing", **spread(rest)}]


def timed(what: str, act: Callable[[], object], runs: int = RUNS) -> dict[str, Any]:
    """The quickest, p50, p95 and the mean of the processor's time in milliseconds, after one run that is not counted."""
    act()
    taken, worked = [], time.process_time()
    for _ in range(runs):
        begun = time.perf_counter()
        act()
        taken.append((time.perf_counter() - begun) * 1000)
    worked = (time.process_time() - worked) * 1000 / runs
    return {"what": what, "all": taken, **spread(taken), "processor": round(worked, 1)}


def spread(taken: list[float]) -> dict[str, float]:
    """The quickest, p50 and p95."""
    cuts = quantiles(taken, n=20)
    return {"least": round(min(taken), 1), "p50": round(cuts[9], 1), "p95": round(cuts[18], 1)}


def show(result: dict[str, Any]) -> None:
    """The tables of one database."""
    print(f"\r{result['database']}: " + ", ".join(f"{count:,} {name}" for name, count in result["rows"].items()))
    limits = {"filing with routing": ROUTED_LIMIT, "filing without routing": FILING_LIMIT}
    for row in result["lists"] + result["filing"]:
        row.pop("all", None)
        late = "" if row["p95"] < limits.get(row["what"], LIST_LIMIT) else "  too slow"
        times = "  ".join(f"{name} {row.get(name, 0):>6.1f} ms" for name in ("least", "p50", "p95", "processor"))
        print(f"  {row['what']:<88} {times}  queries {row.get('queries', ''):>3}{late}")
