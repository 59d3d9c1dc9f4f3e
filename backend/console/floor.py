"""The supervisor's floor: live, with a way into each conversation, and giving conversations to other operators."""

from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from backend.console.desk import first_level, last_sentences, note_presence, start_of_day, waits
from backend.console.log_in import allowed, me
from backend.conversations import floor, offers, service
from backend.directory.models import Staff
from backend.directory.service import present_operators
from backend.errors import Refused
from backend.locale import current_locale
from backend.parts import parts


@allowed("supervision")
def show_floor() -> ResponseReturnValue:
    """The page; it renews its middle by itself."""
    note_presence()
    return page()


@allowed("supervision")
def show_now() -> ResponseReturnValue:
    """The part of the page that changes."""
    note_presence()
    return render_template("console/_floor.html", **now_on_the_floor())


@allowed("supervision")
def give(conversation_id: str) -> ResponseReturnValue:
    """Give a conversation to an operator, or step in oneself: a chat goes over at once, a telephone rings first."""
    shared = parts()
    try:
        with shared.database.write() as session:
            found = service.get_conversation(session, conversation_id)
            to = session.get(Staff, request.form.get("staff", default=0, type=int))
            if to is None:
                raise Refused("bad_request", 400)
            if to.id == me().id and found.channel == "chat" and found.state == "operator":
                service.hand_over(session, found, to, shared.clock())
            else:
                offers.reassign(session, found, to, shared.clock())
    except Refused as refused:
        if refused.status == 404:
            raise
        return page(refused)
    if found.channel == "phone":
        shared.telephone.see_to(conversation_id)
    if to.id == me().id:
        return redirect(url_for("console.conversation", conversation_id=conversation_id))
    return redirect(url_for("console.floor"))


def page(refused: Refused | None = None) -> ResponseReturnValue:
    """The page, after a refusal with its sentence."""
    refusal = refused.sentence(current_locale()) if refused else None
    html = render_template("console/floor.html", refusal=refusal, here=url_for("console.floor"), **now_on_the_floor())
    return html, refused.status if refused else 200


def now_on_the_floor() -> dict[str, Any]:
    """What the page shows."""
    now = parts().clock()
    with parts().database.read() as session:
        found = floor.look(session, now, start_of_day(now))
        talks = [one.id for member in found.members for one in member.talks]
        return {
            "floor": found,
            "last": last_sentences(session, [*talks, *(one.id for one in found.waiting)]),
            "colleagues": [staff for staff in present_operators(session, now) if staff.id != me().id],
            "skills": first_level(session),
            "me": me(),
            "now": now,
            **waits(),
        }
