"""The switch of the practice exchange: many practice calls at once, which ring, meet and part as they do at Twilio.

Each end of a telephone conversation is a leg, one PracticeCall with the document that it carries out. What the lines of
several legs have to do with each other is decided here, again and again from how they stand (`settle`): who rings, who is
connected to whom, who is left alone. Telephones are windows (addresses such as +8613800138000 or client:operator1) whose
person acts through the verbs of `Switch`, and who find what they hear in the window's log.

Facts: https://www.twilio.com/docs/voice/api/call-resource, /docs/voice/api/conference-participant-resource,
/docs/voice/twiml/dial, /docs/voice/twiml/conference, /docs/voice/answering-machine-detection.

Where it differs from Twilio: a telephone that is in a call is busy to all others; nobody's voice is kept, recordings are
silence of the right length; machines are what a test says they are.
"""

from __future__ import annotations

import contextlib
import queue
import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, Literal
from urllib.parse import urljoin

from twilio.request_validator import RequestValidator

from ivr.phone.call import (
    DEFAULT_TO,
    DEFAULT_WAIT_URL,
    PRACTICE_ACCOUNT,
    CallState,
    DialFailure,
    Error,
    Event,
    Play,
    PracticeCall,
    Request,
    Transport,
    WebhookFailed,
    new_sid,
    send_signed,
)
from ivr.phone.twiml import Element

# The addresses in the line's settings at Twilio (README, "Connecting Twilio").
VOICE_URL, FALLBACK_URL, STATUS_URL = "/ivr/voice", "/ivr/fallback", "/ivr/status"
DIAL_SECONDS = 30  # docs/voice/twiml/dial#timeout
CALL_SECONDS = 60  # docs/voice/api/call-resource, Timeout
REMEMBERED = 1000  # calls, messages and recordings that can still be asked for
UNANSWERED = ("no-answer", "busy", "failed")

Answers = Literal[
    "by-hand", "no-answer", "busy", "failed", "human", "machine_start", "machine_end_beep", "fax", "unknown"
]


@dataclass(frozen=True)
class Manner:
    """How a telephone behaves when it is called: `answers` "by-hand" rings at its window, the failures fail, and the
    others answer at once as what machine detection would say. `messages` is how a text message to it ends."""

    answers: Answers = "by-hand"
    messages: Literal["delivered", "undelivered"] = "delivered"


@dataclass(frozen=True)
class Callback:
    """A status callback: where, how, and for which events."""

    url: str = ""
    method: str = "POST"
    events: tuple[str, ...] = ()


@dataclass(frozen=True)
class Instructions:
    """What a leg carries out when it is answered: the document at `url`, or `twiml` itself; with neither it is simply
    connected."""

    url: str = ""
    method: str = "POST"
    twiml: str = ""


@dataclass(frozen=True)
class Detection:
    """Answering-machine detection of one call: before the document is asked for, or beside it (`callback`)."""

    waits_for_end: bool = False  # DetectMessageEnd
    callback: Callback | None = None


@dataclass(frozen=True)
class Outgoing:
    """A call that the line makes, as the REST API is asked for it."""

    to: str
    from_: str
    then: Instructions = Instructions()
    fallback_url: str = ""
    callback: Callback = Callback()
    detection: Detection | None = None
    seconds: int = CALL_SECONDS
    recording: Callback | None = None


@dataclass
class Member:
    """What a leg may do in its conference."""

    label: str = ""
    muted: bool = False
    hold: bool = False
    coached_sid: str = ""  # the only call that hears this member
    starts: bool = True
    ends: bool = False

    @property
    def is_coach(self) -> bool:
        """Whether only one member hears this one."""
        return bool(self.coached_sid)


@dataclass(eq=False)
class Conference:
    """A conference: who is in it, and what its status callback has been told."""

    sid: str
    name: str
    created_at: float
    status: Literal["init", "in-progress", "completed"] = "init"
    members: list[Leg] = field(default_factory=list)
    callback: Callback = Callback()
    recording: Callback | None = None
    wait: Instructions = Instructions()
    told: int = 0
    started_at: float = 0.0
    updated_at: float = 0.0
    reason: str = ""  # why it ended
    ended_by: str = ""  # the call whose leaving ended it


@dataclass(eq=False)
class Attempt:
    """One Dial that a leg has under way. `number` counts the leg's Dials."""

    number: int
    kind: Literal["calls", "queue", "conference"]
    name: str = ""  # of the queue or conference
    until: float = 0.0
    children: list[Leg] = field(default_factory=list)
    recorded_from: float | None = None


