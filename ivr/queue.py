"""A caller who is to get a person: the queue, the rounds of waiting in it, being connected, and what comes after.

Where the call stands is in the record (backend/conversations/telephone.py); each verb reads it there and says in TwiML what
comes next. The caller stays in <Enqueue> while the operator's telephone rings, and so keeps the place when nobody answers.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from backend.cases import service as cases
from backend.cases.service import Actor, Filing
from backend.cases.words import number_zh
from backend.conversations import presence, telephone
from backend.conversations import service as conversations
from backend.conversations.models import Conversation
from backend.parts import Parts
from bot.digits import find_phone
from ivr.calls import find_call, in_groups, prompt
from ivr.flow import MESSAGE_KEY, what_follows
from ivr.models import Call
from ivr.twiml import NOTHING, Speaker, speaker

QUEUE_NAME = "operators"
CALLBACK_KEY, CONSENT_KEY = "2", "3"
CONFIRM_KEY, OTHER_NUMBER_KEY = "1", "2"

CAME_OF_IT = frozenset({"answer", "clarify", "solved", "unsolved", "filed", "danger", "handoff", "state", "end"})
"""Acts of replies (bot/client.py) after which a call has not been for nothing."""

TOLD_EVERY = 30
"""Seconds after which place and expected wait are said again."""
JOB_PATIENCE = timedelta(seconds=5)
"""How long a caller waits for the job that rings the operator; then the call is connected without it."""
JOIN_PATIENCE = timedelta(seconds=10)
"""How long the job that brings a caller in may take, once it has begun."""


@dataclass(frozen=True)
class Standing:
    """Where a waiting call stands: the state of its conversation, for how long the operator's leg has been in its own state
    (None: there is no leg), for how long the caller has waited, and whether any operator is at work."""

    state: str
    leg: str | None
    leg_since: timedelta
    waited: timedelta
    somebody: bool


def event_in_queue(now: Standing, limit: timedelta) -> str:
    """What has happened to a caller in the queue, as an event of flow.FLOW in the state `waiting`.

    A caller is `taken` when the operator has answered; or when the operator's telephone could not be rung by the service, so
    that it has to be dialled from the caller's side.
    """
    if now.state == "waiting":
        if not now.somebody:
            return "nobody"
        return "too_long" if now.waited > limit else "round"
    if now.state == "operator":
        not_rung = now.leg is None or (now.leg == "wanted" and now.leg_since > JOB_PATIENCE)
        return "taken" if now.leg == "talking" or not_rung else "round"
    return "message"  # also when an operator has ended it before it came to a talk


def standing(session: Session, conversation: Conversation, now: datetime) -> Standing:
    """Where this call stands."""
    legs = [
        leg for leg in telephone.legs(session, conversation, "operator") if leg.staff_id == conversation.operator_id
    ]
    since = conversation.waiting_since or now
    return Standing(
        state=conversation.state,
        leg=legs[0].state if legs else None,
        leg_since=now - legs[0].moved_at if legs else timedelta(),
        waited=now - since,
        somebody=bool(conversations.operators_for(session, conversation.language, now)),
    )


def enter_queue(parts: Parts, call_sid: str, prompts: list[str], step: int) -> str:
    """Put the caller into the queue, or let them wait on; with no operator at work, take a message at once."""
    now = parts.clock()
    with parts.database.write() as session:
        call, conversation = find_call(session, parts.clock, call_sid)
        conversation.language = call.language
        conversations.request_operator(session, conversation, now)
        does = what_follows("waiting", event_in_queue(standing(session, conversation, now), limit_of(parts))).does
        if does == "record":
            leave_queue(session, conversation, now)
        else:
            telephone.enter_queue(session, conversation, call_sid, step, now)
    voice = voice_of(parts, call)
    if does == "record":
        return voice.record([*prompts, prompt("no_operator", call.language)], step)
    return voice.enqueue(prompts or [prompt("queued", call.language)], QUEUE_NAME, step)


def wait(parts: Parts, call_sid: str, keys: str, asked: str, told: int | None) -> str:
    """One round in the queue, of a few seconds, so that a caller who is taken is soon out of it.

    `keys` answer what was `asked` ("": the menu, "number", "confirm"); `told` is the second of the wait at which place and
    expected wait were said last. Most rounds change nothing and only read.
    """
    now = parts.clock()
    with parts.database.read() as session:
        call = session.get(Call, call_sid)
        conversation = conversations.get_conversation(session, call.conversation_id) if call else None
        if call and conversation:
            stands = standing(session, conversation, now)
            event = event_in_queue(stands, limit_of(parts))
    if call is None or conversation is None:  # the webhooks before were lost
        return enter_again(parts, call_sid)
    voice = voice_of(parts, call)
    if stands.state == "waiting" and keys:
        if keys == MESSAGE_KEY and not asked:
            return voice.leave()
        answer = answer_keys(parts, voice, conversation.id, keys, asked)
        if answer:
            return answer
    if event == "taken" and stands.leg == "talking" and not may_come_in(parts, call_sid, conversation.id):
        event = "round"
    if what_follows("waiting", event).does != "wait":
        return voice.leave()
    waited = int(stands.waited.total_seconds())
    if stands.state != "waiting" or (told is not None and 0 <= waited - told < TOLD_EVERY and not keys):
        return voice.wait([], told=told if told is not None else waited, piece=waited)
    with parts.database.read() as session:
        words = place_words(session, conversation, call.language, parts, now)
    return voice.wait(words, told=waited, piece=waited)


def enter_again(parts: Parts, call_sid: str) -> str:
    """A caller of whom nothing is known waits: begin the record, and leave a way out to a message."""
    with parts.database.write() as session:
        call, _ = find_call(session, parts.clock, call_sid)
    return voice_of(parts, call).leave()


def place_words(session: Session, conversation: Conversation, language: str, parts: Parts, now: datetime) -> list[str]:
    """Place and expected wait, and what may be done meanwhile: never more than four keys."""
    minutes = conversations.minutes_to_wait(session, conversation, now)
    place = prompt("queue_position", language, position=conversations.position(session, conversation))
    told = [place]
    if minutes is not None:
        told.append(wait_words(minutes, language))
    told.append(prompt("queue_keys", language))
    if parts.line_settings().call_recording == "consent" and conversation.may_record is None:
        told.append(prompt("queue_consent", language))
    return ["".join(told) if language != "en" else " ".join(told)]


def wait_words(minutes: int, language: str) -> str:
    """How long the wait will be, as people say it."""
    if minutes > 60:
        return prompt("queue_long", language)
    if language == "en":
        return prompt("queue_minute" if minutes == 1 else "queue_minutes", language, minutes=minutes)
    return prompt("queue_minutes", language, minutes="两" if minutes == 2 else number_zh(minutes))


def answer_keys(parts: Parts, voice: Speaker, conversation_id: str, keys: str, asked: str) -> str | None:
    """What is said to these keys; None when they mean nothing here and the wait goes on."""
    now = parts.clock()
    with parts.database.write() as session:
        conversation = conversations.get_conversation(session, conversation_id)
        if conversation.state != "waiting":
            return None
        if asked == "" and keys == CONSENT_KEY and parts.line_settings().call_recording == "consent":
            conversation.may_record, conversation.is_recorded = True, None
            return voice.wait([prompt("queue_consented", voice.language)], told=seconds_waited(conversation, now))
        if asked == "" and keys == CALLBACK_KEY:
            conversation.callback_to = conversation.callback_to or conversation.caller
        elif asked == "number":
            number = find_phone(re.sub(r"\D", "", keys))
            if number is None:
                return voice.ask_keys([prompt("queue_number_wrong", voice.language)], "number")
            conversation.callback_to = number
        elif asked == "confirm" and keys == CONFIRM_KEY and conversation.callback_to:
            telephone.keep_place(session, conversation, now)
            return voice.end([prompt("queue_callback_kept", voice.language)])
        elif asked == "confirm" and keys == OTHER_NUMBER_KEY:
            return voice.ask_keys([prompt("queue_number", voice.language)], "number")
        else:
            return None
        number = conversation.callback_to
    if number is None:
        return voice.ask_keys([prompt("queue_number", voice.language)], "number")
    read_back = in_groups(number.removeprefix("+86"), voice.language)
    return voice.ask_keys([prompt("queue_confirm", voice.language, number=read_back)], "confirm")


def seconds_waited(conversation: Conversation, now: datetime) -> int:
    """How long the caller has waited."""
    return int((now - (conversation.waiting_since or now)).total_seconds())


def may_come_in(parts: Parts, call_sid: str, conversation_id: str) -> bool:
    """Whether this round is what brings the caller to the operator: the job may be doing it at the same moment, and who
    came in twice would end the conference in between."""
    now = parts.clock()
    with parts.database.write() as session:
        conversation = conversations.get_conversation(session, conversation_id)
        for leg in telephone.legs(session, conversation, "citizen"):
            if leg.sid == call_sid and leg.state == "queued":
                return telephone.claim_wish(session, leg, now) or now - leg.moved_at > JOIN_PATIENCE
    return False


def left(parts: Parts, call_sid: str, step: int, result: str) -> str:
    """The caller has left the queue (`result`: QueueResult of voice/twiml/enqueue): to the operator who took the call, or to
    leave a message. A call that was redirected goes on elsewhere, whatever is answered here."""
    if result in ("redirected", "redirected-from-bridged"):
        return NOTHING
    if result == "hangup":
        with parts.database.read() as session:
            call = session.get(Call, call_sid)
        return voice_of(parts, call).end([]) if call else NOTHING
    return after_queue(parts, call_sid, step + 1)


def come_in(parts: Parts, call_sid: str) -> str:
    """The job has redirected the caller out of the queue, to the operator."""
    with parts.database.read() as session:
        step = queue_step(session, call_sid)
    return after_queue(parts, call_sid, step + 1)


def queue_step(session: Session, call_sid: str) -> int:
    """The step of the call at which it entered the queue last."""
    call = session.get(Call, call_sid)
    if call is None:
        return 0
    conversation = conversations.get_conversation(session, call.conversation_id)
    return max((leg.step for leg in telephone.legs(session, conversation, "citizen") if leg.sid == call_sid), default=0)


def after_queue(parts: Parts, call_sid: str, step: int) -> str:
    """Out of the queue: to the conference, to the operator's telephone, or to a message."""
    now, recorded = parts.clock(), False
    with parts.database.write() as session:
        call, conversation = find_call(session, parts.clock, call_sid)
        stands = standing(session, conversation, now)
        event = event_in_queue(stands, limit_of(parts))
        if event == "round" and stands.state == "waiting":
            event = "message"  # the caller chose it
        does = what_follows("waiting", event).does
        operator = conversation.operator
        if does == "connect":
            telephone.meet(session, conversation, call_sid, now)
            recorded = telephone.decide_recording(conversation, parts.line_settings().call_recording)
        elif does == "record":
            leave_queue(session, conversation, now)
    voice = voice_of(parts, call)
    if does == "wait":
        return enter_queue(parts, call_sid, [], step + 1)
    if does == "record" or operator is None or operator.telephone is None:
        return voice.record([prompt("no_operator", call.language)], step)
    connecting = [prompt("queue_recorded", call.language)] if recorded else []
    connecting.append(prompt("connecting", call.language))
    if stands.leg == "talking":
        return voice.meet(connecting, conversation.id, step, recorded)
    return voice.dial(connecting, operator.telephone, conversation.id, step, recorded)


