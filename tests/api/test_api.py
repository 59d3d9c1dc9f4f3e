"""The JSON API: who may use it, what it refuses, and that it describes itself."""

from typing import Any

import httpx
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.parts import Parts
from bot.catalogue import Phrase

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


def test_a_case_is_filed_read_and_worked(api: httpx.Client) -> None:
    filed = api.post("/api/v1/cases", json={"what": "路灯不亮", "place": "明湖区", "contact": "13800000000"})
    assert filed.status_code == 201
    number = filed.json()["number"]
    assert filed.json()["agency"] == "明湖区城市管理局"
    assert api.get(f"/api/v1/cases/{number}").json()["state"] == "filed"
    assert api.post(f"/api/v1/cases/{number}/acts/accept", json={}).json()["state"] == "accepted"
    dispatched = api.post(f"/api/v1/cases/{number}/acts/dispatch", json={"agency": "C-URBAN"})
    assert dispatched.json()["state"] == "dispatched"


def test_a_case_says_nothing_about_who_filed_it(api: httpx.Client) -> None:
    filed = api.post("/api/v1/cases", json={"what": "路灯不亮", "contact": "13812345678"})
    assert "12345678" not in filed.text
    assert "12345678" not in api.get(f"/api/v1/cases/{filed.json()['number']}").text


def test_the_same_key_files_one_case(api: httpx.Client) -> None:
    body = {"what": "路灯不亮", "key": "integrator:1"}
    assert (
        api.post("/api/v1/cases", json=body).json()["number"] == api.post("/api/v1/cases", json=body).json()["number"]
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/cases"),
        ("GET", "/api/v1/cases/26000-00015"),
        ("POST", "/api/v1/cases/26000-00015/acts/accept"),
        ("POST", "/api/v1/conversations/x/answer"),
        ("POST", "/api/v1/conversations/x/feedback"),
    ],
)
@pytest.mark.parametrize("token", [None, "Bearer wrong", "api-token", "Bearer "])
def test_without_the_token_nothing_is_done(web: httpx.Client, method: str, path: str, token: str | None) -> None:
    headers = {"Authorization": token} if token else {}
    assert web.request(method, path, json={"what": "x"}, headers=headers).status_code == 401


def test_a_chat_is_only_its_own_pages(web: httpx.Client) -> None:
    one = web.post("/api/v1/conversations", json={}).json()
    two = web.post("/api/v1/conversations", json={}).json()
    for token in ("", two["token"]):
        headers = {"X-Conversation-Token": token}
        assert web.get(f"/api/v1/conversations/{one['id']}/turns", headers=headers).status_code == 403
        said = web.post(f"/api/v1/conversations/{one['id']}/messages", json={"text": "人工"}, headers=headers)
        assert said.status_code == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 422), ({"text": ""}, 422), ({"text": "长" * 2001}, 422), ({"text": 5}, 422), ({"text": "x", "more": 1}, 422)],
)
def test_a_bad_message_is_refused_in_the_citizens_language(
    web: httpx.Client, body: dict[str, Any], status: int
) -> None:
    chat = web.post("/api/v1/conversations", json={"locale": "en"}).json()
    headers = {"X-Conversation-Token": chat["token"], "X-Locale": "en"}
    refused = web.post(f"/api/v1/conversations/{chat['id']}/messages", json=body, headers=headers)
    assert refused.status_code == status
    assert refused.json()["message"].isascii()


def test_the_bot_down_is_told_in_the_chat_and_the_text_filed_once(web: httpx.Client) -> None:
    chat = web.post("/api/v1/conversations", json={}).json()
    headers = {"X-Conversation-Token": chat["token"]}
    path = f"/api/v1/conversations/{chat['id']}/messages"
    first = web.post(path, json={"text": "楼道灯坏了", "key": "1"}, headers=headers).json()["replies"][0]
    again = web.post(path, json={"text": "楼道灯坏了", "key": "1"}, headers=headers).json()["replies"][0]
    assert first == again
    assert "工单 26000-" in first["text"]


def test_search_answers_with_score_verdict_and_sources(web: httpx.Client) -> None:
    found = web.get("/api/v1/knowledge/search", params={"q": "暖气不热该找谁", "limit": 3}).json()
    assert len(found) <= 3
    assert set(found[0]) == {"id", "question", "answer", "speech", "score", "verdict", "sources"}
    assert found[0]["verdict"] == "answer"


@pytest.mark.parametrize(
    "query", [{}, {"q": ""}, {"q": "x", "limit": "0"}, {"q": "x" * 501}, {"q": "x", "limit": "many"}]
)
def test_a_bad_search_is_refused(web: httpx.Client, query: dict[str, str]) -> None:
    assert web.get("/api/v1/knowledge/search", params=query).status_code == 422


