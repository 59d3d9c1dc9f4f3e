"""One practice call: carries out TwiML for a person, and calls the line's webhooks exactly as Twilio does.

Free of any terminal or browser: what the caller does are methods, what the caller notices are the events
that they return. Clock, randomness and transport are handed in. All state is one dataclass.

Facts: request parameters https://www.twilio.com/docs/voice/twiml#twilios-request-to-your-application, per
verb https://www.twilio.com/docs/voice/twiml/gather (and /record, /enqueue, /leave, /dial, /redirect),
signature https://www.twilio.com/docs/usage/webhooks/webhooks-security.

Where it differs from Twilio: `loop` is heard once; a caller who acts is taken to act at a moment when the
line is listening, so bargeIn changes nothing; HTTP redirects are failures; partialResultCallback is never
called; in a stream the line is read for as long as it speaks, and again at the next act.
"""

from __future__ import annotations

import contextlib
import json
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from email.utils import formatdate
from typing import Any, ClassVar, Literal, Protocol
from urllib.parse import parse_qsl, urldefrag, urlencode, urljoin, urlsplit

import httpx
from simple_websocket import Client, ConnectionClosed
from simple_websocket import ConnectionError as ConnectionError_
from twilio.request_validator import RequestValidator

from ivr.phone.twiml import HTTP_RETRIEVAL_FAILURE, Context, Element, TwimlRefused, parse_twiml

DEFAULT_FROM = "+8613800138000"
DEFAULT_TO = "+8612345"
PRACTICE_ACCOUNT = "AC" + "0" * 32
KEYS = "0123456789*#"

# Twilio waits this long for a webhook (docs/usage/webhooks/webhooks-connection-overrides, read timeout).
WEBHOOK_SECONDS = 15
# A document that leads to a document without ever listening: after this many the person gets a turn.
DOCUMENTS_IN_A_ROW = 20
LOGGED_REQUESTS = 30
# How long a stream is read after a key, which often has no answer of its own, and while the caller is silent.
AFTER_KEY_SECONDS = 2
SILENT_SECONDS = 30
# https://www.twilio.com/docs/api/errors/64102 (can't connect to the websocket) and /64105 (it ended unexpectedly)
STREAM_NOT_REACHED, STREAM_BROKEN = 64102, 64105
# docs/voice/twiml/enqueue: the default size of a queue, and the playlist heard when there is no waitUrl.
MAX_QUEUE_SIZE = "1000"
DEFAULT_WAIT_URL = "http://s3.amazonaws.com/com.twilio.sounds.music/index.xml"
DEFAULT_WAIT_TWIML = f"<Response><Play>{DEFAULT_WAIT_URL}</Play></Response>"

Status = Literal[
    "new", "talking", "listening", "recording", "paused", "queued", "dialling", "connected", "streaming", "ended"
]
DialFailure = Literal["no-answer", "busy", "failed", "completed"]  # completed: answered, but not connected
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
    """A webhook gave no document: unreachable, too slow, or an HTTP error. `code` is Twilio's; `kind` is what a retry
    policy calls it: ct (no connection), rt (no answer in time), 4xx, 5xx, or "" where there is nothing to try again."""

    def __init__(self, reason: str, code: int = HTTP_RETRIEVAL_FAILURE, kind: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.kind = kind


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
            kind = "ct" if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) else "rt"
            raise WebhookFailed(f"no answer: {type(error).__name__}: {error}", kind=kind) from error
        return response.status_code, response.headers.get("Content-Type", ""), response.content


class StreamClosed(Exception):
    """The other side has closed the stream, or it could not be opened."""


class Stream(Protocol):
    """A websocket to the line."""

    def send(self, text: str) -> None:
        """Send a message. Raises StreamClosed."""

    def receive(self, timeout: float) -> str | None:
        """The next message; None when none comes within `timeout` seconds. Raises StreamClosed."""

    def close(self) -> None:
        """Close it from this side."""


