"""Restarts the bot's processes one after the other, while people call and write (`make restart`): with a new model or a new
version of the bot.

A process that is told to stop ends the turns that it is at; meanwhile, and until it is ready again, bot/client.py asks the
others. So each is stopped only when another is ready.
"""

import time
import xmlrpc.client
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from supervisor.xmlrpc import SupervisorTransport

from backend.setup.environments import ROOT, Problem, plainly, say
from backend.setup.start import START_SECONDS, read_settings
from bot.ready import is_ready

SOCKET = ROOT / "var" / "supervisord.sock"


class Keeper(Protocol):
    """Who starts and stops processes: supervisord, by its names for them."""

    def stop(self, name: str) -> None:
        """End it, and come back when it has ended."""
        ...

    def start(self, name: str) -> None:
        """Start it."""
        ...


class Supervisor:
    """The running line's supervisord. Raises Problem when there is none."""

    def __init__(self) -> None:
        transport: Any = SupervisorTransport(None, None, f"unix://{SOCKET}")
        self.calls = xmlrpc.client.ServerProxy("http://line", transport)
        try:
            self.calls.supervisor.getState()
        except (OSError, xmlrpc.client.Fault):  # the latter when it is just being stopped
            raise Problem("线路没有在运行（make run）", "the line is not running (make run)") from None

    def stop(self, name: str) -> None:
        """Also what it has taken for dead may be stopped."""
        try:
            self.calls.supervisor.stopProcess(f"line:{name}")
        except xmlrpc.client.Fault as fault:
            if "NOT_RUNNING" not in fault.faultString:
                raise

    def start(self, name: str) -> None:
        """It comes back when the process has lived for a second."""
        self.calls.supervisor.startProcess(f"line:{name}")


def main() -> None:
    """Restart those of the line that runs in this checkout."""
    settings = read_settings()
    ports = range(settings.bot_port, settings.bot_port + settings.bot_workers)
    restart(Supervisor(), [partial(is_ready, port, settings.bot_token) for port in ports])


def restart(keeper: Keeper, ready: Sequence[Callable[[], bool]]) -> None:
    """Restart each bot and its action server: stop, start, wait until `ready[number]()`. Raises Problem, before it stops
    anything, when there is only one or another isn't ready."""
    if len(ready) < 2:
        raise Problem(
            "只有一个机器人进程，重启时没有别的进程接替；请设 BOT_WORKERS=2，或停下后重新 make run",
            "there is one bot process, and none to take its place: set BOT_WORKERS=2, or stop the line and make run",
        )
    for number in range(len(ready)):
        others = [*ready[:number], *ready[number + 1 :]]
        if not any(another() for another in others):
            raise Problem(f"除 bot_{number} 外没有就绪的机器人进程", f"no bot process but bot_{number} is ready")
        began = time.monotonic()
        for name in (f"bot_{number}", f"actions_{number}"):
            keeper.stop(name)
        for name in (f"actions_{number}", f"bot_{number}"):
            keeper.start(name)
        while not ready[number]():
            if time.monotonic() - began > START_SECONDS:
                raise Problem(f"bot_{number} 起不来，见 var/log/bot_{number}.log", f"bot_{number} does not start")
            time.sleep(0.3)
        seconds = time.monotonic() - began
        say(f"bot_{number} 已重启，用了 {seconds:.0f} 秒", f"bot_{number} is ready again, after {seconds:.0f} s")


if __name__ == "__main__":
    plainly(main)