@dataclass(eq=False)
class Leg:
    """One end of a conversation: the telephone `address` and its call."""

    address: str
    call: SwitchedCall
    created_at: float
    then: Instructions = Instructions()
    parent: Leg | None = None
    detection: Detection | None = None
    recording: Callback | None = None
    ringing_until: float | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    attempt: Attempt | None = None
    partner: Leg | None = None
    joins: tuple[Conference, Member] | None = None  # the conference that it goes to once answered
    conference: Conference | None = None
    member: Member = field(default_factory=Member)

    @property
    def sid(self) -> str:
        """The call's SID."""
        return self.call.state.call_sid

    @property
    def over(self) -> bool:
        """Whether the call has ended, with all that this means for others."""
        return self.ended_at is not None


@dataclass(frozen=True)
class Recording:
    """A recording of `seconds`, of a call or a conference."""

    sid: str
    call_sid: str
    conference_sid: str
    seconds: int
    started_at: float
    source: str
    url: str


@dataclass
class TextMessage:
    """A text message that the line has sent."""

    sid: str
    to: str
    from_: str
    body: str
    created_at: float
    callback: Callback
    status: str = "queued"


class SwitchedCall(PracticeCall):
    """A practice call among others: its place in a queue and its recordings are the switch's."""

    def __init__(self, state: CallState, switch: Switch) -> None:
        super().__init__(
            state,
            auth_token=switch.auth_token,
            transport=switch.transport,
            clock=switch.clock,
            randomness=switch.randomness,
        )
        self.switch = switch

    def place_in_queue(self, name: str) -> tuple[str, int]:
        """The queue's SID, and the place behind all who wait in it."""
        return self.switch.queue_sid(name), len(self.switch.waiting(name)) + 1

    def keep_recording(self, sid: str, seconds: int) -> str:
        """Where the recording can be fetched by the REST API."""
        return self.switch.record(sid, seconds, "RecordVerb", call_sid=self.state.call_sid).url


