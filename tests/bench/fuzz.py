"""Malformed webhooks, API calls, uploads and chat messages, 100,000 of them (FUZZ), drawn from a seed (SEED), against a real
web process on SQLite: none may get a 5xx or wait for HANGS_AFTER, and the process must not grow.

The bot is not there, so what would go to Rasa ends where the line ends without it: a 503 that says so is no fault
(`is_bot_away`). The tests send some hundred of the same (tests/test_malformed.py); whether answers are as the API's
description says is schemathesis' part (tests/api/test_description.py).
"""

import io
import json
import os
import random
import re
import shutil
import tempfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx
from flask import Flask
from PIL import Image
from werkzeug.routing import Rule

from backend.app import create_app
from tests.caller import sign
from tests.conftest import build, make_settings
from tests.running_line import SECRETS, RunningLine, until

KINDS: Final = ("webhook", "api", "upload", "chat")
THREADS: Final = 4
HANGS_AFTER: Final = 20.0
"""Seconds; Twilio waits for 15."""
WARM_AFTER: Final = 0.3
"""The share of the requests after which the process has everything loaded; from then on it must not grow."""
GROWTH_ALLOWED: Final = 30.0
"""Megabytes."""
VALUES: Final = (
    *("", " ", "\x00", "0", "-1", "1e309", "NaN", "9" * 400, "\ud800", "é" * 3000, "﷽" * 200, "\u202e12345", "😀" * 50),
    *(
        "' OR 1=1 --",
        "<script>alert(1)</script>",
        "</Say><Dial>+1</Dial>",
        "{{7*7}}",
        "${jndi:ldap://x}",
        "%s%n",
        "\r\nX: y",
    ),
    *(
        "=cmd|' /C calc'!A0",
        "../../etc/passwd",
        "http://169.254.169.254/",
        "file:///etc/passwd",
        "+8613800138000",
        "anonymous",
    ),
    *(
        "转人工",
        "确认",
        "/restart",
        "26000-00014",
        "路灯不亮",
        "着火了",
        "CA" + "0" * 32,
        "completed",
        "1",
        "*",
        "zh",
        "en",
    ),
)
FIELDS: Final = (
    *(
        "CallSid",
        "From",
        "To",
        "CallStatus",
        "SpeechResult",
        "Confidence",
        "Digits",
        "RecordingUrl",
        "RecordingSid",
        "QueueResult",
    ),
    *(
        "RecordingDuration",
        "DialCallStatus",
        "MessageSid",
        "Body",
        "NumMedia",
        "MediaUrl0",
        "MediaContentType0",
        "AnsweredBy",
    ),
    *(
        "MessageStatus",
        "SmsStatus",
        "ErrorCode",
        "QueueTime",
        "CallDuration",
        "ConferenceSid",
        "StatusCallbackEvent",
        "Duration",
    ),
)
NAMES: Final = (
    *(
        "text",
        "key",
        "what",
        "place",
        "contact",
        "since",
        "confidential",
        "conversation",
        "locale",
        "leaving",
        "channel",
        "note",
    ),
    *(
        "agency",
        "q",
        "limit",
        "question",
        "rating",
        "article_id",
        "service_code",
        "description",
        "lat",
        "long",
        "address_id",
    ),
    *("last_digits", "number", "act", "version", "name", "turn", "after", "solved", "satisfied", "contacted", "photos"),
)
TYPES: Final = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "text/xml",
    "",
    "x/",
)


@dataclass(frozen=True)
class Attack:
    """One request."""

    kind: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Ask = Callable[[Attack], tuple[int, str]]
"""Sends a request; returns status and body."""


@dataclass
class Found:
    """What came of requests: how many of each kind and status, what should not have been, and how long the slowest took."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def note(self, attack: Attack, status: int, seconds: float, answer: str) -> None:
        """Put down one answer; status 0 stands for none."""
        self.statuses[attack.kind, status] += 1
        self.slowest = max(self.slowest, seconds)
        if status == 0 or (status >= 500 and not is_bot_away(status, answer)):
            self.faults.append(
                f"{status} {attack.method} {attack.path} {attack.headers} {attack.body[:300]!r} {answer[:200]}"
            )


def is_bot_away(status: int, answer: str) -> bool:
    """Whether the line says that it can't ask the bot, as it does without one."""
    return status == 503 and "bot_unavailable" in answer


