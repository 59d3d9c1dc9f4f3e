"""The chat channel: begins a conversation, passes messages to the one record and the one bot, and keeps what was said
when the bot is down."""

import secrets
from dataclasses import dataclass

from sqlalchemy import select

from backend.cases import service as cases
from backend.cases.models import Case
from backend.cases.service import Actor, Filing
from backend.conversations import service
from backend.conversations.service import PHRASES, TurnTaken
from backend.parts import Parts
from bot import say
from bot.client import BotUnavailable, Reply


@dataclass(frozen=True)
class Started:
    """A chat that has begun: its id, the secret of its page, and the greeting."""

    id: str
    token: str
    replies: list[Reply]


def begin(parts: Parts, locale: str) -> Started:
    """Begin a chat with the greeting; the bot is not needed for that."""
    greeting = Reply.from_json(say.greet(locale))
    with parts.database.write() as session:
        conversation, token = service.open_conversation(session, "chat", locale, parts.clock())
        service.record_reply(session, conversation, greeting, parts.clock())
        return Started(conversation.id, token, [greeting])


def receive(parts: Parts, conversation_id: str, token: str, text: str, key: str | None) -> TurnTaken:
    """Take a message of the chat page and return the replies. Raises Refused for a wrong token and bad text."""
    with parts.database.read() as session:
        service.get_conversation(session, conversation_id, token)
    try:
        return service.take_turn(
            parts.database, parts.bot, parts.clock, conversation_id, text, key or secrets.token_hex(8)
        )
    except BotUnavailable:
        return keep_for_staff(parts, conversation_id)


def keep_for_staff(parts: Parts, conversation_id: str) -> TurnTaken:
    """The bot is down: file what the citizen said as a case, or add it to the one that was filed so before."""
    with parts.database.write() as session:
        conversation = service.get_conversation(session, conversation_id)
        key = f"{conversation_id}:bot-down"
        filed = session.scalar(select(Case).where(Case.filing_key == key))
        if filed is None:
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
