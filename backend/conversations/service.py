"""The verbs of a conversation: open it, take a turn, hand it to a person, take it, give it back, close it.

Both channels call `take_turn`, so that what a citizen says is recorded, danger recognised and the bot kept silent
after handoff in one place.
"""

import hashlib
import hmac
import logging
import secrets
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from backend import changes, outbox, watch
from backend.clock import Clock
from backend.conversations import wrap_up
from backend.conversations.models import Conversation, Turn
from backend.conversations.rules import (
    DANGER,
    MESSAGE_LIMIT,
    MOVES,
    NORMAL,
    REPEATED,
    REPEATS_WITHIN,
    chosen_message,
    expected_wait,
    in_order,
    listed,
    without_commands,
)
from backend.conversations.safety import Danger, asks_for_person, find_danger
from backend.database import Base, Database, make_durable
from backend.directory.models import Category, Staff
from backend.directory.service import present_operators
from backend.errors import Refused
from backend.knowledge.models import Article
from bot.catalogue import Catalogue
from bot.client import Bot, BotUnavailable, Reply

log = logging.getLogger(__name__)

PHRASES = Catalogue(Path(__file__).with_name("phrases.yml"))

ANSWER_LASTS = timedelta(seconds=12)
"""How long the bot may be at a message before a repeat of it asks again: longer than the bot's time limit, shorter than
the 15 s after which Twilio gives a webhook up."""


TYPING_LASTS = timedelta(seconds=6)
"""Who is typing says so every 3 seconds at most; after so long without it they have stopped."""

# Made once: they run at every turn, and to put one together costs more than to run it. A turn gets its number as it is
# written; the ORM would take twice as long over that.
TURNS = Base.metadata.tables["turns"]
ADD_TURN = (
    insert(TURNS)
    .values(
        number=select(func.coalesce(func.max(TURNS.c.number), 0) + 1)
        .where(TURNS.c.conversation_id == bindparam("talk"))
        .scalar_subquery()
    )
    .returning(TURNS.c.id, TURNS.c.number)
)
LAST_REPLY = (
    select(Turn.reply)
    .where(Turn.conversation_id == bindparam("talk"), Turn.speaker == "bot")
    .order_by(Turn.number.desc())
    .limit(1)
)
SAID_BEFORE = select(Turn).where(Turn.conversation_id == bindparam("talk"), Turn.message_key == bindparam("key"))
STANDING = (
    select(Conversation, Turn, LAST_REPLY.scalar_subquery())
    .outerjoin(Turn, (Turn.conversation_id == Conversation.id) & (Turn.message_key == bindparam("key")))
    .where(Conversation.id == bindparam("talk"))
)
TALK = select(Conversation).where(Conversation.id == bindparam("talk"))
STATE = select(Conversation.state).where(Conversation.id == bindparam("talk"))

IS_OPEN = Conversation.closed_at.is_(None)
"""What indexes know of the few conversations among all that are over."""

LATELY = timedelta(hours=8)
MOST_HANDLED = 50
"""The wait is foretold from so many conversations that operators have ended lately, at most."""


@dataclass(frozen=True)
class Standing:
    """Where a conversation stands when a message comes: the turn that the message has become already, if it is a repeat,
    and the last thing that the bot said, which a short answer refers to."""

    conversation: Conversation
    repeated: Turn | None
    last: Reply | None


@dataclass(frozen=True)
class TurnTaken:
    """What came of a turn: the replies, and where the conversation stands after it."""

    replies: list[Reply]
    state: str


@dataclass(frozen=True)
class Begun:
    """A message that is on the record: it is a repeat of this turn, or has been answered at once, or the bot is to be asked
    `message`."""

    conversation: Conversation
    message_key: str
    repeated: Turn | None = None
    taken: TurnTaken | None = None
    message: str = ""


def open_conversation(
    session: Session, channel: str, locale: str, now: datetime, caller: str | None = None
) -> tuple[Conversation, str]:
    """Begin a conversation; return it and the secret that its chat page must show with every message."""
    token = secrets.token_urlsafe(24)
    conversation = Conversation(
        id=secrets.token_urlsafe(12),
        channel=channel,
        locale=locale,
        language=locale,
        caller=caller,
        token_hash=hash_token(token),
        started_at=now,
    )
    session.add(conversation)
    session.flush()
    return conversation, token


