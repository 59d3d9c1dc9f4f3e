"""The call as a stream: Twilio's ConversationRelay speaks and listens, and exchanges text with us over a websocket
(voice/conversationrelay/websocket-messages). The flow is the same as with <Gather>; what a stream can't do, the queue, a
recording, hanging up, goes on in TwiML after the session has ended."""

import json
import logging
from dataclasses import asdict, dataclass
from typing import Any

from flask import Blueprint, request
from flask_sock import Sock
from simple_websocket import ConnectionClosed, Server
from twilio.twiml.voice_response import Connect, VoiceResponse

from backend.knowledge.speech import seconds
from backend.parts import parts
from ivr.calls import caller_of, prompt
from ivr.flow import Heard, Next
from ivr.provider import signature_is_valid
from ivr.service import Line
from ivr.twiml import SILENCE_AFTER, SLOW_SILENCE_AFTER, SPEECH_LANGUAGES, VOICE_LANGUAGES, Speaker

log = logging.getLogger(__name__)
socket = Sock()

TTS_PROVIDERS = {"Polly": "Amazon", "Google": "Google"}
"""The first part of a <Say> voice -> what ConversationRelay calls its provider (voice/twiml/connect/conversationrelay)."""
RESUME_STEP = 50_000
"""The step at which a call goes on with <Gather> when its stream has failed; no session gets so far."""

Message = dict[str, Any]


def connect(speaker: Speaker, step: int) -> str:
    """The TwiML that begins a session; /ivr/relayed follows it, however it ends."""
    response = VoiceResponse()
    connection = Connect(action=speaker.url(f"/ivr/relayed?step={step}"), method="POST")
    relay = connection.conversation_relay(
        url=websocket_url(speaker.url("/ivr/relay")),
        **tts(speaker.voices[speaker.language]),
        tts_language=VOICE_LANGUAGES[speaker.language],
        transcription_language=SPEECH_LANGUAGES[speaker.language],
        interruptible="any",
        dtmf_detection=True,
        hints=speaker.hints or None,
    )
    for language, name in speaker.voices.items():
        relay.language(code=VOICE_LANGUAGES[language], **tts(name))
    response.append(connection)
    return str(response)


def tts(name: str) -> dict[str, str]:
    """A <Say> voice (Polly.Zhiyu) as ConversationRelay names it."""
    provider, _, voice = name.partition(".")
    return {"tts_provider": TTS_PROVIDERS.get(provider, provider), "voice": voice}


def websocket_url(url: str) -> str:
    """The address of a websocket on the same host: wss for https."""
    return "ws" + url.removeprefix("http")


