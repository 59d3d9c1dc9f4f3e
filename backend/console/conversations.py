"""One conversation on the operator's screen: read it, take it, speak, give it back, end it, file a case from it."""

import logging
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from flask import make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.cases.models import Case
from backend.cases.neighbours import file_with_answer, offer
from backend.cases.service import Actor, Filing, alike, cases_of_contact, contact_number
from backend.chat.gateway import photos_of
from backend.console.desk import note_presence
from backend.console.forms import field
from backend.console.log_in import Person, allowed, me
from backend.console.people import staff_names
from backend.console.voice import ACTS, calls
from backend.conversations import canned, service, summary, telephone, wrap_up
from backend.conversations.answers import answer_text
from backend.conversations.assist import QUERY_LIMIT, assist, follow, snippet
from backend.conversations.draft import PLACE_LIMIT, SINCE_LIMIT, WHAT_LIMIT, Draft, draft_case, matters
from backend.conversations.models import Conversation, Turn
from backend.conversations.summary import SummaryFailed
from backend.directory.models import Staff
from backend.errors import Refused
from backend.knowledge.models import Article
from backend.knowledge.service import Answerable
from backend.locale import current_locale
from backend.parts import parts

log = logging.getLogger(__name__)

SUGGESTIONS = 3
DUPLICATES = 3
EARLIER = 5
"""Conversations and cases of the same citizen that are shown."""


@allowed("conversations")
def show_conversation(conversation_id: str) -> ResponseReturnValue:
    """The conversation with everything that was said."""
    note_presence()
    return page(conversation_id)


def page(conversation_id: str, refused: Refused | None = None, draft: Draft | None = None) -> ResponseReturnValue:
    """The page, after a refusal with its sentence and with the case form as it was filled in."""
    shared = parts()
    with shared.database.read() as session:
        found = service.get_conversation(session, conversation_id)
        turns = service.turns_after(session, conversation_id)
        form, now = draft or draft_case(turns, found.caller), shared.clock()
        html = render_template(
            "console/conversation.html",
            **common(session, found, turns),
            suggestions=suggest(session, found, turns),
            filed=list(session.scalars(select(Case).where(Case.conversation_id == found.id).order_by(Case.id))),
            draft=form,
            **about(session, found, turns),
            duplicates=alike(session, form.what, form.place, contact_of(form.contact), now, DUPLICATES),
            offered=offer(session, form.what, form.place, contact_of(form.contact), now),
            phrases=[(one.code, canned.said_by(one, found.locale, me().name)) for one in canned.phrases(session)],
            **history(session, found),
            form_token=secrets.token_urlsafe(9),
            limits={"what": WHAT_LIMIT, "place": PLACE_LIMIT, "since": SINCE_LIMIT, "note": wrap_up.NOTE_LIMIT},
            form_refused=draft is not None,
            refusal=refused.sentence(current_locale()) if refused else None,
            here=url_for("console.conversation", conversation_id=conversation_id),
        )
    return html, refused.status if refused else 200


@allowed("conversations")
def show_news(conversation_id: str) -> ResponseReturnValue:
    """What has changed since turn `after` and the state `stand` that the page shows; 204 when nothing has."""
    note_presence()
    after = max(0, request.args.get("after", default=0, type=int))
    shown = request.args.get("stand", "")
    with parts().database.read() as session:
        found = service.get_conversation(session, conversation_id)
        fresh = service.turns_after(session, conversation_id, after)
        noted = request.args.get("noted", default=0, type=int) != wrap_up.count_notes(session, conversation_id)
        typing = service.is_typing(found.citizen_typing_at, parts().clock())
        if not (fresh or noted or typing) and shown == stand(found):
            return "", 204
        was_mine = shown.startswith(f"operator-{me().id}-") or shown == f"operator-{me().id}"
        if holds(me(), found) and not was_mine:
            response = make_response("", 200)  # taken in another window: the page needs its forms
            response.headers["HX-Refresh"] = "true"
            return response
        moved = shown != stand(found)
        heard = any(turn.speaker == "citizen" for turn in fresh)
        said = service.turns_after(session, conversation_id)
        response = make_response(
            render_template("console/_news.html", **common(session, found, said), fresh=fresh, moved=moved, noted=noted)
        )
        if heard or moved:  # the answers that follow are looked up afterwards: what was said doesn't wait for them
            response.headers["HX-Trigger"] = "heard"
        return response