def hash_token(token: str) -> str:
    """The form in which a conversation's secret is kept."""
    return hashlib.sha256(token.encode()).hexdigest()


def get_conversation(session: Session, conversation_id: str, token: str | None = None) -> Conversation:
    """The conversation; with `token`, only for who holds its secret. Raises Refused (404, 403)."""
    conversation = session.scalar(TALK, {"talk": conversation_id})
    if conversation is None:
        raise Refused("conversation_not_found", 404)
    if token is not None and not hmac.compare_digest(conversation.token_hash or "", hash_token(token)):
        raise Refused("wrong_token", 403)
    return conversation


def record(
    session: Session,
    conversation: Conversation,
    speaker: str,
    text: str,
    now: datetime,
    reply: Reply | None = None,
    message_key: str | None = None,
    staff: Staff | None = None,
    act: str | None = None,
) -> int:
    """Append one turn to the conversation's record; returns its id. `act` is that of the reply unless given."""
    # The row is locked first, so that two processes can't give the same number twice; SQLite has one writer anyway.
    if session.get_bind().dialect.name != "sqlite":
        one = select(Conversation.id).where(Conversation.id == conversation.id)
        session.execute(one.with_for_update(key_share=True))
    turn = {
        "talk": conversation.id,
        "conversation_id": conversation.id,
        "speaker": speaker,
        "text": text,
        "reply": reply.to_json() if reply else None,
        "act": act or (reply.act if reply else None),
        "article_id": (reply.article or None) if reply else None,
        "message_key": message_key,
        "staff_id": staff.id if staff else None,
        "said_at": now,
    }
    turn_id: int
    turn_id, number = session.execute(ADD_TURN, turn).one()
    typing = {"citizen": "citizen_typing_at", "operator": "operator_typing_at"}.get(speaker)
    for since in (typing, "idle_asked_at") if typing else ():
        if getattr(conversation, since):  # to set it anyway would have the ORM look for what is to be written
            setattr(conversation, since, None)
    changes.note(session, "turn", now, conversation.id, conversation.operator_id)
    if conversation.peer and speaker in ("operator", "line"):  # no page is there that would fetch it
        channel: outbox.Channel = "sms" if conversation.channel == "sms" else "wechat"
        outbox.put(session, f"turn:{conversation.id}:{number}", channel, conversation.peer, {"text": text}, now)
    return turn_id


def record_reply(session: Session, conversation: Conversation, reply: Reply, now: datetime) -> None:
    """Append something that the bot or the line said, with its choices and sources."""
    record(session, conversation, "bot", reply.text, now, reply=reply)


def last_reply(session: Session, conversation_id: str) -> Reply | None:
    """The last thing that the bot said, which a short answer refers to."""
    reply = session.scalar(LAST_REPLY, {"talk": conversation_id})
    return Reply.from_json(reply) if reply else None


def last_answer(session: Session, conversation_id: str) -> Reply | None:
    """The last answer from the knowledge, or None."""
    reply = session.scalar(
        select(Turn.reply)
        .where(Turn.conversation_id == conversation_id, Turn.act == "answer")
        .order_by(Turn.number.desc())
        .limit(1)
    )
    return Reply.from_json(reply) if reply else None


def turns_after(session: Session, conversation_id: str, number: int = 0) -> list[Turn]:
    """The turns after turn `number`, oldest first."""
    return list(
        session.scalars(
            select(Turn).where(Turn.conversation_id == conversation_id, Turn.number > number).order_by(Turn.number)
        )
    )


def take_turn(
    database: Database,
    bot: Bot,
    clock: Clock,
    conversation_id: str,
    text: str,
    message_key: str,
) -> TurnTaken:
    """Record what the citizen said, and return what is answered.

    Danger comes first, then the wish for a person; only then is the bot asked, and it isn't while an operator holds
    the conversation or it waits for one. A message whose key was seen before gets the same replies and does nothing.
    Raises Refused for empty or overlong text and closed conversations, BotUnavailable when only the bot could have
    answered (what was said is on the record by then).
    """
    with watch.step("record"), database.write(durable=False) as session:
        begun = begin_turn(session, stand(session, conversation_id, message_key), text, message_key, clock())
    return finish_turn(database, bot, clock, begun)


