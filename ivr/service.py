"""The phone line's verbs, one for each webhook: a call comes in, a turn, the queue, an operator's telephone, a message,
the end. Each returns TwiML and leaves everything that matters in the record, so that any process can do the next."""

from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy.orm import Session

from backend import outbox, watch
from backend.cases import service as cases
from backend.cases.numbers import spoken
from backend.cases.service import Actor, Filing
from backend.cases.words import number_zh
from backend.city import city_name
from backend.conversations import service as conversations
from backend.conversations.announcements import Announced, current
from backend.conversations.models import Conversation
from backend.conversations.rules import MESSAGE_LIMIT
from backend.conversations.service import Begun, Standing
from backend.directory.legacy import legacy_number, written
from backend.parts import Parts
from bot.client import BotUnavailable, Choice, Reply
from bot.say import PHRASES
from ivr import transcription
from ivr.calls import find_call, in_groups, locale_of, prompt
from ivr.flow import (
    LANGUAGES,
    REPROMPTS,
    Heard,
    Meaning,
    Next,
    follow,
    manner_after,
    reprompt,
    understand,
    what_follows,
)
from ivr.models import Call, CallerWish
from ivr.queue import enter_queue, voice_of
from ivr.recognition import in_written_words
from ivr.twiml import Speaker, speaker
from ivr.wishes import remember_wish, wish_of

FALLBACK_STEP = 100_000
"""The step after a failed webhook, whose own number is not known; no call gets so far."""


@dataclass(frozen=True)
class Moment:
    """Where a call stands at one step: what the caller means, the how-manieth silence or no-match in a row that is, where
    its conversation stands, and how the line speaks."""

    meaning: Meaning
    times: int
    standing: Standing
    language: str
    slow: bool

    @property
    def last(self) -> Reply | None:
        """What was said to the caller last."""
        return self.standing.last

    @property
    def wants_digits(self) -> bool:
        """Whether that asked for a number."""
        return bool(self.last and self.last.expects == "digits")


