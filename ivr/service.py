"""The phone line's verbs, one for each webhook: a call comes in, a turn, the queue, an operator's telephone, a message,
the end. Each returns TwiML and leaves everything that matters in the record, so that any process can do the next."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import update
from sqlalchemy.orm import Session

from backend.cases import service as cases
from backend.cases.numbers import spoken
from backend.cases.service import Actor, Filing
from backend.city import city_name
from backend.conversations import service as conversations
from backend.conversations.models import Conversation
from backend.conversations.rules import MESSAGE_LIMIT
from backend.directory.service import operators_present
from backend.parts import Parts
from bot.catalogue import Catalogue
from bot.client import BotUnavailable, Reply
from ivr.flow import MESSAGE_KEY, Heard, Meaning, reprompt, understand
from ivr.hints import speech_hints
from ivr.models import Call
from ivr.twiml import Speaker

PROMPTS = Catalogue(Path(__file__).with_name("prompts.yml"))
QUEUE_NAME = "operators"
FALLBACK_STEP = 100_000
"""The step after a failed webhook, whose own number is not known; no call gets so far."""


@dataclass(frozen=True)
class Line:
    """The phone line with the parts of its process."""

    parts: Parts

    def speaker(self, locale: str) -> Speaker:
        """How this call is spoken to."""
        settings = self.parts.settings
        voice = settings.voice_en if locale == "en" else settings.voice_zh
        return Speaker(locale, voice, settings.base_url, speech_hints() if locale == "zh" else "")

    def begin(self, call_sid: str, caller: str | None) -> str:
        """A call comes in: open its conversation and ask what the line can do."""
        locale, now = "zh", self.parts.clock()
        greeting = prompt("greeting", locale, city=city_name(locale))
        with self.parts.database.write() as session:
            _, conversation = self.find(session, call_sid, caller)
            conversations.record_reply(session, conversation, Reply(greeting, greeting), now)
        return self.speaker(locale).listen([greeting], step=1)

    def turn(self, call_sid: str, step: int, heard: Heard) -> str:
        """The caller said something, pressed keys, or did neither. A repeat of the step changes nothing and is answered
        with the same words, from the conversation's record."""
        message_key = f"{call_sid}:{step}"
        meaning, times, last, conversation_id, locale = self.hear(call_sid, step, heard, message_key)
        speaker = self.speaker(locale)

        if meaning.intent == "person":
            return self.to_person(call_sid, [], step + 1)
        if meaning.intent == "repeat" and last:
            return speaker.listen([last.speech], step + 1, last.expects == "digits")
        if meaning.intent in ("silence", "no_match"):
            key = reprompt("silence" if meaning.intent == "silence" else "no_match", times)
            if key is None:
                return self.to_person(call_sid, [prompt("give_up", locale)], step + 1)
            return speaker.listen([prompt(key, locale)], step + 1, bool(last and last.expects == "digits"))
        try:
            taken = conversations.take_turn(
                self.parts.database,
                self.parts.bot,
                self.parts.clock,
                conversation_id,
                meaning.text[:MESSAGE_LIMIT],
                message_key,
            )
        except BotUnavailable:
            return self.speak(call_sid, speaker, [self.without_bot(conversation_id, locale)], step + 1)
        return self.speak(call_sid, speaker, taken.replies, step + 1)

    def hear(
        self, call_sid: str, step: int, heard: Heard, message_key: str
    ) -> tuple[Meaning, int, Reply | None, str, str]:
        """What the caller means, how many silences or no-matches in a row that makes, the last reply, and the
        conversation's id and language. Only a change of these counts is written: most turns wait for no other writer."""
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
        counted = step == call.counted_step
        silences = call.silences + (not counted) if meaning.intent == "silence" else 0
        no_matches = call.no_matches + (not counted) if meaning.intent == "no_match" else 0
        if (silences, no_matches) != (call.silences, call.no_matches):
            with self.parts.database.write() as session:
                counts = {"silences": silences, "no_matches": no_matches, "counted_step": step}
                session.execute(update(Call).where(Call.sid == call_sid).values(**counts))
        return meaning, silences + no_matches, last, conversation.id, conversation.locale

    def without_bot(self, conversation_id: str, locale: str) -> Reply:
        """The bot can't answer: what the caller is told, which asks for a message."""
        words = prompt("bot_down", locale)
        reply = Reply(words, words, expects="nothing", act="message")
        with self.parts.database.write() as session:
            conversation = conversations.get_conversation(session, conversation_id)
            conversations.record_reply(session, conversation, reply, self.parts.clock())
        return reply

    def speak(self, call_sid: str, speaker: Speaker, replies: list[Reply], step: int) -> str:
        """Say the bot's replies and do what the last of them is about."""
        spoken_replies = [reply.speech for reply in replies]
        acts = {reply.act for reply in replies}
        if "handoff" in acts or not replies:
            return self.to_person(call_sid, spoken_replies, step)
        if "message" in acts:
            return speaker.record(spoken_replies, step)
        if "end" in acts:
            return speaker.end(spoken_replies)
        return speaker.listen(spoken_replies, step, replies[-1].expects == "digits")

    def to_person(self, call_sid: str, prompts: list[str], step: int) -> str:
        """Put the caller into the queue; with no operator there, take a message at once."""
        with self.parts.database.write() as session:
            _, conversation = self.find(session, call_sid)
            locale, now = conversation.locale, self.parts.clock()
            somebody = operators_present(session, now) > 0
            if somebody:
                conversations.request_operator(session, conversation, now)
        speaker = self.speaker(locale)
        if not somebody:
            return speaker.record([*prompts, prompt("no_operator", locale)], step)
        return speaker.enqueue(prompts or [prompt("queued", locale)], QUEUE_NAME, step)

    def wait(self, call_sid: str, digits: str, waited: int) -> str:
        """One round in the queue: leave it when an operator has taken the call, a message is preferred, or the wait is
        longer than the line lets anybody wait (seconds)."""
        with self.parts.database.write() as session:
            _, conversation = self.find(session, call_sid)
            locale = conversation.locale
            place = conversations.position(session, conversation)
            nobody = operators_present(session, self.parts.clock()) == 0
            taken = conversation.state == "operator"
        too_long = waited > self.parts.settings.queue_limit
        if taken or digits == MESSAGE_KEY or too_long or nobody:
            return self.speaker(locale).leave()
        return self.speaker(locale).wait(prompt("position", locale, position=place))

    def left_queue(self, call_sid: str, step: int, result: str) -> str:
        """The caller has left the queue: to the operator who took the call, or to leave a message."""
        with self.parts.database.write() as session:
            _, conversation = self.find(session, call_sid)
            locale = conversation.locale
            operator = conversation.operator if conversation.state == "operator" else None
            telephone = operator.telephone if operator else None
            if conversation.state == "waiting":
                conversations.move(session, conversation, "leave", self.parts.clock())
        speaker = self.speaker(locale)
        if result == "hangup":
            return speaker.end([])
        if telephone:
            return speaker.dial(prompt("connecting", locale), telephone, step + 1)
        return speaker.record([prompt("no_operator", locale)], step + 1)

    def dialled(self, call_sid: str, step: int, status: str) -> str:
        """The operator's telephone was connected and has hung up, or it did not answer."""
        with self.parts.database.write() as session:
            _, conversation = self.find(session, call_sid)
            locale = conversation.locale
            if status != "completed" and conversation.state == "operator":
                conversations.move(session, conversation, "hand_back", self.parts.clock())
        speaker = self.speaker(locale)
        if status == "completed":
            return speaker.end([prompt("after_operator", locale)])
        return speaker.record([prompt("operator_gone", locale), prompt("no_operator", locale)], step + 1)

    def recorded(self, call_sid: str, recording_url: str | None) -> str:
        """A message was left, or nothing was said: either way what the caller wanted becomes a case."""
        parts = self.parts
        with parts.database.write() as session:
            _, conversation = self.find(session, call_sid)
            locale = conversation.locale
            said = conversations.citizen_words(session, conversation)
            filing = Filing(
                what=said or prompt("message_of", locale),
                contact=conversation.caller,
                channel="phone",
                locale=locale,
                conversation_id=conversation.id,
                recording_url=recording_url,
                key=f"{call_sid}:message",
            )
            case = cases.file_case(
                session, parts.knowledge, filing, Actor("line"), parts.clock(), parts.settings.jurisdiction
            )
            if recording_url and not case.recording_url:
                case.recording_url = recording_url
            number = spoken(case.number, locale)
            words = prompt("recorded", locale, number=number)
            conversations.record_reply(
                session,
                conversation,
                Reply(words, words, expects="nothing", act="filed", facts={"number": case.number}),
                parts.clock(),
            )
        return self.speaker(locale).end([words])

    def fall_back(self, call_sid: str) -> str:
        """Twilio could not get an answer from the webhook before: apologise and take a message."""
        with self.parts.database.write() as session:
            _, conversation = self.find(session, call_sid)
            locale = conversation.locale
        return self.speaker(locale).record([prompt("fallback", locale)], FALLBACK_STEP)

    def message_without_record(self) -> str:
        """Apologise and take a message when not even the record can be reached; what comes of it is for the next step."""
        return self.speaker("zh").record([prompt("fallback", "zh")], FALLBACK_STEP)

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


def prompt(key: str, locale: str, **facts: object) -> str:
    """One prompt of the catalogue, as it is spoken."""
    return PROMPTS.say(key, locale, **facts).speech
