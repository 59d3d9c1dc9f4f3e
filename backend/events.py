"""The events process: one stream of server-sent events for every open console, `GET /console/events`.

A stream stays open for hours. In the public process each would hold one of the threads that citizens' calls need, so streams
have a process of their own, on asyncio (gunicorn's ASGI worker), at EVENTS_PORT; a proxy in front sends /console/events
there. Without it, or while it is down, consoles ask every two seconds as they would have to otherwise (console.js).

It is also what deals out those who wait (conversations/offers.py), because it is the one that asks consoles whether they
live.

One task reads the list of changes (backend/changes.py) four times a second for all streams of the process, so the record
is asked as often with 200 consoles as with one. What it finds becomes topics, and a console fetches what it shows of them.
The queue, which changes for everybody at once, isn't fetched: it is made once for all who see it alike, and sent.

Any number of these processes may run; none keeps anything that another would need.
"""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs

import httpx
from flask import Flask
from flask_login import current_user

from backend import changes
from backend.app import create_app
from backend.changes import Change
from backend.console.desk import QueueView, my_view, queue_part
from backend.console.views import EVENTS_PATH
from backend.conversations.offers import LOST_AFTER, deal
from backend.locale import COOKIE
from backend.parts import Parts
from backend.trusted import trusted

log = logging.getLogger(__name__)

READ_EVERY = 0.25
"""Seconds between two looks at the list of changes."""
DEAL_EVERY = 1.0
"""Seconds between two looks at who waits and who is ready (conversations/offers.py)."""
LATE = 5.0
"""Seconds for which a change may still turn up with a number below the last one: its transaction began before another's and
was committed after it (PostgreSQL)."""
GAP = 2.0
"""Seconds between two tellings of the queue or the floor to one console: those change for everybody at once."""
ANSWERS_WITHIN = 2.0
"""Seconds in which the web process answers, if consoles are to be expected to get through to it."""
BEAT_EVERY = 10.0
"""Seconds from one beat of a stream to the next. The console answers it, which shows that it lives; each stream has its own
beat, so that they don't all answer at once."""
QUEUE_PATH = "/console/queue"
SHARED = frozenset({"queue", "floor"})

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(eq=False)
class Stream:
    """One console: whose it is, what it shows (a conversation, the floor, a desk with its queue), and the topics that it is
    still to be told."""

    staff_id: int
    conversation_id: str
    floor: bool
    queue: QueueView | None
    last_id: int
    topics: set[str] = field(default_factory=set)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    shared_at: float = 0.0
    beat_at: float = 0.0

    def tell(self, found: Iterable[Change]) -> None:
        """Note what of these changes concerns this console."""
        for change in found:
            self.topics |= topics_of(change, self)
            self.last_id = max(self.last_id, change.id)
        if self.topics:
            self.wake.set()

    def due(self, now: float) -> set[str]:
        """The topics to tell now; what everybody is told of waits for its gap."""
        told = set(self.topics) if now - self.shared_at >= GAP else self.topics - SHARED
        self.topics -= told
        if told & SHARED:
            self.shared_at = now
        return told

    def beats(self, now: float) -> bool:
        """Whether it is time for a beat."""
        due = now - self.beat_at >= BEAT_EVERY
        if due:
            self.beat_at = now
        return due

    def pause(self, now: float) -> float:
        """For how long to wait when nothing new comes."""
        until_beat = BEAT_EVERY - (now - self.beat_at)
        return max(0.05, min(until_beat, GAP - (now - self.shared_at)) if self.topics else until_beat)


def topics_of(change: Change, stream: Stream) -> set[str]:
    """What this console looks at anew after a change."""
    topics: set[str] = set()
    if change.conversation_id and change.conversation_id == stream.conversation_id:
        topics.add("conversation")
    if change.staff_id == stream.staff_id and change.kind in ("offer", "presence"):
        topics.add(change.kind)
    if stream.queue and change.staff_id == stream.staff_id:
        topics.add("mine")
    if stream.queue and change.kind in ("state", "offer"):
        topics.add("queue")
    if stream.floor and change.kind not in ("turn", "typing"):
        topics.add("floor")
    return topics


