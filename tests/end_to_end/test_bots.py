"""Two bots: one may die, hang or be restarted with a new model while people call and write, and nobody hears of it."""

import shutil
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest

from backend.cases.models import Case, Repeat
from backend.database import Database
from backend.setup.environments import Problem
from backend.setup.restart import restart
from bot.ready import is_ready
from ivr.phone.call import spoken
from tests.end_to_end.conftest import need_bot
from tests.running_line import SECRETS, RunningLine, until

ACTS = ["ask", "ask", "ask", "ask", "confirm", "filed"]
PEOPLE = 4


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLine]:
    """A line with two bots and a model of its own."""
    need_bot()
    folder = tmp_path_factory.mktemp("two-bots")
    model = folder / "models"
    shutil.copytree(Path(RunningLine(folder).model), model)
    with RunningLine(folder, model=model, bots=2) as running:
        until(lambda: all(bots(running).values()), "both bots")
        yield running


def bots(line: RunningLine) -> dict[str, bool]:
    """What /health says of each."""
    found: dict[str, bool] = httpx.get(f"{line.base_url}/health", timeout=10).json()["bots"]
    return found


def cases(line: RunningLine) -> int:
    """How many reports are filed, as cases or with a neighbour's."""
    record = Database(line.database_url)
    with record.read() as session:
        found = session.query(Case).count() + session.query(Repeat).count()
    record.close()
    return found


class Crowd:
    """People who report something again and again, half of them by telephone; each turn must bring them one step on."""

    def __init__(self, line: RunningLine) -> None:
        self.line = line
        self.over = threading.Event()
        self.filed, self.places = 0, 0
        self.pool = ThreadPoolExecutor(PEOPLE)
        self.people: list[Future[None]] = []

    def __enter__(self) -> "Crowd":
        self.before = cases(self.line)
        self.people = [self.pool.submit(self.call if number % 2 else self.write) for number in range(PEOPLE)]
        until(lambda: self.filed >= PEOPLE or any(one.done() for one in self.people), "the first reports")
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for one in self.people:
            one.result()
        assert cases(self.line) - self.before == self.filed

    def more(self) -> None:
        """Wait until everybody has probably reported something more."""
        enough = self.filed + PEOPLE
        until(lambda: self.filed >= enough or any(one.done() for one in self.people), "more reports")

    def write(self) -> None:
        """Chats, one after the other, each with a report."""
        while not self.over.is_set():
            chat = self.line.chat()
            said = [chat.say(text)[-1] for text in self.report()]
            assert [reply["act"] for reply in said] == ACTS, said
            self.filed += 1

    def call(self) -> None:
        """Likewise calls."""
        while not self.over.is_set():
            call = self.line.dial()
            heard = [spoken(call.speak(text)) for text in self.report()]
            assert "工单号" in heard[-1], heard
            call.hang_up()
            self.filed += 1

    def report(self) -> tuple[str, ...]:
        """What somebody says who has something to report."""
        self.places += 1
        place = f"明湖区软件园{self.places}号楼"
        return "我要反映问题", "小区路灯不亮", place, "有三天了", "匿名", "确认"


def test_a_bot_that_hangs_or_dies_costs_nobody_more_than_a_wait(line: RunningLine) -> None:
    with Crowd(line) as crowd:
        line.processes["bot_1"].send_signal(signal.SIGSTOP)
        crowd.more()
        line.processes["bot_1"].send_signal(signal.SIGCONT)
        crowd.more()
        line.stop("bot", signal.SIGKILL)
        until(lambda: bots(line) == {"bot_0": False, "bot_1": True}, "what /health says of the dead one")
        crowd.more()
        assert line.health()[0] == 200
    line.start("bot")


def test_a_new_model_comes_in_by_a_restart_one_by_one_that_no_caller_notices(line: RunningLine) -> None:
    until(lambda: all(bots(line).values()), "both bots")
    shutil.copyfile(line.model / "line.tar.gz", line.model / "newer.tar.gz")
    ready = [partial(is_ready, port, SECRETS["BOT_TOKEN"]) for port, _ in line.bots]
    with Crowd(line) as crowd:
        restart(Hands(line), ready)
        crowd.more()
    assert all(bots(line).values())
    assert all("newer.tar.gz" in (line.folder / f"{name}.log").read_text() for name in ("bot", "bot_1"))


def test_a_bot_without_another_ready_is_not_restarted(line: RunningLine) -> None:
    hands = Hands(line)
    with pytest.raises(Problem, match="BOT_WORKERS=2"):
        restart(hands, [lambda: True])
    with pytest.raises(Problem, match="bot_0"):
        restart(hands, [lambda: True, lambda: False])


class Hands:
    """Stands for supervisord."""

    def __init__(self, line: RunningLine) -> None:
        self.line = line

    def stop(self, name: str) -> None:
        self.line.stop(name.removesuffix("_0"), signal.SIGTERM)

    def start(self, name: str) -> None:
        self.line.start(name.removesuffix("_0"))
