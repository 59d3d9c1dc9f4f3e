"""One storm: people call and write while disasters strike, and the account that is asked for afterwards.

A disaster is drawn from a seed, strikes, and is over after some seconds; a process that died is started again by a keeper,
as supervisord does. Callers are those of tests/caller.py, which share no code with the line; what the telephone service does
when a webhook fails (the fallback URL, then the bin that records, docs/telephone-providers.md) they do here. Those who
write send what was not answered again with the same key, as the chat page does.
"""

import contextlib
import os
import random
import re
import resource
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from sqlalchemy import select

from backend.cases.models import Case, Repeat
from backend.cases.numbers import WRITTEN, parse_number
from backend.conversations.models import Conversation, Turn
from backend.database import Database
from ivr.models import Call
from tests.caller import Broken, Caller
from tests.chaos.proxy import Wire
from tests.chaos.servers import SERVERS, ServedLine
from tests.conftest import closed_port
from tests.running_line import SECRETS, RunningLine

KILLED = ("web", "api", "bot", "actions", "worker", "events")
LASTS = (0.5, 4.0)
"""Seconds that a cut, a hang or a server's absence lasts, drawn between these."""
SLOW = {"line-postgres": 0.05}
"""Seconds before each piece on a slow wire, where it is not SLOW_TURN: a turn asks the record a dozen times."""
SLOW_TURN = 0.7
RECOVERED_WITHIN = 60.0
PATIENT = 90.0
"""Seconds for which somebody who writes tries again: longer than any recovery may take."""
ANSWERED = frozenset({"answer", "clarify", "solved", "unsolved"})
ASKED = ("暖气不热该找谁", "怎么办理身份证", "公积金怎么提取", "居住证怎么办")


@dataclass
class Person:
    """Somebody and what became of them. `told` is the number of the case that they were told is filed."""

    number: int
    does: str  # asks, reports, wants_person
    channel: str  # phone, chat
    conversation_id: str = ""
    call_sid: str = ""
    told: str = ""
    heard: str = ""
    ends: set[str] = field(default_factory=set)


