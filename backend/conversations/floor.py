"""The floor as a supervisor sees it: who talks to whom, who waits, and how well those who asked for a person were served."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select, union
from sqlalchemy.orm import Session, aliased

from backend.conversations import presence, service
from backend.conversations.models import Conversation, Leg
from backend.directory.models import Staff
from backend.directory.rules import PRESENCE_LASTS

ANSWERED_WITHIN = timedelta(seconds=15)
"""GB/T 33358-2016: a call is answered within 15 s."""


@dataclass(frozen=True)
class Asked:
    """Somebody who asked for a person: when, when one answered (None: nobody has), and whether they wait no more."""

    asked_at: datetime
    answered_at: datetime | None
    gone: bool


@dataclass(frozen=True)
class Level:
    """How well those were served. `share` is what was answered within ANSWERED_WITHIN of all that were answered or given up,
    0 to 1; None: nobody asked."""

    answered: int
    abandoned: int
    share: float | None
    median_wait: timedelta | None


@dataclass(frozen=True)
class Member:
    """One of the staff at work, with whom they talk."""

    staff: Staff
    state: str  # presence.STATES or busy
    since: datetime | None
    reason: str
    talks: Sequence[Conversation]


@dataclass(frozen=True)
class Floor:
    """Everything on the floor at one moment."""

    members: Sequence[Member]
    waiting: Sequence[Conversation]
    with_bot: int
    longest_wait: timedelta | None
    levels: dict[tuple[str, str], Level]  # (channel, period): last (30 minutes) or day


LAST = timedelta(minutes=30)
BOT_ALIVE_FOR = timedelta(minutes=10)
"""A chat that the citizen has left open counts as one with the assistant for so long."""


def level(asked: Iterable[Asked]) -> Level:
    """The service level. Pure."""
    rows = list(asked)
    waits = [one.answered_at - one.asked_at for one in rows if one.answered_at]
    abandoned = sum(one.gone and one.answered_at is None for one in rows)
    ended = len(waits) + abandoned
    return Level(
        answered=len(waits),
        abandoned=abandoned,
        share=sum(wait <= ANSWERED_WITHIN for wait in waits) / ended if ended else None,
        median_wait=timedelta(seconds=statistics.median(wait.total_seconds() for wait in waits)) if waits else None,
    )


def asked_since(session: Session, channel: str, since: datetime) -> list[Asked]:
    """Who has asked for a person on this channel since then. A call is answered when the operator's telephone is, a chat
    when an operator takes it; a caller who leaves a message instead has given up."""
    queued = (
        select(Leg.conversation_id, func.min(Leg.asked_at).label("asked_at"))
        .where(Leg.party == "citizen", Leg.asked_at >= since)
        .group_by(Leg.conversation_id)
        .subquery()
    )
    talked = (
        select(Leg.conversation_id, func.min(Leg.talked_at).label("talked_at"), func.max(Leg.outcome).label("outcome"))
        .where(Leg.party == "operator", Leg.asked_at >= since)
        .group_by(Leg.conversation_id)
        .subquery()
    )
    waited = aliased(Conversation)
    asked = union(
        select(waited.id).where(waited.waiting_since >= since),
        select(Leg.conversation_id).where(Leg.party == "citizen", Leg.asked_at >= since),
    )
    found = session.execute(
        select(
            Conversation.state,
            Conversation.waiting_since,
            Conversation.taken_at,
            queued.c.asked_at,
            talked.c.talked_at,
            talked.c.outcome,
        )
        .outerjoin(queued, queued.c.conversation_id == Conversation.id)
        .outerjoin(talked, talked.c.conversation_id == Conversation.id)
        .where(Conversation.channel == channel, Conversation.id.in_(asked))
    )
    rows = []
    for state, waiting_since, taken_at, queued_at, talked_at, outcome in found:
        dialled = talked_at is None and outcome == "failed"  # from the caller's side: ivr/queue.py
        answered_at = taken_at if channel == "chat" or dialled else talked_at
        rows.append(Asked(waiting_since or queued_at, answered_at, state not in ("waiting", "operator")))
    return rows


def look(session: Session, now: datetime, midnight: datetime) -> Floor:
    """The floor now; `midnight` is when the city's day began."""
    waiting = service.queue(session)
    waits = [now - one.waiting_since for one in waiting if one.waiting_since]
    return Floor(
        members=members(session, now),
        waiting=waiting,
        with_bot=session.scalar(
            select(func.count())
            .select_from(Conversation)
            .where(Conversation.state == "bot", Conversation.started_at > now - BOT_ALIVE_FOR)
        )
        or 0,
        longest_wait=max(waits, default=None),
        levels={
            (channel, period): level(asked_since(session, channel, since))
            for channel in ("phone", "chat")
            for period, since in (("last", now - LAST), ("day", midnight))
        },
    )


def members(session: Session, now: datetime) -> list[Member]:
    """Who is at work: ready, at after-call work or on a break with an open console, or with a citizen. Those with the most
    to do come first."""
    talking: dict[int, list[Conversation]] = {}
    held = select(Conversation).where(Conversation.state == "operator").order_by(Conversation.taken_at)
    for conversation in session.scalars(held):
        talking.setdefault(conversation.operator_id or 0, []).append(conversation)
    there = and_(Staff.seen_at > now - PRESENCE_LASTS, Staff.role.in_(("operator", "supervisor")))
    staff = session.scalars(select(Staff).where(or_(there, Staff.id.in_(talking))).order_by(Staff.id)).all()
    periods = presence.currents(session, [one.id for one in staff])
    found = []
    for one in staff:
        period, talks = periods.get(one.id), talking.get(one.id, [])
        state = presence.state_of(one, period)
        shown = "busy" if talks and state == "ready" else state
        if one.role == "operator" or talks or state != "away":
            since = period.began_at if period else None
            found.append(Member(one, shown, since, period.reason if period else "", talks))
    return sorted(found, key=lambda member: (-len(member.talks), presence.STATES.index(presence_of(member))))


def presence_of(member: Member) -> str:
    """The member's state without the mark of being busy."""
    return "ready" if member.state == "busy" else member.state
