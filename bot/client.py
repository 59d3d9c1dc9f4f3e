"""The one door to the bot: `RasaBot.send` says something to it and returns what it answers.

This is the contract between channel and bot (README, "How a turn goes"); nothing else of Rasa is known outside bot/.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import urllib3


class BotUnavailable(Exception):
    """The bot could not be reached, took too long, or answered something that is not a reply."""


@dataclass(frozen=True)
class Choice:
    """Something that the citizen may choose: what is shown, what choosing it sends, and words that mean it."""

    label: str
    message: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """Where an answer comes from."""

    title: str
    issuer: str
    number: str
    url: str = ""


@dataclass(frozen=True)
class Reply:
    """One thing that the bot says.

    text is what chat shows; speech what the phone says (at most two sentences, numbers in spoken form); expects is
    speech, digits, choice or nothing; act is answer, solved, unsolved, clarify, unknown, ask, confirm, filed, state (of a
    case), handoff, danger, message (leave one after the tone), say or end.
    """

    text: str
    speech: str
    choices: tuple[Choice, ...] = ()
    expects: str = "speech"
    sources: tuple[Source, ...] = ()
    act: str = "say"
    article: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As plain data, for the record and for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Reply":
        """The reply that `to_json` wrote. Raises KeyError or TypeError for anything else."""
        return cls(
            text=data["text"],
            speech=data["speech"],
            choices=tuple(
                Choice(choice["label"], choice["message"], tuple(choice.get("words", ())))
                for choice in data.get("choices", ())
            ),
            expects=data.get("expects", "speech"),
            sources=tuple(Source(**source) for source in data.get("sources", ())),
            act=data.get("act", "say"),
            article=data.get("article", ""),
            facts=data.get("facts", {}),
        )


class Bot(Protocol):
    """Whatever answers a turn: Rasa in the running line."""

    def send(self, conversation_id: str, text: str, channel: str, locale: str, meta: dict[str, Any]) -> list[Reply]:
        """Say `text` and return the replies. Raises BotUnavailable."""
        ...

    def is_ready(self) -> bool:
        """Whether a turn would be answered now."""
        ...


class RasaBot:
    """Rasa behind its HTTP channel `line` (bot/channel.py)."""

    def __init__(self, base_url: str, token: str, timeout: float) -> None:
        """`timeout` is in seconds and holds for a whole turn."""
        # urllib3, because each turn goes through here: a request takes it a third of the time that httpx takes. It keeps
        # idle connections for as long as Rasa does, which is told to do so for a day (train.rasa_environment): with Rasa's
        # own 5 s a turn would now and then be sent into a connection that is just being closed.
        self.http = urllib3.PoolManager(
            maxsize=64, headers={"Authorization": f"Bearer {token}"}, timeout=timeout, retries=False
        )
        self.base_url = base_url.rstrip("/")

    def send(self, conversation_id: str, text: str, channel: str, locale: str, meta: dict[str, Any]) -> list[Reply]:
        """Say `text` in the conversation and return the bot's replies. Raises BotUnavailable."""
        message = {
            "sender": conversation_id,
            "message": text,
            "input_channel": channel,
            "metadata": {**meta, "locale": locale, "channel": channel},
        }
        try:
            response = self.http.request("POST", f"{self.base_url}/webhooks/line/webhook", json=message)
            if response.status != 200:
                raise BotUnavailable(f"status {response.status}")
            replies = [Reply.from_json(item["custom"]) for item in response.json()]
        except (urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError) as error:
            raise BotUnavailable(type(error).__name__) from error
        if not replies:
            raise BotUnavailable("no reply")
        return replies

    def is_ready(self) -> bool:
        """Whether Rasa is up with a model loaded (its /webhooks/line/ answers before that; /status doesn't)."""
        try:
            response = self.http.request("GET", f"{self.base_url}/webhooks/line/ready", timeout=2)
            return bool(response.json() == {"ready": True})
        except (urllib3.exceptions.HTTPError, ValueError):
            return False
