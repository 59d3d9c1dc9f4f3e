"""The queue of jobs, and the jobs: on SQLite for one machine, on Redis (REDIS_URL) for a city. Huey runs them.

A job says only what to look at; how far it has come stands in the record. So a job that is lost with its worker is put
into the queue again when a worker starts, and one that comes twice changes nothing.
"""

from datetime import datetime, timedelta
from pathlib import Path

from flask import current_app
from huey import Huey, RedisHuey, SqliteHuey, crontab
from sqlalchemy.engine import make_url

from backend.clock import Clock
from backend.database import Database
from backend.knowledge import importing
from backend.knowledge.embedding import Embedder
from backend.settings import ROOT, Settings

ALIVE_FOR = timedelta(minutes=3)
"""A worker gives a sign of life every minute."""
SIGN_OF_LIFE = "worker"


class Jobs:
    """The jobs of the line, to put into the queue; in a worker process, what runs them."""

    def __init__(self, settings: Settings, database: Database, clock: Clock, embedder: Embedder | None) -> None:
        self.database, self.clock, self.embedder = database, clock, embedder
        self.queue = make_queue(settings)
        self.take_in = self.queue.task(name="take_in")(self._take_in)
        self.queue.periodic_task(crontab(minute="*"), name="give_sign_of_life")(self.give_sign_of_life)

    def _take_in(self, import_id: int) -> None:
        """Take in some documents of an import and let other jobs have their turn before the rest."""
        if importing.take_in(self.database, self.embedder, self.clock, import_id):
            self.take_in(import_id)

    def begin(self) -> None:
        """Begin to work: put into the queue what an earlier worker has left."""
        self.give_sign_of_life()
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


def make_queue(settings: Settings) -> Huey:
    """Redis where the settings name one, else a SQLite file beside the record."""
    if settings.redis_url:
        return RedisHuey("line", url=settings.redis_url, results=False)
    record = make_url(settings.database_url)
    folder = Path(record.database).parent if record.get_backend_name() == "sqlite" and record.database else ROOT / "var"
    return SqliteHuey("line", filename=str(folder / "queue.sqlite3"), results=False)


def jobs() -> Jobs:
    """The jobs of the application that handles this request."""
    found: Jobs = current_app.extensions["jobs"]
    return found
