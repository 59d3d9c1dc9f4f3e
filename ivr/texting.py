"""Text messages (SMS): how the outbox' are sent, and what is answered to those that come in."""

import re
from dataclasses import dataclass
from pathlib import Path

from twilio.twiml.messaging_response import MessagingResponse

from backend import outbox
from backend.cases import service as cases
from backend.cases.rules import FINAL_STATES
from backend.cases.words import day_words, state_words
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


def pieces(text: str, longest: int = LONGEST) -> list[str]:
    """The text as one message, or as several of at most `longest` characters, cut after a sentence where one ends in the
    later half, and numbered (1/3)."""
    if len(text) <= longest:
        return [text]
    room, rest, cut = longest - len("(99/99)"), text, []
    while rest:
        end = len(rest) if len(rest) <= room else max(rest.rfind(mark, room // 2, room) for mark in "。！？；\n.") + 1
        cut.append(rest[: end or room])
        rest = rest[end or room :]
    return [f"({number}/{len(cut)}){part}" for number, part in enumerate(cut, start=1)]


@dataclass(frozen=True)
class Texter:
    """Sends the outbox' text messages."""

    parts: Parts
    provider: Provider

    def send(self, message: OutgoingMessage) -> str:
        """Send one message; returns its SID. A long one is sent in pieces, of which the later ones become messages of their
        own, so that none is sent twice because another failed. Raises NotSent."""
        first, *others = pieces(str(message.body["text"]))
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


def answer_text(parts: Parts, sender: str, text: str) -> str:
    """The TwiML that answers a text message from `sender` (E.164): where the case stands whose number it holds, if it was
    filed from this telephone; or that messages stop or start. A repeat gets the same."""
    locale = "zh" if re.search(r"[一-鿿]", text) or not re.search(r"[a-z]{3}", text, re.IGNORECASE) else "en"
    if STOP.fullmatch(text) or START.fullmatch(text):
        wants = bool(START.fullmatch(text))
        with parts.database.write() as session:
            wish = wish_of(session, parts.settings, sender)
            if wish is None:
                wish = CallerWish(number_hash=hashed(parts.settings, sender), language="zh", slow=False)
                session.add(wish)
            if wants or wish.no_texts_since is None:
                wish.no_texts_since = None if wants else parts.clock()
        return reply("sms_started" if wants else "sms_stopped", locale)
    number = re.search(r"\d{5}[\s-]?\d{5}", text)
    if number is None:
        return reply("sms_help", locale)
    with parts.database.read() as session:
        try:
            case = cases.get_case(session, number[0])
        except Refused:
            return reply("sms_unknown", locale)
        if case.contact != sender:
            return reply("sms_unknown", locale)
        key = "sms_state_final" if case.state in FINAL_STATES else "sms_state"
        state, due = state_words(case.state, locale), day_words(case.due_at, locale)
        return reply(key, locale, number=case.number, state=state, due=due)


def reply(key: str, locale: str, **facts: object) -> str:
    """The TwiML of one answer."""
    response = MessagingResponse()
    response.message(TEXTS.say(key, locale, city=city_name(locale), **facts).text)
    return str(response)
