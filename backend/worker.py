"""The worker: does the jobs of the queue until it is told to stop; `python -m backend.worker`."""

import logging

from backend.app import make_jobs, make_parts
from backend.clock import utc_now
from backend.settings import load_settings

AT_ONCE = 4
"""Jobs that are done at the same time: a batch of documents doesn't hold up a telephone that is to ring."""


def main() -> None:
    """Work until SIGTERM, which ends a job in its middle: every job can be taken up again."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for chatty in ("huey", "httpx"):  # the latter's addresses hold what is asked for
        logging.getLogger(chatty).setLevel(logging.WARNING)
    jobs = make_jobs(make_parts(load_settings(), None, utc_now))
    jobs.queue.on_startup()(jobs.begin)
    jobs.queue.create_consumer(workers=AT_ONCE, max_delay=1.0).run()


if __name__ == "__main__":
    main()