@dataclass(frozen=True)
class Line:
    """The phone line with the parts of its process."""

    parts: Parts

    def answer(self, call_sid: str, caller: str | None, dialled: str) -> Speaker:
        """A call comes in that is to be streamed: open its conversation. Returns how the call is spoken to."""
        with self.parts.database.write() as session:
            call, _, _ = self.open(session, call_sid, caller, dialled)
        return voice_of(self.parts, call)

    def open(
        self, session: Session, call_sid: str, caller: str | None, dialled: str
    ) -> tuple[Call, Conversation, CallerWish | None]:
        """The call that comes in and its conversation, in the language that this number asked for before (its wish, or
        None); what was dialled is noted."""
        call, conversation = self.find(session, call_sid, caller)
        conversation.dialled = written(dialled)
        wish = wish_of(session, self.parts.settings, caller)
        if wish:
            call.language, call.slow = wish.language, wish.slow
            conversation.locale = locale_of(call.language)
        return call, conversation, wish

    def begin(self, call_sid: str, caller: str | None, dialled: str) -> Next:
        """The call is answered: ask what the line can do, in the name of the old hotline if its number was dialled. What is
        announced now comes first; languages are offered to a number that has not chosen one yet. A call in which something
        was said already (this webhook comes late) goes on with what was said last."""
        now = self.parts.clock()
        with self.parts.database.write(durable=False) as session:
            call, conversation, wish = self.open(session, call_sid, caller, dialled)
            language = call.language
            last = conversations.last_reply(session, conversation.id)
            if last:
                again = follow("repeat", last.speech, expects_digits=last.expects == "digits")
                return replace(again, language=language, slow=call.slow)
            announced = [announced_words(one, language) for one in current(session, now, "phone", language)]
            greeting = old_greeting(session, dialled, language) or prompt(
                "greeting", language, city=city_name(language)
            )
            words = "\n".join([*announced, greeting])
            reply = Reply(words, words, choices=opening_choices(conversation.locale))
            conversations.record_reply(session, conversation, reply, now)
        offers = () if wish else tuple(other for other in LANGUAGES if other != language)
        does = what_follows("ringing", "call").does
        return Next(does, (*announced, greeting), offers=offers, language=language, slow=call.slow)

    def resume(self, call_sid: str) -> Next:
        """A call goes on after its stream has failed: with what was said last."""
        with self.parts.database.write() as session:
            call, conversation = self.find(session, call_sid)
            last = conversations.last_reply(session, conversation.id)
        said = last.speech if last else prompt("greeting", call.language, city=city_name(call.language))
        digits = bool(last and last.expects == "digits")
        again = follow("repeat", prompt("stream_failed", call.language), said, expects_digits=digits)
        return replace(again, language=call.language, slow=call.slow)

    def turn(self, call_sid: str, step: int, heard: Heard) -> Next:
        """The caller said something, pressed keys, or did neither. A repeat of the step changes nothing and is answered
        with the same words, from the conversation's record."""
        message_key = f"{call_sid}:{step}"
        now = self.parts.clock()
        with watch.step("record"), self.parts.database.write(durable=False) as session:
            moment = self.hear(session, call_sid, step, heard, message_key)
            begun = None
            if moment.meaning.intent == "say":
                words = in_written_words(moment.meaning.text, moment.language)[:MESSAGE_LIMIT]
                begun = conversations.begin_turn(session, moment.standing, words, message_key, now)
        following = self.answer_turn(begun, moment, heard) if begun else self.follow_up(moment, message_key)
        return replace(following, language=moment.language, slow=moment.slow)

    def follow_up(self, moment: Moment, message_key: str) -> Next:
        """What the line does when the caller said nothing that is a matter for the bot."""
        meaning, last, language = moment.meaning, moment.last, moment.language
        if meaning.intent == "person":
            return follow("person")
        if meaning.intent == "repeat" and last:
            return follow("repeat", last.speech, expects_digits=moment.wants_digits)
        if meaning.intent == "manner":
            return follow("manner", *self.in_new_manner(moment), expects_digits=moment.wants_digits)
        if meaning.intent == "text":
            return follow("text", self.text_answer(moment, message_key), expects_digits=moment.wants_digits)
        kind: Literal["silence", "no_match"] = "silence" if meaning.intent == "silence" else "no_match"
        key = reprompt(kind, moment.times)
        if key is None:
            return follow("give_up", prompt("give_up", language))
        keys = keys_told(last, language) if moment.times == REPROMPTS else []
        return follow(kind, prompt(key, language), *keys, expects_digits=moment.wants_digits)

    def answer_turn(self, begun: Begun, moment: Moment, heard: Heard) -> Next:
        """What the line does when the caller said something: the answer, or where that leads."""
        language = moment.language
        try:
            taken = conversations.finish_turn(self.parts.database, self.parts.bot, self.parts.clock, begun)
        except BotUnavailable:
            return follow("bot_down", self.without_bot(moment.standing.conversation.id, language).speech)
        replies = [reply.speech for reply in taken.replies]
        if moment.wants_digits and heard.digits:
            replies.insert(0, prompt("digits_heard", language, digits=in_groups(moment.meaning.text, language)))
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
            return enter_queue(self.parts, call_sid, list(following.prompts), step)
        hints = self.parts.speech_hints().get(following.language, "")
        voice = speaker(self.parts.settings, following.language, following.slow, hints)
        if following.does == "record":
            return voice.record(following.prompts, step)
        if following.does == "hang_up":
            return voice.end(following.prompts)
        offers = {language: prompt("offer", language) for language in following.offers}
        return voice.listen(following.prompts, step, following.expects_digits, offers)

    def hear(self, session: Session, call_sid: str, step: int, heard: Heard, message_key: str) -> Moment:
        """Where the call stands now that the caller has done this; counts, and how the line speaks, change with it."""
        call = session.get(Call, call_sid) or self.find(session, call_sid)[0]
        standing = conversations.stand(session, call.conversation_id, message_key)
        # What a repeat means was settled when it first came: the last reply is by now what was replied to it.
        meaning = Meaning("say", standing.repeated.text) if standing.repeated else understand(heard, standing.last)
        first_time = step != call.counted_step
        silences = call.silences + first_time if meaning.intent == "silence" else 0
        no_matches = call.no_matches + first_time if meaning.intent == "no_match" else 0
        before = (call.silences, call.no_matches, call.language, call.slow)
        if meaning.intent == "manner" and first_time:
            call.language, call.slow = manner_after(meaning.text, call.language, call.slow)
            standing.conversation.locale = locale_of(call.language)
            remember_wish(session, self.parts.settings, standing.conversation.caller, call.language, call.slow)
        if (silences, no_matches, call.language, call.slow) != before:
            call.silences, call.no_matches, call.counted_step = silences, no_matches, step
        return Moment(meaning, silences + no_matches, standing, call.language, call.slow)

    def in_new_manner(self, moment: Moment) -> list[str]:
        """What is said in a language, or at a speed, that the caller has just asked for: what was said last again, if it
        can be said so."""
        if moment.meaning.text == "slower":
            said = prompt("slower" if moment.slow else "faster", moment.language)
            return [said, *([moment.last.speech] if moment.last else [])]
        return [prompt("language_changed", moment.language)]

    def text_answer(self, moment: Moment, message_key: str) -> str:
        """Send the last answer, whole and with its sources, as a text message; what the caller is told of it."""
        conversation = moment.standing.conversation
        with self.parts.database.write() as session:
            answer = conversations.last_answer(session, conversation.id)
            if answer is None:
                return prompt("nothing_to_text", moment.language)
            if conversation.caller is None:
                return prompt("text_where", moment.language)
            outbox.put(
                session, f"answer:{message_key}", "sms", conversation.caller, {"text": answer.text}, self.parts.clock()
            )
        return prompt("texted", moment.language)

    def without_bot(self, conversation_id: str, language: str) -> Reply:
        """The bot can't answer: what the caller is told, which asks for a message."""
        words = prompt("bot_down", language)
        reply = Reply(words, words, expects="nothing", act="message")
        with self.parts.database.write() as session:
            conversation = conversations.get_conversation(session, conversation_id)
            conversations.record_reply(session, conversation, reply, self.parts.clock())
        return reply

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
                key=message_filing_key(session, call_sid, conversation.id),
            )
            case = cases.file_case(
                session, parts.knowledge, filing, Actor("line"), parts.clock(), parts.settings.jurisdiction
            )
            if recording_url and not case.recording_url:
                case.recording_url = recording_url
            transcription.order(session, parts.settings, case, call.language, parts.clock())
            number = spoken(case.number, call.language)
            words = prompt("recorded", call.language, number=number)
            conversations.record_reply(
                session,
                conversation,
                Reply(words, words, expects="nothing", act="filed", facts={"number": case.number}),
                parts.clock(),
            )
        return voice_of(self.parts, call).end([words])

    def fall_back(self, call_sid: str) -> str:
        """Twilio could not get an answer from the webhook before: apologise and take a message."""
        with self.parts.database.write() as session:
            call, _ = self.find(session, call_sid)
        return voice_of(self.parts, call).record([prompt("fallback", call.language)], FALLBACK_STEP)

    def message_without_record(self) -> str:
        """Apologise and take a message when not even the record can be reached; what comes of it is for the next step."""
        return speaker(self.parts.settings, "zh", False).record([prompt("fallback", "zh")], FALLBACK_STEP)

    def find(self, session: Session, call_sid: str, caller: str | None = None) -> tuple[Call, Conversation]:
        """The call and its conversation, begun now if this is the first webhook of the call that got here."""
        return find_call(session, self.parts.clock, call_sid, caller)


def message_filing_key(session: Session, call_sid: str, conversation_id: str) -> str:
    """The key of the case that a recorded message becomes: that of what the caller said last. The bot may have filed that,
    or still do so, although nobody heard from it any more; both are one case."""
    last = conversations.last_said(session, conversation_id)
    if last is None or last.message_key is None:
        return f"{call_sid}:message"
    return conversations.filing_key(conversation_id, last.message_key)


def old_greeting(session: Session, dialled: str, language: str) -> str:
    """How the line answers to the number of a hotline that was merged into it; empty for all other numbers."""
    number = legacy_number(session, dialled)
    if number is None:
        return ""
    return {"en": number.greeting_en, "yue": number.greeting_yue}.get(language) or number.greeting_zh


def announced_words(one: Announced, language: str) -> str:
    """An announcement as it is spoken; who calls about just that is told that they may hang up."""
    return one.speech + (" " + prompt("announced_matter", language) if one.categories else "")


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
