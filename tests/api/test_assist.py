"""The search for operators who are typing, over HTTP."""

import re

import httpx
import pytest

from backend.conversations import service
from backend.conversations.assist import follow
from backend.parts import Parts
from bot.client import Reply

PATH = "/api/v1/knowledge/assist"


@pytest.mark.parametrize("typed", ["居住证", "暖气不", "暖气不热该找谁呢我家", "居"])
def test_half_words_and_half_sentences_find_something(api: httpx.Client, typed: str) -> None:
    found = api.get(PATH, params={"q": typed, "limit": 3}).json()
    assert 1 <= len(found) <= 3


def test_what_is_found_comes_with_what_to_send_and_what_to_say(api: httpx.Client) -> None:
    found = api.get(PATH, params={"q": "暖气不热"}).json()[0]
    assert set(found) == {
        *("id", "question", "answer", "speech", "score", "verdict", "sources"),
        *("snippet", "reply"),
    }
    assert found["answer"].strip() in found["reply"]
    assert found["snippet"].rstrip("…") in found["reply"]
    assert len(found["snippet"]) <= 80


def test_it_finds_what_the_citizens_search_finds(api: httpx.Client) -> None:
    query: dict[str, str | int] = {"q": "暖气不热该找谁", "limit": 3}
    searched = api.get("/api/v1/knowledge/search", params=query).json()
    assert [one["id"] for one in api.get(PATH, params=query).json()] == [one["id"] for one in searched]


def test_in_an_english_conversation_the_reply_is_english(api: httpx.Client, parts: Parts) -> None:
    with parts.database.write() as session:
        conversation = service.open_conversation(session, "chat", "en", parts.clock())[0].id
    found = api.get(PATH, params={"q": "暖气不热", "conversation": conversation}).json()[0]
    assert not re.search("[一-鿿]", found["reply"])
    assert re.search("[一-鿿]", found["answer"])


def test_a_conversation_that_is_not_there_is_said_so(api: httpx.Client) -> None:
    assert api.get(PATH, params={"q": "暖气", "conversation": "nowhere"}).status_code == 404


def test_without_the_token_nothing_is_found(web: httpx.Client) -> None:
    assert web.get(PATH, params={"q": "暖气"}).status_code == 401


@pytest.mark.parametrize(
    "query", [{}, {"q": ""}, {"q": "x" * 501}, {"q": "x", "limit": "21"}, {"q": "x", "conversation": ""}]
)
def test_a_bad_query_is_refused(api: httpx.Client, query: dict[str, str]) -> None:
    assert api.get(PATH, params=query).status_code == 422


def test_the_api_describes_it(web: httpx.Client) -> None:
    described = web.get("/api/v1/openapi.json").json()["paths"][PATH]["get"]
    assert {one["name"] for one in described["parameters"]} == {"q", "conversation", "limit"}
    assert {"200", "401", "404", "422"} <= set(described["responses"])


def test_the_citizens_last_remarks_are_looked_up_together(parts: Parts) -> None:
    """The page of the console: what it is about was said before what is asked."""
    with parts.database.write() as session:
        conversation = service.open_conversation(session, "chat", "zh", parts.clock())[0]
        service.record_reply(session, conversation, Reply("您好", "您好"), parts.clock())
    with parts.database.read() as session:
        found = follow(session, parts.knowledge, ["我家暖气不热", "应该找谁处理"], parts.clock(), 3, conversation.id)
    assert any("暖气" in article.question for article in found)


def test_a_bare_telephone_number_leaves_what_was_found_for_the_words_before(parts: Parts) -> None:
    with parts.database.write() as session:
        conversation = service.open_conversation(session, "chat", "zh", parts.clock())[0]
        service.record_reply(session, conversation, Reply("您好", "您好"), parts.clock())
    with parts.database.read() as session:
        found = follow(session, parts.knowledge, ["我家暖气不热", "13900004321"], parts.clock(), 3, conversation.id)
    assert any("暖气" in article.question for article in found)