def begin_turn(session: Session, standing: Standing, text: str, message_key: str, now: datetime) -> Begun:
    """Record what the citizen said, and answer it if the bot isn't needed for that. Raises Refused as `take_turn` does."""
    text = text.strip().replace("\x00", "")
    if not text:
        raise Refused("empty_message")
    if len(text) > MESSAGE_LIMIT:
        raise Refused("long_message", limit=MESSAGE_LIMIT)
    conversation = standing.conversation
    if standing.repeated:
        return Begun(conversation, message_key, repeated=standing.repeated)
    if conversation.state == "closed":
        raise Refused("conversation_closed", 409)
    record(session, conversation, "citizen", text, now, message_key=message_key)
    message = chosen_message(text, standing.last)
    danger = find_danger(text)
    if danger:
        reply = danger_reply(danger, conversation.locale)
    elif conversation.state in ("waiting", "operator"):
        note_outcome(conversation, "silent")
        return Begun(conversation, message_key, taken=TurnTaken([], conversation.state))
    elif message == "/human" or asks_for_person(text):
        reply = handoff_reply(conversation.locale)
        move(session, conversation, "request", now)
    else:
        return Begun(conversation, message_key, message=message or without_commands(text))
    record_reply(session, conversation, reply, now)
    note_outcome(conversation, reply.act)
    return Begun(conversation, message_key, taken=TurnTaken([reply], conversation.state))


def finish_turn(database: Database, bot: Bot, clock: Clock, begun: Begun) -> TurnTaken:
    """What is answered to a message that is on the record. Raises BotUnavailable."""
    if begun.repeated:
        return answer_repeated(database, bot, clock, begun.repeated)
    return begun.taken or ask_bot(database, bot, clock, begun.conversation, begun.message, begun.message_key)


def ask_bot(
    database: Database, bot: Bot, clock: Clock, conversation: Conversation, message: str, message_key: str
) -> TurnTaken:
    """Send the bot a message and record its replies. Raises BotUnavailable."""
    meta = {
        "caller_known": conversation.caller is not None,
        "traceparent": watch.traceparent(),
        "filing_key": filing_key(conversation.id, message_key),
    }
    try:
        with watch.step("bot"):
            replies = bot.send(conversation.id, message, conversation.channel, conversation.locale, meta)
    except BotUnavailable:
        note_outcome(conversation, "bot_unavailable")
        raise
    with watch.step("keep"), database.write(durable=False) as session:
        state = session.scalar(STATE, {"talk": conversation.id})
        if state is None:
            raise Refused("conversation_not_found", 404)
        if state != "bot":  # an operator took over while the bot was thinking: it stays silent
            note_outcome(conversation, "silent")
            return TurnTaken([], state)
        session.add(conversation)  # as it was read when the message came: nothing else of it matters here
        for reply in replies:
            record_reply(session, conversation, reply, clock())
        if any(reply.act == "handoff" for reply in replies):
            move(session, conversation, "request", clock())
    note_outcome(conversation, replies[-1].act)
    return TurnTaken(replies, conversation.state)


def note_outcome(conversation: Conversation, outcome: str) -> None:
    """Count what a message came to: the act of the reply, silent (a person is there or on the way) or bot_unavailable."""
    watch.TURNS.labels(conversation.channel, outcome).inc()
    log.info("a turn of conversation %s: %s", conversation.id, outcome)


def answer_repeated(database: Database, bot: Bot, clock: Clock, repeated: Turn) -> TurnTaken:
    """What was replied to a message that has come before. While it is still in work its replies are waited for; when
    whoever had it in work must have died, the bot is asked again."""
    while True:
        with database.read() as session:
            conversation = get_conversation(session, repeated.conversation_id)
            replies = replies_to(session, repeated)
            last = last_reply(session, conversation.id)
        if replies or conversation.state != "bot":
            return TurnTaken(replies, conversation.state)
        if take_over(database, repeated, clock()):
            message = chosen_message(repeated.text, last) or without_commands(repeated.text)
            return ask_bot(database, bot, clock, conversation, message, repeated.message_key or "")
        time.sleep(0.05)


