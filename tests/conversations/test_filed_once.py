"""A case that the bot has filed, or still files, when its answer is lost: it is the citizen's one case, whose
number they hear."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from flask import Flask
from sqlalchemy import select, text

from backend.app import create_app
from backend.cases.models import Case
from backend.cases.service import Actor, Filing, file_case
from backend.conversations import service
from backend.database import Database
from backend.parts import Parts
from bot.client import BotUnavailable, Reply
from ivr.phone.call import spoken
from tests.conftest import NOON, make_settings, practice_call
from tests.running_line import until

LATE = pytest.mark.parametrize("late", [False, True], ids=["filed-and-died", "filed-after-it-was-given-up"])


class DyingBot:
    """Files what was said when it hears 确认, as bot/replies.py does, and then dies; before it files, when it is `late`."""

    def __init__(self, late: bool) -> None:
        self.late = late
        self.to_file: list[dict[str, Any]] = []
        self.web: httpx.Client | None = None

    def send(self, conversation_id: str, text: str, channel: str, locale: str, meta: dict[str, Any]) -> list[Reply]:
        if text != "确认":
            return [Reply("请说", "请说", act="ask")]
        case = {"what": "路灯不亮", "contact": "anonymous", "conversation_id": conversation_id}
        self.to_file.append(case | {"key": meta["filing_key"]})
        if not self.late:
            self.file()
        raise BotUnavailable("died")

    def answer_at(self, app: Flask) -> httpx.Client:
        """Where it files; the same browser for whoever writes."""
        self.web = httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000")
        return self.web

    def file(self) -> None:
        assert self.web is not None
        while self.to_file:
            filed = self.web.post(
                "/api/v1/cases", json=self.to_file.pop(), headers={"Authorization": "Bearer api-token"}
            )
            assert filed.status_code in (200, 201)

    def processes(self) -> dict[str, bool]:
        return {"here": True}


def begin_chat(web: httpx.Client) -> tuple[str, str, dict[str, str]]:
    """A chat: its conversation, the address of its messages and the headers that go with them."""
    chat = web.post("/api/v1/conversations", json={"locale": "zh"}).json()
    return chat["id"], f"/api/v1/conversations/{chat['id']}/messages", {"X-Conversation-Token": chat["token"]}


def numbers(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(Case.number)))


@LATE
def test_in_a_chat(database_url: str, database: Database, late: bool) -> None:
    bot = DyingBot(late)
    web = bot.answer_at(create_app(make_settings(database_url), bot=bot))
    _, address, headers = begin_chat(web)
    web.post(address, json={"text": "我要反映问题"}, headers=headers)
    told = web.post(address, json={"text": "确认", "key": "same"}, headers=headers).json()
    bot.file()
    (number,) = numbers(database)
    assert number in told["replies"][-1]["text"]
    assert web.post(address, json={"text": "确认", "key": "same"}, headers=headers).json() == told
    web.post(address, json={"text": "再说一句", "key": "next"}, headers=headers)
    assert numbers(database) == [number]


@LATE
def test_on_the_telephone_the_recording_goes_to_that_case(database_url: str, database: Database, late: bool) -> None:
    bot = DyingBot(late)
    app = create_app(make_settings(database_url), bot=bot)
    bot.answer_at(app)
    call = practice_call(app)
    call.start("http://127.0.0.1:8000/ivr/voice")
    call.speak("我要反映问题")
    call.speak("确认")
    assert "工单号" in spoken(call.finish_recording(9))
    bot.file()
    (number,) = numbers(database)
    with database.read() as session:
        assert session.scalar(select(Case.recording_url).where(Case.number == number))


def waits_for_a_lock(database: Database) -> bool:
    with database.read() as session:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return bool(session.scalar(text(waiting)))


def test_in_a_chat_while_the_bot_is_just_filing_it(database_url: str, database: Database) -> None:
    """The line files as well, waits for the bot's transaction, and neither is refused (PostgreSQL had a deadlock)."""
    bot = DyingBot(late=True)
    app = create_app(make_settings(database_url), bot=bot)
    web = bot.answer_at(app)
    conversation_id, address, headers = begin_chat(web)
    parts: Parts = app.extensions["parts"]
    key = service.filing_key(conversation_id, "same")
    filing = Filing(
        what="路灯不亮", contact=None, conversation_id=conversation_id, channel="chat", locale="zh", key=key
    )
    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            filed = file_case(session, parts.knowledge, filing, Actor("bot"), NOON, "shandong").number
            told = pool.submit(web.post, address, json={"text": "确认", "key": "same"}, headers=headers)
            if session.get_bind().dialect.name == "postgresql":
                until(lambda: waits_for_a_lock(database), "the line's own filing")
        assert filed in told.result().json()["replies"][-1]["text"]
    assert numbers(database) == [filed]
