"""`GET /metrics` for Prometheus: what the processes have measured (backend/watch.py), and how the line stands by its record.

Only for this machine, and not through a proxy, or for who has METRICS_TOKEN.
"""

import hmac
import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from ipaddress import ip_address

from flask import Blueprint, Response, request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend import watch
from backend.api.access import bearer_token
from backend.cases.models import Case
from backend.cases.rules import OPEN_STATES
from backend.conversations import floor
from backend.conversations.models import Conversation
from backend.directory.service import present_operators
from backend.errors import Refused
from backend.jobs.queue import jobs
from backend.outbox import OutgoingMessage
from backend.parts import Parts, parts

log = logging.getLogger(__name__)
blueprint = Blueprint("metrics", __name__)

SOON = timedelta(days=1)


@blueprint.get("/metrics")
def show() -> Response:
    """All measures in Prometheus' text format."""
    if not may_look():
        raise Refused("not_found", 404)
    registry = watch.registry()
    registry.register(Standing(parts()))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def may_look() -> bool:
    """Whether who asks has the token, or is on this machine where none is set."""
    token = parts().settings.metrics_token
    if token:
        return hmac.compare_digest(bearer_token().encode(), token.encode())
    if "X-Forwarded-For" in request.headers:
        return False
    try:
        return ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False


class Standing:
    """How the line stands at the moment it is asked, the same whichever process is asked."""

    def __init__(self, shared: Parts) -> None:
        self.parts = shared

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What the record and the queue of jobs say; only `line_up` for what can't be asked."""
        bots = {address: float(is_ready) for address, is_ready in self.parts.bot.processes().items()}
        yield gauge("line_bot_up", "Whether a process of the bot would answer", bots, "bot")
        up = {"bot": max(bots.values(), default=0.0)}
        for part, look in (("database", self.record), ("jobs", self.jobs)):
            try:
                yield from list(look())
                up[part] = 1.0
            except Exception:  # whatever it is, the other measures are wanted all the more
                log.exception("%s can't be measured", part)
                up[part] = 0.0
        yield gauge("line_up", "Whether a part answers", up, "part")

    def record(self) -> Iterator[GaugeMetricFamily]:
        """Who waits and how well they are served, cases and their deadlines, messages that are to go out."""
        now = self.parts.clock()
        with self.parts.database.read() as session:
            yield from waiting(session, now)
            yield from served(session, now)
            yield from deadlines(session, now)
            yield from messages(session, now)

    def jobs(self) -> Iterator[GaugeMetricFamily]:
        """What waits for the worker, and whether there is one."""
        queue = jobs()
        yield gauge("line_jobs_waiting", "Jobs that no worker has begun", queue.queue.pending_count())
        yield gauge("line_worker_up", "Whether a worker has given a sign of life lately", queue.is_worked())


def gauge(name: str, what: str, value: float | Mapping[str, float], label: str = "") -> GaugeMetricFamily:
    """One measure: a value, or with `label` one for each value of it."""
    family = GaugeMetricFamily(name, what, labels=[label] if label else [])
    for which, found in value.items() if isinstance(value, Mapping) else [("", value)]:
        family.add_metric([which] if label else [], found)
    return family


def waiting(session: Session, now: datetime) -> Iterable[GaugeMetricFamily]:
    """The queue for a person, and who is there to take it."""
    rows = session.execute(
        select(Conversation.channel, func.count(), func.min(Conversation.waiting_since))
        .where(Conversation.state == "waiting")
        .group_by(Conversation.channel)
    ).all()
    lengths = {"phone": 0, "chat": 0} | {channel: count for channel, count, _ in rows}
    longest = max(((now - since).total_seconds() for _, _, since in rows if since), default=0.0)
    talking = session.scalar(select(func.count()).select_from(Conversation).where(Conversation.state == "operator"))
    return (
        gauge("line_waiting", "Conversations that wait for a person", lengths, "channel"),
        gauge("line_longest_wait_seconds", "How long the first of them has waited", longest),
        gauge("line_talking", "Conversations with an operator", talking or 0),
        gauge("line_operators_ready", "Operators who are ready", len(present_operators(session, now))),
    )


def served(session: Session, now: datetime) -> Iterable[GaugeMetricFamily]:
    """The service level of the last half hour; nothing where nobody asked for a person."""
    levels = {
        channel: floor.level(floor.asked_since(session, channel, now - floor.LAST)) for channel in ("phone", "chat")
    }
    shares = {channel: one.share for channel, one in levels.items() if one.share is not None}
    given_up = {channel: one.abandoned for channel, one in levels.items()}
    return (
        gauge("line_service_level", "Share answered within 15 s, of the last 30 minutes", shares, "channel"),
        gauge("line_given_up", "Who gave up waiting in the last 30 minutes", given_up, "channel"),
    )


def deadlines(session: Session, now: datetime) -> Iterable[GaugeMetricFamily]:
    """Open cases by state, and how many of them are overdue or will be within a day."""
    counted = session.execute(
        select(Case.state, func.count()).where(Case.state.in_(OPEN_STATES)).group_by(Case.state)
    ).all()
    states = dict.fromkeys(OPEN_STATES, 0) | {state: count for state, count in counted}
    due = {}
    for when, since, until in (("overdue", None, now), ("within_a_day", now, now + SOON)):
        wanted = [Case.state.in_(OPEN_STATES), Case.step_due_at < until]
        wanted += [Case.step_due_at >= since] if since else []
        due[when] = session.scalar(select(func.count()).select_from(Case).where(*wanted)) or 0
    return (
        gauge("line_cases_open", "Cases that have not ended", states, "state"),
        gauge("line_cases_due", "Open cases by the deadline of their step", due, "when"),
    )


def messages(session: Session, now: datetime) -> Iterable[GaugeMetricFamily]:
    """What is in the outbox: how much, since when, and what did not get through."""
    counted = session.execute(
        select(OutgoingMessage.state, func.count())
        .where(OutgoingMessage.state.in_(("waiting", "failed")))
        .group_by(OutgoingMessage.state)
    ).all()
    states = {"waiting": 0, "failed": 0} | {state: count for state, count in counted}
    due = OutgoingMessage.state == "waiting", OutgoingMessage.due_at <= now
    oldest = session.scalar(select(func.min(OutgoingMessage.put_at)).where(*due))
    age = (now - oldest).total_seconds() if oldest else 0.0
    return (
        gauge("line_outbox", "Messages that wait to be sent, or failed for good", states, "state"),
        gauge("line_outbox_age_seconds", "Since when the oldest message that is due has waited", age),
    )
