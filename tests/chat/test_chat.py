"""A chat over the JSON API, as the chat page uses it: photos, who is typing, a place in the queue that is held once."""

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import select

from backend.app import create_app
from backend.attachments import Attachment
from backend.cases import service as cases
from backend.cases.service import Actor, Filing
from backend.chat import gateway
from backend.console.desk import last_sentences
from backend.conversations import service
from backend.conversations.draft import draft_case
from backend.conversations.models import Conversation
from backend.directory.models import Staff
from backend.errors import Refused
from backend.parts import Parts
from tests.conftest import StandingClock, make_settings


def picture(colour: str = "red", **saved: Any) -> bytes:
    """A small JPEG."""
    packed = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(packed, "JPEG", **saved)
    return packed.getvalue()


class Chat:
    """What a chat page sends."""

    def __init__(self, web: httpx.Client, leaving: "Chat | None" = None) -> None:
        self.web = web
        headers = {"X-Conversation-Token": leaving.token} if leaving else {}
        body = {"leaving": leaving.id} if leaving else {}
        began = web.post("/api/v1/conversations", json=body, headers=headers).json()
        self.id: str = began["id"]
        self.token: str = began["token"]
        self.address, self.headers = f"/api/v1/conversations/{self.id}", {"X-Conversation-Token": self.token}

    def say(self, text: str) -> httpx.Response:
        return self.web.post(f"{self.address}/messages", json={"text": text}, headers=self.headers)

    def photo(self, content: bytes, key: str | None = None, name: str = "灯.jpg") -> httpx.Response:
        form = {"key": key} if key else {}
        files = {"photo": (name, content)}
        return self.web.post(f"{self.address}/photos", data=form, files=files, headers=self.headers)

    def seen(self) -> dict[str, Any]:
        found: dict[str, Any] = self.web.get(f"{self.address}/turns", headers=self.headers).json()
        return found

    def photos(self) -> list[str]:
        return [photo["url"] for turn in self.seen()["turns"] for photo in turn["photos"]]


@pytest.fixture
def chat(web: httpx.Client) -> Chat:
    return Chat(web)


def taken(parts: Parts, chat: Chat, staff: Staff) -> None:
    """The chat waits, and this operator takes it."""
    chat.say("转人工")
    with parts.database.write() as session:
        service.take(session, session.get_one(Conversation, chat.id), session.get_one(Staff, staff.id), parts.clock())


def test_a_photo_is_shown_again_without_the_place_where_it_was_taken(web: httpx.Client, chat: Chat) -> None:
    exif = Image.Exif()
    exif[0x010E] = "where it was taken"
    assert chat.photo(picture(exif=exif)).status_code == 200
    (url,) = chat.photos()
    shown = web.get(url)
    assert shown.headers["Content-Type"] == "image/jpeg" and b"where it was taken" not in shown.content


def test_a_photo_that_is_sent_again_is_there_once(chat: Chat) -> None:
    chat.photo(picture(), key="same")
    chat.photo(picture(), key="same")
    chat.photo(picture(), key="other")
    assert len(chat.photos()) == 1
    assert [turn["speaker"] for turn in chat.seen()["turns"]].count("citizen") == 1


def test_photos_go_along_to_the_case_that_is_filed_and_later_ones_are_added_to_it(parts: Parts, chat: Chat) -> None:
    chat.photo(picture("red"))
    with parts.database.write() as session:
        filing = Filing(what="路灯不亮", conversation_id=chat.id)
        cases.file_case(session, parts.knowledge, filing, Actor("bot"), parts.clock(), "shandong")
    chat.photo(picture("blue"))
    with parts.database.read() as session:
        kept = session.scalars(select(Attachment)).all()
        assert len(kept) == 2 and all(one.case_id is not None for one in kept)
    assert "已附在工单" in chat.seen()["turns"][-1]["text"]


def test_a_photo_is_not_taken_for_words_when_an_operator_files_or_looks_at_the_queue(parts: Parts, chat: Chat) -> None:
    chat.say("三号楼的路灯不亮")
    chat.photo(picture())
    with parts.database.read() as session:
        assert draft_case(service.turns_after(session, chat.id), None).what == "三号楼的路灯不亮"
        assert last_sentences(session, [chat.id]) == {chat.id: "三号楼的路灯不亮"}


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7 not a picture", b"\xff\xd8\xff\xe0 broken"])
def test_what_is_no_picture_is_refused_with_a_sentence(chat: Chat, content: bytes) -> None:
    refused = chat.photo(content)
    assert refused.status_code == 422 and "图片" in refused.json()["message"]
    assert chat.photos() == []