def take_over(database: Database, turn: Turn, now: datetime) -> bool:
    """Whether the message has been in work for too long; of several who ask, one is told so."""
    with database.write(durable=False) as session:
        mine = session.execute(
            update(Turn).where(Turn.id == turn.id, Turn.said_at < now - ANSWER_LASTS).values(said_at=now)
        )
        return bool(mine.rowcount)  # type: ignore[attr-defined]  # an UPDATE's result has it


def said_before(session: Session, conversation_id: str, message_key: str) -> Turn | None:
    """The turn that this message has become already, if it is a repeat."""
    return session.scalar(SAID_BEFORE, {"talk": conversation_id, "key": message_key})


def stand(session: Session, conversation_id: str, message_key: str) -> Standing:
    """Where the conversation stands as this message comes. Raises Refused (404)."""
    row = session.execute(STANDING, {"talk": conversation_id, "key": message_key}).one_or_none()
    if row is None:
        raise Refused("conversation_not_found", 404)
    conversation, repeated, last = row
    return Standing(conversation, repeated, Reply.from_json(last) if last else None)


def replies_to(session: Session, turn: Turn) -> list[Reply]:
    """What the bot said after this turn and before the citizen spoke again."""
    replies = []
    for later in turns_after(session, turn.conversation_id, turn.number):
        if later.speaker == "citizen":
            break
        if later.reply:
            replies.append(Reply.from_json(later.reply))
    return replies


def danger_reply(danger: Danger, locale: str) -> Reply:
    """Whom to call now; the conversation goes on after it."""
    call = PHRASES.say(f"danger_{danger.kind}", locale)
    more = PHRASES.say("danger_more", locale)
    return Reply(
        text=f"{call.text}\n{more.text}",
        speech=f"{call.speech}{more.speech}",
        act="danger",
        facts={"kind": danger.kind, "number": danger.number},
    )


def handoff_reply(locale: str) -> Reply:
    """A person will take over."""
    phrase = PHRASES.say("handoff", locale)
    return Reply(phrase.text, phrase.speech, expects="nothing", act="handoff")


def move(
    session: Session, conversation: Conversation, act: str, now: datetime, staff: Staff | None = None
) -> Conversation:
    """Move the conversation as rules.MOVES says, by a compare-and-set, so that two clicks can't both win.

    Raises Refused (409) when it is not in a state from which `act` is possible, or somebody else was faster.
    """
    target = MOVES.get((conversation.state, act))
    if target is None:
        refuse_move(session, conversation)
    make_durable(session)  # who is told that a person will come is not forgotten
    values: dict[str, object] = {"state": target}
    had_it = conversation.operator_id
    if act == "request":
        values |= {"waiting_since": now, "skill": matter_of(session, conversation)}
        values["priority"] = priority_of(session, conversation, now)
    if act in ("take", "transfer"):
        values["operator_id"] = staff.id if staff else None
    if act == "take":
        values["taken_at"] = now
    if act == "queue_again":  # at the old place: waiting_since stays
        values["operator_id"] = None
    if act in ("leave", "hand_back"):
        values |= {"operator_id": None, "waiting_since": None, "failures": 0, "callback_at": None}
    if act == "close":
        values["closed_at"] = now
    moved = session.execute(
        update(Conversation)
        .where(Conversation.id == conversation.id, Conversation.state == conversation.state)
        .values(**values)
    )
    session.refresh(conversation)
    if moved.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE's result has it
        refuse_move(session, conversation)
    for staff_id in {had_it, conversation.operator_id}:
        changes.note(session, "state", now, conversation.id, staff_id)
    return conversation


def refuse_move(session: Session, conversation: Conversation) -> NoReturn:
    """Say why the conversation can't be moved."""
    session.refresh(conversation)
    if conversation.operator:
        raise Refused("already_taken", 409, name=conversation.operator.name)
    raise Refused("conversation_moved", 409)


