"""The phone line's verbs, one for each webhook: a call comes in, a turn, the queue, an operator's telephone, a message,
the end. Each returns TwiML and leaves everything that matters in the record, so that any process can do the next."""

import re
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import update
from sqlalchemy.orm import Session

from backend.cases import service as cases
from backend.cases.numbers import spoken
from backend.cases.service import Actor, Filing
from backend.cases.words import number_zh
from backend.city import city_name
from backend.conversations import service as conversations
from backend.conversations.models import Conversation
from backend.conversations.rules import MESSAGE_LIMIT
from backend.directory.service import operators_present
from backend.parts import Parts
from bot.catalogue import Catalogue
from bot.client import BotUnavailable, Choice, Reply
from bot.digits import said
from bot.say import PHRASES
from ivr.flow import LANGUAGES, MESSAGE_KEY, REPROMPTS, Heard, Meaning, Next, follow, manner_after, reprompt, understand
from ivr.models import Call
from ivr.recognition import in_written_words
from ivr.twiml import Speaker, speaker
from ivr.wishes import remember_wish, wish_of

PROMPTS = Catalogue(Path(__file__).with_name("prompts.yml"))
QUEUE_NAME = "operators"
FALLBACK_STEP = 100_000
"""The step after a failed webhook, whose own number is not known; no call gets so far."""


@dataclass(frozen=True)
class Moment:
    """Where a call stands at one step: what the caller means, the how-manieth silence or no-match in a row that is, what
    was said last, and how the line speaks."""

    meaning: Meaning
    times: int
    last: Reply | None
    conversation_id: str
    language: str
    slow: bool


