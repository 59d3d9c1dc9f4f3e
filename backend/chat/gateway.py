"""The channels in writing, chat page, WeChat and SMS: begins a conversation, passes messages to the one record and the one
bot, and keeps what was said when the bot is down."""

import contextlib
import secrets
from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.attachments import File, accept, attachments_of, keep, link_part
from backend.cases import service as cases
from backend.cases.models import Case
from backend.cases.service import Actor, Filing
from backend.conversations import service
from backend.conversations.models import Conversation, Turn
from backend.conversations.rules import PHOTO
from backend.conversations.service import PHRASES, TurnTaken
from backend.encryption import lookup_hash
from backend.errors import Refused
from backend.parts import Parts
from bot import say
from bot.client import BotUnavailable, Reply

TextChannel = Literal["wechat", "sms"]
"""Channels that know who writes and show nothing but words."""


@dataclass(frozen=True)
class Started:
    """A chat that has begun: its id, the secret of its page, and the greeting."""

    id: str
    token: str
    replies: list[Reply]


@dataclass(frozen=True)
class Photo:
    """A photo as a page shows it: its name, and an address for who may see the page now."""

    name: str
    url: str


def begin(parts: Parts, locale: str, leaving: tuple[str, str] | None = None) -> Started:
    """Begin a chat with the greeting; the bot is not needed for that. `leaving` (id, secret) is the chat that the citizen
    leaves for this one: it ends, so that nobody stands in the queue twice."""
    greeting = Reply.from_json(say.greet(locale))
    with parts.database.write() as session:
        if leaving:
            with contextlib.suppress(Refused):  # one that isn't theirs, or is gone, keeps nobody from beginning
                service.leave(session, service.get_conversation(session, *leaving), parts.clock())
        conversation, token = service.open_conversation(session, "chat", locale, parts.clock())
        service.record_reply(session, conversation, greeting, parts.clock())
        return Started(conversation.id, token, [greeting])


def receive(parts: Parts, conversation_id: str, token: str, text: str, key: str | None) -> TurnTaken:
    """Take a message of the chat page and return the replies. Raises Refused for a wrong token and bad text."""
    with parts.database.read() as session:
        service.get_conversation(session, conversation_id, token)
    return take_turn(parts, conversation_id, text, key or secrets.token_hex(8))


def take_turn(parts: Parts, conversation_id: str, text: str, key: str) -> TurnTaken:
    """What is replied, by the bot or, when it is down, by the line. Raises Refused for bad text and closed conversations."""
    try:
        return service.take_turn(parts.database, parts.bot, parts.clock, conversation_id, text, key)
    except BotUnavailable:
        return keep_for_staff(parts, conversation_id, key)


def correspond(parts: Parts, channel: TextChannel, peer: str, locale: str, text: str, key: str) -> TurnTaken:
    """Take a message of somebody who writes by WeChat or SMS. `key` is the channel's name for it: sent twice, it counts
    once. What an operator says later goes out by itself (conversations/service.py). Raises Refused for bad text."""
    return take_turn(parts, conversation_with(parts, channel, peer, locale, key), text, key)


def conversation_with(parts: Parts, channel: TextChannel, peer: str, locale: str, key: str = "") -> str:
    """The id of the conversation that the message with this key is of: the one that it has come to before, the one that is
    open, or a new one."""
    with parts.database.write() as session:
        if session.get_bind().dialect.name == "postgresql":  # two first messages at once begin one conversation
            session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"{channel}:{peer}"))))
        theirs = select(Conversation.id).where(
            Conversation.channel == channel, Conversation.peer_hash == lookup_hash(peer)
        )
        came = theirs.join(Turn, Turn.conversation_id == Conversation.id).where(Turn.message_key == key)
        if key and (found := session.scalar(came.limit(1))):
            return found
        still_open = theirs.where(Conversation.state != "closed").order_by(Conversation.started_at.desc())
        if found := session.scalar(still_open.limit(1)):
            return found
        caller = peer if channel == "sms" else None
        conversation, _ = service.open_conversation(session, channel, locale, parts.clock(), caller)
        conversation.peer, conversation.token_hash = peer, None
        return conversation.id


