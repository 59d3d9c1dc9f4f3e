"""Text messages (SMS): how the outbox' are sent, and what is answered to those that come in."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twilio.twiml.messaging_response import MessagingResponse

from backend import outbox
from backend.cases import service as cases
from backend.cases.rules import FINAL_STATES
from backend.cases.words import day_words, state_words
from backend.chat import gateway
from backend.chat.texts import as_text, language_of, pieces
from backend.city import city_name
from backend.errors import Refused
from backend.outbox import NotSent, OutgoingMessage
from backend.parts import Parts
from bot.catalogue import Catalogue
from ivr.models import CallerWish
from ivr.provider import Provider, ProviderFailed
from ivr.wishes import hashed, wish_of

TEXTS = Catalogue(Path(__file__).with_name("texts.yml"))

LONGEST = 603
"""Characters of one message: nine parts of 67 characters in UCS-2, as phones show Chinese; the service takes 1600 at most,
and more than ten parts are often not delivered (messaging/api/message-resource, glossary/what-is-sms-character-limit)."""
STOP = re.compile(r"\s*(td|t|tuiding|退订|取消订阅|stop|stopall|unsubscribe|cancel|end|quit)\s*", re.IGNORECASE)
START = re.compile(r"\s*(jd|恢复|恢复订阅|start|unstop|yes)\s*", re.IGNORECASE)
"""What stops and starts messages: Twilio's own words (messaging/tutorials/advanced-opt-out) and those common in China."""


@dataclass(frozen=True)
class Texter:
    """Sends the outbox' text messages."""

    parts: Parts
    provider: Provider

    def send(self, message: OutgoingMessage) -> str:
        """Send one message; returns its SID. A long one is sent in pieces, of which the later ones become messages of their
        own, so that none is sent twice because another failed. Raises NotSent."""
        first, *others = pieces(str(message.body["text"]), LONGEST)
        with self.parts.database.write() as session:
            wish = wish_of(session, self.parts.settings, message.recipient)
            if wish and wish.no_texts_since:
                raise NotSent("opted out", final=True)
            for number, text in enumerate(others, start=2):
                key = f"{message.key}/{number}"
                outbox.put(session, key, "sms", message.recipient, {"text": text}, self.parts.clock())
        if not self.provider.configured:
            raise NotSent("no telephone service")
        try:
            return self.provider.send_sms(message.recipient, first, f"{self.parts.settings.base_url}/ivr/sms-status")
        except ProviderFailed as failure:
            raise NotSent(str(failure), failure.final) from failure


def answer_text(parts: Parts, sender: str, text: str, sid: str, photos: Sequence[str] = ()) -> str:
    """The TwiML that answers a text message from `sender` (E.164): messages stop or start; where the case stands whose
    number it holds, if it was filed from this telephone; for all else what the conversation goes on with. `photos` are
    the addresses of what came along. A repeat (`sid`) gets the same."""
    locale = language_of(text)
    if STOP.fullmatch(text) or START.fullmatch(text):
        return reply(choose_messages(parts, sender, bool(START.fullmatch(text))), locale)
    if number := re.search(r"\d{5}[\s-]?\d{5}", text):
        return reply_state(parts, sender, number[0], locale)
    key = f"sms:{sid}"
    with parts.database.write() as session:
        for place, url in enumerate(photos):
            body = {"channel": "sms", "peer": sender, "key": f"{key}/{place}"}
            outbox.put(session, f"photo:{key}/{place}", "photo", url, body, parts.clock())
    if not text.strip():
        return messages()
    try:
        taken = gateway.correspond(parts, "sms", sender, locale, text, key)
    except Refused as refusal:
        return messages(refusal.sentence(locale))
    said = as_text(taken.replies, locale)
    return messages(*pieces(said, LONGEST)) if said else messages()


def choose_messages(parts: Parts, sender: str, wants: bool) -> str:
    """Note whether this telephone wants messages; returns the key of what is said."""
    with parts.database.write() as session:
        wish = wish_of(session, parts.settings, sender)
        if wish is None:
            wish = CallerWish(number_hash=hashed(parts.settings, sender), language="zh", slow=False)
            session.add(wish)
        if wants or wish.no_texts_since is None:
            wish.no_texts_since = None if wants else parts.clock()
    return "sms_started" if wants else "sms_stopped"


def reply_state(parts: Parts, sender: str, number: str, locale: str) -> str:
    """Where a case stands, for the telephone that it was filed from."""
    with parts.database.read() as session:
        try:
            case = cases.get_case(session, number)
        except Refused:
            return reply("sms_unknown", locale)
        if case.contact != sender:
            return reply("sms_unknown", locale)
        key = "sms_state_final" if case.state in FINAL_STATES else "sms_state"
        state, due = state_words(case.state, locale), day_words(case.due_at, locale)
        return reply(key, locale, number=case.number, state=state, due=due)


def reply(key: str, locale: str, **facts: object) -> str:
    """The TwiML of one answer."""
    return messages(TEXTS.say(key, locale, city=city_name(locale), **facts).text)


def messages(*texts: str) -> str:
    """The TwiML of these messages."""
    response = MessagingResponse()
    for text in texts:
        response.message(text)
    return str(response)
