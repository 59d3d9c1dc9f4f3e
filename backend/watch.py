"""What a process tells of itself while it works: measures for Prometheus, one id (the trail) by which a request is followed
from its webhook through the bot to the case, logs that carry it, and with TRACES_URL spans for OpenTelemetry.

The trail is a W3C trace id (https://www.w3.org/TR/trace-context/): the header `traceparent` brings it, and without one it is
made here. It goes to the bot with each message and comes back with what the bot asks. Nothing that a person said, no name
and no number of a telephone gets into measures, logs or spans.
"""

import json
import logging
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import perf_counter
from traceback import format_tb
from types import TracebackType
from typing import Any, Literal

from flask import Flask, Response, request
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

Environ = dict[str, Any]
ErrorInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
"""Bounds of every histogram of times; callers notice from half a second on, and Twilio gives up after 15."""

REQUESTS = Histogram(
    "line_request_seconds", "Requests by view and class of status", ["view", "status"], buckets=SECONDS
)
STEPS = Histogram("line_turn_step_seconds", "The steps of a turn", ["step"], buckets=SECONDS)
TURNS = Counter("line_turns", "What the citizens' messages came to", ["channel", "outcome"])
VERDICTS = Counter("line_verdicts", "What the search made of a question", ["verdict"])
CASES = Counter("line_cases_filed", "Cases filed, without what was joined to an open one", ["channel"])
JOBS = Histogram("line_job_seconds", "Jobs that the worker has done", ["job"], buckets=(*SECONDS, 60, 300))
JOBS_FAILED = Counter("line_jobs_failed", "Jobs that ended in an error", ["job"])
ERRORS = Counter("line_errors", "Errors that were logged, by the module that logged them", ["module"])

tracer = trace.get_tracer("line")
PROPAGATOR = TraceContextTextMapPropagator()
log = logging.getLogger(__name__)


def registry() -> CollectorRegistry:
    """The measures of all processes of this machine (PROMETHEUS_MULTIPROC_DIR), or without that of this one."""
    found = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        MultiProcessCollector(found)  # type: ignore[no-untyped-call]
    else:
        found.register(REGISTRY)
    return found


# --- the trail ----------------------------------------------------------------------------------------------------


@contextmanager
def following(name: str, traceparent: str = "", kind: SpanKind = SpanKind.INTERNAL) -> Iterator[None]:
    """Do something under the trail that `traceparent` brings, or under a new one."""
    parent = PROPAGATOR.extract({"traceparent": traceparent})
    with tracer.start_as_current_span(
        name, parent, kind, record_exception=False, set_status_on_exception=False
    ) as span:
        if span.get_span_context().is_valid:
            yield
            return
    made = SpanContext(int(secrets.token_hex(16), 16), int(secrets.token_hex(8), 16), False, TraceFlags(0))
    with trace.use_span(NonRecordingSpan(made), record_exception=False, set_status_on_exception=False):
        yield


@contextmanager
def step(name: str) -> Iterator[None]:
    """Measure one step of a turn, as a span and for Prometheus."""
    with (
        tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False),
        STEPS.labels(name).time(),
    ):
        yield


def traceparent() -> str:
    """The header that hands the trail on; empty outside of one."""
    carrier: dict[str, str] = {}
    PROPAGATOR.inject(carrier)
    return carrier.get("traceparent", "")


def trail() -> str:
    """The id of the trail, 32 hexadecimal digits; empty outside of one."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def watch_requests(app: Flask) -> None:
    """Give every request its trail, its measure and, when it may change something, a line in the log."""
    inner: Wsgi = app.wsgi_app

    def followed(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["line.began"] = perf_counter()
        with following("request", environ.get("HTTP_TRACEPARENT", ""), SpanKind.SERVER):
            return inner(environ, start_response)

    app.wsgi_app = followed  # type: ignore[method-assign]
    app.after_request(note_request)


def note_request(response: Response) -> Response:
    """Measure the request that has been answered. Only views are named: an address may hold what nobody else may see."""
    seconds, view = perf_counter() - request.environ["line.began"], request.endpoint or "none"
    REQUESTS.labels(view, f"{response.status_code // 100}xx").observe(seconds)
    span = trace.get_current_span()
    span.update_name(view)
    span.set_attribute("http.response.status_code", response.status_code)
    if request.method not in ("GET", "HEAD"):
        log.info("%s %s %.0f ms", view, response.status_code, seconds * 1000)
    return response


# --- logs ---------------------------------------------------------------------------------------------------------


class Discreet(logging.Formatter):
    """Tells of an error what kind it is and where it came from, with what led to it. Its own words may quote what a citizen
    said; those of the system (a file, a connection) don't."""

    def formatException(self, ei: ErrorInfo) -> str:
        """The errors of the chain, the first one first."""
        told, error = [], ei[1]
        while error is not None:
            words = f": {error}" if isinstance(error, OSError) else ""
            told.append("".join(format_tb(error.__traceback__)) + type(error).__qualname__ + words)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\n\n".join(reversed(told))


class JsonLine(Discreet):
    """One record of the log as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "module": record.name,
            "message": record.getMessage(),
            "trail": trail(),
            "process": record.process,
        }
        if record.exc_info:
            line["fault"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class PlainLine(Discreet):
    """The same for people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(trail)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        record.trail = trail()[:8] or "-"
        return super().format(record)


class CountErrors(logging.Handler):
    """Counts what is logged as an error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Count one."""
        ERRORS.labels(record.name).inc()


def set_up(form: Literal["plain", "json"], traces_url: str) -> None:
    """Let this process log and, if it shall, send traces."""
    set_up_logs(form)
    if traces_url:
        send_traces(traces_url)


def set_up_logs(form: Literal["plain", "json"]) -> None:
    """Let this process log to standard error, in this form, from INFO on."""
    lines, errors = logging.StreamHandler(), CountErrors(logging.ERROR)
    lines.setFormatter(JsonLine() if form == "json" else PlainLine())
    logging.basicConfig(level=logging.INFO, handlers=[lines, errors], force=True)
    for chatty in ("huey", "httpx", "alembic"):  # addresses that httpx names hold what is asked for
        logging.getLogger(chatty).setLevel(logging.WARNING)


def send_traces(url: str) -> None:
    """Send spans to the collector at `url` (OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces)."""
    # Only who wants traces loads what sends them.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "civic-line"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url)))
    trace.set_tracer_provider(provider)
