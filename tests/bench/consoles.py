"""Consoles: how soon what a citizen says is on the operator's screen, with 200 consoles open and 200 conversations going,
and what that costs the web processes; by the stream of events, and by asking every 1.5 seconds as consoles do without it.
And how soon whoever joins the queue is on 200 desks, while the same conversations go on. On SQLite with one web process, and
on PostgreSQL with two, as a city has it."""

import asyncio
import itertools
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import psycopg
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import insert

from backend.changes import newest
from backend.clock import utc_now
from backend.conversations import service
from backend.database import Database
from backend.directory import sessions
from backend.directory.models import Staff
from tests.conftest import POSTGRES, postgres_url
from tests.running_line import SECRETS, RunningLine

CONSOLES = 200
TURN_EVERY = 10.0
"""Seconds from one remark of a citizen to the next: 20 remarks a second in all."""
MEASURED_FOR = 40.0
JOIN_EVERY = 2.0
"""Seconds from one citizen who asks for a person to the next, where desks are open."""
POLL_EVERY = 1.5
CSRF = "f" * 40
"""What Flask-WTF keeps in each console's session."""
joined: dict[str, float] = {}
"""Who joined the queue, by the conversation's id: when they asked for a person."""
PUBLIC, STREAMS = ("web", "api"), ("events",)


