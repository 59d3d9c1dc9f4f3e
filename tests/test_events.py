"""The events process: who hears of what, and that nobody misses anything."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from flask import Flask

from backend import changes
from backend.changes import Change
from backend.console.desk import QueueView, queue_part
from backend.conversations import service
from backend.database import Database
from backend.events import GAP, Application, Stream, Streams
from backend.parts import Parts
from tests.conftest import StandingClock
from tests.console.test_gap_pages import log_in


def change(number: int, kind: str, conversation_id: str | None = None, staff_id: int | None = None) -> Change:
    return Change(id=number, kind=kind, conversation_id=conversation_id, staff_id=staff_id)


DESK = QueueView("zh", "zh", "")


def stream(staff_id: int = 1, conversation_id: str = "", floor: bool = False) -> Stream:
    """A console with this conversation or the floor on it, or else a desk."""
    desk = None if conversation_id or floor else DESK
    return Stream(staff_id, conversation_id, floor, desk, last_id=0, beat_at=100.0)


def test_a_turn_is_told_to_the_desk_of_who_holds_the_conversation_and_to_who_reads_it() -> None:
    holder, reader, other = stream(1), stream(2, "abc"), stream(3)
    for one in (holder, reader, other):
        one.tell([change(1, "turn", "abc", 1)])
    assert holder.due(100.0) == {"mine"}
    assert reader.due(100.0) == {"conversation"}
    assert other.due(100.0) == set()


def test_the_queue_is_told_at_once_and_then_once_in_a_while_however_much_it_changes() -> None:
    one = stream()
    one.tell([change(1, "state", "a"), change(2, "state", "b")])
    assert one.due(100.0) == {"queue"}
    one.tell([change(3, "state", "c")])
    assert one.due(100.1) == set()
    assert one.pause(100.1) < GAP
    assert one.due(100.0 + GAP) == {"queue"}


def test_the_queue_is_told_to_nobody_who_does_not_see_it() -> None:
    reader, supervisor = stream(2, "abc"), stream(9, floor=True)
    for one in (reader, supervisor):
        one.tell([change(1, "state", "a")])
    assert reader.due(100.0) == set()
    assert supervisor.due(100.0) == {"floor"}


def test_a_stream_has_a_beat_of_its_own_however_much_there_is_to_tell() -> None:
    one = stream()
    told = 0
    for second in range(101, 160):
        one.tell([change(second, "state", "a")])
        one.due(float(second))
        told += one.beats(float(second))
    assert told == 5


def test_the_floor_hears_of_calls_and_presence_but_not_of_every_word() -> None:
    supervisor = stream(9, floor=True)
    supervisor.tell([change(1, "turn", "a", 1)])
    assert supervisor.due(100.0) == set()
    supervisor.tell([change(2, "presence", None, 1)])
    assert supervisor.due(100.0) == {"floor"}


def test_a_change_that_is_committed_after_one_with_a_higher_number_is_told_too(parts: Parts) -> None:
    streams, one = Streams(parts), stream(1)
    streams.open.add(one)
    streams.tell([change(5, "turn", "a", 1)])
    assert one.due(100.0) == {"mine"}
    streams.tell([change(4, "turn", "b", 1), change(5, "turn", "a", 1)])
    assert one.due(100.0) == {"mine"}
    streams.tell([change(4, "turn", "b", 1), change(5, "turn", "a", 1)])
    assert one.due(100.0) == set()


def test_what_is_old_is_forgotten_and_whoever_asks_for_it_is_to_look_at_everything(
    database: Database, clock: StandingClock
) -> None:
    with database.write() as session:
        for _ in range(3):
            changes.note(session, "presence", clock(), staff_id=1)
    clock.advance(minutes=11)
    changes.forget_old(database, clock)
    with database.write() as session:
        changes.note(session, "presence", clock(), staff_id=1)
    with database.read() as session:
        assert [one.id for one in changes.since(session, 0)] == [3, 4]
        assert not changes.is_kept(session, 1)
        assert changes.is_kept(session, 2)


# ---- through the ASGI door


class Browser:
    """The other end of a stream."""

    def __init__(
        self, events: Application, web: httpx.Client, query: str = "", lang: str = "zh", **headers: str
    ) -> None:
        cookie = "; ".join(f"{name}={value}" for name, value in (*web.cookies.items(), ("lang", lang)))
        given = {"host": "127.0.0.1:8003", "cookie": cookie} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        self.scope = {
            "type": "http",
            "path": "/console/events",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }
        self.heard: asyncio.Queue[Any] = asyncio.Queue()
        self.gone = asyncio.Event()
        self.running = asyncio.create_task(events(self.scope, self.receive, self.heard.put))

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def start(self) -> dict[str, Any]:
        started: dict[str, Any] = await asyncio.wait_for(self.heard.get(), 20)
        return started

    async def topics(self) -> tuple[int, list[str]]:
        """The next event: its number and topics."""
        name, number, told = await self.event()
        assert name == "topics"
        return number, told

    async def event(self) -> tuple[str, int, Any]:
        """The next event that is no beat: its name, its number, and what it says."""
        text = (await asyncio.wait_for(self.heard.get(), 20))["body"].decode()
        fields = dict(line.split(": ", 1) for line in text.strip().splitlines())
        if fields["event"] == "beat":
            return await self.event()
        return fields["event"], int(fields["id"]), json.loads(fields["data"])

    async def leave(self) -> None:
        self.gone.set()
        await asyncio.wait_for(self.running, 20)


def in_a_loop_of_its_own(play: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `play` to its end in another thread: Playwright keeps a loop in the tests' own."""
    with ThreadPoolExecutor(1) as elsewhere:
        elsewhere.submit(lambda: asyncio.run(play())).result()