def test_health_says_which_part_is_down(web: httpx.Client) -> None:
    health = web.get("/health")
    assert health.status_code == 503
    assert health.json()["parts"] == {"database": True, "bot": False}


def test_the_api_describes_itself(web: httpx.Client) -> None:
    described = web.get("/api/v1/openapi.json").json()
    assert {"/api/v1/cases", "/api/v1/knowledge/search", "/api/v1/conversations"} <= set(described["paths"])


@pytest.mark.parametrize("path", ["/nowhere", "/api/v1/nowhere", "/cases/99999-99999", "/console/nowhere"])
def test_what_is_not_there_is_told_plainly(web: httpx.Client, path: str) -> None:
    assert web.get(path).status_code in (200, 302, 404)


def test_every_answer_carries_a_content_security_policy_without_inline_code(web: httpx.Client) -> None:
    for path in ("/chat", "/phone", "/cases", "/console/log-in", "/api/v1/openapi.json"):
        policy = web.get(path).headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe-inline" not in policy


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=json_values, path=st.sampled_from(["", "/x/messages", "/x/answer", "/x/feedback"]))
def test_no_json_that_a_stranger_sends_is_a_server_error(api: httpx.Client, body: Any, path: str) -> None:
    assert api.post(f"/api/v1/conversations{path}", json=body).status_code < 500
    assert api.post("/api/v1/cases", json=body).status_code < 500


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.text(max_size=30), act=st.text(max_size=10))
def test_no_case_number_or_act_is_a_server_error(app: Flask, number: str, act: str) -> None:
    client = app.test_client()
    headers = {"Authorization": "Bearer api-token"}
    assert client.get(f"/api/v1/cases/{number}", headers=headers).status_code < 500
    assert client.post(f"/api/v1/cases/{number}/acts/{act}", json={}, headers=headers).status_code < 500


def test_who_files_is_told_how_many_neighbours_and_where_and_nothing_of_them(api: httpx.Client) -> None:
    water = {"what": "小区停水两天了，没有人来修", "place": "阳光花园3号楼"}
    asked = {**water, "contact": "13900000009"}
    for last in range(3):
        told = api.post("/api/v1/cases/neighbours", json=asked)
        assert told.json() == {"citizens": 0, "place": ""}  # one or two could be recognised
        api.post("/api/v1/cases", json={**water, "contact": f"1380000000{last}"})
    assert api.post("/api/v1/cases/neighbours", json=asked).json() == {"citizens": 3, "place": "阳光花园"}
    assert api.post("/api/v1/cases", json={**asked, "together": True}).status_code == 201
    del api.headers["Authorization"]
    assert api.post("/api/v1/cases/neighbours", json=asked).status_code == 401


def test_the_bot_is_told_what_the_city_words_differently_of_its_phrases_alone(api: httpx.Client, parts: Parts) -> None:
    assert api.get("/api/v1/wordings").json() == []
    wanted = parts.wordings.delivered("bot", "ask_what") | {"zh": Phrase("您想反映什么？", "您想反映什么？")}
    greeting = parts.wordings.delivered("telephone", "greeting") | {"en": Phrase("Hello.", "Hello.")}
    with parts.database.write() as session:
        parts.wordings.change(session, "bot", "ask_what", wanted)
        parts.wordings.change(session, "telephone", "greeting", greeting)
    parts.wordings.now.look_again()
    told = {"key": "ask_what", "language": "zh", "text": "您想反映什么？", "speech": "您想反映什么？"}
    assert api.get("/api/v1/wordings").json() == [told]
    api.headers.pop("Authorization")
    assert api.get("/api/v1/wordings").status_code == 401


def test_what_is_answered_is_told_without_a_deadline_and_as_still_to_be_rated(api: httpx.Client) -> None:
    number = api.post("/api/v1/cases", json={"what": "路灯不亮", "contact": "13800001234"}).json()["number"]
    asked = {"last_digits": "1234"}
    before = api.post(f"/api/v1/cases/{number}/state", json=asked).json()
    assert (before["due"], before["to_rate"]) == ("2026年11月30日", False)
    api.post(f"/api/v1/cases/{number}/acts/accept", json={})
    assert api.post(f"/api/v1/cases/{number}/acts/answer", json={"note": "已修好。"}).status_code == 200
    after = api.post(f"/api/v1/cases/{number}/state", json=asked).json()
    assert (after["due"], after["note"], after["to_rate"]) == ("", "已修好。", True)
