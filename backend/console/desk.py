"""The operator's desk: presence, the queue, and the conversations that the operator holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.console.log_in import allowed, me
from backend.console.sections import first_page
from backend.conversations import service
from backend.conversations.models import Conversation, Turn
from backend.conversations.safety import person_words
from backend.directory.models import Category, Staff
from backend.directory.rules import PRESENCE_LASTS
from backend.directory.service import mark_seen
from backend.parts import parts

LONG_WAIT = timedelta(seconds=60)
TOO_LONG_WAIT = timedelta(seconds=180)


@dataclass(frozen=True)
class Row:
    """One conversation in a list of the desk."""

    conversation: Conversation
    waited: timedelta
    last: str

    @property
    def urgency(self) -> str:
        """How the waiting time is coloured: nothing, `warn` or `bad`."""
        if self.waited >= TOO_LONG_WAIT:
            return "bad"
        return "warn" if self.waited >= LONG_WAIT else ""


@allowed("self")
def show_desk() -> ResponseReturnValue:
    """The desk, for roles that talk to citizens; the others begin with the first section that is theirs."""
    if not me().may_enter("conversations"):
        return redirect(first_page(me()))
    note_presence()
    softphone = (me().telephone or "").startswith("client:")
    return render_template("console/desk.html", softphone=softphone, **lists())


@allowed("conversations")
def show_queue() -> ResponseReturnValue:
    """The part of the desk that the page asks for when something has changed."""
    note_presence()
    return render_template("console/_queue.html", **lists())


@allowed("conversations")
def set_presence() -> ResponseReturnValue:
    """就绪 or 小休: whether this operator takes conversations now."""
    shared = parts()
    with shared.database.write() as session:
        staff = session.get_one(Staff, me().id)
        staff.ready = request.form.get("ready") == "yes"
        mark_seen(session, staff, shared.clock())
    return redirect(url_for("console.desk"))


@allowed("conversations")
def beat() -> ResponseReturnValue:
    """A sign of life of an open page, whatever it shows."""
    note_presence()
    return "", 204


def note_presence() -> None:
    """Note that the console is open, in good time before that would lapse; most polls need not write."""
    shared = parts()
    now = shared.clock()
    with shared.database.read() as session:
        seen_at = session.scalar(select(Staff.seen_at).where(Staff.id == me().id))
    if seen_at is None or abs(now - seen_at) > PRESENCE_LASTS / 6:
        with shared.database.write() as session:
            mark_seen(session, session.get_one(Staff, me().id), now)


def lists() -> dict[str, Any]:
    """What the desk shows: the queue, my conversations, whether I am ready."""
    shared = parts()
    now = shared.clock()
    with shared.database.read() as session:
        staff = session.get_one(Staff, me().id)
        return {
            "ready": staff.ready,
            "waiting": rows(session, service.queue(session, staff), now),
            "skills": {
                one.code: one for one in session.scalars(select(Category).where(Category.parent_code.is_(None)))
            },
            "mine": rows(session, service.held_by(session, staff), now),
            "now": now,
            "long_wait": int(LONG_WAIT.total_seconds()),
            "too_long_wait": int(TOO_LONG_WAIT.total_seconds()),
        }


def rows(session: Session, conversations: Sequence[Conversation], now: datetime) -> list[Row]:
    """The conversations with what their citizens said last."""
    last = last_sentences(session, [one.id for one in conversations])
    return [Row(one, now - (one.waiting_since or one.started_at), last.get(one.id, "")) for one in conversations]


def last_sentences(session: Session, conversation_ids: Iterable[str]) -> dict[str, str]:
    """What the citizen said last in each of these conversations, the mere wish for a person aside."""
    latest = (
        select(Turn.conversation_id, func.max(Turn.number).label("number"))
        .where(Turn.conversation_id.in_(conversation_ids), Turn.speaker == "citizen")
        .where(Turn.text.not_in(person_words()))
        .group_by(Turn.conversation_id)
        .subquery()
    )
    found = session.execute(
        select(Turn.conversation_id, Turn.text).join(
            latest, (Turn.conversation_id == latest.c.conversation_id) & (Turn.number == latest.c.number)
        )
    )
    return {conversation_id: text for conversation_id, text in found}
