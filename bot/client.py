"""The one door to the bot: `RasaBot.send` says something to it and returns what it answers.

This is the contract between channel and bot (README, "How a turn goes"); nothing else of Rasa is known outside bot/.
"""

import hashlib
import math
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import urllib3


class BotUnavailable(Exception):
    """The bot could not be reached, took too long, or answered something that is not a reply. `another_may`: another
    process of it can be asked the same."""

    def __init__(self, why: str, another_may: bool = False) -> None:
        super().__init__(why)
        self.another_may = another_may


CONNECTS = 2.0
"""Seconds in which a process that is there takes a connection."""
WAITED = 0.75
"""The part of a turn's time after which a process is taken to hang and another is asked: most of it, since one that is only
busy would be asked for nothing; the rest is enough for one that is well."""
AVOIDED = 10.0
"""Seconds for which a process that didn't answer is asked last: one that hangs would hold each turn up."""
LOOKED_UP = 5.0
"""Seconds for which a name's addresses are taken to be the same."""


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

    def processes(self) -> dict[str, bool]:
        """Each process that could answer, by its address, and whether it would now."""
        ...


class RasaBot:
    """Rasa behind its HTTP channel `line` (bot/channel.py): one process, or several.

    A conversation stays with one process, which has its tracker at hand; all web processes choose the same one. When that
    one doesn't answer, the next is asked in the same turn. This does nothing twice: a process that is asked what another
    has answered gives the same answer, and of two that are at a turn at the same time only one can keep it
    (bot/channel.py).
    """

    def __init__(self, urls: str, token: str, timeout: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`urls`: base addresses, commas between them; a name that stands for several machines or containers is as many
        processes. `timeout` is in seconds and holds for a whole turn."""
        # urllib3, because each turn goes through here: a request takes it a third of the time that httpx takes. It keeps
        # idle connections for as long as Rasa does, which is told to do so for a day (train.rasa_environment): with Rasa's
        # own 5 s a turn would now and then be sent into a connection that is just being closed.
        self.http = urllib3.PoolManager(maxsize=64, headers={"Authorization": f"Bearer {token}"}, retries=False)
        self.urls = [url.strip().rstrip("/") for url in urls.split(",")]
        self.timeout = timeout
        self.clock = clock
        self._found: tuple[float, list[str]] = (-math.inf, [])
        self._failed: dict[str, float] = {}

    def send(self, conversation_id: str, text: str, channel: str, locale: str, meta: dict[str, Any]) -> list[Reply]:
        """Say `text` in the conversation and return the bot's replies. Raises BotUnavailable."""
        message = {
            "sender": conversation_id,
            "message": text,
            "input_channel": channel,
            "metadata": {**meta, "locale": locale, "channel": channel},
        }
        ends = self.clock() + self.timeout
        failure = BotUnavailable("no process")
        addresses = self._in_turn(conversation_id)
        for place, address in enumerate(addresses, start=1):
            left = max(ends - self.clock(), 0.1)
            try:
                return self._ask(address, message, left if place == len(addresses) else left * WAITED)
            except BotUnavailable as error:
                failure = error
                if not error.another_may:
                    break
        raise failure

    def processes(self) -> dict[str, bool]:
        """Each process and whether it is up with a model loaded."""
        addresses = self._addresses()
        with ThreadPoolExecutor(max(len(addresses), 1)) as pool:
            return dict(zip(addresses, pool.map(self._is_ready, addresses), strict=True))

    def _ask(self, address: str, message: dict[str, Any], timeout: float) -> list[Reply]:
        """What one process answers within so many seconds. Raises BotUnavailable."""
        url, limits = f"{address}/webhooks/line/webhook", urllib3.Timeout(connect=min(timeout, CONNECTS), read=timeout)
        try:
            response = self.http.request("POST", url, json=message, timeout=limits)
            if response.status != 200:
                raise BotUnavailable(f"status {response.status}", another_may=True)
            replies = [Reply.from_json(item["custom"]) for item in response.json()]
        except urllib3.exceptions.HTTPError as error:
            self._failed[address] = self.clock()
            raise BotUnavailable(type(error).__name__, another_may=True) from error
        except (ValueError, KeyError, TypeError) as error:
            raise BotUnavailable(type(error).__name__) from error
        if not replies:  # an action failed; the dialogue has gone on without it, so nobody else may be asked
            raise BotUnavailable("no reply")
        return replies

    def _is_ready(self, address: str) -> bool:
        """Whether a process is up with a model loaded (/status answers before that)."""
        try:
            return bool(self.http.request("GET", f"{address}/webhooks/line/ready", timeout=2).json() == {"ready": True})
        except (urllib3.exceptions.HTTPError, ValueError):
            return False

    def _in_turn(self, conversation_id: str) -> list[str]:
        """The processes in the order in which they are asked: the conversation's own first (highest random weight, so that
        one more or less moves no more conversations than it must), those that failed just now last."""
        now = self.clock()

        def rank(address: str) -> tuple[bool, bytes]:
            failed_just_now = now - self._failed.get(address, -math.inf) < AVOIDED
            return failed_just_now, hashlib.blake2b(f"{address} {conversation_id}".encode(), digest_size=8).digest()

        return sorted(self._addresses(), key=rank)

    def _addresses(self) -> list[str]:
        """Base addresses of the processes. Names are looked up now and then; when that fails the addresses found before
        stand."""
        looked_up, found = self._found
        if self.clock() - looked_up > LOOKED_UP:
            found = [address for url in self.urls for address in addresses_of(url)] or found or self.urls
            self._found = self.clock(), found
        return found


def addresses_of(url: str) -> list[str]:
    """The base address of each process behind a URL, its name looked up; none when it can't be. With TLS the name stays,
    since the certificate is for it."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return [url]
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
    except OSError:
        return []
    hosts = sorted({str(place[0]) for *_, place in found})
    return [f"http://{f'[{host}]' if ':' in host else host}:{parts.port or 80}{parts.path}" for host in hosts]
