"""One practice call: carries out TwiML for a person, and calls the line's webhooks exactly as Twilio does.

Free of any terminal or browser: what the caller does are methods, what the caller notices are the events
that they return. Clock, randomness and transport are handed in. All state is one JSON-able dataclass, so
that a call can travel with a page and the server keep nothing.

Facts: request parameters https://www.twilio.com/docs/voice/twiml#twilios-request-to-your-application, per
verb https://www.twilio.com/docs/voice/twiml/gather (and /record, /enqueue, /leave, /dial, /redirect),
signature https://www.twilio.com/docs/usage/webhooks/webhooks-security.

Where it differs from Twilio: `loop` is heard once; a caller who acts is taken to act at a moment when the
line is listening, so bargeIn changes nothing; HTTP redirects are failures; partialResultCallback is never
called.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from email.utils import formatdate
from typing import Any, ClassVar, Literal, Protocol
from urllib.parse import urldefrag, urlencode, urljoin, urlsplit

import httpx
from twilio.request_validator import RequestValidator

from ivr.phone.twiml import HTTP_RETRIEVAL_FAILURE, Element, TwimlRefused, parse_twiml

DEFAULT_FROM = "+8613800138000"
DEFAULT_TO = "+8612345"
PRACTICE_ACCOUNT = "AC" + "0" * 32
KEYS = "0123456789*#"

# Twilio waits this long for a webhook (docs/usage/webhooks/webhooks-connection-overrides, read timeout).
WEBHOOK_SECONDS = 15
# A document that leads to a document without ever listening: after this many the person gets a turn.
DOCUMENTS_IN_A_ROW = 20
LOGGED_REQUESTS = 30
# docs/voice/twiml/enqueue: the default size of a queue, and the playlist heard when there is no waitUrl.
MAX_QUEUE_SIZE = "1000"
DEFAULT_WAIT_URL = "http://s3.amazonaws.com/com.twilio.sounds.music/index.xml"
DEFAULT_WAIT_TWIML = f"<Response><Play>{DEFAULT_WAIT_URL}</Play></Response>"

Status = Literal["new", "talking", "listening", "recording", "paused", "queued", "dialling", "connected", "ended"]
DialFailure = Literal["no-answer", "busy", "failed"]
REASON_OF_REJECT = {"rejected": "no-answer", "busy": "busy"}  # reason -> CallStatus


# ---- what the caller notices -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """Something the caller hears or sees. `type` names it in JSON."""

    type: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """The event as JSON-able data, its name under "type"."""
        return {"type": self.type, **asdict(self)}


@dataclass(frozen=True)
class Say(Event):
    """Words are spoken; `language` and `voice` are as in the document, empty where it names none."""

    type = "say"
    text: str
    language: str = ""
    voice: str = ""


@dataclass(frozen=True)
class Play(Event):
    """A sound file is played (absolute `url`), or keys are sounded (`digits`)."""

    type = "play"
    url: str
    digits: str = ""


@dataclass(frozen=True)
class Pause(Event):
    """Nothing is heard for `seconds`."""

    type = "pause"
    seconds: int


@dataclass(frozen=True)
class Listening(Event):
    """The line listens. `kind` is "speech", "dtmf" or "dtmf speech"; `timeout` is in seconds."""

    type = "listening"
    kind: str
    num_digits: int | None
    finish_on_key: str
    timeout: int
    hints: tuple[str, ...]
    language: str


@dataclass(frozen=True)
class Keys(Event):
    """The keys pressed so far; the line waits for more."""

    type = "keys"
    pressed: str


@dataclass(frozen=True)
class Recording(Event):
    """The line records, for up to `max_length` seconds."""

    type = "recording"
    max_length: int
    play_beep: bool
    finish_on_key: str


@dataclass(frozen=True)
class Queued(Event):
    """The caller waits in a queue, at this position (1 is next)."""

    type = "queued"
    name: str
    position: int


@dataclass(frozen=True)
class Dialling(Event):
    """Someone else's phone rings. `kind` is number, client, queue, conference or sip."""

    type = "dialling"
    kind: str
    to: str