@allowed("conversations")
def show_found(conversation_id: str) -> ResponseReturnValue:
    """What is found for the words that the operator is typing; for none, what follows from the citizen's words."""
    shared, typed = parts(), request.args.get("q", "").replace("\x00", "").strip()[:QUERY_LIMIT]
    with shared.database.read() as session:
        found = service.get_conversation(session, conversation_id)
        if typed:
            nearest = assist(session, shared.knowledge, typed, shared.clock(), SUGGESTIONS, found.id)
            articles = [article for article, _ in nearest.articles]
        else:
            articles = suggest(session, found, service.turns_after(session, conversation_id))
        return render_template(
            "console/_suggestions.html", suggestions=articles, typed=typed, **about_suggestions(found)
        )


def about(session: Session, found: Conversation, turns: Sequence[Turn], failed: bool = False) -> dict[str, Any]:
    """The summary: what stands in the conversation, and what the service wrote of it. Whoever holds the conversation asks
    the service anew when more has been said."""
    extract = summary.extract(turns, found.caller)
    written = summary.kept(session, found.id)
    questions = dict(session.execute(select(Article.id, Article.question).where(Article.id.in_(extract.answers))).all())
    fresh = written is not None and bool(turns) and written.upto >= turns[-1].number
    return {
        "summary": extract,
        "answered": [questions[one] for one in extract.answers if one in questions],
        "written": written,
        "asks_machine": parts().summarizer is not None
        and holds(me(), found)
        and bool(turns)
        and not fresh
        and not failed,
        "summary_failed": failed,
    }


@allowed("conversations")
def write_summary(conversation_id: str) -> ResponseReturnValue:
    """Let the service write a summary for whoever holds the conversation; nothing is locked meanwhile."""
    shared = parts()
    with shared.database.read() as session:
        found = service.get_conversation(session, conversation_id)
        service.require_holder(found, session.get_one(Staff, me().id))
        turns = service.turns_after(session, conversation_id)
    failed = True
    if shared.summarizer:
        try:
            text = shared.summarizer.write(turns)
            with shared.database.write() as session:
                model, upto = shared.settings.summary_model, turns[-1].number
                summary.keep(session, conversation_id, text, model, upto, shared.clock())
            failed = False
        except SummaryFailed as failure:
            log.warning("no summary was written: %s", failure)
    with shared.database.read() as session:
        return render_template(
            "console/_summary.html", conversation=found, **about(session, found, turns, failed), now=shared.clock()
        )


@allowed("conversations")
def show_duplicates(conversation_id: str) -> ResponseReturnValue:
    """Open cases that may be about what the case form says now."""
    asked = {name: request.args.get(name, "").replace("\x00", "").strip() for name in ("what", "place", "contact")}
    with parts().database.read() as session:
        service.get_conversation(session, conversation_id)
        contact = contact_of(asked["contact"])
        what, place, now = asked["what"][:WHAT_LIMIT], asked["place"][:PLACE_LIMIT], parts().clock()
        return render_template(
            "console/_duplicates.html",
            duplicates=alike(session, what, place, contact, now, DUPLICATES),
            offered=offer(session, what, place, contact, now),
        )


def contact_of(typed: str) -> str | None:
    """The number that was typed, or nothing while it is none."""
    try:
        return contact_number(typed)
    except Refused:
        return None


def history(session: Session, found: Conversation) -> dict[str, Any]:
    """The citizen's earlier conversations and cases; those of a chat are known once it has left a number."""
    contact = found.caller or session.scalar(
        select(Case.contact).where(Case.conversation_id == found.id, Case.contact.is_not(None)).limit(1)
    )
    cases = cases_of_contact(session, contact, EARLIER) if contact else []
    return {
        "earlier": wrap_up.earlier(session, contact, found, EARLIER) if contact else [],
        "earlier_cases": [case for case in cases if case.conversation_id != found.id],
    }


def about_suggestions(found: Conversation) -> dict[str, Any]:
    """What the list of suggestions needs beside the articles."""
    return {
        "conversation": found,
        "holding": holds(me(), found),
        "answer_text": answer_text,
        "snippet": snippet,
    }


@allowed("conversations")
def take(conversation_id: str) -> ResponseReturnValue:
    """Take the conversation; when somebody else was faster, the page says who."""
    try:
        with parts().database.write() as session:
            found = service.get_conversation(session, conversation_id)
            if not holds(me(), found):
                staff, now = session.get_one(Staff, me().id), parts().clock()
                service.take(session, found, staff, now)
                if found.channel == "phone":
                    telephone.connect(session, found, staff, now)
    except Refused as refused:
        return page_with(refused, conversation_id)
    if found.channel == "phone":
        parts().telephone.see_to(conversation_id)
    return redirect(url_for("console.conversation", conversation_id=conversation_id))