def request_operator(session: Session, conversation: Conversation, now: datetime) -> None:
    """Put the conversation into the queue for a person, if it isn't there or with one already."""
    if conversation.state == "bot":
        move(session, conversation, "request", now)


def matter_of(session: Session, conversation: Conversation) -> str:
    """The first-level category of the article that was spoken of last, or nothing."""
    code = session.scalar(
        select(func.coalesce(Category.parent_code, Category.code))
        .join(Article, Article.category_code == Category.code)
        .join(Turn, Turn.article_id == Article.id)
        .where(Turn.conversation_id == conversation.id)
        .order_by(Turn.number.desc())
        .limit(1)
    )
    return code or ""


def priority_of(session: Session, conversation: Conversation, now: datetime) -> int:
    """Danger was spoken of, or the same number has called within rules.REPEATS_WITHIN and nothing came of that call: its
    question was not settled, no case was filed, and no operator took it."""
    if session.scalar(select(Turn.id).where(Turn.conversation_id == conversation.id, Turn.act == "danger").limit(1)):
        return DANGER
    if conversation.caller is None:
        return NORMAL
    came_of_it = select(Turn.id).where(Turn.conversation_id == Conversation.id, Turn.act.in_(("solved", "filed")))
    unsettled = (
        select(Conversation.id)
        .where(Conversation.caller_hash == conversation.caller_hash, Conversation.state == "closed")
        .where(Conversation.started_at >= now - REPEATS_WITHIN, Conversation.taken_at.is_(None))
        .where(~came_of_it.exists())
        .limit(1)
    )
    return REPEATED if session.scalar(unsettled) else NORMAL


def queue(session: Session, languages: str = "", skills: str = "") -> list[Conversation]:
    """Conversations that wait for a person, in the order in which an operator with these languages and skills (none: just
    anybody) is to take them."""
    waiting = session.scalars(select(Conversation).where(Conversation.state == "waiting", IS_OPEN))
    return in_order(waiting, listed(languages), listed(skills))


def position(session: Session, conversation: Conversation) -> int:
    """Place in the queue among those who speak the same language, 1 is next."""
    waiting = [one for one in queue(session) if one.language == conversation.language]
    return 1 + next((place for place, one in enumerate(waiting) if one.id == conversation.id), len(waiting))


def operators_for(session: Session, language: str, now: datetime) -> list[Staff]:
    """The operators at work who speak this language; when there is none, all who are at work."""
    present = present_operators(session, now)
    return [staff for staff in present if language in listed(staff.languages)] or present


def minutes_to_wait(session: Session, conversation: Conversation, now: datetime) -> int | None:
    """How long this conversation will still wait, in minutes, judged by those lately handled; None when too few were."""
    handled = session.execute(
        select(Conversation.taken_at, Conversation.closed_at)
        .where(Conversation.channel == conversation.channel, Conversation.closed_at >= now - LATELY)
        .where(Conversation.taken_at.is_not(None))
        .order_by(Conversation.closed_at.desc())
        .limit(MOST_HANDLED)
    )
    spans = [closed - taken for taken, closed in handled if taken and closed]
    operators = len(operators_for(session, conversation.language, now))
    return expected_wait(position(session, conversation), operators, spans)


def held_by(session: Session, staff: Staff) -> list[Conversation]:
    """The conversations that this operator holds, oldest first."""
    return list(
        session.scalars(
            select(Conversation)
            .where(Conversation.state == "operator", Conversation.operator_id == staff.id, IS_OPEN)
            .order_by(Conversation.started_at)
        )
    )


def take(session: Session, conversation: Conversation, staff: Staff, now: datetime) -> None:
    """An operator takes a waiting conversation; the citizen is told. Raises Refused when somebody else was faster, or the
    operator has an earlier talk to finish first."""
    wrap_up.must_finish(session, staff)
    move(session, conversation, "take", now, staff)
    tell(session, conversation, "taken", now, name=staff.name)


def hand_over(session: Session, conversation: Conversation, to: Staff, now: datetime) -> None:
    """A chat that an operator has goes over to another one; the citizen is told."""
    move(session, conversation, "transfer", now, to)
    tell(session, conversation, "taken", now, name=to.name)


