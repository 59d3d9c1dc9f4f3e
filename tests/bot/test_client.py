"""The one door to the bot, with processes behind it that answer, refuse, hang, or have nothing to say."""

import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bot import client
from bot.client import BotUnavailable, RasaBot
from tests.conftest import closed_port

REPLY = [{"custom": {"text": "好", "speech": "好"}}]


class Process:
    """Stands for a Rasa: answers with `status` and `replies`, as soon as `goes_on` is set."""

    def __init__(self) -> None:
        self.status, self.replies = 200, REPLY
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.asked: Counter[str] = Counter()
        process = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                process.asked[message["sender"]] += 1
                process.goes_on.wait(30)
                self.answer(process.status, process.replies)

            def do_GET(self) -> None:
                self.answer(process.status, {"ready": process.status == 200})

            def answer(self, status: int, body: object) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *arguments: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def two() -> Iterator[tuple[Process, Process]]:
    """Two processes of the bot."""
    made = Process(), Process()
    yield made
    for process in made:
        process.goes_on.set()
        process.server.shutdown()
        process.server.server_close()


def door(two: tuple[Process, Process], timeout: float = 5, clock: Callable[[], float] = lambda: 0.0) -> RasaBot:
    """The door to both."""
    return RasaBot(", ".join(process.url for process in two), "token", timeout, clock)


def say(bot: RasaBot, conversation: str) -> str:
    """What is answered."""
    return bot.send(conversation, "你好", "chat", "zh", {})[0].text


def own(two: tuple[Process, Process], bot: RasaBot) -> tuple[str, Process, Process]:
    """A conversation, the process that it is with, and the other."""
    say(bot, "c")
    first, other = two if two[0].asked["c"] else two[::-1]
    return "c", first, other


def test_a_conversation_stays_with_one_process_and_all_doors_choose_the_same(two: tuple[Process, Process]) -> None:
    for bot in (door(two), door(two[::-1])):
        for number in range(40):
            say(bot, f"talk-{number}")
    assert all(process.asked for process in two)
    assert not two[0].asked.keys() & two[1].asked.keys()


@pytest.mark.parametrize("status", [409, 500, 503])
def test_a_turn_that_one_process_can_not_take_is_taken_by_the_other(two: tuple[Process, Process], status: int) -> None:
    bot = door(two)
    talk, first, other = own(two, bot)
    first.status = status
    assert say(bot, talk) == "好"
    assert other.asked == {talk: 1}
    assert sorted(bot.processes().values()) == [False, True]


def test_a_process_that_hangs_costs_one_turn_a_wait_and_is_asked_again_later(
    two: tuple[Process, Process],
) -> None:
    now = [0.0]
    bot = door(two, timeout=3, clock=lambda: now[0])
    talk, first, other = own(two, bot)
    first.goes_on.clear()
    assert [say(bot, talk) for _ in range(3)] == ["好"] * 3
    assert (first.asked[talk], other.asked[talk]) == (2, 3)
    first.goes_on.set()
    now[0] += client.AVOIDED + 1
    assert say(bot, talk) == "好"
    assert first.asked[talk] == 3


def test_a_process_that_is_not_there_costs_nothing(two: tuple[Process, Process]) -> None:
    bot = RasaBot(f"http://127.0.0.1:{closed_port()},{two[0].url}", "token", 5)
    assert [say(bot, f"talk-{number}") for number in range(20)] == ["好"] * 20


def test_a_turn_to_which_one_process_said_nothing_is_not_tried_elsewhere(two: tuple[Process, Process]) -> None:
    bot = door(two)
    talk, first, other = own(two, bot)
    first.replies = []
    with pytest.raises(BotUnavailable):
        say(bot, talk)
    assert not other.asked


def test_without_any_process_the_bot_is_unavailable() -> None:
    bot = RasaBot(f"http://127.0.0.1:{closed_port()},http://127.0.0.1:{closed_port()}", "token", 1)
    with pytest.raises(BotUnavailable):
        say(bot, "c")
    assert list(bot.processes().values()) == [False, False]


def test_a_name_that_stands_for_several_containers_is_as_many_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts, now = ["10.0.0.3", "10.0.0.2", "fd00::1"], [0.0]

    def look_up(host: str, port: int, type: int) -> list[tuple[object, ...]]:
        if not hosts:
            raise OSError("no name server")
        return [(None, type, 6, "", (each, port)) for each in hosts]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(RasaBot, "_is_ready", lambda self, address: True)
    bot = RasaBot("http://bot:5005", "token", 1, clock=lambda: now[0])
    everybody = ["http://10.0.0.2:5005", "http://10.0.0.3:5005", "http://[fd00::1]:5005"]
    assert list(bot.processes()) == everybody
    hosts.clear()
    now[0] += client.LOOKED_UP + 1
    assert list(bot.processes()) == everybody
    hosts.append("10.0.0.9")
    now[0] += client.LOOKED_UP + 1
    assert list(bot.processes()) == ["http://10.0.0.9:5005"]