def connected_ended(parts: Parts, call_sid: str, step: int, status: str) -> str:
    """The caller's talk with an operator is over (`status`: DialCallStatus), or the operator's telephone did not answer:
    then the caller waits on, at the old place, for the next operator."""
    now = parts.clock()
    with parts.database.write() as session:
        call, conversation = find_call(session, parts.clock, call_sid)
        finished = status in ("completed", "answered") or has_talked(conversation)
        if conversation.state == "operator" and not finished:
            if conversation.operator:
                presence.set_presence(session, conversation.operator, "away", now, "missed")
            telephone.queue_again(session, conversation, now)
        waits_on = conversation.state == "waiting"
    if waits_on:
        return enter_queue(parts, call_sid, [prompt("operator_gone", call.language)], step + 1)
    return voice_of(parts, call).end([prompt("after_operator", call.language)])


def has_talked(conversation: Conversation) -> bool:
    """Whether an operator has been in the conference since one took the call."""
    taken = conversation.taken_at
    return any(
        leg.party == "operator" and leg.talked_at and taken and leg.talked_at >= taken for leg in conversation.legs
    )


def queue_again(parts: Parts, call_sid: str) -> str:
    """The job has redirected the caller back into the queue: the matter is another operator's, or the operator was not at
    the telephone."""
    now = parts.clock()
    with parts.database.write() as session:
        call, conversation = find_call(session, parts.clock, call_sid)
        telephone.queue_again(session, conversation, now)
        step = queue_step(session, call_sid)
    return enter_queue(parts, call_sid, [prompt("queue_again", call.language)], step + 2)


