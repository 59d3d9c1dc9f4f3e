"""TwiML: the documents that the line answers webhooks with, built by the twilio package.

Voices and languages follow voice/twiml/say (text-to-speech) and voice/twiml/gather; every URL is absolute, under the public
base URL.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from twilio.twiml.voice_response import Dial, Gather, Say, VoiceResponse

from backend.settings import Settings
from ivr.music import PIECES

SPEECH_LANGUAGES = {"zh": "cmn-Hans-CN", "yue": "yue-Hant-HK", "en": "en-US"}
VOICE_LANGUAGES = {"zh": "cmn-CN", "yue": "yue-CN", "en": "en-US"}

SILENCE_AFTER = 5
"""Seconds without a word or key before a <Gather> gives up."""
SLOW_SILENCE_AFTER = 10
SLOW_RATE = "80%"
"""How fast the line speaks to those who asked it to speak slowly (<prosody rate>, voice/twiml/say/text-speech)."""
LONGEST_MESSAGE = 180
"""Seconds of a recorded message."""
SAY_LIMIT = 450
"""Characters of one <Say>: Twilio takes 4500 as sent, and a Chinese character is sent as nine (error 13521)."""


NOTHING = str(VoiceResponse())
"""The answer where nothing is to be done."""


def speaker(settings: Settings, language: str, slow: bool, hints: str = "") -> "Speaker":
    """How the line speaks in a call of this language (zh, yue, en), and where it listens, what callers are likely to say
    (Parts.speech_hints)."""
    voices = {"zh": settings.voice_zh, "yue": settings.voice_yue, "en": settings.voice_en}
    return Speaker(language, voices, settings.base_url, slow, hints)


@dataclass(frozen=True)
class Speaker:
    """How the line speaks in one call, and where its webhooks are."""

    language: str  # zh, yue or en
    voices: Mapping[str, str]  # by language
    base_url: str
    slow: bool
    hints: str

    def url(self, path: str) -> str:
        """The absolute address of a webhook or sound."""
        return f"{self.base_url}{path}"

    def say_to(self, verb: VoiceResponse | Gather, text: str, language: str = "") -> None:
        """Speak `text` inside `verb`, in as many <Say> as its length needs, slowly and with a pause after it where the
        caller wants that; in the call's language, or another."""
        language = language or self.language
        for begin in range(0, len(text), SAY_LIMIT):
            part = text[begin : begin + SAY_LIMIT]
            say = Say("" if self.slow else part, voice=self.voices[language], language=VOICE_LANGUAGES[language])
            if self.slow:
                say.prosody(part, rate=SLOW_RATE)
            verb.append(say)
        if self.slow:
            verb.pause(length=1)

    def listen(
        self,
        prompts: Sequence[str],
        step: int,
        expects_digits: bool = False,
        offers: Mapping[str, str] = MappingProxyType({}),
        to: str = "/ivr/turn",
    ) -> str:
        """Say the prompts, and each of the offers (language -> sentence) in its own language, and listen for speech and
        keys; the caller may interrupt (bargeIn is true unless said otherwise). The result goes to the webhook `to`."""
        response = VoiceResponse()
        gather = Gather(
            input="speech dtmf",
            action=self.url(f"{to}?step={step}"),
            method="POST",
            language=SPEECH_LANGUAGES[self.language],
            speech_timeout="auto",
            timeout=SLOW_SILENCE_AFTER if self.slow else SILENCE_AFTER,
            action_on_empty_result=True,
            finish_on_key="#",
            hints=self.hints or None,
            **({} if expects_digits else {"num_digits": 1}),
        )
        for prompt in prompts:
            self.say_to(gather, prompt)
        for language, offer in offers.items():
            self.say_to(gather, offer, language)
        response.append(gather)
        return str(response)

    def record(self, prompts: Sequence[str], step: int) -> str:
        """Say the prompts and record a message; with or without one the call goes on at /ivr/recorded."""
        response = VoiceResponse()
        for prompt in prompts:
            self.say_to(response, prompt)
        after = self.url(f"/ivr/recorded?step={step}")
        response.record(
            action=after, method="POST", max_length=LONGEST_MESSAGE, timeout=8, finish_on_key="#", play_beep=True
        )
        response.redirect(after, method="POST")
        return str(response)

    def enqueue(self, prompts: Sequence[str], name: str, step: int) -> str:
        """Say the prompts and put the call into its queue; /ivr/wait plays while it waits, /ivr/left follows."""
        response = VoiceResponse()
        for prompt in prompts:
            self.say_to(response, prompt)
        response.enqueue(
            name,
            action=self.url(f"/ivr/left?step={step}"),
            method="POST",
            wait_url=self.url("/ivr/wait"),
            wait_url_method="POST",
        )
        return str(response)

    def wait(self, prompts: Sequence[str], told: int, piece: int = 0) -> str:
        """One round of waiting, of about four seconds without words: the prompts, a piece of the music, and time for a key.
        `told` is the second of the wait at which the caller was told the place last."""
        response = VoiceResponse()
        again = self.url(f"/ivr/wait?told={told}")
        gather = Gather(input="dtmf", num_digits=1, timeout=1, action=again, method="POST", finish_on_key="")
        for prompt in prompts:
            self.say_to(gather, prompt)
        gather.play(self.url(f"/ivr/music.wav?piece={piece % PIECES}"))
        response.append(gather)
        response.redirect(again, method="POST")
        return str(response)

    def ask_keys(self, prompts: Sequence[str], asked: Literal["number", "confirm"]) -> str:
        """Ask a caller in the queue for a telephone number, or whether one is right; the keys go to /ivr/wait."""
        response = VoiceResponse()
        one_key = {"num_digits": 1, "finish_on_key": ""} if asked == "confirm" else {"finish_on_key": "#"}
        gather = Gather(input="dtmf", timeout=8, action=self.url(f"/ivr/wait?asked={asked}"), method="POST", **one_key)
        for prompt in prompts:
            self.say_to(gather, prompt)
        response.append(gather)
        response.redirect(self.url("/ivr/wait"), method="POST")
        return str(response)

    def leave(self) -> str:
        """Take the call out of the queue; Twilio then asks the <Enqueue>'s action."""
        response = VoiceResponse()
        response.leave()
        return str(response)

    def dial(self, prompts: Sequence[str], telephone: str, conversation_id: str, step: int, recorded: bool) -> str:
        """Connect the caller to an operator's telephone (+86…) or browser (client:name), where /ivr/whisper first says what
        the call is about."""
        response = VoiceResponse()
        for prompt in prompts:
            self.say_to(response, prompt)
        dial = Dial(
            action=self.url(f"/ivr/dialled?step={step}"),
            method="POST",
            timeout=25,
            **self.recording("record-from-answer", conversation_id, recorded),
        )
        whisper = self.url(f"/ivr/whisper?conversation={conversation_id}")
        if telephone.startswith("client:"):
            dial.client(telephone.removeprefix("client:"), url=whisper, method="POST")
        else:
            dial.number(telephone, url=whisper, method="POST")
        response.append(dial)
        return str(response)

    def meet(self, prompts: Sequence[str], room: str, step: int, recorded: bool) -> str:
        """The caller enters the conference of this name and hears music until the operator is there. Whoever leaves of the
        two, the conference ends, and the call goes on at /ivr/dialled (voice/twiml/conference)."""
        response = VoiceResponse()
        for prompt in prompts:
            self.say_to(response, prompt)
        dial = Dial(action=self.url(f"/ivr/dialled?step={step}"), method="POST")
        dial.conference(
            room,
            start_conference_on_enter=False,
            end_conference_on_exit=True,
            beep="false",
            wait_url=self.url("/ivr/music.wav"),
            wait_method="GET",
            **self.recording("record-from-start", room, recorded),
        )
        response.append(dial)
        return str(response)

    def join(
        self,
        prompts: Sequence[str],
        room: str,
        *,
        leads: bool = False,
        muted: bool = False,
        coached: str | None = None,
        recorded: bool = False,
    ) -> str:
        """Somebody else enters the conference: an operator `leads` it, a listener is `muted`, and a coach is heard by the
        call `coached` (a SID) alone. The operator comes first, so that a recording must begin here."""
        response = VoiceResponse()
        for prompt in prompts:
            self.say_to(response, prompt)
        dial = Dial()
        dial.conference(
            room,
            start_conference_on_enter=leads,
            end_conference_on_exit=leads,
            beep="false",
            muted=muted,
            coach=coached,
            **self.recording("record-from-start", room, recorded),
        )
        response.append(dial)
        return str(response)

    def whisper(self, prompts: Sequence[str], accept_url: str, needs_key: bool) -> str:
        """Say to somebody who has answered what the call is about, and go on at `accept_url`; with `needs_key` only when a
        key is pressed, which no answering machine does."""
        response = VoiceResponse()
        if not needs_key:
            for prompt in prompts:
                self.say_to(response, prompt)
            response.redirect(accept_url, method="POST")
            return str(response)
        gather = Gather(input="dtmf", num_digits=1, timeout=8, action=accept_url, method="POST", finish_on_key="")
        for prompt in prompts:
            self.say_to(gather, prompt)
        response.append(gather)
        response.hangup()
        return str(response)

    def say(self, prompts: Sequence[str]) -> str:
        """Say the prompts and nothing more."""
        response = VoiceResponse()
        for prompt in prompts:
            self.say_to(response, prompt)
        return str(response)

    def recording(self, how: str, conversation_id: str, recorded: bool) -> dict[str, str]:
        """The attributes of <Dial> or <Conference> by which a talk is recorded, if it is."""
        if not recorded:
            return {}
        callback = self.url(f"/ivr/recording?conversation={conversation_id}")
        return {"record": how, "recording_status_callback": callback, "recording_status_callback_method": "POST"}

    def end(self, prompts: Sequence[str]) -> str:
        """Say the prompts and hang up."""
        response = VoiceResponse()
        for prompt in prompts:
            self.say_to(response, prompt)
        response.hangup()
        return str(response)
