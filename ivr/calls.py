"""A call and its conversation, and the words that the line itself says in it: what all verbs of the line share."""

import re
from contextlib import suppress
from pathlib import Path

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.clock import Clock
from backend.conversations import service as conversations
from backend.conversations.models import Conversation
from bot.catalogue import Catalogue
from bot.digits import said
from ivr.models import Call

PROMPTS = Catalogue(Path(__file__).with_name("prompts.yml"))


def find_call(session: Session, clock: Clock, call_sid: str, caller: str | None = None) -> tuple[Call, Conversation]:
    """The call and its conversation, begun now if this is the first webhook of the call that got here."""
    if session.get(Call, call_sid) is None:
        with suppress(IntegrityError), session.begin_nested():  # another webhook of the call may get here with this one
            conversation, _ = conversations.open_conversation(session, "phone", "zh", clock(), caller)
            session.add(Call(sid=call_sid, conversation_id=conversation.id, silences=0, no_matches=0))
    call = session.get_one(Call, call_sid)
    return call, conversations.get_conversation(session, call.conversation_id)


def prompt(key: str, language: str, **facts: object) -> str:
    """One prompt of the catalogue, as it is spoken in zh, yue or en."""
    return PROMPTS.say(key, language, **facts).speech


def locale_of(language: str) -> str:
    """The language of the bot's replies in a call: what it writes in Chinese is read aloud in Mandarin or Cantonese."""
    return "en" if language == "en" else "zh"


def in_groups(digits: str, language: str) -> str:
    """Digits as they are read back: in groups of three and four, like a telephone number."""
    groups = re.findall(r"\d{1,4}", digits[3:]) if len(digits) == 11 else re.findall(r"\d{1,5}", digits)
    if len(digits) == 11:
        groups.insert(0, digits[:3])
    if language == "en":
        return ", ".join(" ".join(group) for group in groups)
    return "，".join(said(group) for group in groups)


def caller_of(number: str) -> str | None:
    """The caller's number as Twilio's `From` gives it, in E.164; None when it is withheld or isn't one."""
    return number if re.fullmatch(r"\+\d{5,15}", number) else None