def greet(parts: Parts, channel: TextChannel, peer: str, locale: str) -> Reply:
    """The greeting of who has just come, on the record so that its choices can be chosen."""
    greeting = Reply.from_json(say.greet(locale))
    conversation_id = conversation_with(parts, channel, peer, locale)
    with parts.database.write() as session:
        conversation = service.get_conversation(session, conversation_id)
        if conversation.state == "bot":
            service.record_reply(session, conversation, greeting, parts.clock())
    return greeting


def keep_for_staff(parts: Parts, conversation_id: str, message_key: str) -> TurnTaken:
    """The bot is down: file what the citizen said as a case, or add it to the one that was filed so before. The bot may have
    filed this message before it died, or may still do so: that is one case, by its key."""
    with parts.database.write() as session:
        # Not against rows that name it (key_share): the bot's late filing, which we may wait for, is one.
        one = select(Conversation.id).where(Conversation.id == conversation_id)
        session.execute(one.with_for_update(key_share=True))
        conversation = service.get_conversation(session, conversation_id)
        key = service.filing_key(conversation_id, message_key)
        by_the_bot, filed = cases.filed_with(session, key), cases.filed_by_line(session, conversation_id)
        if by_the_bot:
            filed, phrase_key = by_the_bot, "bot_down_filed"
        elif filed is None:
            filing = Filing(
                what=service.citizen_words(session, conversation),
                contact=conversation.caller,
                channel=conversation.channel,
                locale=conversation.locale,
                conversation_id=conversation.id,
                key=key,
            )
            filed = cases.file_case(
                session, parts.knowledge, filing, Actor("line"), parts.clock(), parts.settings.jurisdiction
            )
            phrase_key = "bot_down_filed"
        else:
            said = service.last_words(session, conversation)
            cases.act_on(session, filed.number, "add", Actor("line"), {"note": said}, parts.clock())
            phrase_key = "bot_down_added"
        phrase = PHRASES.say(phrase_key, conversation.locale, number=filed.number)
        reply = Reply(phrase.text, phrase.speech, act="filed", facts={"number": filed.number})
        service.record_reply(session, conversation, reply, parts.clock())
        return TurnTaken([reply], conversation.state)


def receive_photo(
    parts: Parts, conversation_id: str, token: str, content: bytes, name: str, key: str | None
) -> TurnTaken:
    """Take a photo of the chat page. Raises Refused for a wrong token and what is no picture."""
    with parts.database.read() as session:
        service.get_conversation(session, conversation_id, token)
    return keep_photo(parts, conversation_id, accept(content, name, pictures_only=True), key or secrets.token_hex(8))


def keep_photo(parts: Parts, conversation_id: str, file: File, key: str) -> TurnTaken:
    """Put a photo into the conversation, and to the case that has come of it. A message whose key was seen before, and a
    photo that is there already, change nothing. Raises Refused for closed conversations and too many photos."""
    now = parts.clock()
    with parts.database.write() as session:
        conversation = service.get_conversation(session, conversation_id)
        if service.said_before(session, conversation_id, key):
            return TurnTaken([], conversation.state)
        if conversation.state == "closed":
            raise Refused("conversation_closed", 409)
        query = select(Case).where(Case.conversation_id == conversation_id).order_by(Case.id.desc()).limit(1)
        case = session.scalar(query)
        kept = keep(session, file, now, conversation_id=conversation_id)
        if kept.turn_id is not None:
            return TurnTaken([], conversation.state)
        said = PHRASES.say("photo", conversation.locale).text
        kept.turn_id = service.record(session, conversation, "citizen", said, now, message_key=key, act=PHOTO)
        kept.case_id = case.id if case else None
        if conversation.state == "bot":
            phrase, facts = ("photo_added", {"number": case.number}) if case else ("photo_kept", {})
            service.tell(session, conversation, phrase, now, **facts)
        return TurnTaken([], conversation.state)


def photos_of(parts: Parts, session: Session, conversation_id: str) -> dict[int, list[Photo]]:
    """The photos of a conversation by the id of the turn they came with."""
    found: dict[int, list[Photo]] = defaultdict(list)
    for one in attachments_of(session, conversation_id=conversation_id):
        if one.is_picture and one.turn_id is not None:
            found[one.turn_id].append(Photo(one.name, f"/files/{link_part(parts.settings.secret_key, one.id)}"))
    return found
