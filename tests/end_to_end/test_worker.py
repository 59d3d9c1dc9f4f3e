"""The worker as a process: killed in the middle of an import, nothing is lost and nothing is there twice."""

import signal
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest
from sqlalchemy import select

from backend.clock import utc_now
from backend.database import Database
from backend.jobs.queue import Jobs
from backend.knowledge import importing
from backend.knowledge.models import Document, Import, ImportFile
from tests.conftest import build, make_settings
from tests.running_line import RunningLine, until

FILES = [(f"{number}.txt", f"第{number}号养犬办法\n第一条 养犬要登记。".encode()) for number in range(120)]


@pytest.fixture
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLine]:
    """The line's worker alone, with a record of its own; not yet started."""
    line = RunningLine(tmp_path_factory.mktemp("worker"))
    line.environment["EMBEDDING"] = "none"
    build(line.database_url)
    yield line
    line.__exit__()


def state(database: Database, import_id: int) -> str:
    with database.read() as session:
        return session.get_one(Import, import_id).state


def more_than(number: int, database: Database, import_id: int) -> bool:
    with database.read() as session:
        return importing.counts(session, import_id)["imported"] > number


def test_a_worker_killed_in_mid_import_is_followed_by_one_that_ends_it(worker: RunningLine) -> None:
    database = Database(worker.database_url)
    with database.write() as session:
        import_id = importing.start_import(session, FILES, None, utc_now).id
    jobs = Jobs(make_settings(worker.database_url), database, utc_now, None)
    jobs.take_in(import_id)
    for through in (5, 30):
        worker.start("worker")
        until(partial(more_than, through, database, import_id), "some documents")
        worker.stop("worker", signal.SIGKILL)
    assert state(database, import_id) == "running"
    worker.start("worker")
    until(lambda: state(database, import_id) == "done", "the end of the import")
    assert jobs.is_worked()
    with database.read() as session:
        assert Counter(session.scalars(select(ImportFile.state))) == {"imported": len(FILES)}
        assert len(set(session.scalars(select(Document.title)))) == len(FILES)
        assert len(session.scalars(select(Document.id)).all()) == len(FILES)
    database.close()


def test_a_worker_told_to_stop_stops(worker: RunningLine) -> None:
    worker.start("worker")
    database = Database(worker.database_url)
    until(Jobs(make_settings(worker.database_url), database, utc_now, None).is_worked, "a sign of life")
    process = worker.processes["worker"]
    worker.stop("worker", signal.SIGTERM)
    assert process.returncode == 0
    database.close()