class Attacker:
    """Draws requests for the addresses of an application."""

    def __init__(self, app: Flask, base_url: str, seed: int) -> None:
        self.base_url, self.chance = base_url, random.Random(seed)
        self.chat: tuple[str, str] = ("x", "x")
        rules = [rule for rule in app.url_map.iter_rules() if not rule.websocket and rule.endpoint != "ivr.relay"]

        def of(*parts: str) -> list[Rule]:
            return [rule for rule in rules if rule.endpoint.split(".")[0] in parts]

        self.webhooks = of("ivr", "outgoing", "wechat")
        self.apis = of("cases", "conversations", "knowledge", "open311", "open_data")
        self.pages = [rule for rule in of("chat") if rule.endpoint != "chat.static"]

    def attacks(self) -> Iterator[Attack]:
        """One after the other, without an end, of each kind as many."""
        make: dict[str, Callable[[], Attack]] = {
            "webhook": self.webhook,
            "api": self.api,
            "upload": self.upload,
            "chat": self.message,
        }
        while True:
            for kind in KINDS:
                yield make[kind]()

    def value(self) -> str:
        """Something that a field may hold."""
        if self.chance.random() < 0.15:
            return "".join(chr(self.chance.randrange(1, 0x3000)) for _ in range(self.chance.randrange(40)))
        return self.chance.choice(VALUES)

    def json(self, depth: int = 0) -> Any:
        """Some JSON."""
        kind = self.chance.random()
        if kind < 0.5 or depth > 3:
            return self.chance.choice([self.value(), self.value(), None, True, -1, 2**70, 1.5, [], {}])
        if kind < 0.6:
            return [self.json(depth + 1) for _ in range(self.chance.randrange(4))]
        return {self.chance.choice(NAMES): self.json(depth + 1) for _ in range(self.chance.randrange(5))}

    def path_of(self, rule: Rule) -> str:
        """An address of the rule, with anything in its places."""
        return re.sub(r"<[^>]*>", lambda _: quote(printable(self.value())[:60] or "x", safe=""), rule.rule)

    def method_of(self, rule: Rule) -> str:
        """One that the rule takes, mostly."""
        taken = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        return "PATCH" if self.chance.random() < 0.02 else self.chance.choice(taken)

    def body(self) -> tuple[str, bytes]:
        """A content type and a body that need not fit each other."""
        kind = self.chance.random()
        if kind < 0.55:
            return "application/json", json.dumps({self.chance.choice(NAMES): self.json() for _ in range(4)}).encode()
        if kind < 0.7:
            return "application/x-www-form-urlencoded", self.form(NAMES).encode()
        if kind < 0.72:
            return "application/json", b"[" * self.chance.randrange(50_000) + b"1"
        noise = self.chance.randbytes(self.chance.randrange(200))
        return self.chance.choice(TYPES), noise if kind < 0.9 else json.dumps(self.json()).encode()[
            : self.chance.randrange(80)
        ]

    def form(self, names: tuple[str, ...]) -> str:
        """Some fields, encoded."""
        drawn = {self.chance.choice(names): printable(self.value()) for _ in range(self.chance.randrange(8))}
        return urlencode(drawn)

    def webhook(self) -> Attack:
        """Of the telephone service or WeChat: signed as it should be, by somebody else, or not at all."""
        rule = self.chance.choice(self.webhooks)
        path = self.path_of(rule)
        form = {"CallSid": f"CA{self.chance.randrange(50):032x}"} if self.chance.random() < 0.8 else {}
        form |= {self.chance.choice(FIELDS): printable(self.value()) for _ in range(self.chance.randrange(8))}
        query = f"?{self.form(FIELDS)}" if self.chance.random() < 0.2 else ""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self.chance.random() < 0.8:
            token = SECRETS["TWILIO_AUTH_TOKEN"] if self.chance.random() < 0.85 else "somebody else"
            headers["X-Twilio-Signature"] = sign(token, f"{self.base_url}{path}{query}", form)
        body = urlencode(form).encode()
        if self.chance.random() < 0.1:
            headers["Content-Type"], body = self.body()
        return Attack("webhook", self.method_of(rule), path + query, headers, body)

    def api(self) -> Attack:
        """Of somebody with a key, or without."""
        rule = self.chance.choice(self.apis if self.chance.random() < 0.85 else self.pages)
        kind, body = self.body()
        headers = {"Content-Type": kind.encode("ascii", "ignore").decode()} if kind else {}
        if self.chance.random() < 0.7:
            headers["Authorization"] = f"Bearer {SECRETS['API_TOKEN']}"
        query = f"?{self.form(NAMES)}" if self.chance.random() < 0.5 else ""
        return Attack("api", self.method_of(rule), self.path_of(rule) + query, headers, body)

    def upload(self) -> Attack:
        """A file that is not what it says, broken, or far too much when unpacked."""
        content = self.chance.choice([picture, package, self.noise])()
        cut = self.chance.random()
        if cut < 0.3:
            content = content[: self.chance.randrange(len(content) + 1)]
        elif cut < 0.8 and content:
            changed = bytearray(content)
            for _ in range(self.chance.randrange(1, 6)):
                changed[self.chance.randrange(len(changed))] = self.chance.randrange(256)
            content = bytes(changed)
        name = printable(self.value()).replace('"', "").replace("\r", "").replace("\n", "")[:200]
        head = f'--b\r\nContent-Disposition: form-data; name="photo"; filename="{name}"\r\n\r\n'.encode()
        end = b"\r\n--b--\r\n" if self.chance.random() < 0.9 else b""
        headers = {"Content-Type": "multipart/form-data; boundary=b", "X-Conversation-Token": self.chat[1]}
        return Attack("upload", "POST", f"/api/v1/conversations/{self.chat[0]}/photos", headers, head + content + end)

    def noise(self) -> bytes:
        """Bytes that begin like something."""
        heads = (
            b"%PDF-1.7\n",
            b"PK\x03\x04",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"RIFF\0\0\0\0WEBP",
            b"<svg onload=x>",
            b"MZ",
        )
        return self.chance.choice(heads) + self.chance.randbytes(self.chance.randrange(2000))

    def message(self) -> Attack:
        """Something said in a chat, or what its page asks; sometimes a chat begins."""
        headers = {"Content-Type": "application/json", "X-Conversation-Token": self.chat[1]}
        if self.chance.random() < 0.02:
            return Attack("chat", "POST", "/api/v1/conversations", headers, json.dumps(self.json()).encode())
        end = self.chance.choice(["messages"] * 6 + ["typing", "turns", "feedback", "answer"])
        body = {"text": self.json(), "key": self.json()} if self.chance.random() < 0.3 else {"text": self.value()}
        address = f"/api/v1/conversations/{self.chat[0]}/{end}"
        return Attack("chat", "GET" if end == "turns" else "POST", address, headers, json.dumps(body).encode())

    def begin_chat(self, ask: Ask) -> None:
        """Have a chat of its own, whose secret it knows."""
        began = Attack("chat", "POST", "/api/v1/conversations", {"Content-Type": "application/json"}, b"{}")
        answer = json.loads(ask(began)[1])
        self.chat = answer["id"], answer["token"]