@allowed("conversations")
def say(conversation_id: str) -> ResponseReturnValue:
    """Say something to the citizen of a chat."""
    by_script = bool(request.headers.get("HX-Request"))
    try:
        with parts().database.write() as session:
            found = service.get_conversation(session, conversation_id)
            staff = session.get_one(Staff, me().id)
            service.operator_says(session, found, staff, field("text"), parts().clock(), field("key")[:60])
    except Refused as refused:
        if by_script:
            return refused.sentence(current_locale()), refused.status
        return page_with(refused, conversation_id)
    if by_script:
        return "", 204
    return redirect(url_for("console.conversation", conversation_id=conversation_id))


@allowed("conversations")
def note_typing(conversation_id: str) -> ResponseReturnValue:
    """The operator is typing; the citizen's page shows it for some seconds."""
    with parts().database.write() as session:
        found = service.get_conversation(session, conversation_id)
        service.operator_types(session, found, session.get_one(Staff, me().id), parts().clock())
    return "", 204


@allowed("conversations")
def hand_back(conversation_id: str) -> ResponseReturnValue:
    """Give the conversation back to the assistant."""
    try:
        with parts().database.write() as session:
            found = service.get_conversation(session, conversation_id)
            service.hand_back(session, found, session.get_one(Staff, me().id), parts().clock())
    except Refused as refused:
        return page_with(refused, conversation_id)
    return redirect(url_for("console.desk"))


@allowed("conversations")
def close(conversation_id: str) -> ResponseReturnValue:
    """End the conversation. The page stays, so that a case can still be filed."""
    try:
        with parts().database.write() as session:
            found = service.get_conversation(session, conversation_id)
            telephone.end_all(session, found, parts().clock())
            service.close(session, found, parts().clock(), session.get_one(Staff, me().id))
    except Refused as refused:
        return page_with(refused, conversation_id)
    if found.channel == "phone":
        parts().telephone.see_to(conversation_id)
    return redirect(url_for("console.conversation", conversation_id=conversation_id))


@allowed("conversations")
def finish(conversation_id: str) -> ResponseReturnValue:
    """Keep what came of the talk, and go on to the next: a citizen who is being talked with, a talk that is still to be
    finished, or the desk."""
    try:
        with parts().database.write() as session:
            found = service.get_conversation(session, conversation_id)
            staff, now = session.get_one(Staff, me().id), parts().clock()
            if field("note"):
                wrap_up.add_note(session, found, staff, field("note"), now)
            wrap_up.finish(session, found, staff, field("outcome"), now)
            others = [*service.held_by(session, staff), *wrap_up.unfinished(session, staff.id)]
    except Refused as refused:
        return page_with(refused, conversation_id)
    if others:
        return redirect(url_for("console.conversation", conversation_id=others[0].id))
    return redirect(url_for("console.desk"))


@allowed("conversations")
def add_note(conversation_id: str) -> ResponseReturnValue:
    """Keep a note for colleagues."""
    try:
        with parts().database.write() as session:
            found = service.get_conversation(session, conversation_id)
            wrap_up.add_note(session, found, session.get_one(Staff, me().id), field("note"), parts().clock())
    except Refused as refused:
        return page_with(refused, conversation_id)
    return redirect(url_for("console.conversation", conversation_id=conversation_id, _anchor="notes"))


@allowed("conversations")
def act_on_call(conversation_id: str, act: str) -> ResponseReturnValue:
    """Do one of voice.ACTS with a call: transfer it, bring somebody in, hold it, listen."""
    if act not in ACTS:
        raise Refused("not_found", 404)
    try:
        with parts().database.write() as session:
            found = service.get_conversation(session, conversation_id)
            ACTS[act](session, found, session.get_one(Staff, me().id), parts().clock())
    except Refused as refused:
        return page_with(refused, conversation_id)
    parts().telephone.see_to(conversation_id)
    return redirect(url_for("console.conversation", conversation_id=conversation_id))


@allowed("conversations")
def file_from(conversation_id: str) -> ResponseReturnValue:
    """File a case from the conversation and tell the citizen its number; the same form sent twice files once."""
    shared = parts()
    draft = Draft(field("what"), field("place"), field("since"), field("contact"))
    try:
        key = f"{conversation_id}:operator:{form_token()}"
        check_lengths(draft)
        with shared.database.write() as session:
            # Locked, so that of two clicks the second one sees the case of the first.
            found = session.get(Conversation, conversation_id, with_for_update=True)
            if found is None:
                raise Refused("conversation_not_found", 404)
            if not may_file(me(), found):
                service.require_holder(found, session.get_one(Staff, me().id))
            if session.scalar(select(Case.id).where(Case.filing_key == key)) is None:
                file_and_tell(session, found, draft, key)
    except Refused as refused:
        if refused.status == 404:
            raise
        return page_with(refused, conversation_id, draft)
    return redirect(url_for("console.conversation", conversation_id=conversation_id, _anchor="cases"))


