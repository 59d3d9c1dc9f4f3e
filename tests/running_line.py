"""The real line as processes, with a record of its own: gunicorn (for the public and for the bot), Rasa, action server,
worker.

Used by the end-to-end tests and the benches. Nothing is asserted by time: `until` waits for a condition.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self

import httpx

from backend.settings import ROOT
from ivr.phone.call import HttpTransport, PracticeCall
from tests.conftest import build, closed_port

SECRETS = {
    "SECRET_KEY": "k" * 32,
    "API_TOKEN": "api-token",
    "BOT_TOKEN": "bot-token",
    "TWILIO_AUTH_TOKEN": "t" * 32,
    "CONSOLE_PASSWORD": "correct horse battery",
}
WEB_PYTHON = ROOT / ".venv" / "web" / "bin" / "python"
BOT_PYTHON = ROOT / ".venv" / "bot" / "bin" / "python"
PATIENCE = 120.0
"""Seconds after which something that should happen is taken not to."""


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition()` holds. Raises TimeoutError saying `what` did not happen."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {PATIENCE:.0f} s")
        time.sleep(0.05)


class RunningLine:
    """The processes; a context manager that leaves none behind."""

    def __init__(
        self,
        folder: Path,
        database_url: str | None = None,
        model: Path | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
        bots: int = 1,
        web_workers: int = 1,
    ) -> None:
        self.folder, self.web_workers = folder, web_workers
        self.port, self.api_port = closed_port(), closed_port()
        self.bots = [(closed_port(), closed_port()) for _ in range(bots)]  # each with its action server
        self.bot_port = self.bots[0][0]
        self.exchange_port, self.events_port = closed_port(), closed_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.database_url = database_url or f"sqlite:///{folder / 'line.sqlite3'}"
        self.model = model or ROOT / "var" / "models"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **os.environ,
            **SECRETS,
            **settings,
            "PORT": str(self.port),
            "BOT_URL": ",".join(f"http://127.0.0.1:{port}" for port, _ in self.bots),
            "EXCHANGE_PORT": str(self.exchange_port),
            "EVENTS_PORT": str(self.events_port),
            "BACKEND_URL": f"http://127.0.0.1:{self.api_port}",
            "DATABASE_URL": self.database_url,
            "BOT_DATABASE_URL": f"sqlite:///{folder / 'bot.sqlite3'}",
            "EMBEDDING": os.environ.get("EMBEDDING", "none"),
            "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
            "LOG_FORMAT": "json",
            "PYTHONPATH": str(ROOT),
            "SANIC_HOST": "127.0.0.1",
            "SANIC_KEEP_ALIVE_TIMEOUT": "86400",
            "RASA_TELEMETRY_ENABLED": "false",
            "CUDA_VISIBLE_DEVICES": "-1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }

    def commands(self) -> dict[str, list[str]]:
        """How each process is started; as backend/setup/supervisord.conf does."""
        return {
            **{name: command for number in range(len(self.bots)) for name, command in self.bot(number).items()},
            "worker": [str(WEB_PYTHON), "-m", "backend.worker"],
            "web": self.gunicorn(self.port, workers=self.web_workers),
            "api": self.gunicorn(self.api_port),
            "events": [
                *(str(WEB_PYTHON), "-m", "gunicorn", "--bind", f"127.0.0.1:{self.events_port}", "--no-control-socket"),
                *("--worker-class", "asgi", "--graceful-timeout", "1", "backend.events:create_events()"),
            ],
            "exchange": self.gunicorn(self.exchange_port, "ivr.phone.exchange:create_exchange()"),
        }

    def bot(self, number: int) -> dict[str, list[str]]:
        """One of the bots with its action server. The first is called plainly."""
        port, actions_port = self.bots[number]
        more = f"_{number}" if number else ""
        rasa = [
            str(BOT_PYTHON),
            "-m",
            "rasa",
            "run",
            "-i",
            "127.0.0.1",
            "--port",
            str(port),
            "--model",
            str(self.model),
        ]
        rasa += ["--endpoints", "bot/endpoints.yml", "--credentials", "bot/credentials.yml"]
        return {
            f"bot{more}": ["env", f"ACTIONS_URL=http://127.0.0.1:{actions_port}", *rasa],
            f"actions{more}": [
                *(str(BOT_PYTHON), "-m", "rasa_sdk", "--actions", "bot.actions", "--port", str(actions_port)),
            ],
        }

    def gunicorn(self, port: int, application: str = "backend.app:create_app()", workers: int = 1) -> list[str]:
        """The web application, or the practice exchange, at a port."""
        return [
            *(str(WEB_PYTHON), "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--no-control-socket"),
            *("--workers", str(workers)),
            *(
                "--worker-class",
                "gthread",
                "--threads",
                "32",
                "--keep-alive",
                "30",
                "--graceful-timeout",
                "12",
                application,
            ),
        ]

    def __enter__(self) -> Self:
        build(self.database_url)
        try:
            self.mend()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self.processes):
            self.stop(name, signal.SIGKILL)

    def start(self, name: str) -> None:
        """Start one of the processes."""
        (self.folder / "metrics").mkdir(exist_ok=True)
        log = (self.folder / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            self.commands()[name],
            cwd=ROOT,
            env=self.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def stop(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """End one of the processes with all its children."""
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        process.wait()

    def mend(self) -> None:
        """Start what has ended, let go on what hangs, and wait until all are well."""
        for name in self.commands():
            process = self.processes.get(name)
            if process and process.poll() is None:
                os.killpg(process.pid, signal.SIGCONT)
            else:
                self.start(name)
        until(self.is_healthy, "the line's health")

    def health(self) -> tuple[int, dict[str, bool]]:
        """Status and parts of /health; (0, {}) while nobody answers."""
        try:
            response = httpx.get(f"{self.base_url}/health", timeout=5)
            return response.status_code, response.json()["parts"]
        except httpx.HTTPError:
            return 0, {}

    def has_read(self) -> bool:
        """Whether the process that answers the bot has read the knowledge."""
        try:
            ready = httpx.get(f"http://127.0.0.1:{self.api_port}/ready", timeout=5)
            return bool(ready.json()["knowledge"])
        except httpx.HTTPError:
            return False

    def is_healthy(self) -> bool:
        """Whether everything that callers need is up."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended: {(self.folder / f'{name}.log').read_text()[-2000:]}")
        return self.health()[0] == 200 and self.has_read()

    def call(self, from_: str = "+8613800138000") -> PracticeCall:
        """A telephone for this line."""
        return PracticeCall.new(
            self.base_url,
            auth_token=SECRETS["TWILIO_AUTH_TOKEN"],
            transport=HttpTransport(),
            from_=from_,
            fallback_url=f"{self.base_url}/ivr/fallback",
            status_callback=f"{self.base_url}/ivr/status",
        )

    def dial(self, from_: str = "+8613800138000") -> PracticeCall:
        """A telephone that has just heard the greeting."""
        call = self.call(from_)
        call.start(f"{self.base_url}/ivr/voice")
        return call

    def chat(self, locale: str = "zh") -> "Chat":
        """A citizen at the chat page's API."""
        return Chat(self.base_url, locale)


class Chat:
    """One chat over the JSON API."""

    def __init__(self, base_url: str, locale: str) -> None:
        self.http = httpx.Client(base_url=base_url, timeout=30)
        started = self.http.post("/api/v1/conversations", json={"locale": locale}).json()
        self.path = f"/api/v1/conversations/{started['id']}"
        self.http.headers["X-Conversation-Token"] = started["token"]
        self.state = "bot"

    def say(self, text: str, key: str | None = None) -> list[dict[str, object]]:
        """Say something; returns the replies."""
        response = self.http.post(f"{self.path}/messages", json={"text": text, "key": key})
        response.raise_for_status()
        self.state = response.json()["state"]
        replies: list[dict[str, object]] = response.json()["replies"]
        return replies

    def turns(self) -> list[dict[str, object]]:
        """The whole record of the chat."""
        turns: list[dict[str, object]] = self.http.get(f"{self.path}/turns").json()["turns"]
        return turns
