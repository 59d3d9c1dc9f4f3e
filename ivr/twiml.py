"""TwiML: the documents that the line answers webhooks with, built by the twilio package.

Voices and languages follow voice/twiml/say (text-to-speech) and voice/twiml/gather; every URL is absolute, under the public
base URL.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from twilio.twiml.voice_response import Dial, Gather, Say, VoiceResponse

from backend.settings import Settings
from ivr.recognition import speech_hints

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


def speaker(settings: Settings, language: str, slow: bool) -> "Speaker":
    """How the line speaks in a call of this language (zh, yue, en)."""
    voices = {"zh": settings.voice_zh, "yue": settings.voice_yue, "en": settings.voice_en}
    return Speaker(language, voices, settings.base_url, slow, speech_hints(language))


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
    ) -> str:
        """Say the prompts, and each of the offers (language -> sentence) in its own language, and listen for speech and
        keys; the caller may interrupt (bargeIn is true unless said otherwise). The result goes to /ivr/turn."""
        response = VoiceResponse()
        gather = Gather(
            input="speech dtmf",
            action=self.url(f"/ivr/turn?step={step}"),
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

    def wait(self, prompt: str) -> str:
        """One round of waiting: where the caller stands, and music; a key leaves the queue for a message."""
        response = VoiceResponse()
        gather = Gather(
            input="dtmf", num_digits=1, timeout=1, action=self.url("/ivr/wait"), method="POST", finish_on_key=""
        )
        self.say_to(gather, prompt)
        gather.play(self.url("/ivr/music.wav"))
        response.append(gather)
        response.redirect(self.url("/ivr/wait"), method="POST")
        return str(response)

    def leave(self) -> str:
        """Take the call out of the queue; Twilio then asks the <Enqueue>'s action."""
        response = VoiceResponse()
        response.leave()
        return str(response)

    def dial(self, prompt: str, telephone: str, step: int) -> str:
        """Connect the caller to an operator's telephone (+86…) or browser (client:name)."""
        response = VoiceResponse()
        self.say_to(response, prompt)
        dial = Dial(action=self.url(f"/ivr/dialled?step={step}"), method="POST", timeout=25)
        if telephone.startswith("client:"):
            dial.client(telephone.removeprefix("client:"))
        else:
            dial.number(telephone)
        response.append(dial)
        return str(response)

    def end(self, prompts: Sequence[str]) -> str:
        """Say the prompts and hang up."""
        response = VoiceResponse()
        for prompt in prompts:
            self.say_to(response, prompt)
        response.hangup()
        return str(response)