class Storm:
    """A running line with wires in it, its keeper, and the disasters."""

    def __init__(self, line: RunningLine, seed: int) -> None:
        self.random, self.seed, self.line = random.Random(seed), seed, line
        self.struck: Counter[str] = Counter()
        self.recoveries: list[float] = []
        self.over = threading.Event()
        self.keeping = threading.Lock()
        self.wires: dict[str, Wire] = {}
        line.environment["BOT_URL"] = f"http://127.0.0.1:{line.bot_port}"
        self.put_wire("web-bot", line.bot_port, "BOT_URL")
        self.put_wire("bot-api", line.api_port, "BACKEND_URL")
        if isinstance(line, ServedLine):
            self.put_wire("line-postgres", line.postgres_port, "DATABASE_URL", "BOT_DATABASE_URL")
            self.put_wire("line-redis", line.redis_port, "REDIS_URL")

    def put_wire(self, name: str, port: int, *settings: str) -> None:
        """Let what these settings name be reached through a wire."""
        near = closed_port()
        self.wires[name] = Wire(near, port)
        for setting in settings:
            self.line.environment[setting] = self.line.environment[setting].replace(f":{port}", f":{near}")

    # --- keeping it up, as supervisord does

    def keep(self) -> None:
        """Start again what has died, until the storm is over."""
        while not self.over.wait(0.2):
            with self.keeping:
                for name, process in list(self.line.processes.items()):
                    if process.poll() is not None and not self.over.is_set():
                        self.line.stop(name)
                        self.line.start(name)

    def is_well(self) -> bool:
        """Whether everything that callers need is up, and the queue of jobs is worked."""
        try:
            answer = httpx.get(f"{self.line.base_url}/health", timeout=5)
            return answer.status_code == httpx.codes.OK and answer.json()["worker"] == "working"
        except httpx.HTTPError:
            return False

    # --- disasters

    def disasters(self) -> dict[str, Callable[[], contextlib.AbstractContextManager[None]]]:
        """Each is a context: it strikes, and at the end is over."""
        found: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {}
        for name in KILLED:
            found[f"kill {name}"] = lambda name=name: self.killed(name)  # type: ignore[misc]
        servers = SERVERS if isinstance(self.line, ServedLine) else ()
        for name in servers:
            found[f"kill {name}"] = lambda name=name: self.gone(name)  # type: ignore[misc]
        for name in ("bot", "api", "web", *servers):
            found[f"hang {name}"] = lambda name=name: self.hung(name)  # type: ignore[misc]
        for name, wire in self.wires.items():
            seconds = SLOW.get(name, SLOW_TURN)
            found[f"cut {name}"] = lambda wire=wire: cut(wire)  # type: ignore[misc]
            found[f"slow {name}"] = lambda wire=wire, seconds=seconds: slow(wire, seconds)  # type: ignore[misc]
        if self.line.database_url.startswith("sqlite"):
            found["full disk"] = self.full_disk
        return found

    @contextlib.contextmanager
    def killed(self, name: str) -> Iterator[None]:
        """kill -9, with all its children; the keeper finds it."""
        with self.keeping, contextlib.suppress(ProcessLookupError, KeyError):
            self.line.stop(name, signal.SIGKILL)
            self.line.start(name)
        yield

    @contextlib.contextmanager
    def gone(self, name: str) -> Iterator[None]:
        """kill -9; after a while it is started again. PostgreSQL's children, which are not of its group, end by themselves;
        until they have, it refuses to start, and the keeper tries again."""
        with self.keeping, contextlib.suppress(ProcessLookupError, KeyError):
            self.line.stop(name, signal.SIGKILL)
        yield
        with self.keeping:
            self.line.start(name)

    @contextlib.contextmanager
    def hung(self, name: str) -> Iterator[None]:
        """The process and its children stand still."""
        with self.keeping:
            pids = family(self.line.processes[name].pid)
        for pid in pids:
            send(pid, signal.SIGSTOP)
        yield
        for pid in pids:
            send(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """No file of the web and the api process may grow: what they write fails, as on a full disk."""
        pids = [pid for name in ("web", "api") for pid in family(self.line.processes[name].pid)]
        for pid in pids:
            limit_files(pid, 4096)
        yield
        for pid in pids:
            limit_files(pid, resource.RLIM_INFINITY)

    def rage(self, pause: tuple[float, float]) -> None:
        """Disasters, one after the other, until told to stop; after each it is measured how long the line needs."""
        disasters = self.disasters()
        while not self.over.wait(self.random.uniform(*pause)):
            name = self.random.choice(sorted(disasters))
            self.struck[name] += 1
            with disasters[name]():
                self.over.wait(self.random.uniform(*LASTS))
            began = time.monotonic()
            while not self.is_well() and not self.over.is_set():
                time.sleep(0.2)
                if time.monotonic() - began > 2 * RECOVERED_WITHIN:
                    break
            self.recoveries.append(time.monotonic() - began)

    # --- people

    def run(self, people: int, at_once: int, pause: tuple[float, float] = (1.0, 4.0)) -> list[Person]:
        """Let so many people call and write during the storm; returns them with what became of them."""
        crowd = [
            Person(number, self.random.choices(("asks", "reports", "wants_person"), (3, 6, 1))[0], channel)
            for number in range(people)
            for channel in ("phone" if number % 2 else "chat",)
        ]
        with self.line:
            helpers = [threading.Thread(target=self.keep), threading.Thread(target=self.rage, args=(pause,))]
            for one in helpers:
                one.start()
            try:
                with ThreadPoolExecutor(at_once) as pool:
                    for done in [pool.submit(self.go_through, person) for person in crowd]:
                        done.result()
            finally:
                for wire in self.wires.values():
                    wire.mend()
                self.over.set()
                for one in helpers:
                    one.join()
            self.settle()
            self.account(crowd)
        for wire in self.wires.values():
            wire.close()
        return crowd

    def settle(self) -> None:
        """After the storm, whatever was struck last comes back without a hand."""
        began = time.monotonic()
        while not self.is_well():
            for name, process in list(self.line.processes.items()):
                if process.poll() is not None:
                    self.line.stop(name)
                    self.line.start(name)
            if time.monotonic() - began > 2 * RECOVERED_WITHIN:
                raise AssertionError(f"the line did not recover: {self.line.health()}")
            time.sleep(0.2)
        self.recoveries.append(time.monotonic() - began)

    def go_through(self, person: Person) -> None:
        """Do what this person wants."""
        try:
            (telephone if person.channel == "phone" else write)(self.line, person)
        except Exception as error:
            raise AssertionError(f"seed {self.seed}, {person}: {error!r}") from error

    def account(self, crowd: list[Person]) -> None:
        """What the record knows of each."""
        record = Database(self.line.database_url)
        with record.read() as session:
            for person in crowd:
                call = session.get(Call, person.call_sid)
                person.conversation_id = call.conversation_id if call else person.conversation_id
                if not person.conversation_id:
                    continue
                turns = session.scalars(select(Turn).where(Turn.conversation_id == person.conversation_id)).all()
                conversation = session.get_one(Conversation, person.conversation_id)
                cases = session.scalars(select(Case).where(Case.conversation_id == person.conversation_id)).all()
                joined = session.scalars(select(Repeat).where(Repeat.conversation_id == person.conversation_id)).all()
                person.ends |= {"answer"} if any(turn.act in ANSWERED for turn in turns) else set()
                person.ends |= {"person"} if conversation.waiting_since or conversation.callback_at else set()
                person.ends |= {"case"} if cases or joined else set()
                person.ends |= {"doubled"} if len(cases) + len(joined) > 1 else set()
                known = {case.number for case in cases}
                known |= {session.get_one(Case, one.case_id).number for one in joined}
                if person.told and person.told not in known:
                    person.ends.add("lost")
        record.close()


@contextlib.contextmanager
def cut(wire: Wire) -> Iterator[None]:
    """Nothing gets through."""
    wire.cut()
    yield
    wire.mend()


@contextlib.contextmanager
def slow(wire: Wire, seconds: float) -> Iterator[None]:
    """Everything takes its time."""
    wire.slow = seconds
    yield
    wire.mend()


def family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    with contextlib.suppress(OSError):
        return [pid, *map(int, children.read_text().split())]
    return []


def send(pid: int, what: signal.Signals) -> None:
    """Signal a process, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, what)


def limit_files(pid: int, size: int) -> None:
    """No file of this process grows beyond so many bytes."""
    with contextlib.suppress(OSError, ProcessLookupError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))


# --- somebody who telephones


class Stubborn(Caller):
    """A caller whose telephone service does what it does when a webhook fails: asks the fallback URL, and when that fails
    too, records a message by itself."""

    recorded_by_service = False

    def follow(self, where: str, brought: dict[str, str]) -> None:
        """Go on at the next address, or at the fallback."""
        try:
            super().follow(where, brought)
        except (Broken, httpx.HTTPError):
            try:
                super().follow("/ivr/fallback", {"ErrorCode": "11200"})
            except (Broken, httpx.HTTPError):
                self.recorded_by_service = True
                self.state, self.gather, self.enqueued, self.after = "over", None, None, []

    def leave_message(self, seconds: int, keys: str = "") -> None:
        """Speak after the tone. The telephone service has the recording then, whether or not the line hears of it; what the
        line has not heard of it finds there later (ivr/recovery.py)."""
        self.recorded_by_service = self.recorded_by_service or seconds > 0
        super().leave_message(seconds, keys)

    def end(self) -> None:
        """Put the receiver down, whether or not the line hears of it."""
        with contextlib.suppress(Broken, httpx.HTTPError):
            super().end()
        self.state, self.gather, self.enqueued = "over", None, None


def telephone(line: RunningLine, person: Person) -> None:
    """Call, say what is wanted, do what is asked for, until it is settled."""
    words = list(sentences(person))
    caller = Stubborn(line.base_url, SECRETS["TWILIO_AUTH_TOKEN"], number=f"+86139{person.number:08d}")
    caller.dial()
    for _ in range(24):
        if caller.state in ("over", "waiting", "talking") or is_settled(person, "\n".join(caller.said[-3:])):
            break
        if caller.state == "recording":
            caller.speak_message()
        elif words:
            caller.say(words.pop(0))
        else:
            caller.press("0")
    person.told, person.heard = filed_number("\n".join(caller.said)), " | ".join(caller.said[-6:])
    if caller.recorded_by_service:
        person.ends.add("recording")
    if caller.state != "over":
        caller.hang_up()
    person.call_sid = caller.sid


def write(line: RunningLine, person: Person) -> None:
    """Write, and send again what was not answered, until it is settled."""
    web = httpx.Client(base_url=line.base_url, timeout=20, trust_env=False)
    started = insist(lambda: web.post("/api/v1/conversations", json={"locale": "zh"}))
    person.conversation_id, web.headers["X-Conversation-Token"] = started["id"], started["token"]
    for index, text in enumerate(sentences(person)):
        message = {"text": text, "key": f"{person.number}-{index}"}
        address = f"/api/v1/conversations/{person.conversation_id}/messages"
        answer = insist(lambda address=address, message=message: web.post(address, json=message))  # type: ignore[misc]
        for reply in answer["replies"]:
            if reply["act"] == "filed":
                person.told = filed_number(reply["text"])
        if person.told or answer["state"] != "bot":
            break


def insist(send: Callable[[], httpx.Response]) -> dict:
    """Send until it is answered. Raises TimeoutError after PATIENT seconds."""
    until = time.monotonic() + PATIENT
    last = ""
    while time.monotonic() < until:
        with contextlib.suppress(httpx.HTTPError):
            answer = send()
            if answer.status_code in (200, 201):
                found: dict = answer.json()
                return found
            last = f"{answer.status_code} {answer.text[:200]}"
        time.sleep(0.5)
    raise TimeoutError(f"no answer in {PATIENT:.0f} s: {last}")


def sentences(person: Person) -> Iterator[str]:
    """What this person says, one after the other."""
    if person.does == "asks":
        yield ASKED[person.number % len(ASKED)]
    elif person.does == "wants_person":
        yield "转人工"
    else:
        yield "我要反映问题"
        yield "小区路灯不亮"
        yield f"明湖区软件园{person.number}号楼"
        yield "有三天了"
        yield "就这个电话" if person.channel == "phone" else "匿名"
        yield "确认"


def is_settled(person: Person, heard: str) -> bool:
    """Whether the caller has what they called for."""
    if person.does == "asks":
        return "解决" in heard
    return bool(filed_number(heard))


def filed_number(heard: str) -> str:
    """The number of the case that somebody was told is filed, as it is written; empty for none."""
    found = re.search(r"工单号?是?\s*(\d{5}[-，, ]+\d{5})", heard.translate(WRITTEN))
    return parse_number(found[1]) if found else ""