@dataclass(frozen=True)
class Connected(Event):
    """The caller talks to a person."""

    type = "connected"


@dataclass(frozen=True)
class NotHeard(Event):
    """The caller did something that the line is not listening for, as on a real phone."""

    type = "not_heard"
    what: str


@dataclass(frozen=True)
class HungUp(Event):
    """The call is over. `reason` is caller, line, document_end, rejected, busy or error."""

    type = "hung_up"
    reason: str


@dataclass(frozen=True)
class Error(Event):
    """Twilio would log this error. With a fallback address the call goes on there, else it ends."""

    type = "error"
    code: int
    reason: str
    url: str


def spoken(events: list[Event]) -> str:
    """All words that are said in these events, a line each."""
    return "\n".join(event.text for event in events if isinstance(event, Say))


# ---- reaching the line -------------------------------------------------------------------------------------

Answer = tuple[int, str, bytes]


class WebhookFailed(Exception):
    """A webhook gave no document: unreachable, too slow, or an HTTP error. `code` is Twilio's."""

    def __init__(self, reason: str, code: int = HTTP_RETRIEVAL_FAILURE) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Transport(Protocol):
    """Carries a request to the line. Each returns (HTTP status, Content-Type, body); raises WebhookFailed
    when there is no answer. Headers come complete, signature included."""

    def post(self, url: str, params: dict[str, str], headers: dict[str, str]) -> Answer:
        """POST `params` as a form."""

    def get(self, url: str, headers: dict[str, str]) -> Answer:
        """GET `url`, which already holds its parameters."""