class Switch:
    """All calls of one line. One thread acts at a time (`lock`); what the REST API asks for is done by the next `tick`,
    so that it is never done inside a webhook."""

    def __init__(
        self,
        base_url: str,
        *,
        auth_token: str,
        transport: Transport,
        rest_url: str = "http://127.0.0.1:8002",
        account_sid: str = PRACTICE_ACCOUNT,
        clock: Callable[[], float] = time.time,
        randomness: random.Random | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/") + "/"
        self.rest_url = rest_url
        self.auth_token = auth_token
        self.account_sid = account_sid
        self.transport = transport
        self.clock = clock
        self.randomness = randomness or random.SystemRandom()
        self.lock = threading.RLock()
        self.ordered = threading.Event()
        self.manners: dict[str, Manner] = {}
        self.legs: dict[str, Leg] = {}
        self.conferences: dict[str, Conference] = {}
        self.recordings: dict[str, Recording] = {}
        self.refusals = 0  # how many requests of the REST API are still refused as too many
        self.messages: dict[str, TextMessage] = {}
        self.logs: dict[str, list[dict[str, Any]]] = {}
        self._queue_sids: dict[str, str] = {}
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._validator = RequestValidator(auth_token)

    # ---- what a person does at a window

    def dial(self, address: str, to: str = DEFAULT_TO) -> Leg:
        """Call the line from `address`. Raises ValueError when that telephone is in a call already."""
        with self.lock:
            if self.leg_of(address):
                raise ValueError(f"{address} is in a call")
            leg = self._add(
                address,
                CallState(
                    call_sid=new_sid("CA", self.randomness),
                    from_=address,
                    to=to,
                    base_url=self.base_url,
                    fallback_url=urljoin(self.base_url, FALLBACK_URL),
                    status_callback=urljoin(self.base_url, STATUS_URL),
                    account_sid=self.account_sid,
                ),
            )
            leg.answered_at = self.clock()
            self._do(leg, lambda: leg.call.start(VOICE_URL))
            return leg

    def answer(self, address: str) -> None:
        """Take the ringing call. Nothing happens when none rings."""
        with self.lock:
            leg = self.leg_of(address)
            if leg and leg.ringing_until is not None:
                self._answer(leg)
            self.settle()

    def decline(self, address: str) -> None:
        """Refuse the ringing call: it is busy to whoever calls (docs/voice/sdks/javascript, Call.reject)."""
        with self.lock:
            leg = self.leg_of(address)
            if leg and leg.ringing_until is not None:
                self._fail(leg, "busy")
            self.settle()

    def act(self, address: str, act: Callable[[PracticeCall], list[Event]]) -> None:
        """Do something in the call at this window: an act is a verb of PracticeCall. What rings must be answered first."""
        with self.lock:
            leg = self.leg_of(address)
            if leg and leg.ringing_until is None and leg.call.status != "new":
                self._do(leg, lambda: act(leg.call))

    def speak(self, address: str, text: str, confidence: float = 0.9) -> None:
        """Say something: to the line, or to whoever this telephone is connected with."""
        with self.lock:
            leg = self.leg_of(address)
            if leg and leg.call.status == "connected":
                self._pass_on(leg, {"type": "heard", "from": address, "text": text})
            else:
                self.act(address, lambda call: call.speak(text, confidence))

    def press(self, address: str, digits: str, then_wait: bool = True) -> None:
        """Press keys; who is connected hears them too."""
        with self.lock:
            leg = self.leg_of(address)
            if leg and leg.call.status == "connected":
                self._pass_on(leg, {"type": "heard_keys", "from": address, "digits": digits})
            self.act(address, lambda call: call.press(digits, then_wait))

    def wait(self, address: str) -> None:
        """Let time pass in the call at this window; another telephone that rings goes on ringing."""
        with self.lock:
            leg = self.leg_of(address)
            if leg and leg.call.status not in ("dialling", "connected"):
                self.act(address, lambda call: call.wait())

    def leg_of(self, address: str) -> Leg | None:
        """The call at this telephone, ringing or under way."""
        legs = (leg for leg in reversed(self.legs.values()) if leg.address == address and not leg.over)
        return next(legs, None)

    # ---- what the REST API asks for

    def order(self, work: Callable[[], None]) -> None:
        """Have something done by the next tick."""
        self._orders.put(work)
        self.ordered.set()

    def tick(self) -> None:
        """Do what was ordered, and what time has brought: telephones that have rung long enough."""
        with self.lock:
            self.ordered.clear()
            while not self._orders.empty():
                self._orders.get()()
                self.settle()
            for leg in list(self.legs.values()):
                if leg.ringing_until is not None and self.clock() >= leg.ringing_until:
                    self._fail(leg, "no-answer")
                elif leg.call.status == "streaming":
                    self._do(leg, leg.call.wait, settle=False)
                elif self._waited_in_vain(leg):
                    self._attempt_fails(leg, "no-answer")
            self.settle()

    def call(self, outgoing: Outgoing, joins: tuple[Conference, Member] | None = None) -> Leg:
        """Make a call; it rings from the next tick on. With `joins` it goes to that conference when answered."""
        leg = self._add(
            outgoing.to,
            CallState(
                call_sid=new_sid("CA", self.randomness),
                from_=outgoing.from_,
                to=outgoing.to,
                base_url=self.base_url,
                fallback_url=outgoing.fallback_url,
                status_callback=outgoing.callback.url,
                status_callback_method=outgoing.callback.method,
                status_callback_events=list(outgoing.callback.events),
                account_sid=self.account_sid,
                direction="outbound-api",
                call_status="queued",
            ),
        )
        leg.then, leg.detection, leg.recording, leg.joins = outgoing.then, outgoing.detection, outgoing.recording, joins
        self.order(lambda: self._ring(leg, outgoing.seconds))
        return leg

    def redirect(self, leg: Leg, then: Instructions) -> None:
        """Let the call go on with another document, whatever it is at."""
        self.order(lambda: self._do(leg, lambda: leg.call.redirected(then.url, then.method, then.twiml)))

    def hang_up(self, leg: Leg, only_if_unanswered: bool = False) -> None:
        """End the call; one that has not been answered is canceled."""

        def work() -> None:
            if leg.answered_at is None and not leg.over:
                self._fail(leg, "canceled")
            elif not only_if_unanswered:
                self._do(leg, leg.call.hung_up_by_line)

        self.order(work)

    def send_message(self, to: str, from_: str, body: str, callback: Callback) -> TextMessage:
        """Send a text message; its delivery is told by the next tick (docs/messaging/guides/outbound-message-status)."""
        message = TextMessage(new_sid("SM", self.randomness), to, from_, body, self.clock(), callback)
        self.messages[message.sid] = message

        def deliver() -> None:
            for status in ("sent", self.manners.get(to, Manner()).messages):
                message.status = status
                self._hear(to, {"type": "message", "from": from_, "text": body} if status == "delivered" else None)
                if callback.url:
                    failed = {"ErrorCode": "30003"} if status == "undelivered" else {}  # errors/30003: unreachable
                    self._webhook(
                        callback.url,
                        callback.method,
                        {
                            "MessageSid": message.sid,
                            "SmsSid": message.sid,
                            "MessageStatus": status,
                            "SmsStatus": status,
                            "To": to,
                            "From": from_,
                            "AccountSid": self.account_sid,
                            "ApiVersion": "2010-04-01",
                            **failed,
                        },
                    )

        self.order(deliver)
        return message

    def conference(self, name_or_sid: str) -> Conference | None:
        """The conference of this SID, or the one of this name that has not ended."""
        if name_or_sid in self.conferences:
            return self.conferences[name_or_sid]
        named = (each for each in self.conferences.values() if each.name == name_or_sid and each.status != "completed")
        return next(named, None)

    def open_conference(self, name: str) -> Conference:
        """The conference of this name; a new one when there is none."""
        found = self.conference(name)
        if found:
            return found
        conference = Conference(new_sid("CF", self.randomness), name, self.clock(), updated_at=self.clock())
        self.conferences[conference.sid] = conference
        return conference

    def change_member(self, leg: Leg, changes: dict[str, Any], hold: Instructions, announce: Instructions) -> None:
        """Mute, hold, coach …: the fields of Member that change, what is heard on hold, what is announced."""
        before = (leg.member.muted, leg.member.hold)
        for name, value in changes.items():
            setattr(leg.member, name, value)
        muted, held = leg.member.muted, leg.member.hold

        def work() -> None:
            if leg.conference is None:
                return
            if muted != before[0]:
                self._tell(leg.conference, "mute", "participant-mute" if muted else "participant-unmute", leg)
            if held != before[1]:
                self._hear(leg.address, {"type": "on_hold" if held else "off_hold"})
                if held:
                    self._sound(leg, hold)
                self._tell(leg.conference, "hold", "participant-hold" if held else "participant-unhold", leg)
            if changes.keys() & {"coached_sid", "starts", "ends"}:
                self._tell(leg.conference, "modify", "participant-modify", leg)
            if announce.url:
                self._sound(leg, announce)
                self._tell(leg.conference, "announcement", "announcement-end", leg)

        self.order(work)

    def announce(self, conference: Conference, announce: Instructions) -> None:
        """Let all in the conference hear a document."""

        def work() -> None:
            for leg in conference.members:
                self._sound(leg, announce)

        self.order(work)

    def remove_member(self, leg: Leg) -> None:
        """Take a leg out of its conference: its call goes on after the Dial, or ends."""

        def work() -> None:
            conference = leg.conference
            if conference:
                self._leave_conference(leg, "participant_removed_via_api")
                self._do(leg, leg.call.other_side_hangs_up)

        self.order(work)

    def end_conference(self, conference: Conference) -> None:
        """End the conference for all."""
        self.order(lambda: self._end_conference(conference, "conference-ended-via-api", ""))

    # ---- how the calls stand to each other

    def settle(self) -> None:
        """Draw the conclusions from how the calls stand, until there are none left."""
        while any([self._settle(leg) for leg in list(self.legs.values()) if not leg.over]):
            pass

    def _settle(self, leg: Leg) -> bool:
        """One conclusion for one call; whether there was any."""
        status, attempt = leg.call.status, leg.attempt
        if status == "ended":
            self._end(leg)
        elif attempt and (status not in ("dialling", "connected") or attempt.number != leg.call.state.dials):
            self._give_up(leg)
        elif leg.partner and status != "connected":
            self._part(leg)
        elif leg.conference and status != "connected":
            self._leave_conference(leg, "participant_updated_via_api")
        elif status == "dialling" and attempt is None:
            self._begin(leg)
        elif status == "connected" and leg.joins:
            conference, member = leg.joins
            leg.joins = None
            self._join(leg, conference, member)
        elif status == "connected" and leg.parent and leg.parent.call.status == "dialling" and not leg.partner:
            self._connect(leg.parent, leg)
        elif attempt and attempt.kind == "queue" and status == "dialling" and self.waiting(attempt.name):
            self._dequeue(leg, attempt)
        else:
            return False
        return True

    def _begin(self, leg: Leg) -> None:
        """A Dial has begun: ring its numbers and clients, or go to its queue or conference."""
        dial = leg.call.verb
        first = dial.children[0] if dial.children else Element("Number", {}, dial.text)
        number, until = leg.call.state.dials, self.clock() + int(dial.get("timeout", str(DIAL_SECONDS)))
        if first.name == "Queue":
            leg.attempt = Attempt(number, "queue", first.text, until)
        elif first.name == "Conference":
            leg.attempt = Attempt(number, "conference", first.text, until)
            self._join_by_twiml(leg, dial, first)
        else:
            leg.attempt = Attempt(number, "calls", until=until)
            for noun in dial.children or (first,):
                leg.attempt.children.append(self._child(leg, dial, noun))
            for child in list(leg.attempt.children):
                if not child.over and child.call.status == "new":
                    self._ring(child, int(dial.get("timeout", str(DIAL_SECONDS))))

    def _child(self, parent: Leg, dial: Element, noun: Element) -> Leg:
        """The call that a Number, Client or Sip in a Dial makes; its url is heard before the two are connected
        (docs/voice/twiml/number#url)."""
        name = noun.text or next((each.text for each in noun.children if each.name == "Identity"), "")
        address = f"client:{name}" if noun.name == "Client" else name
        sid = new_sid("CA", self.randomness)
        child = self._add(
            address,
            CallState(
                call_sid=sid,
                from_=dial.get("callerId") or parent.call.state.from_,
                to=address,
                base_url=self.base_url,
                status_callback=parent.call.url_of(noun, "statusCallback"),
                status_callback_method=noun.get("statusCallbackMethod", "POST"),
                status_callback_events=noun.get("statusCallbackEvent", "completed").split(),
                account_sid=self.account_sid,
                direction="outbound-dial",
                parent_call_sid=parent.sid,
                call_status="queued",
                whisper=bool(noun.get("url")),
            ),
        )
        child.parent = parent
        child.then = Instructions(parent.call.url_of(noun, "url"), noun.get("method", "POST"))
        if noun.get("machineDetection"):
            callback = Callback(
                parent.call.url_of(noun, "amdStatusCallback"), noun.get("amdStatusCallbackMethod", "POST")
            )
            child.detection = Detection(noun.get("machineDetection") == "DetectMessageEnd", callback)
        parent.call.state.dialled_sid = sid
        return child

    def _ring(self, leg: Leg, seconds: int) -> None:
        """Let a telephone ring, or do at once what it does when it is called."""
        if leg.over:
            return
        others = [
            each for each in self.legs.values() if each.address == leg.address and not each.over and each is not leg
        ]
        answers = "busy" if others else self.manners.get(leg.address, Manner()).answers
        for status in ("initiated", "ringing"):
            leg.call.state.call_status = status
            leg.call.tell_progress(status)
        if answers in UNANSWERED:
            self._fail(leg, answers)
        elif answers == "by-hand":
            leg.ringing_until = self.clock() + seconds
            self._hear(leg.address, {"type": "ringing", "from": leg.call.state.from_})
        else:
            self._answer(leg, answers)

    def _answer(self, leg: Leg, answered_by: str = "human") -> None:
        """The telephone is picked up."""
        leg.ringing_until, leg.answered_at = None, self.clock()
        for sibling in leg.parent.attempt.children if leg.parent and leg.parent.attempt else ():
            if sibling is not leg and not sibling.over:
                self._fail(sibling, "canceled")
        if leg.parent:
            leg.parent.call.state.dialled_sid = leg.sid
        leg.call.state.call_status = "in-progress"
        leg.call.tell_progress("answered")
        detection = leg.detection
        if detection and answered_by == "machine_start" and detection.waits_for_end:
            answered_by = "machine_end_beep"
        if detection and not detection.callback:
            leg.call.state.answered_by = answered_by
        if leg.then.twiml:
            self._do(leg, lambda: leg.call.start_with(leg.then.twiml), settle=False)
        elif leg.then.url:
            self._do(leg, lambda: leg.call.start(leg.then.url, leg.then.method), settle=False)
        else:
            self._do(leg, leg.call.join, settle=False)
        if detection and detection.callback and detection.callback.url:
            told = {"AnsweredBy": answered_by, "MachineDetectionDuration": "1000"}
            leg.call.notify(detection.callback.url, detection.callback.method, told)

    def _fail(self, leg: Leg, status: str) -> None:
        """A telephone that rings is not answered."""
        leg.ringing_until = None
        self._do(leg, lambda: leg.call.go_unanswered(status), settle=False)

    def _connect(self, leg: Leg, other: Leg) -> None:
        """Two can talk. A telephone that was dialled is connected already, when it has heard its document."""
        leg.partner, other.partner = other, leg
        for each in (leg, other):
            if each.call.status != "connected":
                self._do(each, each.call.other_side_answers, settle=False)
        dialler = leg if leg.attempt else other
        if dialler.attempt and dialler.call.verb.get("record", "do-not-record") not in ("do-not-record", "false"):
            dialler.attempt.recorded_from = self.clock()

    def _dequeue(self, leg: Leg, attempt: Attempt) -> None:
        """Connect a leg that has dialled a queue with who waits longest, who first hears the Queue's url
        (docs/voice/twiml/queue#url)."""
        first, noun = self.waiting(attempt.name)[0], leg.call.verb.children[0]
        told = {"QueueSid": self.queue_sid(attempt.name), "DequeingCallSid": leg.sid}
        if url := leg.call.url_of(noun, "url"):
            self._do(first, lambda: first.call.listen_to(url, noun.get("method", "POST"), told), settle=False)
        leg.call.state.dialled_sid = first.sid
        self._connect(leg, first)

    def _part(self, leg: Leg) -> None:
        """The leg has left its partner, whose conversation is over."""
        partner, leg.partner = leg.partner, None
        self._stop_recording(leg)
        if partner:
            partner.partner = None
            self._stop_recording(partner)
            partner.attempt = None
            self._do(partner, partner.call.other_side_hangs_up, settle=False)

    def _give_up(self, leg: Leg) -> None:
        """The leg is at its Dial no more: who still rings is canceled, who was connected is left."""
        attempt = leg.attempt
        if leg.partner:
            self._part(leg)
        leg.attempt = None
        if leg.conference:
            self._leave_conference(leg, "participant_updated_via_api")
        for child in attempt.children if attempt else ():
            if child.answered_at is None and not child.over:
                self._fail(child, "canceled")
            elif not child.over:
                self._do(child, child.call.hung_up_by_line, settle=False)

    def _waited_in_vain(self, leg: Leg) -> bool:
        """Whether a leg has dialled a queue in which nobody has been for as long as its Dial waits."""
        queued = leg.attempt is not None and leg.attempt.kind == "queue" and leg.call.status == "dialling"
        return queued and leg.attempt is not None and self.clock() >= leg.attempt.until

    def _attempt_fails(self, leg: Leg, why: DialFailure) -> None:
        leg.attempt = None
        self._do(leg, lambda: leg.call.dial_fails(why), settle=False)

    def _end(self, leg: Leg) -> None:
        """A call has ended: leave whoever it had to do with."""
        leg.ended_at, leg.ringing_until = self.clock(), None
        if leg.partner:
            self._part(leg)
        if leg.conference:
            self._leave_conference(leg, "participant_hung_up")
        if leg.attempt:
            self._give_up(leg)
        if leg.recording and leg.answered_at is not None:
            self._recorded(leg.recording, int(self.clock() - leg.answered_at), "OutboundAPI", leg.answered_at, leg)
        parent = leg.parent
        if parent and parent.attempt and leg in parent.attempt.children and parent.call.status == "dialling":
            still_open = [child for child in parent.attempt.children if not child.over]
            if not still_open:
                self._attempt_fails(parent, dial_result(parent.attempt.children))

    # ---- conferences

    def _join_by_twiml(self, leg: Leg, dial: Element, noun: Element) -> None:
        """Join the conference of a Dial. The first who brings a status callback sets it
        (docs/voice/twiml/conference#attributes-statusCallback)."""
        conference = self.open_conference(noun.text)
        coached = noun.get("coach")
        if coached and coached not in {each.sid for each in conference.members}:  # docs/api/errors/13240
            self._hear(leg.address, Error(13240, "Dial->Conference: Invalid Whisper SID", "").to_dict())
            self._attempt_fails(leg, "failed")
            return
        if not conference.callback.url and noun.get("statusCallback"):
            conference.callback = Callback(
                leg.call.url_of(noun, "statusCallback"),
                noun.get("statusCallbackMethod", "POST"),
                tuple(noun.get("statusCallbackEvent").split()),
            )
        if noun.get("record") == "record-from-start" and not conference.recording:
            conference.recording = Callback(
                leg.call.url_of(noun, "recordingStatusCallback"),
                noun.get("recordingStatusCallbackMethod", "POST"),
                tuple(noun.get("recordingStatusCallbackEvent", "completed").split()),
            )
        if noun.get("waitUrl"):
            conference.wait = Instructions(leg.call.url_of(noun, "waitUrl"), noun.get("waitMethod", "POST"))
        member = Member(
            label=noun.get("participantLabel"),
            muted=noun.get("muted") == "true",
            coached_sid=coached,
            starts=noun.get("startConferenceOnEnter", "true") == "true",
            ends=noun.get("endConferenceOnExit") == "true",
        )
        self._join(leg, conference, member)

    def _join(self, leg: Leg, conference: Conference, member: Member) -> None:
        """A leg comes in. The conference starts with two members, one of whom may start it; until then there is music."""
        leg.member, leg.conference = member, conference
        conference.members.append(leg)
        if leg.call.status == "dialling":
            self._do(leg, leg.call.other_side_answers, settle=False)
        self._tell(conference, "join", "participant-join", leg)
        if (
            conference.status == "init"
            and len(conference.members) > 1
            and any(each.member.starts for each in conference.members)
        ):
            conference.status, conference.started_at = "in-progress", self.clock()
            self._tell(conference, "start", "conference-start", None)
            for each in conference.members:
                self._hear(each.address, {"type": "off_hold"})
        elif conference.status == "init":
            self._hear(leg.address, {"type": "on_hold"})
            self._sound(leg, conference.wait)

    def _leave_conference(self, leg: Leg, reason: str) -> None:
        conference, leg.conference = leg.conference, None
        if conference is None or leg not in conference.members:
            return
        conference.members.remove(leg)
        self._tell(conference, "leave", "participant-leave", leg, {"ReasonParticipantLeft": reason})
        if leg.member.ends and conference.status != "completed":
            how = "kicked" if reason == "participant_removed_via_api" else "left"
            self._end_conference(conference, f"participant-with-end-conference-on-exit-{how}", leg.sid)
        elif not conference.members:
            how = "kicked" if reason == "participant_removed_via_api" else "left"
            self._end_conference(conference, f"last-participant-{how}", leg.sid)

    def _end_conference(self, conference: Conference, reason: str, ended_by: str) -> None:
        if conference.status == "completed":
            return
        lasted = int(self.clock() - conference.started_at) if conference.started_at else 0
        conference.status, conference.reason, conference.ended_by = "completed", reason, ended_by
        members, conference.members = conference.members, []
        for leg in members:
            leg.conference = None
            leg.attempt = None
            self._tell(conference, "leave", "participant-leave", leg, {"ReasonParticipantLeft": "conference_ended"})
            self._do(leg, leg.call.other_side_hangs_up, settle=False)
        self._tell(
            conference,
            "end",
            "conference-end",
            None,
            {"ReasonConferenceEnded": reason, "CallSidEndingConference": ended_by},
        )
        if conference.recording and lasted:
            self._recorded(conference.recording, lasted, "Conference", conference.started_at, conference=conference)

    def _tell(
        self, conference: Conference, word: str, event: str, leg: Leg | None, more: dict[str, str] | None = None
    ) -> None:
        """Tell the conference's status callback, if it wants such events
        (docs/voice/twiml/conference#statuscallback-request-parameters)."""
        conference.updated_at = self.clock()
        if not conference.callback.url or word not in conference.callback.events:
            return
        conference.told += 1
        told = {
            "ConferenceSid": conference.sid,
            "FriendlyName": conference.name,
            "AccountSid": self.account_sid,
            "SequenceNumber": str(conference.told),
            "Timestamp": formatdate(self.clock()),
            "StatusCallbackEvent": event,
            **(more or {}),
        }
        if leg:
            told |= {
                "CallSid": leg.sid,
                "Muted": _word(leg.member.muted),
                "Hold": _word(leg.member.hold),
                "Coaching": _word(leg.member.is_coach),
                "StartConferenceOnEnter": _word(leg.member.starts),
                "EndConferenceOnExit": _word(leg.member.ends),
            }
            told |= {"ParticipantLabel": leg.member.label} if leg.member.label else {}
        self._webhook(conference.callback.url, conference.callback.method, told)

    # ---- what is heard

    def hearers(self, leg: Leg) -> list[Leg]:
        """Who hears what is said at this leg."""
        if leg.partner:
            return [leg.partner]
        conference, member = leg.conference, leg.member
        if conference is None or conference.status != "in-progress" or member.muted or member.hold:
            return []
        others = [each for each in conference.members if each is not leg and not each.member.hold]
        return [each for each in others if not member.is_coach or each.sid == member.coached_sid]

    def _pass_on(self, leg: Leg, event: dict[str, Any]) -> None:
        for other in self.hearers(leg):
            self._hear(other.address, event)

    def _sound(self, leg: Leg, what: Instructions) -> None:
        """Let a leg hear a document beside its own, or Twilio's music where there is none."""
        if what.url:
            self._do(leg, lambda: leg.call.listen_to(what.url, what.method, {}), settle=False)
        else:
            self._hear(leg.address, Play(DEFAULT_WAIT_URL).to_dict())

    def _hear(self, address: str, event: dict[str, Any] | None) -> None:
        """Write into a window's log."""
        if event:
            log = self.logs.setdefault(address, [])
            log.append({"number": len(log) + 1, **event})

    def _do(self, leg: Leg, act: Callable[[], list[Event]], settle: bool = True) -> None:
        """Let a call do something and its window hear it; then see what that means for others."""
        for event in act():
            self._hear(leg.address, event.to_dict())
        if settle:
            self.settle()

    # ---- queues, recordings, webhooks

    def waiting(self, name: str) -> list[Leg]:
        """Who waits in the queue of this name, the first first."""
        legs = [leg for leg in self.legs.values() if leg.call.state.queue and leg.call.state.queue.name == name]
        free = [leg for leg in legs if not leg.over and leg.call.status != "connected"]
        return sorted(free, key=lambda leg: leg.call.state.queue.since if leg.call.state.queue else 0.0)

    def queue_sid(self, name: str) -> str:
        """The SID of the queue of this name."""
        return self._queue_sids.setdefault(name, new_sid("QU", self.randomness))

    def record(self, sid: str, seconds: int, source: str, call_sid: str = "", conference_sid: str = "") -> Recording:
        """Keep that there is a recording."""
        url = f"{self.rest_url}/2010-04-01/Accounts/{self.account_sid}/Recordings/{sid}"
        recording = Recording(sid, call_sid, conference_sid, seconds, self.clock() - seconds, source, url)
        self.recordings[sid] = recording
        return recording

    def _stop_recording(self, leg: Leg) -> None:
        """A recorded conversation is over: keep it and tell the Dial's recordingStatusCallback."""
        attempt = leg.attempt
        if attempt is None or attempt.recorded_from is None:
            return
        began, attempt.recorded_from = attempt.recorded_from, None
        dial = leg.call.verb
        callback = Callback(
            leg.call.url_of(dial, "recordingStatusCallback") if dial.name == "Dial" else "",
            dial.get("recordingStatusCallbackMethod", "POST"),
            tuple(dial.get("recordingStatusCallbackEvent", "completed").split()),
        )
        self._recorded(callback, int(self.clock() - began), "DialVerb", began, leg)

    def _recorded(
        self,
        callback: Callback,
        seconds: int,
        source: str,
        began: float,
        leg: Leg | None = None,
        conference: Conference | None = None,
    ) -> None:
        """Keep a recording of a conversation and tell its status callback
        (docs/voice/api/recording#recordingstatuscallback)."""
        of = {"CallSid": leg.sid} if leg else {"ConferenceSid": conference.sid} if conference else {}
        recording = self.record(
            new_sid("RE", self.randomness), seconds, source, of.get("CallSid", ""), of.get("ConferenceSid", "")
        )
        if callback.url and "completed" in callback.events:
            self._webhook(
                callback.url,
                callback.method,
                {
                    **of,
                    "AccountSid": self.account_sid,
                    "RecordingSid": recording.sid,
                    "RecordingUrl": recording.url,
                    "RecordingStatus": "completed",
                    "RecordingDuration": str(seconds),
                    "RecordingChannels": "1",
                    "RecordingStartTime": formatdate(began),
                    "RecordingSource": source,
                },
            )

    def _webhook(self, url: str, method: str, params: dict[str, str]) -> None:
        """Send a webhook that belongs to no call; whether it is answered makes no difference."""
        token = str(uuid.UUID(int=self.randomness.getrandbits(128), version=4))
        request = Request(method, urljoin(self.base_url, url), params, token)
        with contextlib.suppress(WebhookFailed):
            send_signed(self.transport, self._validator, self.base_url, request)

    def _add(self, address: str, state: CallState) -> Leg:
        leg = Leg(address, SwitchedCall(state, self), self.clock())
        self.legs[leg.sid] = leg
        for old in [each.sid for each in self.legs.values() if each.over][:-REMEMBERED]:
            del self.legs[old]
        return leg


def dial_result(children: list[Leg]) -> DialFailure:
    """How a Dial ended of whose calls none was connected: answered but not connected, busy, failed or no answer."""
    statuses = {child.call.state.call_status for child in children}
    for status in ("completed", "busy", "failed"):
        if status in statuses:
            return status
    return "no-answer"


def _word(value: bool) -> str:
    return "true" if value else "false"