def printable(text: str) -> str:
    """The text without what can't be sent in UTF-8."""
    return text.encode("utf-8", "ignore").decode()


def picture() -> bytes:
    """A whole JPEG."""
    packed = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(packed, "JPEG")
    return packed.getvalue()


def package() -> bytes:
    """A whole docx, as far as it is looked at."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as inside:
        inside.writestr("[Content_Types].xml", "<x/>")
        inside.writestr("word/document.xml", "<x/>" * 50)
    return packed.getvalue()


def send(ask: Ask, attacker: Attacker, count: int, found: Found, tell: Callable[[], None] = lambda: None) -> None:
    """Send so many requests and put down what came of them; every 200 begin another chat."""
    for number, attack in enumerate(islice(attacker.attacks(), count)):
        if number % 200 == 0:
            attacker.begin_chat(ask)
        began = time.monotonic()
        status, answer = ask(attack)
        found.note(attack, status, time.monotonic() - began, answer)
        tell()


def over_http(base_url: str) -> Ask:
    """Asks a process; nothing heard within HANGS_AFTER is status 0."""
    web = httpx.Client(base_url=base_url, timeout=HANGS_AFTER, trust_env=False)

    def ask(attack: Attack) -> tuple[int, str]:
        try:
            answer = web.request(attack.method, attack.path, headers=attack.headers, content=attack.body)
            return answer.status_code, answer.text
        except httpx.TransportError as error:
            return 0, type(error).__name__

    return ask


def resident(process: int) -> float:
    """Megabytes of memory of a process' children, which do its work."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    states = [Path(f"/proc/{child}/status").read_text() for child in children]
    return sum(int(re.findall(r"VmRSS:\s+(\d+)", state)[0]) for state in states) / 1024