def run() -> dict[str, Any]:
    """Measure both databases and print the table."""
    rows = measured("sqlite", None, 1)
    name = f"line_bench_{os.getpid()}"
    with psycopg.connect(POSTGRES, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            rows += measured("postgresql", postgres_url(name), 2)
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    print(
        f"{'record':<12}{'web processes':>13}  {'how':<10}{'measured':>9}{'p50 ms':>9}{'p95 ms':>9}{'most ms':>9}"
        f"{'web CPU':>9}{'events CPU':>12}{'CPU ms a remark':>17}{'load before':>13}"
    )
    for row in rows:
        print(
            f"{row['record']:<12}{row['web_processes']:>13}  {row['how']:<10}{row['measured']:>9}{row['p50_ms']:>9.0f}"
            f"{row['p95_ms']:>9.0f}{row['most_ms']:>9.0f}{row['web_cpu']:>9.2f}{row['events_cpu']:>12.2f}"
            f"{row['cpu_ms_per_remark']:>17.1f}{row['load']:>13.1f}"
        )
    print(
        "CPU in cores; the consoles of this bench share the machine. desks: what is measured is the queue on each of them"
    )
    return {"consoles": CONSOLES, "rows": rows}


def measured(record: str, url: str | None, web_processes: int) -> list[dict[str, Any]]:
    """A row for each way of keeping the consoles up to date, on one database."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with RunningLine(folder, url, web_workers=web_processes) as line:
            consoles = people(line)
            return [
                {"record": record, "web_processes": web_processes, "how": how}
                | asyncio.run(measure(line, consoles, watch))
                for how, watch in (("stream", by_stream), ("polling", by_polling), ("desks", at_desk))
            ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Console:
    """An operator with a citizen: what the two browsers send."""

    def __init__(self, line: RunningLine, cookie: str, conversation_id: str, token: str) -> None:
        self.line, self.conversation_id = line, conversation_id
        self.cookie = {"Cookie": cookie}
        self.citizen = {"X-Conversation-Token": token}
        self.turn = 0
        self.said_at: dict[int, float] = {}  # number of the turn: when it was on the record
        self.seen: list[float] = []

    async def say(self, client: httpx.AsyncClient, text: str) -> None:
        """The citizen says something."""
        address = f"{self.line.base_url}/api/v1/conversations/{self.conversation_id}/messages"
        began = time.monotonic()
        self.said_at[len(self.said_at)] = began
        (await client.post(address, json={"text": text}, headers=self.citizen)).raise_for_status()

    async def look(self, client: httpx.AsyncClient) -> None:
        """The operator's page asks for what is new."""
        address = f"{self.line.base_url}/console/conversations/{self.conversation_id}/turns"
        asked: dict[str, str | int] = {"after": self.turn, "stand": f"operator-{self.staff_id}"}
        got = await client.get(address, params=asked, headers=self.cookie)
        now = time.monotonic()
        fresh = got.text.count('data-testid="turn"')
        for _ in range(fresh):
            self.seen.append(now - self.said_at[len(self.seen)])
        self.turn += fresh
        if "heard" in got.headers.get("HX-Trigger", ""):
            self.following = asyncio.create_task(self.follow(client))

    async def follow(self, client: httpx.AsyncClient) -> None:
        """The page asks for the answers that follow, a moment after the words are there."""
        await asyncio.sleep(1)
        address = f"{self.line.base_url}/console/conversations/{self.conversation_id}/found"
        (await client.get(address, headers=self.cookie)).raise_for_status()

    async def look_at_mine(self, client: httpx.AsyncClient) -> None:
        """The operator's desk asks for their own talks."""
        (await client.get(f"{self.line.base_url}/console/mine", headers=self.cookie)).raise_for_status()

    async def beat(self, client: httpx.AsyncClient) -> None:
        """The page's sign of life."""
        headers = self.cookie | {"X-CSRFToken": self.csrf_token}
        (await client.post(f"{self.line.base_url}/console/beat", headers=headers)).raise_for_status()

    following: asyncio.Task[None] | None = None
    staff_id = 0
    csrf_token = ""


def people(line: RunningLine) -> list[Console]:
    """Operators who hold a conversation each, all of it in the record."""
    record, now = Database(line.database_url), utc_now()
    consoles = []
    signer = session_signer()
    form_token = str(URLSafeTimedSerializer(SECRETS["SECRET_KEY"], salt="wtf-csrf-token").dumps(CSRF))
    with record.write() as session:
        for number in range(CONSOLES):
            row = {"username": f"bench{number}", "name": f"坐席{number}", "password_hash": "-", "role": "operator"}
            staff_id = session.scalar(
                insert(Staff).values(**row, seen_at=now, languages="zh", skills="").returning(Staff.id)
            )
            staff = session.get_one(Staff, staff_id)
            found, token = service.open_conversation(session, "chat", "zh", now)
            service.request_operator(session, found, now)
            service.take(session, found, staff, now)
            key = sessions.begin(session, staff, "127.0.0.1", "bench", now)
            cookie = f"session={signer({'_user_id': key, '_fresh': True, 'csrf_token': CSRF})}"
            console = Console(line, cookie, found.id, token)
            console.csrf_token = form_token
            console.staff_id, console.turn = staff.id, service.turns_after(session, found.id)[-1].number
            consoles.append(console)
    record.close()
    return consoles


def session_signer() -> Callable[[dict[str, Any]], str]:
    """Makes the cookie that a log-in would have given; 200 log-ins hash passwords for half a minute."""
    app = Flask("bench")
    app.secret_key = SECRETS["SECRET_KEY"]
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer
    return lambda session: str(serializer.dumps(session))


Watch = Callable[[RunningLine, Console, httpx.AsyncClient, int], Coroutine[Any, Any, None]]


async def measure(line: RunningLine, consoles: list[Console], watch: Watch) -> dict[str, Any]:
    """Let citizens talk while the consoles watch; when each remark was seen, and the processes' time."""
    record, load = Database(line.database_url), os.getloadavg()[0]
    with record.read() as session:
        after = newest(session)
    record.close()
    joined.clear()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client, httpx.AsyncClient(timeout=60) as citizens:
        for console in consoles:
            console.said_at, console.seen = {}, []
        watching = [asyncio.create_task(watch(line, console, client, after)) for console in consoles]
        await asyncio.sleep(5)  # all are connected
        used, began = cpu(line), time.monotonic()
        until = began + MEASURED_FOR
        talks = [talk(console, citizens, until) for console in consoles]
        await asyncio.gather(*talks, *([join(line, citizens, until)] if watch is at_desk else []))
        took = time.monotonic() - began
        spent = {name: used_now - used[name] for name, used_now in cpu(line).items()}
        await asyncio.sleep(3)
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    seen = [1000 * wait for console in consoles for wait in console.seen]
    said = sum(len(console.said_at) for console in consoles)
    cuts = statistics.quantiles(seen, n=100)
    return {
        **{"said": said, "measured": len(seen), "p50_ms": cuts[49], "p95_ms": cuts[94], "most_ms": max(seen)},
        "web_cpu": sum(spent[name] for name in PUBLIC) / took,
        "events_cpu": sum(spent[name] for name in STREAMS) / took,
        "cpu_ms_per_remark": 1000 * sum(spent.values()) / said,
        "load": load,
    }


async def talk(console: Console, client: httpx.AsyncClient, until: float) -> None:
    """A citizen who says something every TURN_EVERY seconds."""
    await asyncio.sleep(random.Random(console.conversation_id).uniform(0, TURN_EVERY))
    for number in itertools.count(1):
        if time.monotonic() > until:
            return
        await console.say(client, f"第 {number} 句：楼道里的灯还是不亮")
        await asyncio.sleep(TURN_EVERY)


async def join(line: RunningLine, client: httpx.AsyncClient, until: float) -> None:
    """Citizens who ask for a person, one after the other."""
    chats = f"{line.base_url}/api/v1/conversations"
    while time.monotonic() < until:
        begun = (await client.post(chats, json={"locale": "zh"})).json()
        joined[begun["id"]] = time.monotonic()
        address, citizen = f"{chats}/{begun['id']}/messages", {"X-Conversation-Token": begun["token"]}
        (await client.post(address, json={"text": "转人工"}, headers=citizen)).raise_for_status()
        await asyncio.sleep(JOIN_EVERY)


async def at_desk(line: RunningLine, console: Console, client: httpx.AsyncClient, after: int) -> None:
    """The desk as static/live.js has it: the queue comes with the stream, the operator's own talks are asked for."""
    shown: set[str] = set()
    async with events(line, console, client, after, desk="yes") as stream:
        async for name, data in told(stream):
            if name == "queue":
                fresh = {one for one in joined if one in data} - shown
                console.seen += [time.monotonic() - joined[one] for one in fresh]
                shown |= fresh
            elif name == "beat":
                await console.beat(client)
            elif "mine" in data:
                await console.look_at_mine(client)


async def by_stream(line: RunningLine, console: Console, client: httpx.AsyncClient, after: int) -> None:
    """The page of a conversation as static/live.js has it: hear what has changed, then ask for it; answer each beat."""
    async with events(line, console, client, after, conversation=console.conversation_id) as stream:
        async for name, data in told(stream):
            if name == "beat":
                await console.beat(client)
            elif "conversation" in data:
                await console.look(client)


def events(
    line: RunningLine, console: Console, client: httpx.AsyncClient, after: int, **shown: str
) -> AbstractAsyncContextManager[httpx.Response]:
    """The stream of a page that shows this."""
    address = f"http://127.0.0.1:{line.events_port}/console/events"
    asked = {"after": str(after)} | shown
    return client.stream("GET", address, params=asked, headers=console.cookie, timeout=None)


async def told(stream: httpx.Response) -> AsyncIterator[tuple[str, str]]:
    """What the stream tells: the name of each event, and its data."""
    name = ""
    async for said in stream.aiter_lines():
        field, _, value = said.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, value


async def by_polling(line: RunningLine, console: Console, client: httpx.AsyncClient, after: int) -> None:
    """As consoles do without a stream."""
    await asyncio.sleep(random.Random(console.conversation_id).uniform(0, POLL_EVERY))
    while True:
        await console.look(client)
        await asyncio.sleep(POLL_EVERY)


def cpu(line: RunningLine) -> dict[str, float]:
    """Seconds of processor time that each process of the line has used, with its children."""
    ticks = os.sysconf("SC_CLK_TCK")
    spent = {}
    for name in (*PUBLIC, *STREAMS):
        leader = line.processes[name].pid
        spent[name] = 0.0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:  # it has ended meanwhile
                continue
            if int(fields[2]) == leader:  # its process group
                spent[name] += (int(fields[11]) + int(fields[12])) / ticks
    return spent
