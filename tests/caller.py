"""A second telephone, for tests alone: plain HTTP, signed, written from Twilio's documents (voice/twiml and its pages on
gather, record, enqueue, redirect, dial, connect; voice/conversationrelay; usage/webhooks/webhooks-security) and not from the
practice phone's code, so that one mistake can't hide in both."""

import base64
import contextlib
import hashlib
import hmac
import itertools
import json
import secrets
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree

import httpx
from simple_websocket import Client, ConnectionClosed

NUMBER, LINE = "+8613800138000", "+8612345"
DOCUMENTS_IN_A_ROW = 20
LONGEST_DOCUMENT = 64_000
"""Bytes (error 11750)."""
Form = dict[str, str]


class Broken(AssertionError):
    """The line answered with something that Twilio would not carry out."""


def sign(token: str, url: str, form: Form) -> str:
    """X-Twilio-Signature: HMAC-SHA1 of the URL with all fields, sorted by name, in base64."""
    whole = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), whole.encode(), hashlib.sha1).digest()).decode()


class Caller:
    """Somebody who telephones. `state` is ringing, listening, recording, waiting, talking or over; `said` is all that was
    heard, a piece each; `web` reaches the line."""

    def __init__(
        self, base_url: str, token: str, web: httpx.Client | None = None, number: str = NUMBER, to: str = LINE
    ) -> None:
        self.base_url, self.token = base_url, token
        self.web = web or httpx.Client(timeout=15, trust_env=False)
        self.sid = "CA" + secrets.token_hex(16)
        self.number, self.to = number, to
        self.state = "ringing"
        self.said: list[str] = []
        self.sent: list[tuple[str, Form]] = []
        self.gather: ElementTree.Element | None = None
        self.enqueued: tuple[ElementTree.Element, str] | None = None
        self.after: list[ElementTree.Element] = []
        self.stream: Client | None = None
        self.connect: ElementTree.Element | None = None
        self.at = ""
        self.waited = 0

    # ---- what the caller does

    def dial(self) -> "Caller":
        """Telephone the line."""
        self.follow("/ivr/voice", {"CallStatus": "ringing"})
        return self

    def say(self, words: str, confidence: float = 0.9) -> str:
        """Speak. Returns what is heard next."""
        return self.heard(lambda: self.answer({"SpeechResult": words, "Confidence": str(confidence)}, "speech"))

    def press(self, keys: str) -> str:
        """Press keys, with # where they end in one."""
        if self.state == "recording":
            return self.heard(lambda: self.leave_message(5, keys))
        return self.heard(lambda: self.answer({"Digits": keys.rstrip("#") or keys}, "dtmf"))

    def keep_silent(self) -> str:
        """Say and press nothing."""
        if self.state == "recording":
            return self.heard(lambda: self.leave_message(0))
        return self.heard(lambda: self.answer({}, ""))

    def speak_message(self, seconds: int = 8) -> str:
        """Speak after the tone."""
        return self.heard(lambda: self.leave_message(seconds))

    def hang_up(self) -> None:
        """Put the receiver down."""
        if self.state == "waiting" and self.enqueued:
            action = self.enqueued[0].get("action")
            if action:
                self.post(urljoin(self.enqueued[1], action), {"QueueResult": "hangup", "CallStatus": "completed"})
        self.end()

    def send_again(self) -> str:
        """Twilio repeats the last webhook that asked for a document; nothing may change. Returns the document."""
        url, form = self.sent[-1]
        return self.post(url, form, keep=False)

    # ---- what Twilio does

    def heard(self, act: Callable[[], None]) -> str:
        before = len(self.said)
        act()
        return "\n".join(self.said[before:])

    def answer(self, brought: Form, kind: str) -> None:
        if self.stream is not None:
            return self.stream_answer(brought)
        if self.gather is None:
            if self.state == "waiting":
                self.wait_round()
            return
        gather, self.gather = self.gather, None
        if kind and kind not in gather.get("input", "dtmf").split():
            self.gather = gather
            return
        if not brought and gather.get("actionOnEmptyResult") != "true":
            return self.carry_on()
        self.follow(gather.get("action", self.at), brought)

    def leave_message(self, seconds: int, keys: str = "") -> None:
        record, self.gather = self.gather, None
        assert record is not None
        if not seconds:
            return self.carry_on()
        address = f"{self.base_url}/recordings/RE{secrets.token_hex(16)}"
        self.follow(
            record.get("action", self.at),
            {"RecordingUrl": address, "RecordingDuration": str(seconds), "Digits": keys or "hangup"},
        )

    def wait_round(self) -> None:
        """The wait document has been heard to its end: it is asked for again, from where it left off."""
        self.waited += 10
        self.carry_on()

    def follow(self, where: str, brought: Form) -> None:
        """Ask the line what to do next, and do it."""
        url = urljoin(self.at or self.base_url, where)
        self.run(url, self.post(url, brought))

    def post(self, url: str, brought: Form, keep: bool = True) -> str:
        form = {"CallSid": self.sid, "From": self.number, "To": self.to, "Direction": "inbound", "AccountSid": "AC0"}
        form |= {"CallStatus": "in-progress"} | brought
        if self.enqueued:
            form |= {"QueueTime": str(self.waited), "QueueSid": "QU" + "0" * 32, "QueuePosition": "1"}
        if keep:
            self.sent.append((url, form))
        response = self.web.post(url, data=form, headers={"X-Twilio-Signature": sign(self.token, url, form)})
        if response.status_code >= 400:
            raise Broken(f"{urlsplit(url).path}: {response.status_code}")
        if len(response.content) > LONGEST_DOCUMENT:
            raise Broken(f"{urlsplit(url).path}: {len(response.content)} bytes")
        return response.text

    def run(self, url: str, document: str) -> None:
        root = ElementTree.fromstring(document)
        if root.tag != "Response":
            raise Broken(f"no TwiML: {root.tag}")
        self.at, self.after = url, list(root)
        self.carry_on()

    def carry_on(self) -> None:
        """Do the verbs that are left, until the line needs the caller or the call is over."""
        for _ in itertools.repeat(None, DOCUMENTS_IN_A_ROW):
            if not self.after:
                if self.enqueued:
                    self.follow_wait(self.at)
                    return
                return self.end()
            verb = self.after.pop(0)
            if verb.tag in ("Say", "Play", "Pause"):
                self.listen_to(verb)
            elif verb.tag == "Gather":
                for inner in verb:
                    self.listen_to(inner)
                self.gather = verb
                self.state = "waiting" if self.enqueued else "listening"
                return
            elif verb.tag == "Record":
                self.state, self.gather = "recording", verb
                return
            elif verb.tag == "Redirect":
                return self.follow((verb.text or "").strip(), {})
            elif verb.tag == "Enqueue":
                self.state, self.enqueued, self.waited = "waiting", (verb, self.at), 0
                return self.follow_wait(verb.get("waitUrl", ""))
            elif verb.tag == "Leave":
                return self.leave_queue()
            elif verb.tag == "Connect":
                return self.open_stream(verb)
            elif verb.tag == "Dial":
                self.state = "talking"
                return
            elif verb.tag in ("Hangup", "Reject"):
                return self.end()
            else:
                raise Broken(f"no such verb: {verb.tag}")
        raise Broken("the line never listens")

    def open_stream(self, connect: ElementTree.Element) -> None:
        """Speak with the line over a websocket, as ConversationRelay does (voice/conversationrelay/websocket-messages)."""
        url = connect[0].get("url", "")
        self.stream = Client(url, headers={"X-Twilio-Signature": sign(self.token, url, {})})
        self.connect, self.state = connect, "listening"
        self.stream_message({"type": "setup", "callSid": self.sid, "from": self.number, "to": self.to})

    def stream_message(self, message: dict[str, object]) -> None:
        """Send one message and hear what the line says to it; what the session hands over is done in TwiML."""
        assert self.stream is not None and self.connect is not None
        self.stream.send(json.dumps(message))
        while True:
            received = json.loads(self.stream.receive(timeout=30) or "{}")
            if received.get("type") == "text":
                self.said.append(received["token"])
            if received.get("type") == "end":
                self.put_stream_down()
                handed = {"SessionStatus": "ended", "HandoffData": received["handoffData"]}
                return self.follow(self.connect.get("action", self.at), handed)
            if received.get("type") != "language" and received.get("last", True):
                return None

    def stream_answer(self, brought: Form) -> None:
        """Say something or press keys on the stream; silence is what the line itself waits for."""
        if "SpeechResult" in brought:
            return self.stream_message({"type": "prompt", "voicePrompt": brought["SpeechResult"], "last": True})
        assert self.stream is not None
        digits = brought["Digits"]
        *keys, last = list(digits + "#" if len(digits) > 1 else digits)
        for key in keys:
            self.stream.send(json.dumps({"type": "dtmf", "digit": key}))
        return self.stream_message({"type": "dtmf", "digit": last})

    def put_stream_down(self) -> None:
        """The session is over, whoever has ended it."""
        if self.stream is not None:
            with contextlib.suppress(ConnectionClosed, OSError):  # the line may have hung up first
                self.stream.close()
            self.stream = None

    def follow_wait(self, where: str) -> None:
        if where:
            self.follow(where, {})

    def leave_queue(self) -> None:
        assert self.enqueued is not None
        enqueue, at = self.enqueued
        self.enqueued, self.at = None, at
        self.follow(enqueue.get("action", at), {"QueueResult": "leave", "QueueTime": str(self.waited)})

    def listen_to(self, verb: ElementTree.Element) -> None:
        words = "".join(verb.itertext()).strip()
        if verb.tag == "Say":
            if not words:
                raise Broken("an empty <Say>")
            self.said.append(words)

    def end(self) -> None:
        self.put_stream_down()
        self.state, self.gather, self.enqueued = "over", None, None
        self.post(f"{self.base_url}/ivr/status", {"CallStatus": "completed"}, keep=False)