class Websocket:
    """The real stream. Raises StreamClosed when it can't be opened."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        try:
            self._client = Client.connect(url, headers=headers)
        except (OSError, ConnectionError_, ConnectionClosed) as error:
            raise StreamClosed(f"{type(error).__name__}: {error}") from error

    def send(self, text: str) -> None:
        try:
            self._client.send(text)
        except ConnectionClosed as error:
            raise StreamClosed(str(error)) from error

    def receive(self, timeout: float) -> str | None:
        try:
            message = self._client.receive(timeout=timeout)
        except ConnectionClosed as error:
            raise StreamClosed(str(error)) from error
        return None if message is None else str(message)

    def close(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            self._client.close()


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
    status_callback_method: str = "POST"
    status_callback_events: list[str] = field(default_factory=lambda: ["completed"])
    progress: int = 0  # events of the call so far, told or not
    account_sid: str = PRACTICE_ACCOUNT
    direction: str = "inbound"  # inbound, outbound-api or outbound-dial
    parent_call_sid: str = ""  # of the call whose Dial made this one
    answered_by: str = ""  # what machine detection said
    whisper: bool = False  # the document is heard before the two sides are connected
    dials: int = 0  # Dials carried out so far
    dialled_sid: str = ""  # the call that the Dial under way made
    status: Status = "new"
    call_status: str = "ringing"  # as Twilio tells it
    started_at: float = 0.0
    act_started_at: float = 0.0  # of the recording, dial or bridge under way
    keys: str = ""  # pressed so far, for the Gather under way
    session_sid: str = ""  # of the stream under way
    tokens: str = ""  # what the stream has said so far of what it is saying
    stream_language: str = ""
    queue_position: int = 1
    page: Page | None = None
    queue: Queue | None = None
    last_request: Request | None = None
    log: list[dict[str, Any]] = field(default_factory=list)  # method, url, status of the last requests


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
        open_stream: Callable[[str, dict[str, str]], Stream] = Websocket,
    ) -> None:
        self.state = state
        self._open_stream = open_stream
        self._stream: Stream | None = None
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
            call_sid=new_sid("CA", randomness),
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

    # ---- what the caller does

    def start(self, voice_url: str, method: str = "POST") -> list[Event]:
        """Dial the line, whose first webhook is `voice_url` (relative to the base URL). A call that the line made has been
        answered: what it hears is at `voice_url`."""
        self._begin()
        if self.state.status != "new":
            raise ValueError("the call has been started already")
        self.state.started_at = self.state.started_at or self._clock()
        self.state.status = "talking"
        self._open(urljoin(self.state.base_url, voice_url), method)
        return self._finish()

    def start_with(self, twiml: str) -> list[Event]:
        """A call that the line made has been answered, and hears this document (the REST API's Twiml parameter)."""
        self._begin()
        self.state.started_at = self.state.started_at or self._clock()
        self._open_text(twiml)
        return self._finish()

    def join(self) -> list[Event]:
        """A call that the line made has been answered, and is connected with no document of its own."""
        self._begin()
        self.state.started_at = self.state.started_at or self._clock()
        self.state.call_status = "in-progress"
        self._answer()
        return self._finish()

    def go_unanswered(self, call_status: str) -> list[Event]:
        """A call that the line made is not answered: no-answer, busy, failed or canceled."""
        self._begin()
        self.state.call_status = call_status
        self._end("line")
        return self._finish()

    def tell_progress(self, event: str, params: dict[str, str] | None = None) -> None:
        """Tell the status callback, if it wants this event: initiated, ringing, answered or completed
        (docs/voice/api/call-resource#statuscallback)."""
        number, self.state.progress = self.state.progress, self.state.progress + 1
        if self.state.status_callback and event in self.state.status_callback_events:
            self.notify(
                self.state.status_callback,
                self.state.status_callback_method,
                {
                    **(params or {}),
                    "Timestamp": formatdate(self._clock()),
                    "CallbackSource": "call-progress-events",
                    "SequenceNumber": str(number),
                },
            )

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
        elif self.state.status == "streaming":
            for key in digits:
                self._send_to_stream({"type": "dtmf", "digit": key})
            self._read_stream(AFTER_KEY_SECONDS)
        elif self.state.status == "recording" and (key := _first_of(digits, _finish_keys_of(verb))):
            self._finish_recording(verb, max(1, self._seconds_since(self.state.act_started_at)), key, None)
        elif self.state.status == "connected":
            if verb.name == "Dial" and verb.get("hangupOnStar") == "true" and "*" in digits:
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
        elif self.state.status == "streaming":
            language = self.state.stream_language
            self._send_to_stream({"type": "prompt", "voicePrompt": text.strip(), "lang": language, "last": True})
            self._read_stream(WEBHOOK_SECONDS)
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
        elif self.state.status == "streaming":
            self._read_stream(SILENT_SECONDS)
        else:
            self._let_time_pass()
        return self._finish(time_has_passed=True)

    def interrupt(self, heard: str, milliseconds: int = 1000) -> list[Event]:
        """Begin to speak or press while a stream still speaks, of which only `heard` was said; what the caller says
        follows as an act of its own."""
        self._begin()
        if self.state.status == "streaming":
            message = {"utteranceUntilInterrupt": heard, "durationUntilInterruptMs": milliseconds}
            self._send_to_stream({"type": "interrupt", **message})
        return self._finish()

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
        if self._close_stream() and verb.get("action"):
            self.notify(self._url_of(verb, "action"), verb.get("method", "POST"), self._session("completed"))
        seconds = self._seconds_since(self.state.act_started_at)
        if self.state.status == "recording" and seconds:
            self.notify(self._url_of(verb, "action"), verb.get("method", "POST"), self._recorded(seconds, "hangup"))
        elif self.state.status in ("dialling", "connected") and not self.state.queue and _asks_after_dial(verb):
            result = "completed" if self.state.status == "connected" else "no-answer"
            self.notify(self._url_of(verb, "action"), verb.get("method", "POST"), self._dialled(result))
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

    def redirected(self, url: str, method: str = "POST", twiml: str = "") -> list[Event]:
        """The line moves the call to `url`, or to the document `twiml`, by Twilio's REST API (calls/<sid>,
        docs/voice/api/call-resource): whatever is going on stops, a queue is left with QueueResult=redirected."""
        self._begin()
        if self.state.status in ("new", "ended"):
            return self._finish()
        self.state.whisper = False
        self._close_stream()
        if (queue := self._leave()) and queue.action:
            self.notify(queue.action, queue.method, self._queue_result(queue, "redirected"))
        if twiml:
            self._open_text(twiml)
        else:
            self._open(urljoin(self.state.base_url, url), method)
        return self._finish()

    def hung_up_by_line(self) -> list[Event]:
        """The line ends the call, by Twilio's REST API."""
        self._begin()
        if self.state.status not in ("new", "ended"):
            self._end("line")
        return self._finish()

    def listen_to(self, url: str, method: str, params: dict[str, str]) -> list[Event]:
        """Hear a document beside the call's own, which goes on untouched: a conference's waiting music or an announcement
        (docs/voice/twiml/conference#attributes-waitUrl)."""
        self._begin()
        try:
            content_type, body = self._call_webhook(urljoin(self.state.base_url, url), method, params)
            if content_type.startswith("audio/"):  # a sound file is as good as a document here
                self._notice(Play(url))
                return self._finish()
            for verb in parse_twiml(body, content_type, "hold").verbs:
                self._sound(verb)
        except (WebhookFailed, TwimlRefused) as failure:
            self._notice(Error(failure.code, failure.reason, url))
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
            elif self.state.whisper:
                self.state.whisper = False
                self._answer()
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
            case "Connect":
                self._begin_stream(verb.children[0])
            case "Dial":
                self.state.act_started_at = self._clock()
                self.state.dials += 1
                self.state.dialled_sid = new_sid("CA", self._random)
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
        elif self.state.status == "streaming":
            self._read_stream(0)

    def _end(self, reason: str) -> None:
        """The call is over: tell the queue that the caller was in, then the status callback."""
        if self.state.call_status in ("ringing", "in-progress"):
            self.state.call_status = "completed"
        self._close_stream()
        result = "bridged" if self.state.status == "connected" else "hangup"
        queue = self._leave()
        self.state.status = "ended"
        self._notice(HungUp(reason))
        if queue and queue.action:
            self.notify(queue.action, queue.method, self._queue_result(queue, result))
        seconds = str(self._seconds_since(self.state.started_at) if self.state.started_at else 0)
        self.tell_progress("completed", {"CallDuration": seconds})

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
            self.notify(
                self._url_of(verb, "transcribeCallback"),
                "POST",
                {
                    "TranscriptionSid": new_sid("TR", self._random),
                    "TranscriptionText": transcript,
                    "TranscriptionStatus": "completed",
                    "RecordingSid": recorded["RecordingSid"],
                    "RecordingUrl": recorded["RecordingUrl"],
                },
            )

    def _recorded(self, seconds: int, key: str) -> dict[str, str]:
        """The parameters that tell of a new recording; `key` ended it ("hangup" when the caller hung up)."""
        sid = new_sid("RE", self._random)
        url = self.keep_recording(sid, seconds)
        params = {"RecordingUrl": url, "RecordingSid": sid, "RecordingDuration": str(seconds)}
        return {**params, "Digits": key} if key else params

    def keep_recording(self, sid: str, seconds: int) -> str:
        """Where the new recording can be fetched: nobody's voice is kept, the line's own page gives silence."""
        return urljoin(self.state.base_url, f"/phone/recordings/{sid}")

    def _recording_callback(self, verb: Element, params: dict[str, str]) -> None:
        if verb.get("recordingStatusCallback"):
            url = self._url_of(verb, "recordingStatusCallback")
            self.notify(url, verb.get("recordingStatusCallbackMethod", "POST"), params)

    # ---- Enqueue

    def _enqueue(self, verb: Element) -> None:
        name = verb.text or verb.get("workflowSid") or "default"
        sid, self.state.queue_position = self.place_in_queue(name)
        queue = Queue(
            name=name,
            sid=sid,
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

    def place_in_queue(self, name: str) -> tuple[str, int]:
        """The queue's SID and the position at which this call enters it: a telephone by itself is alone there."""
        return new_sid("QU", self._random), self.state.queue_position

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
        if verb.name != "Dial":  # this is the side that was dialled
            self._end("line")
        elif verb.get("action"):
            self._act(verb, self._dialled(result))
        else:
            self.state.status = "talking"

    def _dialled(self, result: str) -> dict[str, str]:
        params = {"DialCallStatus": result, "DialCallSid": self.state.dialled_sid}
        if self.state.status != "connected":
            return {**params, "DialBridged": "false"}
        seconds = str(self._seconds_since(self.state.act_started_at))
        return {**params, "DialBridged": "true", "DialCallDuration": seconds}

    # ---- ConversationRelay (docs/voice/conversationrelay/websocket-messages)

    def _begin_stream(self, relay: Element) -> None:
        """Connect to the line's websocket and tell it about the call."""
        self.state.session_sid = new_sid("VX", self._random)
        self.state.act_started_at = self._clock()
        self.state.tokens, self.state.stream_language = "", relay.get("ttsLanguage") or relay.get("language", "en-US")
        url = relay.get("url")
        if urlsplit(url).netloc != urlsplit(self.state.base_url).netloc:
            return self._stream_ended("failed", STREAM_NOT_REACHED, f"not an address of {self.state.base_url}")
        try:
            self._stream = self._open_stream(url, {"X-Twilio-Signature": self._validator.compute_signature(url, {})})
        except StreamClosed as error:
            return self._stream_ended("failed", STREAM_NOT_REACHED, str(error))
        self.state.status = "streaming"
        if relay.get("welcomeGreeting"):
            self._notice(Say(relay.get("welcomeGreeting"), self.state.stream_language))
        parameters = {child.get("name"): child.get("value") for child in relay.children if child.name == "Parameter"}
        self._send_to_stream(
            {
                "type": "setup",
                "sessionId": self.state.session_sid,
                "accountSid": self.state.account_sid,
                "parentCallSid": self.state.parent_call_sid,
                "callSid": self.state.call_sid,
                "from": self.state.from_,
                "to": self.state.to,
                "forwardedFrom": "",
                "callType": "PSTN",
                "callerName": "",
                "direction": self.state.direction,
                "callStatus": self.state.call_status.upper(),
                "customParameters": parameters,
            }
        )
        self._read_stream(0 if relay.get("welcomeGreeting") else WEBHOOK_SECONDS)

    def _send_to_stream(self, message: dict[str, Any]) -> None:
        if self._stream is None:
            return
        try:
            self._stream.send(json.dumps(message, ensure_ascii=False))
        except StreamClosed as error:
            self._stream_ended("failed", STREAM_BROKEN, str(error))

    def _read_stream(self, patience: float) -> None:
        """Do what the line sends: up to the end of what it says, or until it has been silent for `patience` seconds."""
        try:
            while self._stream and (text := self._stream.receive(patience)) is not None:
                if self._do_message(_message(text)):
                    patience = 0
        except StreamClosed as error:
            self._stream_ended("failed", STREAM_BROKEN, str(error))

    def _do_message(self, message: dict[str, Any]) -> bool:
        """Do one message of the line's; whether it was the end of what the line says."""
        match message.get("type"):
            case "text" if isinstance(message.get("token"), str):
                language = message.get("lang") or self.state.stream_language
                if message.get("lang"):  # another language: what was said before it is a sentence of its own
                    self._say_tokens(self.state.stream_language)
                self.state.tokens += message["token"]
                if message.get("last") is True or message.get("lang"):
                    self._say_tokens(language)
                return message.get("last") is True
            case "play" if isinstance(message.get("source"), str):
                self._notice(Play(message["source"]))
            case "sendDigits" if isinstance(message.get("digits"), str):
                self._notice(Play("", message["digits"]))
            case "language" if message.get("ttsLanguage") or message.get("transcriptionLanguage"):
                self.state.stream_language = message.get("ttsLanguage") or self.state.stream_language
            case "end":
                self._say_tokens(self.state.stream_language)
                self._stream_ended("ended", handoff=message.get("handoffData"))
                return True
            case other:
                self._send_to_stream({"type": "error", "description": f"Invalid message received: {other}"})
        return False

    def _say_tokens(self, language: str) -> None:
        said, self.state.tokens = self.state.tokens, ""
        if said:
            self._notice(Say(said, language))

    def _stream_ended(self, status: str, code: int = 0, reason: str = "", handoff: str | None = None) -> None:
        """The session is over: the Connect's action decides what next, else the document goes on
        (docs/voice/twiml/connect/conversationrelay)."""
        self._close_stream()
        verb, params = self._verb(), self._session(status)
        if code:
            self._notice(Error(code, reason, verb.children[0].get("url") if verb.children else ""))
            params |= {"ErrorCode": str(code), "ErrorMessage": reason[:200]}
        if handoff is not None:
            params["HandoffData"] = handoff
        if verb.get("action"):
            self._act(verb, params)
        else:
            self.state.status = "talking"

    def _session(self, status: str) -> dict[str, str]:
        seconds = str(self._seconds_since(self.state.act_started_at))
        return {"SessionId": self.state.session_sid, "SessionStatus": status, "SessionDuration": seconds}

    def _close_stream(self) -> bool:
        """Close the stream, if there is one; whether there was."""
        stream, self._stream = self._stream, None
        if stream:
            stream.close()
        return stream is not None

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
        self._take_up(Page(url, body.decode("utf-8")))

    def _open_text(self, twiml: str) -> None:
        """Give the word to a document that came by the REST API."""
        try:
            parse_twiml(twiml, "text/xml", self._context())
        except TwimlRefused as failure:
            self._notice(Error(failure.code, failure.reason, ""))
            self._end("error")
            return
        self._take_up(Page(self.state.base_url, twiml))

    def _take_up(self, page: Page) -> None:
        if self.state.queue:
            self.state.queue.page = page
        else:
            self.state.page = page
        self.state.call_status = "in-progress"
        self.state.status = "talking"

    def notify(self, url: str, method: str, params: dict[str, str]) -> None:
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
        retries, policy = retries_of(url)
        for left in range(retries, -1, -1):
            try:
                return self._try_webhook(request)
            except WebhookFailed as failure:
                if not left or not failure.kind or not {failure.kind, "all"} & policy:
                    raise
        raise AssertionError("the last try returns or raises")

    def _try_webhook(self, request: Request) -> tuple[str, bytes]:
        """Send it once, and write down what came of it."""
        entry: dict[str, Any] = {"method": request.method, "url": request.url, "status": None}
        self.state.log = [*self.state.log, entry][-LOGGED_REQUESTS:]
        status, content_type, body = self._send(request)
        entry["status"] = status
        if not 200 <= status < 300:
            raise WebhookFailed(f"HTTP status {status}", kind=f"{status // 100}xx")
        return content_type, body

    def _send(self, request: Request) -> Answer:
        """Sign and send. The signature covers the address, and for a POST also the form
        (webhooks-security)."""
        return send_signed(self._transport, self._validator, self.state.base_url, request)

    def _standard_params(self) -> dict[str, str]:
        """What Twilio sends with every voice webhook. ForwardedFrom is left out, as for a call that was
        not."""
        outbound = {"ParentCallSid": self.state.parent_call_sid, "AnsweredBy": self.state.answered_by}
        return {
            **{name: value for name, value in outbound.items() if value},
            "CallSid": self.state.call_sid,
            "AccountSid": self.state.account_sid,
            "From": self.state.from_,
            "To": self.state.to,
            "Caller": self.state.from_,
            "Called": self.state.to,
            "CallStatus": self.state.call_status,
            "Direction": self.state.direction,
            "ApiVersion": "2010-04-01",
            "FromCountry": "CN",
            "ToCountry": "CN",
            "CallerCountry": "CN",
            "CalledCountry": "CN",
        }

    # ---- small things

    def _notice(self, event: Event) -> None:
        self._events.append(event)

    def _context(self) -> Context:
        if self.state.queue:
            return "wait"
        return "whisper" if self.state.whisper else "call"

    def _page(self) -> Page:
        """The document being carried out."""
        page = self.state.queue.page if self.state.queue else self.state.page
        return page or Page(self.state.base_url, "<Response/>")

    @property
    def verb(self) -> Element:
        """The verb under way: what a Dial rings, for one."""
        return self._verb()

    def url_of(self, verb: Element, attribute: str) -> str:
        """The absolute address in an attribute of a verb or noun under way; "" where it has none."""
        return self._url_of(verb, attribute) if verb.get(attribute) else ""

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


def retries_of(url: str) -> tuple[int, set[str]]:
    """How often a webhook is tried again, and after what (ct, rt, 4xx, 5xx, all), as the connection overrides in its
    fragment say, such as #rc=2&rp=5xx,rt (docs/usage/webhooks/webhooks-connection-overrides: rc 0 to 5, else 1; rp else
    ct). A retry is the same to the letter, with its I-Twilio-Idempotency-Token."""
    overrides = dict(parse_qsl(urldefrag(url).fragment))
    count = overrides.get("rc", "1")
    return (min(int(count), 5) if count.isdecimal() else 1), set(overrides.get("rp", "ct").split(","))


def _message(text: str) -> dict[str, Any]:
    """A message of a stream; an empty one for what is none."""
    try:
        message = json.loads(text)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def send_signed(transport: Transport, validator: RequestValidator, base_url: str, request: Request) -> Answer:
    """Send one webhook as Twilio does, with its signature. Raises WebhookFailed when there is no answer, and for addresses
    that are not the line's own: nobody else is ever called."""
    if _origin(request.url) != _origin(base_url):
        raise WebhookFailed(f"the practice phone calls only its own line, {base_url}")
    headers = {"I-Twilio-Idempotency-Token": request.token, "User-Agent": "TwilioProxy/1.1"}
    if request.method == "GET":
        joint = "&" if urlsplit(request.url).query else "?"
        url = request.url + joint + urlencode(request.params)
        headers["X-Twilio-Signature"] = validator.compute_signature(url, {})
        return transport.get(url, headers)
    headers["X-Twilio-Signature"] = validator.compute_signature(request.url, request.params)
    return transport.post(request.url, request.params, headers)


def new_sid(prefix: str, randomness: random.Random) -> str:
    """An identifier of Twilio's shape: two letters and 32 hexadecimal digits."""
    return f"{prefix}{randomness.getrandbits(128):032x}"


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _input_of(gather: Element) -> str:
    return gather.get("input", "dtmf")


def _asks_after_dial(verb: Element) -> bool:
    return verb.name == "Dial" and bool(verb.get("action"))


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
