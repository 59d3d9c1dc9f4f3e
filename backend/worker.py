"""The worker: does the jobs of the queue until it is told to stop; `python -m backend.worker`."""

import os

from prometheus_client import start_http_server

from backend import watch
from backend.app import make_jobs, make_parts
from backend.clock import utc_now
from backend.settings import load_settings

AT_ONCE = 4
"""Jobs that are done at the same time: a batch of documents doesn't hold up a telephone that is to ring."""
NICENESS = 5
"""Where processors are scarce, whoever answers a caller goes first and the worker gets a third of what they get."""


def main() -> None:
    """Work until SIGTERM, which ends a job in its middle: every job can be taken up again."""
    os.nice(NICENESS)
    settings = load_settings()
    watch.set_up(settings.log_format, settings.traces_url)
    if settings.metrics_port:
        start_http_server(settings.metrics_port, registry=watch.registry())
    jobs = make_jobs(make_parts(settings, None, utc_now))
    jobs.begin()  # without record and queue this process ends, and is started again until they are there
    jobs.queue.create_consumer(workers=AT_ONCE, max_delay=1.0).run()


if __name__ == "__main__":
    main()