def test_a_photo_needs_the_secret_of_its_chat(web: httpx.Client, chat: Chat) -> None:
    sent = web.post(f"{chat.address}/photos", files={"photo": ("a.jpg", picture())})
    assert sent.status_code == 403 and chat.photos() == []


def test_a_link_to_a_file_can_not_be_made_up(web: httpx.Client, chat: Chat) -> None:
    chat.photo(picture())
    assert web.get("/files/1").status_code == web.get("/files/1.abc.def").status_code == 404


def test_the_operator_sees_the_citizen_typing_until_the_words_are_there(
    parts: Parts, chat: Chat, operator: Staff, clock: StandingClock
) -> None:
    def typing() -> bool:
        with parts.database.read() as session:
            return service.is_typing(session.get_one(Conversation, chat.id).citizen_typing_at, clock())

    taken(parts, chat, operator)
    assert chat.web.post(f"{chat.address}/typing", json={}, headers=chat.headers).status_code == 204
    assert typing()
    chat.say("我在写")
    assert not typing()
    chat.web.post(f"{chat.address}/typing", json={}, headers=chat.headers)
    clock.advance(seconds=7)
    assert not typing()


def test_the_citizen_sees_the_operator_typing_until_the_words_are_there(
    parts: Parts, chat: Chat, operator: Staff
) -> None:
    taken(parts, chat, operator)
    with parts.database.write() as session:
        staff = session.get_one(Staff, operator.id)
        service.operator_types(session, session.get_one(Conversation, chat.id), staff, parts.clock())
    assert chat.seen()["typing"]
    with parts.database.write() as session:
        staff = session.get_one(Staff, operator.id)
        service.operator_says(session, session.get_one(Conversation, chat.id), staff, "您好", parts.clock())
    assert not chat.seen()["typing"]


def test_nobody_but_the_holder_types_in_a_chat(parts: Parts, chat: Chat, operator: Staff) -> None:
    with parts.database.write() as session, pytest.raises(Refused):
        service.operator_types(session, session.get_one(Conversation, chat.id), operator, parts.clock())


def test_what_an_operator_says_again_because_the_reply_was_lost_is_said_once(
    parts: Parts, chat: Chat, operator: Staff
) -> None:
    taken(parts, chat, operator)
    for key in ("one", "one", "two"):
        with parts.database.write() as session:
            conversation, staff = session.get_one(Conversation, chat.id), session.get_one(Staff, operator.id)
            service.operator_says(session, conversation, staff, "请稍等", parts.clock(), key)
    assert [turn["text"] for turn in chat.seen()["turns"]].count("请稍等") == 2


def test_who_begins_a_new_chat_while_waiting_stands_in_the_queue_once(web: httpx.Client, parts: Parts) -> None:
    first = Chat(web)
    first.say("转人工")
    second = Chat(web, leaving=first)
    second.say("转人工")
    assert first.seen()["state"] == "closed"
    assert second.seen()["position"] == 1


def test_nobody_ends_another_citizen_s_chat_by_beginning_one(web: httpx.Client, chat: Chat) -> None:
    stranger = Chat(web)
    web.post("/api/v1/conversations", json={"leaving": chat.id}, headers=stranger.headers)
    assert chat.seen()["state"] == "bot"


def test_who_waits_is_told_their_place_and_the_wait_as_far_as_it_can_be_foretold(
    app: Flask, parts: Parts, chat: Chat, operator: Staff, clock: StandingClock
) -> None:
    with parts.database.write() as session:
        for number in range(5):
            talk, _ = service.open_conversation(session, "chat", "zh", clock())
            talk.state, talk.taken_at = "closed", clock()
            talk.closed_at = clock()
            talk.started_at = clock()
            talk.id = f"handled-{number}"
    chat.say("转人工")
    assert (chat.seen()["position"], chat.seen()["minutes"]) == (1, 1)


def test_two_first_messages_at_once_begin_one_conversation(database_url: str, clock: StandingClock) -> None:
    parts: Parts = create_app(make_settings(database_url), clock=clock).extensions["parts"]

    def first(number: int) -> str:
        return gateway.conversation_with(parts, "sms", "+8613800138000", "zh", f"sms:{number}")

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(first, range(8)))) == 1
    parts.database.close()