def run() -> dict[str, Any]:
    """Send all, print how it goes, and say whether it held."""
    count, seed = int(os.environ.get("FUZZ", "100000")), int(os.environ.get("SEED", "12345"))
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    line = RunningLine(folder)
    build(line.database_url)
    app = create_app(make_settings(line.database_url))
    found, lock, sent = Found(), threading.Lock(), 0
    memory: list[tuple[int, float]] = []
    line.start("web")
    began = time.monotonic()

    def tell() -> None:
        nonlocal sent
        with lock:
            sent += 1
            if sent % max(1, count // 20) == 0:
                memory.append((sent, resident(line.processes["web"].pid)))
                rate = sent / (time.monotonic() - began)
                print(f"{sent:>8}  {rate:6.0f}/s  {memory[-1][1]:7.1f} MB  faults {len(found.faults)}", flush=True)

    try:
        until(lambda: is_alive(line.base_url), "the web process' first answer")

        def attack(number: int) -> None:
            send(over_http(line.base_url), Attacker(app, line.base_url, seed + number), count // THREADS, found, tell)

        threads = [threading.Thread(target=attack, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        line.stop("web")
        shutil.rmtree(folder, ignore_errors=True)
    return result(found, memory, count, seed, time.monotonic() - began)


def is_alive(base_url: str) -> bool:
    """Whether the process answers."""
    try:
        return httpx.get(f"{base_url}/live", timeout=5).status_code == httpx.codes.NO_CONTENT
    except httpx.TransportError:
        return False


def result(found: Found, memory: list[tuple[int, float]], count: int, seed: int, seconds: float) -> dict[str, Any]:
    """The figures, printed and to be written down."""
    warm = next(megabytes for sent, megabytes in memory if sent >= WARM_AFTER * count)
    growth = memory[-1][1] - warm
    for kind in KINDS:
        of_kind = {status: number for (one, status), number in sorted(found.statuses.items()) if one == kind}
        print(f"{kind:<8} " + "  ".join(f"{status}: {number}" for status, number in of_kind.items()))
    for fault in found.faults[:20]:
        print(fault)
    held = not found.faults and growth < GROWTH_ALLOWED
    print(
        f"{sum(found.statuses.values())} requests, seed {seed}, {seconds:.0f} s; slowest {found.slowest:.1f} s;"
        f" faults {len(found.faults)}; memory {warm:.0f} MB when warm,"
        f" {growth:+.1f} MB since ({'held' if held else 'MISSED'})"
    )
    return {
        "requests": sum(found.statuses.values()),
        "seed": seed,
        "seconds": round(seconds),
        "statuses": {f"{kind} {status}": number for (kind, status), number in sorted(found.statuses.items())},
        "faults": found.faults[:100],
        "slowest_seconds": round(found.slowest, 2),
        "memory_mb": memory,
        "growth_mb": round(growth, 1),
        "held": held,
    }