def file_and_tell(session: Session, found: Conversation, draft: Draft, key: str) -> None:
    """File the case in the operator's name, and put its number into the conversation."""
    shared = parts()
    filing = Filing(
        what=draft.what,
        place=draft.place,
        since=draft.since,
        contact=contact_number(draft.contact),
        channel="operator",
        locale=found.locale,
        conversation_id=found.id,
        key=key,
    )
    actor = Actor("operator", session.get_one(Staff, me().id))
    together = {"yes": True, "no": False}.get(field("together"))
    case = file_with_answer(
        session, shared.knowledge, filing, together, actor, shared.clock(), shared.settings.jurisdiction
    )
    service.tell(session, found, "operator_filed", shared.clock(), number=case.number)


def page_with(refused: Refused, conversation_id: str, draft: Draft | None = None) -> ResponseReturnValue:
    """The page with the sentence of a refusal; without a conversation there is no page to put it on."""
    if refused.status == 404:
        raise refused
    return page(conversation_id, refused, draft)


def form_token() -> str:
    """The name of this copy of the case form. Raises Refused when the page didn't send the one it was given."""
    token = field("form_token")
    if not re.fullmatch(r"[\w-]{8,20}", token):
        raise Refused("bad_request", 400)
    return token


def check_lengths(draft: Draft) -> None:
    """Raises Refused for more than the record holds."""
    limits = {"what": WHAT_LIMIT, "place": PLACE_LIMIT, "since": SINCE_LIMIT}
    if any(len(asdict(draft)[name]) > limit for name, limit in limits.items()):
        raise Refused("too_large")


def holds(person: Person, found: Conversation) -> bool:
    """Whether this person is the one who talks with the citizen now."""
    return found.state == "operator" and found.operator_id == person.id


def may_file(person: Person, found: Conversation) -> bool:
    """Who holds the conversation may file from it, and may finish doing so when the citizen has already gone."""
    return found.operator_id == person.id and found.state in ("operator", "closed")


def stand(found: Conversation) -> str:
    """Where the conversation and its telephones stand, in the form that a page hands back with its next poll."""
    telephones = found.legs if found.channel == "phone" else []
    legs = "".join(f"-{leg.id}{leg.party}{leg.state}{leg.wish}{leg.held:d}" for leg in telephones)
    return f"{found.state}-{found.operator_id or ''}{legs}"


def note_list(session: Session, found: Conversation) -> dict[str, Any]:
    """The notes, and the supervisor's last one to whoever talks with the citizen now (耳语)."""
    kept = wrap_up.notes(session, found.id)
    whispered = []
    if kept and holds(me(), found):
        writers = select(Staff.id).where(Staff.id.in_([note.staff_id for note in kept]), Staff.role == "supervisor")
        supervisors = {*session.scalars(writers)} - {me().id}
        whispered = [note for note in kept if note.staff_id in supervisors]
    return {
        "notes": kept,
        "note_names": staff_names(session, (note.staff_id for note in kept)),
        "whisper": whispered[-1] if whispered else None,
    }


def common(session: Session, found: Conversation, said: Sequence[Turn]) -> dict[str, Any]:
    """What the page and its updates both show."""
    return about_suggestions(found) | {
        "operator_name": found.operator.name if found.operator else "",
        "turns": said,
        "last_number": said[-1].number if said else 0,
        "staff_names": staff_names(session, (turn.staff_id for turn in said)),
        "stand": stand(found),
        "calls": calls(session, found, me(), parts().clock()),
        "filing": may_file(me(), found),
        **note_list(session, found),
        "photos": photos_of(parts(), session, found.id),
        "typing": service.is_typing(found.citizen_typing_at, parts().clock()),
        "unfinished": found.state == "closed" and found.operator_id == me().id and found.wrap_up is None,
        "me": me(),
        "now": parts().clock(),
    }


def suggest(session: Session, found: Conversation, said: Sequence[Turn]) -> list[Answerable]:
    """The articles nearest to the citizen's last remarks, best first."""
    shared = parts()
    return follow(session, shared.knowledge, matters(said), shared.clock(), SUGGESTIONS, found.id)