def call_over(parts: Parts, call_sid: str) -> None:
    """The caller's call is over: its conversation is closed, unless the caller is to be called back; operators' telephones
    that ring for it are let go."""
    now = parts.clock()
    with parts.database.write() as session:
        call = session.get(Call, call_sid)
        if call is None or call.ended_at is not None:
            return
        call.ended_at = now
        conversation = conversations.get_conversation(session, call.conversation_id)
        if left_unsettled(session, conversation):
            conversations.request_operator(session, conversation, now)
        telephone.call_over(session, conversation, call_sid, now)
    parts.telephone.see_to(conversation.id)


def left_unsettled(session: Session, conversation: Conversation) -> bool:
    """Whether the caller hung up in the middle of a report, or after words of which nothing has come, and left a number: an
    operator calls back. Who has said goodbye, or nothing at all, is left in peace."""
    if conversation.state != "bot" or conversation.caller is None:
        return False
    said = [
        turn for turn in conversations.turns_after(session, conversation.id) if turn.act or turn.speaker == "citizen"
    ]
    acts = [turn.act for turn in said if turn.act]
    reporting = acts[-1:] in (["ask"], ["confirm"])
    unheard = any(turn.speaker == "citizen" for turn in said) and not CAME_OF_IT.intersection(acts)
    return reporting or unheard


def file_unreached(session: Session, parts: Parts, conversation: Conversation) -> None:
    """Nobody answered the call-backs that were asked for: what the citizen said becomes a case."""
    filing = Filing(
        what=conversations.citizen_words(session, conversation) or prompt("queue_unreached", conversation.language),
        contact=conversation.callback_to,
        channel="phone",
        locale=conversation.locale,
        conversation_id=conversation.id,
        key=f"{conversation.id}:callback",
    )
    settings = parts.settings
    cases.file_case(session, parts.knowledge, filing, Actor("line"), parts.clock(), settings.jurisdiction)


def leave_queue(session: Session, conversation: Conversation, now: datetime) -> None:
    """The caller leaves a message instead."""
    if conversation.state == "waiting":
        conversations.move(session, conversation, "leave", now)


def limit_of(parts: Parts) -> timedelta:
    """How long a caller waits before a message is taken."""
    return timedelta(seconds=parts.line_settings().queue_limit)


def voice_of(parts: Parts, call: Call) -> Speaker:
    """How this call is spoken to."""
    hints = parts.speech_hints().get(call.language, "")
    return speaker(parts.settings, call.language, call.slow, hints)