class Streams:
    """The open streams of this process, and the task that feeds them."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.web = httpx.Client(timeout=ANSWERS_WITHIN, trust_env=False, verify=trusted())
        self.open: set[Stream] = set()
        self.seen: deque[tuple[float, int]] = deque()  # when a change was seen, and its number
        self.settled = -1  # every change up to this number was seen at least LATE seconds ago; -1: nothing read yet
        self.told = 0  # how often something was found to have changed

    async def deal(self) -> None:
        """Once a second, do what is due between those who wait and those who are ready, for ever. Nobody is taken to be lost
        before their console has had the time to find the line again, after this process or the web process was away."""
        began = time.monotonic()
        while True:
            if not await asyncio.to_thread(self.web_answers):
                began = time.monotonic()
            release = time.monotonic() - began > LOST_AFTER.total_seconds()
            try:
                await asyncio.to_thread(deal, self.parts.database, self.parts.clock, self.parts.telephone, release)
            except Exception:  # whatever it is, the next second may go better
                log.exception("who waits can't be offered")
            await asyncio.sleep(DEAL_EVERY)

    def web_answers(self) -> bool:
        """Whether the web process is there: while it isn't, no console can give a sign of life."""
        try:
            self.web.get(f"{self.parts.settings.web_address}/console/static/icon.svg")
        except httpx.HTTPError:
            return False
        return True

    async def feed(self) -> None:
        """Read what has changed and tell it, for ever; the record may be out of reach for a while."""
        while True:
            try:
                self.tell(await asyncio.to_thread(self.read))
            except Exception:  # whatever it is, the next look may succeed
                log.exception("the list of changes can't be read")
                self.seen.clear()  # a PostgreSQL that was killed may give numbers of the last moments anew
            await asyncio.sleep(READ_EVERY)

    def read(self) -> list[Change]:
        """The changes that may be new."""
        with self.parts.database.read() as session:
            if self.settled < 0:
                self.settled = changes.newest(session)
            return changes.since(session, self.settled)

    def tell(self, found: list[Change]) -> None:
        """Tell every stream what has not been told."""
        now = time.monotonic()
        known = {number for _, number in self.seen}
        fresh = [change for change in found if change.id not in known]
        self.told += bool(fresh)
        for stream in self.open:
            stream.tell(fresh)
        self.seen.extend((now, change.id) for change in fresh)
        while self.seen and now - self.seen[0][0] > LATE:
            self.settled = max(self.settled, self.seen.popleft()[1])

    def missed(self, last_id: int) -> list[Change] | None:
        """What has changed since a page was made, or its stream was cut; None when that is no longer known."""
        with self.parts.database.read() as session:
            return changes.since(session, last_id) if changes.is_kept(session, last_id) else None


def body(name: str, last_id: int, data: object) -> Message:
    """One server-sent event, as the body of an ASGI response."""
    text = f"event: {name}\nid: {last_id}\ndata: {json.dumps(data)}\n\n"
    return {"type": "http.response.body", "body": text.encode(), "more_body": True}