@dataclass(frozen=True)
class Line:
    """The phone line with the parts of its process."""

    parts: Parts

    def voice(self, call: Call) -> Speaker:
        """How this call is spoken to."""
        return speaker(self.parts.settings, call.language, call.slow)

    def begin(self, call_sid: str, caller: str | None, dialled: str) -> str:
        """A call comes in: open its conversation, in the language that this number asked for before, and ask what the line
        can do. What is to be announced comes first."""
        now = self.parts.clock()
        with self.parts.database.write() as session:
            call, conversation = self.find(session, call_sid, caller)
            wish = wish_of(session, self.parts.settings, caller)
            if wish:
                call.language, call.slow = wish.language, wish.slow
                conversation.locale = locale_of(call.language)
            greeting = prompt("greeting", call.language, city=city_name(call.language))
            reply = Reply(greeting, greeting, choices=opening_choices(conversation.locale))
            conversations.record_reply(session, conversation, reply, now)
        offers = () if wish else tuple(language for language in LANGUAGES if language != call.language)
        return self.document(call_sid, Next("listen", (greeting,), offers=offers), step=1)

    def turn(self, call_sid: str, step: int, heard: Heard) -> Next:
        """The caller said something, pressed keys, or did neither. A repeat of the step changes nothing and is answered
        with the same words, from the conversation's record."""
        message_key = f"{call_sid}:{step}"
        moment = self.hear(call_sid, step, heard, message_key)
        meaning, last, language = moment.meaning, moment.last, moment.language
        wants_digits = bool(last and last.expects == "digits")

        if meaning.intent == "person":
            return follow("person")
        if meaning.intent == "repeat" and last:
            return follow("repeat", last.speech, expects_digits=wants_digits)
        if meaning.intent == "manner":
            return follow("manner", *self.in_new_manner(moment), expects_digits=wants_digits)
        if meaning.intent in ("silence", "no_match"):
            key = reprompt("silence" if meaning.intent == "silence" else "no_match", moment.times)
            if key is None:
                return follow("give_up", prompt("give_up", language))
            keys = keys_told(last, language) if moment.times == REPROMPTS else []
            return follow(meaning.intent, prompt(key, language), *keys, expects_digits=wants_digits)
        try:
            taken = conversations.take_turn(
                self.parts.database,
                self.parts.bot,
                self.parts.clock,
                moment.conversation_id,
                in_written_words(meaning.text, language)[:MESSAGE_LIMIT],
                message_key,
            )
        except BotUnavailable:
            return follow("bot_down", self.without_bot(moment.conversation_id, language).speech)
        replies = [reply.speech for reply in taken.replies]
        if wants_digits and heard.digits:
            replies.insert(0, prompt("digits_heard", language, digits=in_groups(meaning.text, language)))
        acts = {reply.act for reply in taken.replies}
        if "handoff" in acts or not taken.replies:
            return follow("person", *replies)
        if "message" in acts:
            return follow("message", *replies)
        if "end" in acts:
            return follow("farewell", *replies)
        return follow("answered", *replies, expects_digits=taken.replies[-1].expects == "digits")

    def document(self, call_sid: str, following: Next, step: int) -> str:
        """The TwiML that does what follows; what the caller does then comes as step `step`."""
        if following.does == "enqueue":
            return self.to_person(call_sid, list(following.prompts), step)
        with self.parts.database.read() as session:
            voice = self.voice(session.get_one(Call, call_sid))
        if following.does == "record":
            return voice.record(following.prompts, step)
        if following.does == "hang_up":
            return voice.end(following.prompts)
        offers = {language: prompt("offer", language) for language in following.offers}
        return voice.listen(following.prompts, step, following.expects_digits, offers)

    def hear(self, call_sid: str, step: int, heard: Heard, message_key: str) -> Moment:
        """Where the call stands now that the caller has done this. Only a change of its counts or its manner is written:
        most turns wait for no other writer."""
        with self.parts.database.read() as session:
            call = session.get(Call, call_sid)
            if call:
                conversation = conversations.get_conversation(session, call.conversation_id)
                last = conversations.last_reply(session, conversation.id)
                repeated = conversations.said_before(session, conversation.id, message_key)
        if call is None:
            with self.parts.database.write() as session:
                self.find(session, call_sid)
            return self.hear(call_sid, step, heard, message_key)
        # What a repeat means was settled when it first came: `last` is by now what was replied to it.
        meaning = Meaning("say", repeated.text) if repeated else understand(heard, last)
        first_time = step != call.counted_step
        silences = call.silences + first_time if meaning.intent == "silence" else 0
        no_matches = call.no_matches + first_time if meaning.intent == "no_match" else 0
        manner = (call.language, call.slow)
        if meaning.intent == "manner" and first_time:
            manner = manner_after(meaning.text, *manner)
        if (silences, no_matches, *manner) != (call.silences, call.no_matches, call.language, call.slow):
            language, slow = manner
            values = {
                "silences": silences,
                "no_matches": no_matches,
                "counted_step": step,
                "language": language,
                "slow": slow,
            }
            with self.parts.database.write() as session:
                session.execute(update(Call).where(Call.sid == call_sid).values(**values))
                if manner != (call.language, call.slow):
                    conversations.get_conversation(session, conversation.id).locale = locale_of(language)
                    remember_wish(session, self.parts.settings, conversation.caller, language, slow)
        return Moment(meaning, silences + no_matches, last, conversation.id, *manner)

    def in_new_manner(self, moment: Moment) -> list[str]:
        """What is said in a language, or at a speed, that the caller has just asked for: what was said last again, if it
        can be said so."""
        if moment.meaning.text == "slower":
            said = prompt("slower" if moment.slow else "faster", moment.language)
            return [said, *([moment.last.speech] if moment.last else [])]
        return [prompt("language_changed", moment.language)]

    def without_bot(self, conversation_id: str, language: str) -> Reply:
        """The bot can't answer: what the caller is told, which asks for a message."""
        words = prompt("bot_down", language)
        reply = Reply(words, words, expects="nothing", act="message")
        with self.parts.database.write() as session:
            conversation = conversations.get_conversation(session, conversation_id)
            conversations.record_reply(session, conversation, reply, self.parts.clock())
        return reply

    def to_person(self, call_sid: str, prompts: list[str], step: int) -> str:
        """Put the caller into the queue; with no operator there, take a message at once."""
        with self.parts.database.write() as session:
            call, conversation = self.find(session, call_sid)
            now = self.parts.clock()
            somebody = operators_present(session, now) > 0
            if somebody:
                conversations.request_operator(session, conversation, now)
        voice = self.voice(call)
        if not somebody:
            return voice.record([*prompts, prompt("no_operator", call.language)], step)
        return voice.enqueue(prompts or [prompt("queued", call.language)], QUEUE_NAME, step)

    def wait(self, call_sid: str, digits: str, waited: int) -> str:
        """One round in the queue: leave it when an operator has taken the call, a message is preferred, or the wait is
        longer than the line lets anybody wait (seconds)."""
        with self.parts.database.write() as session:
            call, conversation = self.find(session, call_sid)
            place = conversations.position(session, conversation)
            nobody = operators_present(session, self.parts.clock()) == 0
            taken = conversation.state == "operator"
        too_long = waited > self.parts.settings.queue_limit
        if taken or digits == MESSAGE_KEY or too_long or nobody:
            return self.voice(call).leave()
        return self.voice(call).wait(prompt("position", call.language, position=place))

    def left_queue(self, call_sid: str, step: int, result: str) -> str:
        """The caller has left the queue: to the operator who took the call, or to leave a message."""
        with self.parts.database.write() as session:
            call, conversation = self.find(session, call_sid)
            operator = conversation.operator if conversation.state == "operator" else None
            telephone = operator.telephone if operator else None
            if conversation.state == "waiting":
                conversations.move(session, conversation, "leave", self.parts.clock())
        voice = self.voice(call)
        if result == "hangup":
            return voice.end([])
        if telephone:
            return voice.dial(prompt("connecting", call.language), telephone, step + 1)
        return voice.record([prompt("no_operator", call.language)], step + 1)

    def dialled(self, call_sid: str, step: int, status: str) -> str:
        """The operator's telephone was connected and has hung up, or it did not answer."""
        with self.parts.database.write() as session:
            call, conversation = self.find(session, call_sid)
            if status != "completed" and conversation.state == "operator":
                conversations.move(session, conversation, "hand_back", self.parts.clock())
        voice = self.voice(call)
        if status == "completed":
            return voice.end([prompt("after_operator", call.language)])
        return voice.record([prompt("operator_gone", call.language), prompt("no_operator", call.language)], step + 1)

    def recorded(self, call_sid: str, recording_url: str | None) -> str:
        """A message was left, or nothing was said: either way what the caller wanted becomes a case."""
        parts = self.parts
        with parts.database.write() as session:
            call, conversation = self.find(session, call_sid)
            said = conversations.citizen_words(session, conversation)
            filing = Filing(
                what=said or prompt("message_of", call.language),
                contact=conversation.caller,
                channel="phone",
                locale=conversation.locale,
                conversation_id=conversation.id,
                recording_url=recording_url,
                key=f"{call_sid}:message",
            )
            case = cases.file_case(
                session, parts.knowledge, filing, Actor("line"), parts.clock(), parts.settings.jurisdiction
            )
            if recording_url and not case.recording_url:
                case.recording_url = recording_url
            number = spoken(case.number, call.language)
            words = prompt("recorded", call.language, number=number)
            conversations.record_reply(
                session,
                conversation,
                Reply(words, words, expects="nothing", act="filed", facts={"number": case.number}),
                parts.clock(),
            )
        return self.voice(call).end([words])

    def fall_back(self, call_sid: str) -> str:
        """Twilio could not get an answer from the webhook before: apologise and take a message."""
        with self.parts.database.write() as session:
            call, _ = self.find(session, call_sid)
        return self.voice(call).record([prompt("fallback", call.language)], FALLBACK_STEP)

    def message_without_record(self) -> str:
        """Apologise and take a message when not even the record can be reached; what comes of it is for the next step."""
        return speaker(self.parts.settings, "zh", False).record([prompt("fallback", "zh")], FALLBACK_STEP)

    def ended(self, call_sid: str) -> None:
        """The call is over: close its conversation."""
        with self.parts.database.write() as session:
            call = session.get(Call, call_sid)
            if call and call.ended_at is None:
                call.ended_at = self.parts.clock()
                conversation = conversations.get_conversation(session, call.conversation_id)
                conversations.close(session, conversation, self.parts.clock())

    def find(self, session: Session, call_sid: str, caller: str | None = None) -> tuple[Call, Conversation]:
        """The call and its conversation, begun now if this is the first webhook of the call that got here."""
        call = session.get(Call, call_sid)
        if call:
            return call, conversations.get_conversation(session, call.conversation_id)
        conversation, _ = conversations.open_conversation(session, "phone", "zh", self.parts.clock(), caller)
        call = Call(sid=call_sid, conversation_id=conversation.id, silences=0, no_matches=0)
        session.add(call)
        session.flush()
        return call, conversation