def operator_says(
    session: Session, conversation: Conversation, staff: Staff, text: str, now: datetime, key: str = ""
) -> None:
    """The operator who holds the conversation says something; what comes again with the same `key`, because the reply to it
    was lost, is said once. Raises Refused for anybody else and empty text."""
    message_key = f"operator:{key}" if key else None
    if message_key and said_before(session, conversation.id, message_key):
        return
    require_holder(conversation, staff)
    text = text.strip()
    if not text:
        raise Refused("empty_message")
    if len(text) > MESSAGE_LIMIT:
        raise Refused("long_message", limit=MESSAGE_LIMIT)
    record(session, conversation, "operator", text, now, message_key=message_key, staff=staff)


def citizen_types(session: Session, conversation: Conversation, now: datetime) -> None:
    """The citizen is typing; whoever looks at the conversation in the console sees it."""
    if conversation.state in ("waiting", "operator"):
        conversation.citizen_typing_at = now
        changes.note(session, "typing", now, conversation.id)


def operator_types(session: Session, conversation: Conversation, staff: Staff, now: datetime) -> None:
    """The operator who holds the conversation is typing. Raises Refused for anybody else."""
    require_holder(conversation, staff)
    conversation.operator_typing_at = now


def is_typing(since: datetime | None, now: datetime) -> bool:
    """Whether somebody who was typing at `since` still is."""
    return since is not None and now - since < TYPING_LASTS


def hand_back(session: Session, conversation: Conversation, staff: Staff, now: datetime) -> None:
    """Give the conversation back to the bot."""
    require_holder(conversation, staff)
    move(session, conversation, "hand_back", now)
    tell(session, conversation, "handed_back", now)


def close(session: Session, conversation: Conversation, now: datetime, staff: Staff | None = None) -> None:
    """End the conversation: its operator, or the channel when the citizen has gone. Twice is once."""
    if conversation.state == "closed":
        return
    if staff:
        require_holder(conversation, staff)
    tell(session, conversation, "closed", now)
    talked = conversation.operator if conversation.state == "operator" else None
    move(session, conversation, "close", now)
    if talked and wrap_up.have_met(session, conversation):
        wrap_up.begin(session, talked, now)
    else:
        conversation.wrap_up = ""


def leave(session: Session, conversation: Conversation, now: datetime) -> None:
    """The citizen has begun another conversation: this one ends, in the queue too, and its operator is told why."""
    if conversation.state != "closed":
        tell(session, conversation, "left", now)
        move(session, conversation, "close", now)


def tell(session: Session, conversation: Conversation, key: str, now: datetime, **facts: object) -> None:
    """Record a sentence of the service itself, which the chat page shows."""
    record(session, conversation, "line", PHRASES.say(key, conversation.locale, **facts).text, now)


def require_holder(conversation: Conversation, staff: Staff) -> None:
    """Raises Refused (409) unless this operator holds the conversation."""
    if conversation.state != "operator" or conversation.operator_id != staff.id:
        if conversation.operator and conversation.operator_id != staff.id:
            raise Refused("already_taken", 409, name=conversation.operator.name)
        raise Refused("conversation_moved", 409)


def filing_key(conversation_id: str, message_key: str) -> str:
    """The key of a case that a message brings about, whoever files it: the bot when it is confirmed (bot/replies.py), the
    line when the bot doesn't answer. Both may try, and one case comes of it."""
    return f"{conversation_id}:{message_key}"


def citizen_words(session: Session, conversation: Conversation) -> str:
    """Everything that the citizen said, a line each: what a case is made of when nothing better is known."""
    return "\n".join(turn.text for turn in turns_after(session, conversation.id) if turn.speaker == "citizen")


def last_said(session: Session, conversation_id: str) -> Turn | None:
    """The turn in which the citizen spoke last."""
    return session.scalar(
        select(Turn)
        .where(Turn.conversation_id == conversation_id, Turn.speaker == "citizen")
        .order_by(Turn.number.desc())
        .limit(1)
    )


def last_words(session: Session, conversation: Conversation) -> str:
    """What the citizen said last."""
    said = last_said(session, conversation.id)
    return said.text if said else ""
