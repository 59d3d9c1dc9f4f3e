"""Starts the line and stays with it: web, events, bot, actions, worker and, in development, the practice exchange under
supervisord, until Ctrl-C (`make run`).

`python -m backend.setup.start --check` only looks whether it could start: settings, ports, disk. `make run` does that
before it installs and trains for minutes.
"""

import contextlib
import ctypes
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from backend.settings import Settings, SettingsRefused, load_settings
from backend.setup.environments import (
    FULL_GB,
    ROOT,
    WEB,
    Problem,
    check_room,
    last_line,
    plainly,
    say,
    setting,
)
from backend.setup.train import rasa_environment

LOGS = ROOT / "var" / "log"
START_SECONDS = 180  # a slow machine loads TensorFlow for a minute
STOP_SECONDS = 30
DEATHS = 2  # a program that died this often while starting will not start
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Ports = Mapping[str, tuple[str, int]]  # program: (setting, port)


def main() -> None:
    """Check, start, wait until /health says 200, print the addresses, and stay until told to stop."""
    settings = read_settings()
    ports = {
        "web": ("PORT", settings.port),
        "events": ("EVENTS_PORT", settings.events_port),
        "api": ("API_PORT", settings.api_port),
        **{f"bot_{number}": ("BOT_PORT", settings.bot_port + number) for number in range(settings.bot_workers)},
        **{
            f"actions_{number}": ("ACTIONS_PORT", settings.actions_port + number)
            for number in range(settings.bot_workers)
        },
    }
    if settings.environment == "development":
        ports["exchange"] = ("EXCHANGE_PORT", settings.exchange_port)
    check_ports(ports)
    check_room(FULL_GB)
    if "--check" in sys.argv:
        return
    end_with_parent()
    adopt_orphans()
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # `nohup make run` wants to outlive its terminal
            signal.signal(number, leave)
    supervisor = start_supervisor(settings)
    try:
        seconds = wait_until_healthy(supervisor, ports)
        say(f"已启动，用了 {seconds:.0f} 秒，Ctrl-C 停止", f"started in {seconds:.0f} s, Ctrl-C stops it")
        print_addresses(settings)
        supervisor.wait()
        raise supervisor_gone()
    finally:
        stop(supervisor)


def read_settings() -> Settings:
    """Read the settings; one that can't be read or is missing becomes a plain line."""
    try:
        return load_settings()
    except SettingsRefused as refusal:
        chinese, _, english = str(refusal).partition(" / ")
        raise Problem(chinese, english) from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in error.errors())
        raise Problem(f"设置有误：{wrong}", f"wrong settings: {wrong}") from None


def check_ports(ports: Ports) -> None:
    """Refuse when a port can't be listened on, naming every such port and its setting."""
    taken, refused = [], []
    for name, port in ports.values():
        if not 0 < port < 65536:
            refused.append(f"{name}={port}")
            continue
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
                listener.listen()
            except PermissionError:
                refused.append(f"{name}={port}")
            except OSError:
                taken.append(f"{name}={port}")
    if taken:
        names = ", ".join(taken)
        raise Problem(
            f"端口已被占用：{names}；停掉占用它的程序，或用这个设置换一个端口",
            f"port taken: {names}; stop the program that has it, or set another port by that name",
        )
    if refused:
        names = ", ".join(refused)
        raise Problem(f"端口不能用：{names}，请取 1024 到 65535", f"port can't be used: {names}; take 1024 to 65535")
    if len({port for _, port in ports.values()}) < len(ports):
        names = ", ".join(f"{name}={port}" for name, port in ports.values())
        raise Problem(f"端口重复：{names}", f"ports must differ: {names}")


# --- processes ----------------------------------------------------------------------------------------------------


def start_supervisor(settings: Settings) -> "subprocess.Popen[bytes]":
    """Start supervisord in a session of its own: Ctrl-C reaches this process alone, which then stops it in order."""
    LOGS.mkdir(parents=True, exist_ok=True)
    measures = ROOT / "var" / "metrics"  # of all processes; they count from nought at each start
    shutil.rmtree(measures, ignore_errors=True)
    measures.mkdir()
    (ROOT / "var" / "draining").unlink(missing_ok=True)
    workers = "1" if settings.database_url.startswith("sqlite") else setting("WEB_WORKERS") or "1"
    environment = {
        **os.environ,
        **rasa_environment(),
        "PORT": str(settings.port),
        "API_PORT": str(settings.api_port),
        "EVENTS_PORT": str(settings.events_port),
        "BOT_WORKERS": str(settings.bot_workers),
        "BOT_PORT": str(settings.bot_port),
        "ACTIONS_PORT": str(settings.actions_port),
        "EXCHANGE_PORT": str(settings.exchange_port),
        "EXCHANGE": "true" if settings.environment == "development" else "false",
        "BACKEND_URL": f"http://127.0.0.1:{settings.api_port}",
        "API_TOKEN": settings.api_token,
        "BOT_TOKEN": settings.bot_token,
        "BOT_DATA_KEYS": settings.bot_data_keys,
        "WEB_WORKERS": workers,
        "PROMETHEUS_MULTIPROC_DIR": str(measures),
    }
    configuration = ROOT / "backend" / "setup" / "supervisord.conf"
    return subprocess.Popen(
        [WEB / "bin" / "python", "-m", "supervisor.supervisord", "-c", configuration],
        cwd=ROOT,
        env=environment,
        start_new_session=True,
        preexec_fn=end_with_parent,
    )