def together(app: Flask, play: Callable[[Application], Awaitable[None]]) -> None:
    """Let the events process run while `play` does."""

    async def both() -> None:
        events = Application(app)
        feeding = asyncio.create_task(events.streams.feed())
        try:
            await play(events)
            assert events.streams.open == set(), "a stream is kept that nobody listens to"
        finally:
            feeding.cancel()

    in_a_loop_of_its_own(both)


def test_a_stream_tells_what_changed_and_resumes_where_it_was_cut(app: Flask, parts: Parts, web: httpx.Client) -> None:
    log_in(web, "operator1")
    with parts.database.write() as session:
        found, _ = service.open_conversation(session, "chat", "zh", parts.clock())
        service.request_operator(session, found, parts.clock())
        after = changes.newest(session)

    def citizen_says(text: str) -> None:
        with parts.database.write() as session:
            service.record(session, found, "citizen", text, parts.clock())

    async def play(events: Application) -> None:
        browser = Browser(events, web, f"after={after}&conversation={found.id}")
        assert (await browser.start())["status"] == 200
        assert await browser.topics() == (after, [])
        citizen_says("路灯不亮")
        number, topics = await browser.topics()
        assert topics == ["conversation"]
        await browser.leave()
        citizen_says("三天了")
        again = Browser(events, web, f"after={after}&conversation={found.id}", last_event_id=str(number))
        await again.start()
        assert await again.topics() == (number, [])
        assert (await again.topics())[1] == ["conversation"]
        await again.leave()

    together(app, play)


def test_the_queue_is_sent_to_every_desk_and_made_once_for_those_who_see_it_alike(
    app: Flask, parts: Parts, web: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(web, "operator1")
    with parts.database.write() as session:
        found, _ = service.open_conversation(session, "chat", "zh", parts.clock())
        service.record(session, found, "citizen", "路灯不亮", parts.clock())
        after = changes.newest(session)
    made = list[QueueView]()

    def make(view: QueueView) -> str:
        made.append(view)
        return queue_part(view)

    monkeypatch.setattr("backend.events.queue_part", make)

    async def play(events: Application) -> None:
        chinese = [Browser(events, web, f"after={after}&desk=yes") for _ in range(3)]
        english = Browser(events, web, f"after={after}&desk=yes", lang="en")
        for browser in (*chinese, english):
            await browser.start()
            await browser.topics()
        with parts.database.write() as session:
            service.request_operator(session, session.merge(found), parts.clock())
        queues = [await browser.event() for browser in (*chinese, english)]
        assert {name for name, _, _ in queues} == {"queue"}
        assert all("路灯不亮" in html and f'data-id="{found.id}"' in html for _, _, html in queues)
        assert ["排队" in html for _, _, html in queues] == [True, True, True, False]
        assert [view.locale for view in made].count("zh") == 1
        for browser in (*chinese, english):
            await browser.leave()

    together(app, play)


@pytest.mark.parametrize("username", [None, "agency1"])
def test_a_stream_is_for_people_who_talk_to_citizens(app: Flask, web: httpx.Client, username: str | None) -> None:
    if username:
        log_in(web, username)

    async def play(events: Application) -> None:
        browser = Browser(events, web)
        assert (await browser.start())["status"] == 403
        await browser.leave()

    together(app, play)


def test_only_the_pages_of_this_line_may_read_a_stream_from_another_port(app: Flask, web: httpx.Client) -> None:
    log_in(web, "operator1")

    async def play(events: Application) -> None:
        for origin, allowed in (("http://127.0.0.1:8000", True), ("http://evil.example", False)):
            browser = Browser(events, web, origin=origin)
            names = {name for name, _ in (await browser.start())["headers"]}
            assert (b"access-control-allow-origin" in names) == allowed
            await browser.leave()

    together(app, play)


def test_nobody_is_taken_to_be_lost_while_the_web_process_is_away(
    parts: Parts, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams, told, seconds = Streams(parts), list[bool](), 0.0
    there = httpx.MockTransport(lambda _: httpx.Response(200))
    away = httpx.MockTransport(lambda request: (_ for _ in ()).throw(httpx.ConnectError("refused", request=request)))

    class Over(Exception):
        """The test has seen enough."""

    async def pass_a_second(_: float) -> None:
        nonlocal seconds
        seconds += 1
        streams.web = httpx.Client(transport=away if 40 <= seconds < 80 else there)
        if seconds == 110:
            raise Over

    streams.web = httpx.Client(transport=there)
    monkeypatch.setattr("backend.events.time.monotonic", lambda: seconds)
    monkeypatch.setattr("backend.events.deal", lambda *given: told.append(given[-1]))
    monkeypatch.setattr("backend.events.asyncio.sleep", pass_a_second)
    with pytest.raises(Over):
        in_a_loop_of_its_own(streams.deal)
    assert [second for second, release in enumerate(told) if release] == [*range(26, 40), *range(105, 110)]
