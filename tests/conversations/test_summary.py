"""The summary for the operator: from the conversation itself, and from a service that refuses what the real one refuses."""

from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from flask import Flask
from werkzeug.wrappers import Request, Response

from backend.app import create_app
from backend.conversations import service
from backend.conversations.summary import LONGEST, MATTER_LIMIT, Summarizer, Summary, extract, telling
from backend.parts import Parts
from backend.settings import SettingsRefused, checked
from bot.client import Reply
from tests.conftest import StandingClock, make_settings
from tests.console.test_call_pages import post
from tests.console.test_gap_pages import log_in
from tests.ivr.service import told

WRITTEN = "市民反映和平路路灯三天不亮，智能助手未能解决。"


def said(parts: Parts, *remarks: tuple[str, Reply | str]) -> str:
    """A conversation in which this was said, the citizen's wish for a person at its end; returns its id."""
    with parts.database.write() as session:
        found, _ = service.open_conversation(session, "chat", "zh", parts.clock())
        for speaker, what in remarks:
            if isinstance(what, Reply):
                service.record_reply(session, found, what, parts.clock())
            else:
                service.record(session, found, speaker, what, parts.clock())
        service.request_operator(session, found, parts.clock())
        return found.id


def summary_of(parts: Parts, conversation_id: str) -> Summary:
    with parts.database.read() as session:
        return extract(service.turns_after(session, conversation_id), None)


def test_the_summary_has_the_citizens_own_sentences_and_what_came_of_the_answers(parts: Parts) -> None:
    conversation_id = said(
        parts,
        ("citizen", "你好"),
        ("citizen", "和平路十八号门口的路灯不亮。已经三天了。"),
        ("bot", Reply("答", "答", act="answer", article="lamp")),
        ("bot", Reply("抱歉", "抱歉", act="unsolved", article="lamp")),
        ("citizen", "和平路十八号门口的路灯不亮。"),
    )
    summary = summary_of(parts, conversation_id)
    assert summary.matter == "和平路十八号门口的路灯不亮。 已经三天了。"
    assert (summary.answers, summary.solved, summary.danger) == (("lamp",), False, False)


def test_danger_is_in_the_summary_and_a_conversation_without_words_has_an_empty_one(parts: Parts) -> None:
    assert summary_of(parts, said(parts, ("citizen", "楼下着火了"))).danger
    assert summary_of(parts, said(parts)) == Summary("", "", "", False, (), None)


def test_a_long_story_is_cut_to_its_telling_sentences() -> None:
    story = [f"第{number}件事情是关于{chr(0x4E00 + 7 * number) * 3}的投诉。" for number in range(40)]
    assert 40 < len(telling(story)) <= MATTER_LIMIT + 40  # and the blanks between them
    assert telling(["字" * 500]) == "字" * MATTER_LIMIT


# ---- with a service


@dataclass
class ChatService:
    """A service with OpenAI's chat API (platform.openai.com/docs/api-reference/chat/create); it refuses a wrong path, key
    and model, and messages that are none. `broken` is what it answers while set."""

    broken: Response | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, environ: Any, start: Any) -> Any:
        return self.answer(Request(environ))(environ, start)

    def answer(self, request: Request) -> Response:
        if (request.method, request.path) != ("POST", "/v1/chat/completions"):
            return told({"error": {"type": "invalid_request_error"}}, 404)
        if request.headers.get("Authorization") != "Bearer right":
            return told({"error": {"code": "invalid_api_key"}}, 401)
        body = request.get_json()
        if body.get("model") != "city-7b":
            return told({"error": {"code": "model_not_found"}}, 404)
        roles = [message.get("role") for message in body.get("messages") or []]
        if not roles or not set(roles) <= {"system", "user", "assistant"}:
            return told({"error": {"param": "messages"}}, 400)
        if sum(len(message["content"]) for message in body["messages"]) > 8000:
            return told({"error": {"code": "context_length_exceeded"}}, 400)
        self.asked.append(body)
        return self.broken or told({"choices": [{"index": 0, "message": {"role": "assistant", "content": WRITTEN}}]})


