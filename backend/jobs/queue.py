"""The queue of jobs, and the jobs: on SQLite for one machine, on Redis (REDIS_URL) for a city. Huey runs them.

A job says only what to look at; how far it has come stands in the record. So a job that is lost with its worker is put
into the queue again when a worker starts, and one that comes twice changes nothing.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any, Final

from flask import current_app
from huey import Huey, RedisHuey, SqliteHuey, crontab
from huey.exceptions import RetryTask
from redis import ConnectionPool
from sqlalchemy.engine import make_url

from backend import watch
from backend.cases import learning
from backend.clock import Clock
from backend.database import Database
from backend.knowledge import importing
from backend.knowledge.embedding import Embedder
from backend.settings import ROOT, Settings

log = logging.getLogger(__name__)

ALIVE_FOR = timedelta(minutes=3)
"""A worker gives a sign of life every minute."""
SIGN_OF_LIFE = "worker"
TURN_COMES_IN = 3
"""Seconds after which an import that found another one, or another worker, at work asks again."""
REDIS_WAITS: Final = {"socket_connect_timeout": 1, "socket_timeout": 2}
"""Seconds after which a Redis that doesn't answer is given up: no caller waits longer for it. More than the one second for
which a worker waits for the next job."""


class Jobs:
    """The jobs of the line, to put into the queue; in a worker process, what runs them."""

    def __init__(self, settings: Settings, database: Database, clock: Clock, embedder: Embedder | None) -> None:
        self.database, self.clock, self.embedder = database, clock, embedder
        self.queue = make_queue(settings)
        self._taking_in = Lock()
        self.take_in = self.job("take_in", self._take_in)
        self._learning = Lock()
        self.learn_routing = self.job("learn_routing", self._learn_routing)
        self.every_minute("take_up_imports", self.take_up_imports)
        self.every_minute("give_sign_of_life", self.give_sign_of_life)
        self.every_minute("see_whether_to_learn", self._see_whether_to_learn)

    def job(self, name: str, work: Callable[..., None], again: int = 0) -> Callable[..., object]:
        """A job of this name, the same in every process: calling what is returned puts it into the queue, and a worker then
        does `work` with the same arguments; when that raises, up to `again` times more, two seconds later each."""
        put: Callable[..., object] = self.queue.task(name=name, retries=again, retry_delay=2)(watched(name, work))
        return put

    def every_minute(self, name: str, work: Callable[[], Any]) -> None:
        """Let a worker do `work` every minute: what the clock does. It must not mind to be late, or to come twice."""
        self.queue.periodic_task(crontab(minute="*"), name=name)(watched(name, work))

    def _take_in(self, import_id: int) -> None:
        """Take in some documents of an import and let other jobs have their turn before the rest. One thread of a worker
        does so at a time: the others are for jobs that somebody waits for."""
        if not self._taking_in.acquire(blocking=False):
            raise RetryTask(delay=TURN_COMES_IN)
        try:
            unfinished = importing.take_in(self.database, self.embedder, self.clock, import_id)
        except importing.InOtherHands:
            raise RetryTask(delay=TURN_COMES_IN) from None
        finally:
            self._taking_in.release()
        if unfinished:
            self.take_in(import_id)

    def see_to_import(self, import_id: int) -> None:
        """Put an import into the queue. What can't be put there now is taken up within a minute or so (take_up_imports)."""
        try:
            self.take_in(import_id)
        except Exception:  # whatever it is, the import stands in the record
            log.exception("an import could not be put into the queue")

    def take_up_imports(self) -> None:
        """Put into the queue the imports that nobody is at: their job was lost, or never got there."""
        with self.database.read() as session:
            for import_id in importing.abandoned(session, self.clock()):
                self.take_in(import_id)

    def _learn_routing(self) -> None:
        """Let routing learn anew, once at a time: it takes a minute or some."""
        if self._learning.acquire(blocking=False):
            try:
                learning.learn(self.database, self.embedder, self.clock())
            finally:
                self._learning.release()

    def _see_whether_to_learn(self) -> None:
        """Put a learning into the queue when it is time for one."""
        if learning.is_time_to_learn(self.database, self.clock()):
            self.learn_routing()

    def begin(self) -> None:
        """Begin to work: put into the queue what an earlier worker has left. Raises what record and queue raise while they
        can't be reached."""
        with self.database.read() as session:
            for import_id in importing.unfinished(session):
                self.take_in(import_id)

    def give_sign_of_life(self) -> None:
        """Say that a worker is at work."""
        self.queue.put(SIGN_OF_LIFE, self.clock())

    def is_worked(self) -> bool:
        """Whether a worker has given a sign of life lately."""
        seen: datetime | None = self.queue.get(SIGN_OF_LIFE, peek=True)
        return seen is not None and self.clock() - seen < ALIVE_FOR


def watched(name: str, work: Callable[..., Any]) -> Callable[..., None]:
    """The job under a trail of its own, measured."""

    def done(*args: Any) -> None:
        with watch.following(name), watch.JOBS.labels(name).time():
            try:
                work(*args)
            except RetryTask:
                raise
            except Exception:
                watch.JOBS_FAILED.labels(name).inc()
                raise

    return done


def make_queue(settings: Settings) -> Huey:
    """Redis where the settings name one, else a SQLite file beside the record."""
    if settings.redis_url:
        pool = ConnectionPool.from_url(settings.redis_url, **REDIS_WAITS)
        return RedisHuey("line", connection_pool=pool, results=False)
    record = make_url(settings.database_url)
    folder = Path(record.database).parent if record.get_backend_name() == "sqlite" and record.database else ROOT / "var"
    return SqliteHuey("line", filename=str(folder / "queue.sqlite3"), results=False)


def jobs() -> Jobs:
    """The jobs of the application that handles this request."""
    found: Jobs = current_app.extensions["jobs"]
    return found