def prompt(key: str, language: str, **facts: object) -> str:
    """One prompt of the catalogue, as it is spoken in zh, yue or en."""
    return PROMPTS.say(key, language, **facts).speech


def locale_of(language: str) -> str:
    """The language of the bot's replies in a call: what it writes in Chinese is read aloud in Mandarin or Cantonese."""
    return "en" if language == "en" else "zh"


def opening_choices(locale: str) -> tuple[Choice, ...]:
    """What keys do while nothing has been asked yet; the second reprompt names them."""
    keys = (("choice_report", "/report"), ("choice_follow_up", "/follow_up"))
    return tuple(Choice(PHRASES.words(label, locale), message) for label, message in keys)


def keys_told(last: Reply | None, language: str) -> list[str]:
    """Which key chooses what, at most four in one breath; the last is always a person."""
    choices = [
        prompt("key_of_choice", language, choice=choice.label, digit=number if language == "en" else number_zh(number))
        for number, choice in enumerate(last.choices if last else (), start=1)
    ]
    told = [*choices, prompt("key_of_person", language)]
    return ["".join(told[begin : begin + 4]) for begin in range(0, len(told), 4)]


def in_groups(digits: str, language: str) -> str:
    """Digits as they are read back: in groups of three and four, like a telephone number."""
    groups = re.findall(r"\d{1,4}", digits[3:]) if len(digits) == 11 else re.findall(r"\d{1,5}", digits)
    if len(digits) == 11:
        groups.insert(0, digits[:3])
    if language == "en":
        return ", ".join(" ".join(group) for group in groups)
    return "，".join(said(group) for group in groups)