CHOSEN = {"summary_url": "https://llm.example/v1/", "summary_model": "city-7b", "summary_key": "right"}


def line_with(sqlite_url: str, clock: StandingClock, chat: ChatService, **changed: str) -> tuple[Parts, httpx.Client]:
    """A line that asks this service, and an operator's browser."""
    app: Flask = create_app(make_settings(sqlite_url, **(CHOSEN | changed)), clock=clock)
    parts: Parts = app.extensions["parts"]
    assert parts.summarizer
    http = httpx.Client(transport=httpx.WSGITransport(chat), base_url="https://llm.example")
    object.__setattr__(parts, "summarizer", Summarizer(parts.settings, http))
    web = httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000")
    return parts, log_in(web, "operator1")


def test_what_the_service_writes_is_marked_kept_and_nowhere_sent(sqlite_url: str, clock: StandingClock) -> None:
    chat = ChatService()
    parts, web = line_with(sqlite_url, clock, chat)
    conversation_id = said(parts, ("citizen", "路灯不亮，我的电话是13800138000，我叫王大明"))
    page = f"/console/conversations/{conversation_id}"
    assert "hx-post" not in web.get(page).text.split('id="summary"')[1].split(">")[0]  # nobody holds it yet
    post(web, conversation_id, "take")
    assert f'hx-post="{page}/summary"' in web.get(page).text
    made = post(web, conversation_id, "summary").text
    assert WRITTEN in made
    assert "机器写的，请核对" in made
    sent = chat.asked[0]["messages"][1]["content"]
    assert "13800138000" not in sent
    assert "王大明" not in sent
    again = web.get(page).text
    assert WRITTEN in again
    assert f'hx-post="{page}/summary"' not in again, "nothing new was said, and the service is asked again"
    assert f'data-fill="{WRITTEN}' not in again
    with parts.database.read() as session:
        assert WRITTEN not in [turn.text for turn in service.turns_after(session, conversation_id)]


@pytest.mark.parametrize(
    ("broken", "changed"),
    [
        (told({"error": {"message": "overloaded"}}, 503), {}),
        (told({"choices": []}), {}),
        (told({"choices": [{"message": {"content": None}}]}), {}),
        (Response("<html>", 200), {}),
        (None, {"summary_key": "wrong"}),
        (None, {"summary_model": "other"}),
    ],
)
def test_without_an_answer_the_operator_has_the_other_summary(
    sqlite_url: str, clock: StandingClock, broken: Response | None, changed: dict[str, str]
) -> None:
    parts, web = line_with(sqlite_url, clock, ChatService(broken), **changed)
    conversation_id = said(parts, ("citizen", "和平路的路灯不亮"))
    post(web, conversation_id, "take")
    made = post(web, conversation_id, "summary").text
    assert "机器摘要暂时写不出来" in made
    assert "和平路的路灯不亮" in made
    assert "hx-post" not in made


def test_only_who_holds_the_conversation_has_it_written(sqlite_url: str, clock: StandingClock) -> None:
    chat = ChatService()
    parts, web = line_with(sqlite_url, clock, chat)
    assert post(web, said(parts, ("citizen", "路灯不亮")), "summary").status_code == 409
    assert chat.asked == []


def test_a_very_long_answer_is_cut(sqlite_url: str, clock: StandingClock) -> None:
    chat = ChatService(told({"choices": [{"message": {"content": "长" * 5000}}]}))
    parts, web = line_with(sqlite_url, clock, chat)
    conversation_id = said(parts, ("citizen", "路灯不亮" * 499))
    post(web, conversation_id, "take")
    assert post(web, conversation_id, "summary").text.count("长") == LONGEST


@pytest.mark.parametrize(
    "changed", [{"summary_url": "llm.example"}, {"summary_url": "https://x/v1", "summary_model": ""}]
)
def test_a_service_without_an_address_or_a_model_is_refused(sqlite_url: str, changed: dict[str, str]) -> None:
    with pytest.raises(SettingsRefused, match="SUMMARY"):
        checked(make_settings(sqlite_url, **changed))