class HttpTransport:
    """The real transport: HTTP with Twilio's patience. Hand in a client to reach an application in this
    process (`httpx.Client(transport=httpx.WSGITransport(app))`)."""

    def __init__(self, client: httpx.Client | None = None) -> None:
        self._client = client or httpx.Client(timeout=WEBHOOK_SECONDS, trust_env=False)

    def post(self, url: str, params: dict[str, str], headers: dict[str, str]) -> Answer:
        return self._send("POST", url, params, headers)

    def get(self, url: str, headers: dict[str, str]) -> Answer:
        return self._send("GET", url, None, headers)

    def _send(self, method: str, url: str, form: dict[str, str] | None, headers: dict[str, str]) -> Answer:
        try:
            response = self._client.request(method, url, data=form, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise WebhookFailed(f"no answer: {type(error).__name__}: {error}") from error
        return response.status_code, response.headers.get("Content-Type", ""), response.content


# ---- the state ---------------------------------------------------------------------------------------------


@dataclass
class Page:
    """A TwiML document being carried out: `at` counts the verbs that have been begun."""

    url: str
    text: str
    at: int = 0


@dataclass
class Queue:
    """The queue that the caller is in, and the document heard meanwhile."""

    name: str
    sid: str
    since: float
    action: str  # "" for none: go on after the Enqueue
    method: str
    wait_url: str
    wait_method: str
    page: Page


@dataclass
class Request:
    """One webhook, as needed to send it again."""

    method: str
    url: str
    params: dict[str, str]
    token: str


@dataclass
class CallState:
    """Everything there is to know about a call. Times are seconds since 1970."""

    call_sid: str
    from_: str
    to: str
    base_url: str
    fallback_url: str = ""
    status_callback: str = ""
    account_sid: str = PRACTICE_ACCOUNT
    status: Status = "new"
    call_status: str = "ringing"  # as Twilio tells it
    started_at: float = 0.0
    act_started_at: float = 0.0  # of the recording, dial or bridge under way
    keys: str = ""  # pressed so far, for the Gather under way
    queue_position: int = 1
    page: Page | None = None
    queue: Queue | None = None
    last_request: Request | None = None
    log: list[dict[str, Any]] = field(default_factory=list)  # method, url, status of the last requests

    def to_dict(self) -> dict[str, Any]:
        """The state as JSON-able data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CallState:
        """The state that `to_dict` gave. Raises ValueError when it is not one."""
        try:
            state = cls(**data)
            state.page = Page(**data["page"]) if data["page"] else None
            state.last_request = Request(**data["last_request"]) if data["last_request"] else None
            if data["queue"]:
                state.queue = Queue(**{**data["queue"], "page": Page(**data["queue"]["page"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"not the state of a call: {error}") from error
        return state


# ---- the call ----------------------------------------------------------------------------------------------


class PracticeCall:
    """A phone call with the line.

    Every act of the caller returns the list of events that follow, up to the moment when the line needs the
    caller again (or time to pass: see `wait`). `state.status` says what the line is doing then.
    """

    def __init__(
        self,
        state: CallState,
        *,
        auth_token: str,
        transport: Transport,
        clock: Callable[[], float] = time.time,
        randomness: random.Random | None = None,
    ) -> None:
        self.state = state
        self._validator = RequestValidator(auth_token)
        self._transport = transport
        self._clock = clock
        self._random = randomness or random.SystemRandom()
        self._events: list[Event] = []
        self._documents = 0

    @classmethod
    def new(
        cls,
        base_url: str,
        *,
        auth_token: str,
        transport: Transport,
        from_: str = DEFAULT_FROM,
        to: str = DEFAULT_TO,
        fallback_url: str = "",
        status_callback: str = "",
        clock: Callable[[], float] = time.time,
        randomness: random.Random | None = None,
    ) -> PracticeCall:
        """A call that is yet to be started.

        `base_url` is the line's public address: webhooks are signed for it, and nothing outside it is ever
        called. `fallback_url` and `status_callback` are as in a phone number's settings at Twilio, relative
        to `base_url`.
        """
        randomness = randomness or random.SystemRandom()
        base = base_url.rstrip("/") + "/"
        state = CallState(
            call_sid=_sid("CA", randomness),
            from_=from_,
            to=to,
            base_url=base,
            fallback_url=urljoin(base, fallback_url) if fallback_url else "",
            status_callback=urljoin(base, status_callback) if status_callback else "",
        )
        return cls(state, auth_token=auth_token, transport=transport, clock=clock, randomness=randomness)

    @property
    def status(self) -> Status:
        """What the line is doing: waiting for the caller, recording, queued and so on."""
        return self.state.status

    def to_dict(self) -> dict[str, Any]:
        """The call as JSON-able data; `PracticeCall(CallState.from_dict(data), ...)` takes it up again."""
        return self.state.to_dict()

    # ---- what the caller does

    def start(self, voice_url: str, method: str = "POST") -> list[Event]:
        """Dial the line, whose first webhook is `voice_url` (relative to the base URL)."""
        self._begin()
        if self.state.status != "new":
            raise ValueError("the call has been started already")
        self.state.started_at = self._clock()
        self.state.status = "talking"
        self._open(urljoin(self.state.base_url, voice_url), method)
        return self._finish()

    def press(self, digits: str, then_wait: bool = True) -> list[Event]:
        """Press keys (0-9 * #).

        Where neither numDigits nor finishOnKey ends the Gather, Twilio sends the keys after a silence: that
        silence is taken to follow, unless `then_wait` is false (a keypad that sends each key by itself).
        Raises ValueError for a key that phones don't have.
        """
        if not digits or any(key not in KEYS for key in digits):
            raise ValueError(f"not keys of a phone: {digits!r}")
        self._begin()
        verb = self._verb()
        if self.state.status == "listening" and "dtmf" in _input_of(verb):
            self._take_keys(verb, digits, then_wait)
        elif self.state.status == "recording" and (key := _first_of(digits, _finish_keys_of(verb))):
            self._finish_recording(verb, max(1, self._seconds_since(self.state.act_started_at)), key, None)
        elif self.state.status == "connected":
            if verb.get("hangupOnStar") == "true" and "*" in digits:
                self._dial_ended("completed")
        else:
            self._notice(NotHeard(digits))
        return self._finish()

    def speak(self, text: str, confidence: float = 0.9) -> list[Event]:
        """Say something. `confidence` (0 to 1) is what the recogniser would report. Empty text is silence."""
        if not text.strip():
            return self.silence()
        self._begin()
        verb = self._verb()
        # Whichever of keys and speech comes first has precedence (docs/voice/twiml/gather#input).
        if self.state.status == "listening" and "speech" in _input_of(verb) and not self.state.keys:
            self._act(verb, {"SpeechResult": text.strip(), "Confidence": str(confidence)})
        elif self.state.status == "recording":
            self._finish_recording(verb, max(1, len(text) // 4), "", text.strip())
        elif self.state.status != "connected":
            self._notice(NotHeard(text))
        return self._finish()

    def silence(self) -> list[Event]:
        """Say and press nothing until the line loses patience."""
        self._begin()
        if self.state.status == "listening":
            self._take_silence(self._verb())
        elif self.state.status == "recording":
            self._finish_recording(self._verb(), 0, "", None)
        else:
            self._let_time_pass()
        return self._finish(time_has_passed=True)

    def wait(self) -> list[Event]:
        """Let time pass: a pause ends, waiting music goes on one cycle, a ringing phone is answered, and a
        Gather times out."""
        if self.state.status == "listening":
            return self.silence()
        self._begin()
        self._let_time_pass()
        return self._finish(time_has_passed=True)

    def finish_recording(self, seconds: int, transcript: str | None = None) -> list[Event]:
        """Stop talking, after `seconds` of recording; 0 is an empty recording, which Twilio does not send on.

        `transcript` is what a transcription service would make of it; it is sent where the Record asks for
        one.
        """
        if seconds < 0:
            raise ValueError("a recording can't be shorter than nothing")
        self._begin()
        if self.state.status == "recording":
            self._finish_recording(self._verb(), seconds, "", transcript)
        else:
            self._notice(NotHeard("recording"))
        return self._finish()

    def hang_up(self) -> list[Event]:
        """Put the phone down."""
        self._begin()
        if self.state.status in ("new", "ended"):
            return self._finish()
        self.state.call_status = "completed"
        verb = self._verb()
        seconds = self._seconds_since(self.state.act_started_at)
        if self.state.status == "recording" and seconds:
            self._notify(self._url_of(verb, "action"), verb.get("method", "POST"), self._recorded(seconds, "hangup"))
        elif self.state.status in ("dialling", "connected") and not self.state.queue and verb.get("action"):
            result = "completed" if self.state.status == "connected" else "no-answer"
            self._notify(self._url_of(verb, "action"), verb.get("method", "POST"), self._dialled(result))
        self._end("caller")
        return self._finish()

    # ---- what the other side does

    def other_side_answers(self) -> list[Event]:
        """The dialled phone is answered, or an operator takes the caller out of the queue (with Dial
        Queue)."""
        self._begin()
        if self.state.status == "dialling" or (self.state.queue and self.state.status != "connected"):
            self._answer()
        return self._finish()

    def other_side_hangs_up(self) -> list[Event]:
        """The other side ends the conversation (a phone that still rings is answered first)."""
        self._begin()
        if self.state.status == "dialling":
            self._answer()
        if self.state.status == "connected":
            self._dial_ended("completed")
        return self._finish()

    def dial_fails(self, why: DialFailure = "no-answer") -> list[Event]:
        """The ringing phone is not answered, is busy, or can't be reached."""
        self._begin()
        if self.state.status == "dialling":
            self._dial_ended(why)
        return self._finish()

    def redirected(self, url: str, method: str = "POST") -> list[Event]:
        """The line moves the call to `url` by Twilio's REST API (calls/<sid>, docs/voice/api/call-resource):
        whatever is going on stops, a queue is left with QueueResult=redirected."""
        self._begin()
        if self.state.status in ("new", "ended"):
            return self._finish()
        if (queue := self._leave()) and queue.action:
            self._notify(queue.action, queue.method, self._queue_result(queue, "redirected"))
        self._open(urljoin(self.state.base_url, url), method)
        return self._finish()

    def repeat_last_webhook(self) -> str:
        """Send the last webhook again, to the letter, as Twilio does when it got no answer. The call does
        not go on.

        Returns the answer's body. Raises ValueError when there was none yet, WebhookFailed when it gets no
        answer.
        """
        if self.state.last_request is None:
            raise ValueError("no webhook has been sent yet")
        _, _, body = self._send(self.state.last_request)
        return body.decode("utf-8", "replace")

    # ---- steps

    def _begin(self) -> None:
        self._events = []
        self._documents = 0

    def _finish(self, time_has_passed: bool = False) -> list[Event]:
        """Carry out the document for as long as the line has the word, then hand over what was noticed.

        A waiting document that has come to its end is asked for again only when time has passed there.
        """
        while self.state.status == "talking":
            page = self._page()
            verbs = parse_twiml(page.text, "text/xml", self._context()).verbs
            if self._documents > DOCUMENTS_IN_A_ROW:
                self._rest()
            elif page.at < len(verbs):
                page.at += 1
                time_has_passed = False
                self._carry_out(verbs[page.at - 1])
            elif not self.state.queue:
                self._end("document_end")
            elif time_has_passed:
                time_has_passed = False
                self._open_wait_page(self.state.queue)
            else:
                self._rest()
        return self._events

    def _carry_out(self, verb: Element) -> None:
        """Do one verb. What needs the caller, or time, takes the word from the line by changing the
        status."""
        match verb.name:
            case "Say" | "Play" | "Pause":
                self._sound(verb)
                # Music and pauses take time, in which a caller in a queue may be fetched.
                if verb.name == "Pause" or (verb.name == "Play" and self.state.queue):
                    self._rest()
            case "Gather":
                for prompt in verb.children:
                    self._sound(prompt)
                self.state.keys = ""
                self.state.status = "listening"
                self._notice(_listening(verb))
            case "Record":
                self.state.act_started_at = self._clock()
                self.state.status = "recording"
                self._notice(
                    Recording(
                        max_length=int(verb.get("maxLength", "3600")),
                        play_beep=verb.get("playBeep", "true") == "true",
                        finish_on_key=_finish_keys_of(verb),
                    )
                )
            case "Redirect":
                self._open(urljoin(self._page().url, verb.text), verb.get("method", "POST"))
            case "Hangup":
                self._end("line")
            case "Reject":
                reason = verb.get("reason", "rejected")
                self.state.call_status = REASON_OF_REJECT[reason]
                self._end(reason)
            case "Enqueue":
                self._enqueue(verb)
            case "Leave":
                self._leave_queue("leave")
            case "Dial":
                self.state.act_started_at = self._clock()
                self.state.status = "dialling"
                self._notice(_dialling(verb))

    def _sound(self, verb: Element) -> None:
        """Notice what is heard of a Say, Play or Pause."""
        match verb.name:
            case "Say":
                self._notice(Say(verb.text, verb.get("language"), verb.get("voice")))
            case "Play":
                url = urljoin(self._page().url, verb.text) if verb.text else ""
                self._notice(Play(url, verb.get("digits")))
            case "Pause":
                self._notice(Pause(int(verb.get("length", "1"))))

    def _rest(self) -> None:
        """Nothing more happens until time passes."""
        self.state.status = "queued" if self.state.queue else "paused"

    def _let_time_pass(self) -> None:
        if self.state.status in ("paused", "queued"):
            self.state.status = "talking"
        elif self.state.status == "dialling":
            self._answer()

    def _end(self, reason: str) -> None:
        """The call is over: tell the queue that the caller was in, then the status callback."""
        if self.state.call_status in ("ringing", "in-progress"):
            self.state.call_status = "completed"
        result = "bridged" if self.state.status == "connected" else "hangup"
        queue = self._leave()
        self.state.status = "ended"
        self._notice(HungUp(reason))
        if queue and queue.action:
            self._notify(queue.action, queue.method, self._queue_result(queue, result))
        if self.state.status_callback:
            # docs/voice/api/call-resource#statuscallback
            seconds = str(self._seconds_since(self.state.started_at))
            self._notify(
                self.state.status_callback,
                "POST",
                {
                    "CallDuration": seconds,
                    "Timestamp": formatdate(self._clock()),
                    "CallbackSource": "call-progress-events",
                    "SequenceNumber": "0",
                },
            )

    # ---- Gather

    def _take_keys(self, verb: Element, digits: str, then_wait: bool) -> None:
        """Collect keys until the Gather has all that it wants; what is pressed after that is lost."""
        wanted = int(verb.get("numDigits", "0"))
        for key in digits:
            if key == verb.get("finishOnKey", "#"):
                return self._take_silence(verb)
            self.state.keys += key
            if len(self.state.keys) == wanted:
                return self._take_silence(verb)
        if then_wait:
            return self._take_silence(verb)
        self._notice(Keys(self.state.keys))

    def _take_silence(self, verb: Element) -> None:
        """The Gather ends: with the keys it has, or with nothing, which falls through to the next verb unless
        actionOnEmptyResult asks for it (docs/voice/twiml/gather#actiononemptyresult)."""
        if self.state.keys:
            self._act(verb, {"Digits": self.state.keys})
        elif verb.get("actionOnEmptyResult") == "true":
            self._act(verb, {})
        else:
            self.state.status = "talking"

    def _act(self, verb: Element, params: dict[str, str]) -> None:
        """Ask the verb's action for the next document; without one, the current document's address is
        asked."""
        self._open(self._url_of(verb, "action"), verb.get("method", "POST"), params)

    # ---- Record

    def _finish_recording(self, verb: Element, seconds: int, key: str, transcript: str | None) -> None:
        """The recording ends: its action decides what next; an empty one falls through
        (docs/voice/twiml/record)."""
        events = verb.get("recordingStatusCallbackEvent", "completed").split()
        if not seconds:
            self.state.status = "talking"
            if "absent" in events:
                self._recording_callback(verb, {"RecordingStatus": "absent", "RecordingDuration": "0"})
            return
        recorded = self._recorded(min(seconds, int(verb.get("maxLength", "3600"))), key)
        self._act(verb, recorded)
        if "completed" in events:
            self._recording_callback(
                verb,
                {
                    **{name: value for name, value in recorded.items() if name != "Digits"},
                    "RecordingStatus": "completed",
                    "RecordingChannels": "1",
                    "RecordingSource": "RecordVerb",
                    "RecordingStartTime": formatdate(self.state.act_started_at),
                },
            )
        if transcript and verb.get("transcribe") == "true" and verb.get("transcribeCallback"):
            self._notify(
                self._url_of(verb, "transcribeCallback"),
                "POST",
                {
                    "TranscriptionSid": _sid("TR", self._random),
                    "TranscriptionText": transcript,
                    "TranscriptionStatus": "completed",
                    "RecordingSid": recorded["RecordingSid"],
                    "RecordingUrl": recorded["RecordingUrl"],
                },
            )

    def _recorded(self, seconds: int, key: str) -> dict[str, str]:
        """The parameters that tell of a new recording; `key` ended it ("hangup" when the caller hung up)."""
        sid = _sid("RE", self._random)
        url = urljoin(self.state.base_url, f"/phone/recordings/{sid}")
        params = {"RecordingUrl": url, "RecordingSid": sid, "RecordingDuration": str(seconds)}
        return {**params, "Digits": key} if key else params

    def _recording_callback(self, verb: Element, params: dict[str, str]) -> None:
        if verb.get("recordingStatusCallback"):
            url = self._url_of(verb, "recordingStatusCallback")
            self._notify(url, verb.get("recordingStatusCallbackMethod", "POST"), params)

    # ---- Enqueue

    def _enqueue(self, verb: Element) -> None:
        queue = Queue(
            name=verb.text or verb.get("workflowSid") or "default",
            sid=_sid("QU", self._random),
            since=self._clock(),
            action=self._url_of(verb, "action") if verb.get("action") else "",
            method=verb.get("method", "POST"),
            wait_url=self._url_of(verb, "waitUrl") if verb.get("waitUrl") else "",
            wait_method=verb.get("waitUrlMethod", "POST"),
            page=Page(DEFAULT_WAIT_URL, DEFAULT_WAIT_TWIML),
        )
        self.state.queue = queue
        self._notice(Queued(queue.name, self.state.queue_position))
        self._open_wait_page(queue)

    def _open_wait_page(self, queue: Queue) -> None:
        """Ask for what the waiting caller hears next
        (docs/voice/twiml/enqueue#attributes-waitUrl-parameters)."""
        if not queue.wait_url:
            queue.page = Page(DEFAULT_WAIT_URL, DEFAULT_WAIT_TWIML)
            return
        waited = str(self._seconds_since(queue.since))
        self._open(
            queue.wait_url,
            queue.wait_method,
            {
                "QueueSid": queue.sid,
                "QueueTime": waited,
                "AvgQueueTime": waited,
                "CurrentQueueSize": str(self.state.queue_position),
                "QueuePosition": str(self.state.queue_position),
                "MaxQueueSize": MAX_QUEUE_SIZE,
            },
        )

    def _leave(self) -> Queue | None:
        """Take the caller out of the queue, if in one."""
        queue, self.state.queue = self.state.queue, None
        return queue

    def _leave_queue(self, result: str) -> None:
        """Go on where the Enqueue says: its action, else the verb after it (docs/voice/twiml/leave)."""
        queue = self._leave()
        self.state.status = "talking"
        if queue and queue.action:
            self._open(queue.action, queue.method, self._queue_result(queue, result))

    def _queue_result(self, queue: Queue, result: str) -> dict[str, str]:
        waited = str(self._seconds_since(queue.since))
        return {"QueueResult": result, "QueueSid": queue.sid, "QueueTime": waited}

    # ---- Dial

    def _answer(self) -> None:
        self.state.status = "connected"
        self.state.act_started_at = self._clock()
        self._notice(Connected())

    def _dial_ended(self, result: str) -> None:
        """The conversation, or the attempt at one, is over (docs/voice/twiml/dial#action)."""
        if self.state.queue:
            return self._leave_queue("bridged")
        verb = self._verb()
        if verb.get("action"):
            self._act(verb, self._dialled(result))
        else:
            self.state.status = "talking"

    def _dialled(self, result: str) -> dict[str, str]:
        params = {"DialCallStatus": result, "DialCallSid": _sid("CA", self._random)}
        if result != "completed":
            return {**params, "DialBridged": "false"}
        seconds = str(self._seconds_since(self.state.act_started_at))
        return {**params, "DialBridged": "true", "DialCallDuration": seconds}

    # ---- webhooks

    def _open(self, url: str, method: str, params: dict[str, str] | None = None) -> None:
        """Ask `url` for a document and give it the word. A failure goes to the fallback address, once, else
        it ends the call (docs/usage/webhooks/voice-webhooks, "fallback")."""
        try:
            self._load(url, method, params or {})
        except (WebhookFailed, TwimlRefused) as failure:
            self._notice(Error(failure.code, failure.reason, url))
            if not self.state.fallback_url or url == self.state.fallback_url:
                self._end("error")
                return
            self._leave()
            self._open(self.state.fallback_url, "POST", {"ErrorCode": str(failure.code), "ErrorUrl": url})

    def _load(self, url: str, method: str, params: dict[str, str]) -> None:
        self._documents += 1
        content_type, body = self._call_webhook(url, method, params)
        parse_twiml(body, content_type, self._context())
        page = Page(url, body.decode("utf-8"))
        if self.state.queue:
            self.state.queue.page = page
        else:
            self.state.page = page
        self.state.call_status = "in-progress"
        self.state.status = "talking"

    def _notify(self, url: str, method: str, params: dict[str, str]) -> None:
        """Call a webhook whose answer makes no difference; only a failure is noticed."""
        try:
            self._call_webhook(url, method, params)
        except WebhookFailed as failure:
            self._notice(Error(failure.code, failure.reason, url))

    def _call_webhook(self, url: str, method: str, params: dict[str, str]) -> tuple[str, bytes]:
        """Send one webhook; return its Content-Type and body. Raises WebhookFailed for anything but a 2xx."""
        request = Request(
            method=method,
            url=urldefrag(url).url,  # a fragment holds Twilio's connection settings and is not sent
            params={**self._standard_params(), **params},
            token=str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
        )
        self.state.last_request = request
        entry: dict[str, Any] = {"method": method, "url": request.url, "status": None}
        self.state.log = [*self.state.log, entry][-LOGGED_REQUESTS:]
        status, content_type, body = self._send(request)
        entry["status"] = status
        if not 200 <= status < 300:
            raise WebhookFailed(f"HTTP status {status}")
        return content_type, body

    def _send(self, request: Request) -> Answer:
        """Sign and send. The signature covers the address, and for a POST also the form
        (webhooks-security)."""
        if _origin(request.url) != _origin(self.state.base_url):
            raise WebhookFailed(f"the practice phone calls only its own line, {self.state.base_url}")
        headers = {"I-Twilio-Idempotency-Token": request.token, "User-Agent": "TwilioProxy/1.1"}
        if request.method == "GET":
            joint = "&" if urlsplit(request.url).query else "?"
            url = request.url + joint + urlencode(request.params)
            headers["X-Twilio-Signature"] = self._validator.compute_signature(url, {})
            return self._transport.get(url, headers)
        headers["X-Twilio-Signature"] = self._validator.compute_signature(request.url, request.params)
        return self._transport.post(request.url, request.params, headers)

    def _standard_params(self) -> dict[str, str]:
        """What Twilio sends with every voice webhook. ForwardedFrom is left out, as for a call that was
        not."""
        return {
            "CallSid": self.state.call_sid,
            "AccountSid": self.state.account_sid,
            "From": self.state.from_,
            "To": self.state.to,
            "Caller": self.state.from_,
            "Called": self.state.to,
            "CallStatus": self.state.call_status,
            "Direction": "inbound",
            "ApiVersion": "2010-04-01",
            "FromCountry": "CN",
            "ToCountry": "CN",
            "CallerCountry": "CN",
            "CalledCountry": "CN",
        }

    # ---- small things

    def _notice(self, event: Event) -> None:
        self._events.append(event)

    def _context(self) -> Literal["call", "wait"]:
        return "wait" if self.state.queue else "call"

    def _page(self) -> Page:
        """The document being carried out."""
        page = self.state.queue.page if self.state.queue else self.state.page
        return page or Page(self.state.base_url, "<Response/>")

    def _verb(self) -> Element:
        """The verb under way; before the first one, a stand-in that listens to nothing."""
        page = self._page()
        verbs = parse_twiml(page.text, "text/xml", self._context()).verbs
        return verbs[page.at - 1] if 0 < page.at <= len(verbs) else Element("Pause")

    def _url_of(self, verb: Element, attribute: str) -> str:
        """The absolute address in an attribute; the current document's where there is none."""
        return urljoin(self._page().url, verb.get(attribute))

    def _seconds_since(self, moment: float) -> int:
        return max(0, int(self._clock() - moment))


def _sid(prefix: str, randomness: random.Random) -> str:
    """An identifier of Twilio's shape: two letters and 32 hexadecimal digits."""
    return f"{prefix}{randomness.getrandbits(128):032x}"


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _input_of(gather: Element) -> str:
    return gather.get("input", "dtmf")


def _finish_keys_of(record: Element) -> str:
    return record.get("finishOnKey", "1234567890*#")


def _first_of(digits: str, wanted: str) -> str:
    """The first of the pressed keys that is wanted, or ''."""
    return next((key for key in digits if key in wanted), "")


def _listening(gather: Element) -> Listening:
    timeout = gather.get("timeout", "5")
    return Listening(
        kind=" ".join(sorted(_input_of(gather).split())),
        num_digits=int(gather.get("numDigits")) if gather.get("numDigits") else None,
        finish_on_key=gather.get("finishOnKey", "#"),
        timeout=5 if timeout == "auto" else int(timeout),
        hints=tuple(hint.strip() for hint in gather.get("hints").split(",") if hint.strip()),
        language=gather.get("language", "en-US"),
    )


def _dialling(dial: Element) -> Dialling:
    """Who is rung: the number in the Dial itself, or its nouns."""
    if not dial.children:
        return Dialling("number", dial.text)
    names = [noun.text or next(c.text for c in noun.children if c.name == "Identity") for noun in dial.children]
    return Dialling(dial.children[0].name.lower(), ", ".join(names))