def stop(supervisor: "subprocess.Popen[bytes]") -> None:
    """Stop everything that was started, politely and then not; a second Ctrl-C changes nothing."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # the terminal may be gone
        say("正在停止", "stopping")
    supervisor.terminate()
    try:
        supervisor.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()
    for number in (signal.SIGTERM, signal.SIGKILL):
        end_orphans(number)


def leave(number: int, frame: FrameType | None) -> None:
    """End on Ctrl-C or SIGTERM, through the `finally` that stops the processes."""
    raise SystemExit(0)


# Three things that only Linux has. Elsewhere supervisord is simply stopped when this process ends normally.
_prctl: Callable[..., int] | None = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies, however it dies: nothing is left running after `kill -9`."""
    if _prctl:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def adopt_orphans() -> None:
    """Become the parent of what supervisord started should supervisord die, so that `stop` can end them."""
    if _prctl:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_orphans(number: signal.Signals) -> None:
    """Signal the processes that supervisord left behind, and give them a moment. Usually there are none."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    for _ in range(20):
        left = children.read_text().split() if children.exists() else []
        for pid in map(int, left):
            if not os.waitpid(pid, os.WNOHANG)[0]:
                os.kill(pid, number)
        if not left:
            return
        time.sleep(0.25)


# --- waiting ------------------------------------------------------------------------------------------------------


def wait_until_healthy(supervisor: "subprocess.Popen[bytes]", ports: Ports) -> float:
    """Return after how many seconds /health said 200; meanwhile say what is being waited for."""
    began = time.monotonic()
    log = LOGS / "supervisord.log"
    log_start = log.stat().st_size if log.exists() else 0
    next_word = 5.0
    answer = "-"
    while (passed := time.monotonic() - began) < START_SECONDS:
        if supervisor.poll() is not None:
            raise supervisor_gone()
        for program in (*ports, "worker"):
            if log_since(log, log_start).count(f"exited: {program} ") >= DEATHS:
                raise Problem(
                    f"{program} 起不来，见 var/log/{program}.log：{last_line(log_since(LOGS / f'{program}.log'))}",
                    f"{program} does not start, see var/log/{program}.log",
                )
        status, answer = ask_health(ports["web"][1])
        if status == 200:
            return passed
        if passed >= next_word:
            waiting = [program for program, (_, port) in ports.items() if not is_listening(port)] or ["/health"]
            names = ", ".join(waiting)
            say(f"等待 {names}，{passed:.0f} 秒", f"waiting for {names}, {passed:.0f} s")
            next_word += 5
        time.sleep(0.3)
    raise Problem(
        f"{START_SECONDS} 秒后 /health 仍不正常：{answer}；见 var/log",
        f"/health is not well yet: {answer}; see var/log",
    )


def supervisor_gone() -> Problem:
    """Say that supervisord ended although nobody told it to."""
    return Problem("supervisord 自行结束，见 var/log/supervisord.log", "supervisord ended, see var/log/supervisord.log")


def log_since(log: Path, start: int = 0) -> str:
    """Return what was logged since, or all of it."""
    if not log.exists():
        return ""
    with log.open(errors="replace") as lines:
        lines.seek(start)
        return lines.read()


def ask_health(port: int) -> tuple[int, str]:
    """Return the status of GET /health (0: no answer) and what it said, without any proxy that may be set."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/health")
        response = connection.getresponse()
        return response.status, response.read(1000).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)
    finally:
        connection.close()


def is_listening(port: int) -> bool:
    """Tell whether something answers on this port."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def print_addresses(settings: Settings) -> None:
    """Print where to go. The practice phone exists in development only."""
    pages = [("网上对话", "chat", "/chat"), ("练习电话", "practice phone", "/phone")]
    pages += [("话务台", "operators", "/console"), ("运行状况", "health", "/health")]
    for chinese, english, path in pages:
        if path != "/phone" or settings.environment == "development":
            print(f"  http://127.0.0.1:{settings.port}{path:<10}{chinese} / {english}", flush=True)
    if settings.environment == "development":
        say(
            "  话务台密码：var/secrets.env 的 CONSOLE_PASSWORD",
            "console password: CONSOLE_PASSWORD in var/secrets.env",
        )


if __name__ == "__main__":
    plainly(main)