@dataclass
class Session:
    """One session of one call. Fed with Twilio's messages and with silence, it returns the messages to send back."""

    line: Line
    call_sid: str = ""
    step: int = 0
    language: str = ""
    slow: bool = False
    keys: str = ""
    expects_digits: bool = False
    speaks: float = 0.0  # seconds that what was sent last takes to be said
    over: bool = False

    @property
    def patience(self) -> float:
        """Seconds to wait for the caller before that counts as silence, or as the end of keys."""
        silence = SLOW_SILENCE_AFTER if self.slow else SILENCE_AFTER
        return silence if self.keys else silence + self.speaks

    def receive(self, message: Message) -> list[Message]:
        """What to send after a message of Twilio's. Unknown ones, and what comes before `setup`, are passed over."""
        kind = message.get("type")
        if kind == "setup":
            return self.begin(message)
        if not self.call_sid:
            return []
        if kind == "prompt" and message.get("last", True):
            self.keys = ""
            return self.turn(Heard(speech=str(message.get("voicePrompt", ""))))
        if kind == "dtmf":
            return self.press(str(message.get("digit", "")))
        if kind == "interrupt":  # the caller speaks over us: what is left of our words is not waited for
            self.speaks = 0.0
        if kind == "error":
            log.warning("ConversationRelay: %s", str(message.get("description", ""))[:200])
        return []

    def silence(self) -> list[Message]:
        """What to send after `patience` seconds without a message: keys are complete, or nothing was said."""
        if not self.call_sid:
            return []
        keys, self.keys = self.keys, ""
        return self.turn(Heard(digits=keys))

    def begin(self, message: Message) -> list[Message]:
        """The session is there: greet."""
        self.call_sid = str(message.get("callSid", ""))[:40]
        following = self.line.begin(
            self.call_sid, caller_of(str(message.get("from", ""))), str(message.get("to", ""))[:20]
        )
        return self.say(following)

    def press(self, digit: str) -> list[Message]:
        """A key: by itself where one is enough, else kept until # or a pause."""
        if self.expects_digits and digit not in ("#", "*") and not (digit == "0" and not self.keys):
            self.keys += digit
            return []
        keys, self.keys = self.keys or digit, ""
        return self.turn(Heard(digits=keys)) if keys != "#" else []

    def turn(self, heard: Heard) -> list[Message]:
        """The caller did something, or nothing."""
        self.step += 1
        return self.say(self.line.turn(self.call_sid, self.step, heard))

    def say(self, following: Next) -> list[Message]:
        """The messages that do what follows: text to speak, or the end of the session with what TwiML has to do."""
        if following.does != "listen":
            self.over = True
            return [{"type": "end", "handoffData": json.dumps(asdict(following) | {"step": self.step + 1})}]
        self.expects_digits = following.expects_digits
        self.speaks = seconds("".join(following.prompts))
        texts = [text_message(words) for words in following.prompts]
        texts += [
            text_message(prompt("offer", language), lang=VOICE_LANGUAGES[language]) for language in following.offers
        ]
        if texts:
            texts[-1]["last"] = True
        return [*self.new_language(following), *texts]

    def new_language(self, following: Next) -> list[Message]:
        """The message that changes the language, if the caller has just asked for another; <Connect> has set the first."""
        before, self.language, self.slow = self.language, following.language, following.slow
        if before in ("", self.language):
            return []
        languages = {"ttsLanguage": VOICE_LANGUAGES, "transcriptionLanguage": SPEECH_LANGUAGES}
        return [{"type": "language"} | {name: table[self.language] for name, table in languages.items()}]


def text_message(words: str, **more: str) -> Message:
    """Words to be spoken; the last message of a turn says so."""
    return {"type": "text", "token": words, "last": False, **more}


def add_relay(blueprint: Blueprint) -> None:
    """Add the websocket to the phone line's addresses."""
    socket.route("/relay", bp=blueprint)(relay)


def relay(connection: Server) -> None:
    """One session, until either side ends it."""
    settings = parts().settings
    if not signature_is_valid(settings, websocket_url(f"{settings.base_url}/ivr/relay"), {}, request.headers, b""):
        log.warning("refused a stream with a wrong signature")
        connection.close(1008, "forbidden")
        return
    session = Session(Line(parts()))
    try:
        while not session.over:
            received = connection.receive(timeout=session.patience)
            answers = session.silence() if received is None else session.receive(read(received))
            for answer in answers:
                connection.send(json.dumps(answer, ensure_ascii=False))
    except ConnectionClosed:
        log.info("a stream was closed by the other side")


def read(received: str | bytes) -> Message:
    """A message as data; what is none is taken as an empty one."""
    try:
        message = json.loads(received)
    except ValueError:
        message = None
    return message if isinstance(message, dict) else {}


def handed_off(data: str) -> tuple[Next, int] | None:
    """What TwiML has to do after the session, and the step of what comes then, from the session's own handoff data (which
    comes back signed); None when there is none."""
    try:
        told = json.loads(data)
        following = Next(told["does"], tuple(told["prompts"]), language=told["language"], slow=told["slow"])
        return following, int(told["step"])
    except (ValueError, TypeError, KeyError):
        return None
