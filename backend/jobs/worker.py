"""The worker: does the jobs of the queue, one after the other, until it is told to stop; `python -m backend.jobs.worker`."""

import logging

from backend.clock import utc_now
from backend.database import Database
from backend.jobs.queue import Jobs
from backend.knowledge.embedding import make_embedder
from backend.settings import load_settings


def main() -> None:
    """Work until SIGTERM, which ends a job in its middle: every job can be taken up again."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("huey").setLevel(logging.WARNING)
    settings = load_settings()
    database = Database(settings.database_url)
    jobs = Jobs(settings, database, utc_now, make_embedder(settings))
    jobs.queue.on_startup()(jobs.begin)
    jobs.queue.create_consumer(workers=1, max_delay=1.0).run()


if __name__ == "__main__":
    main()