class Application:
    """The ASGI application: asks the Flask application who is there, as every page does, and keeps the stream going."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.parts: Parts = app.extensions["parts"]
        self.streams = Streams(self.parts)
        self.queues: dict[tuple[int, int, QueueView], asyncio.Task[str]] = {}  # as they look after what was told last
        self.at_work: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.live(receive, send)
        elif scope["type"] == "http" and scope["path"] == EVENTS_PATH:
            await self.stream(scope, receive, send)
        elif scope["type"] == "http":
            await refuse(send, 404)

    async def live(self, receive: Receive, send: Send) -> None:
        """Begin and end with the process."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.at_work = [asyncio.create_task(self.streams.feed()), asyncio.create_task(self.streams.deal())]
                await send({"type": "lifespan.startup.complete"})
            else:
                for task in self.at_work:
                    task.cancel()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def stream(self, scope: Message, receive: Receive, send: Send) -> None:
        """One console's stream, until it goes away."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        found = await asyncio.to_thread(self.admit, headers, scope.get("query_string", b"").decode("latin-1"))
        if found is None:
            await refuse(send, 403)
            return
        gone = asyncio.create_task(closed(receive))
        self.streams.open.add(found)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.headers(headers)})
            missed = await asyncio.to_thread(self.streams.missed, found.last_id)
            await send(body("topics", found.last_id, ["all"] if missed is None else []))
            found.tell(missed or [])
            while not gone.done():
                waking = asyncio.create_task(found.wake.wait())
                await asyncio.wait(
                    {gone, waking}, timeout=found.pause(time.monotonic()), return_when=asyncio.FIRST_COMPLETED
                )
                waking.cancel()
                found.wake.clear()
                if gone.done():
                    break
                now = time.monotonic()
                topics = found.due(now)
                if found.queue and "queue" in topics:
                    await send(body("queue", found.last_id, await self.queue(found.queue)))
                if topics - {"queue"}:
                    await send(body("topics", found.last_id, sorted(topics - {"queue"})))
                if found.beats(now):
                    await send(body("beat", found.last_id, ""))
        finally:
            self.streams.open.discard(found)
            gone.cancel()

    async def queue(self, view: QueueView) -> str:
        """The queue as it looks now: made once for all who see it alike after the same change."""
        now = self.streams.told, int(time.monotonic() / GAP)
        if (*now, view) not in self.queues:
            self.queues = {made: drawing for made, drawing in self.queues.items() if made[:2] == now}
            self.queues[*now, view] = asyncio.create_task(asyncio.to_thread(self.draw_queue, view))
        return await asyncio.shield(self.queues[*now, view])

    def draw_queue(self, view: QueueView) -> str:
        """The queue as a page of the console would ask for it."""
        with self.app.test_request_context(QUEUE_PATH, headers={"Cookie": f"{COOKIE}={view.locale}"}):
            return queue_part(view)

    def admit(self, headers: dict[str, str], query: str) -> Stream | None:
        """The stream of whoever is logged in; None for who may not have one."""
        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        cookies = {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
        cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
        with self.app.test_request_context(EVENTS_PATH, headers={"Cookie": cookie}):
            if not current_user.is_authenticated or not current_user.may_enter("conversations"):
                return None
            after = headers.get("last-event-id") or asked.get("after", "")
            return Stream(
                staff_id=current_user.id,
                conversation_id=asked.get("conversation", ""),
                floor="floor" in asked,
                queue=my_view() if "desk" in asked else None,
                last_id=int(after) if after.isdecimal() else 0,
                beat_at=time.monotonic()
                - current_user.id % BEAT_EVERY,  # consoles that come back together aren't in step
            )

    def headers(self, asked: dict[str, str]) -> list[tuple[bytes, bytes]]:
        """Headers of a stream. In development the page comes from another port of the same machine."""
        given = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-store",
            "x-accel-buffering": "no",  # nginx passes each event on at once
        }
        name = asked.get("host", "").rsplit(":", 1)[0]
        origin = f"http://{name}:{self.parts.settings.port}"
        if self.parts.settings.environment == "development" and asked.get("origin") == origin:
            given |= {"access-control-allow-origin": origin, "access-control-allow-credentials": "true"}
        return [(key.encode(), value.encode()) for key, value in given.items()]


async def closed(receive: Receive) -> None:
    """Return when the console has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def refuse(send: Send, status: int) -> None:
    """An answer without a body."""
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def create_events() -> Application:
    """What gunicorn runs."""
    return Application(create_app())
