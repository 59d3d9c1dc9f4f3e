"""The operator's desk: presence, the queue, and the conversations that the operator holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.clock import local
from backend.console.forms import field
from backend.console.log_in import allowed, me
from backend.console.sections import first_page
from backend.conversations import offers, presence, service, wrap_up
from backend.conversations.models import Conversation, Turn
from backend.conversations.rules import PHOTO
from backend.conversations.safety import person_words
from backend.directory.models import Category, Staff
from backend.directory.service import mark_seen
from backend.errors import Refused
from backend.locale import current_locale
from backend.parts import parts

NOTED_EVERY = timedelta(seconds=8)
"""Less than the ten seconds between two signs of life (static/live.js)."""
SENTENCES_LOOKED_AT = 5
"""So many of a citizen's last sentences, in search of one that isn't the mere wish for a person."""


@dataclass(frozen=True)
class Row:
    """One conversation in a list of the desk."""

    conversation: Conversation
    waited: timedelta
    last: str


@dataclass(frozen=True)
class QueueView:
    """On what it depends how the queue looks to somebody: their language on the screen, and what decides whom they are to
    take first."""

    locale: str
    languages: str
    skills: str


@allowed("self")
def show_desk() -> ResponseReturnValue:
    """The desk, for roles that talk to citizens; the others begin with the first section that is theirs."""
    if not me().may_enter("conversations"):
        return redirect(first_page(me()))
    note_presence()
    shared, softphone = parts(), (me().telephone or "").startswith("client:")
    now = shared.clock()
    with shared.database.read() as session:
        staff = session.get_one(Staff, me().id)
        period = presence.current(session, staff.id)
        return render_template(
            "console/desk.html",
            softphone=softphone,
            state=presence.state_of(staff, period),
            period=period,
            spent=presence.times(session, staff.id, start_of_day(now), now),
            **queue_of(session, staff.languages, staff.skills, now),
            **talks_of(session, staff, now),
        )


@allowed("conversations")
def show_queue() -> ResponseReturnValue:
    """Who waits. A page with a stream of events is sent it (queue_part); one without asks."""
    note_presence()
    return queue_part(my_view())


@allowed("conversations")
def show_mine() -> ResponseReturnValue:
    """The operator's own talks, which the page asks for when something has changed about them."""
    note_presence()
    shared = parts()
    with shared.database.read() as session:
        staff = session.get_one(Staff, me().id)
        return render_template("console/_mine.html", **talks_of(session, staff, shared.clock()))


def my_view() -> QueueView:
    """How the queue looks to whoever is logged in."""
    with parts().database.read() as session:
        staff = session.get_one(Staff, me().id)
        return QueueView(current_locale(), staff.languages, staff.skills)


def queue_part(view: QueueView) -> str:
    """Who waits, as a part of the desk. It is the same for all who see it so, and made once for them (backend/events.py)."""
    shared = parts()
    with shared.database.read() as session:
        waiting = queue_of(session, view.languages, view.skills, shared.clock())
        return render_template("console/_queue.html", **waiting)


@allowed("conversations")
def set_presence() -> ResponseReturnValue:
    """Ready, after-call work, or a break with its reason."""
    shared = parts()
    state, _, reason = field("presence").partition(":")
    if state not in ("ready", "wrap_up", "break") or (state == "break") != (reason in presence.BREAK_REASONS):
        raise Refused("break_reason_missing")
    with shared.database.write() as session:
        staff = session.get_one(Staff, me().id)
        presence.set_presence(session, staff, state, shared.clock(), reason)
        mark_seen(session, staff.id, shared.clock())
    return redirect(url_for("console.desk"))


@allowed("conversations")
def show_offers() -> ResponseReturnValue:
    """What is offered to this operator now; every page of the console asks for it."""
    note_presence()
    shared = parts()
    now = shared.clock()
    with shared.database.read() as session:
        offered = offers.offers_to(session, me().id)
        last = last_sentences(session, [one.conversation_id for one in offered])
        return render_template(
            "console/_offers.html", offers=offered, last=last, skills=first_level(session), now=now, **waits()
        )


@allowed("conversations")
def answer_offer(offer_id: int, act: str) -> ResponseReturnValue:
    """Accept what is offered, or let somebody else have it."""
    if act not in ("accept", "decline"):
        raise Refused("not_found", 404)
    shared = parts()
    with shared.database.write() as session:
        staff = session.get_one(Staff, me().id)
        verb = offers.accept if act == "accept" else offers.decline
        found = verb(session, offer_id, staff, shared.clock())
    if found.channel == "phone":
        shared.telephone.see_to(found.id)
    if act == "decline":
        return redirect(url_for("console.desk"))
    return redirect(url_for("console.conversation", conversation_id=found.id))


@allowed("conversations")
def beat() -> ResponseReturnValue:
    """A sign of life of an open page, whatever it shows."""
    note_presence()
    return "", 204


def note_presence() -> None:
    """Note that the console is open; of what comes close together most need not write."""
    shared = parts()
    now = shared.clock()
    seen_at = me().seen_at
    if seen_at is None or abs(now - seen_at) > NOTED_EVERY:
        with shared.database.write(durable=False) as session:  # an open console says so again in seconds
            mark_seen(session, me().id, now)


def queue_of(session: Session, languages: str, skills: str, now: datetime) -> dict[str, Any]:
    """Who waits, for an operator with these languages and skills."""
    waiting = rows(session, service.queue(session, languages, skills), now)
    return {"waiting": waiting, "skills": first_level(session), **waits()}


def talks_of(session: Session, staff: Staff, now: datetime) -> dict[str, Any]:
    """The talks that this operator holds, and those that are still to be finished."""
    return {
        "mine": rows(session, service.held_by(session, staff), now),
        "unfinished": rows(session, wrap_up.unfinished(session, staff.id), now),
        "now": now,
    }


def first_level(session: Session) -> dict[str, Category]:
    """The categories that skills are named after, by code."""
    return {one.code: one for one in session.scalars(select(Category).where(Category.parent_code.is_(None)))}


def waits() -> dict[str, int]:
    """From how many seconds on a wait is coloured."""
    line = parts().line_settings()
    return {"long_wait": line.long_wait, "too_long_wait": line.too_long_wait}


def start_of_day(now: datetime) -> datetime:
    """Midnight in China."""
    return local(now).replace(hour=0, minute=0, second=0, microsecond=0)


def rows(session: Session, conversations: Sequence[Conversation], now: datetime) -> list[Row]:
    """The conversations with what their citizens said last."""
    last = last_sentences(session, [one.id for one in conversations])
    return [Row(one, now - (one.waiting_since or one.started_at), last.get(one.id, "")) for one in conversations]


def last_sentences(session: Session, conversation_ids: Iterable[str]) -> dict[str, str]:
    """What the citizen said last in each of these conversations, the mere wish for a person (a few of them) aside."""
    latest = (
        select(
            Turn.id,
            func.row_number().over(partition_by=Turn.conversation_id, order_by=Turn.number.desc()).label("place"),
        )
        .where(Turn.conversation_id.in_(conversation_ids), Turn.speaker == "citizen", Turn.act.is_distinct_from(PHOTO))
        .subquery()
    )
    said = (
        select(Turn.conversation_id, Turn.text)
        .join(latest, Turn.id == latest.c.id)
        .where(latest.c.place <= SENTENCES_LOOKED_AT)
        .order_by(Turn.number)
    )
    return {talk: text for talk, text in session.execute(said) if text not in person_words()}
