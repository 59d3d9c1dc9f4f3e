"""The supervisors' pages about the line: announcements and numbers, as a browser gets them."""

import re

import httpx
import pytest

from backend.cases.service import Actor, Filing, file_case
from backend.conversations import service
from backend.parts import Parts
from bot.client import Reply
from tests.console.test_gap_pages import log_in, token

ANNOUNCEMENTS, NUMBERS = "/console/line/announcements", "/console/line/numbers"
FORM = {
    "kind": "emergency",
    "occasion": "always",
    "on_phone": "on",
    "on_chat": "on",
    "text_zh": "云水区停水抢修，预计18:00恢复。",
    "text_en": "Water is off in Yunshui District until 6 p.m.",
}


@pytest.fixture
def supervisor(web: httpx.Client) -> httpx.Client:
    return log_in(web, "supervisor1")


def send(web: httpx.Client, path: str, form_page: str, **fields: str) -> httpx.Response:
    return web.post(path, data={"csrf_token": token(web.get(form_page)), **fields})


def test_written_and_switched_on_it_stands_in_the_chat_in_both_languages_until_switched_off(
    supervisor: httpx.Client,
) -> None:
    new = f"{ANNOUNCEMENTS}/new"
    assert send(supervisor, new, new, **FORM, act="on").status_code == 302
    assert 'data-active="yes"' in supervisor.get(ANNOUNCEMENTS).text
    assert FORM["text_zh"] in supervisor.get("/chat").text
    assert FORM["text_en"] in supervisor.get("/chat", params={"lang": "en"}).text
    supervisor.cookies.delete("lang")
    assert send(supervisor, f"{ANNOUNCEMENTS}/1/switch", ANNOUNCEMENTS, on="no").status_code == 302
    assert 'data-testid="announced"' not in supervisor.get("/chat").text


def test_saved_without_switching_on_nobody_is_told(supervisor: httpx.Client) -> None:
    new = f"{ANNOUNCEMENTS}/new"
    assert send(supervisor, new, new, **FORM, act="save").status_code == 302
    assert FORM["text_zh"] not in supervisor.get("/chat").text


def test_a_refusal_keeps_what_was_typed(supervisor: httpx.Client) -> None:
    new = f"{ANNOUNCEMENTS}/new"
    refused = send(supervisor, new, new, **FORM | {"begins_at": "tomorrow", "speech_zh": "明天说"}, act="on")
    assert refused.status_code == 422
    assert "明天说" in refused.text and FORM["text_en"] in refused.text
    assert "data-active" not in supervisor.get(ANNOUNCEMENTS).text


def test_times_are_typed_and_shown_by_the_clock_of_china(supervisor: httpx.Client) -> None:
    new = f"{ANNOUNCEMENTS}/new"
    send(supervisor, new, new, **FORM | {"begins_at": "2026-11-23T11:59", "ends_at": "2026-11-23T12:01"}, act="on")
    page = supervisor.get(f"{ANNOUNCEMENTS}/1").text
    assert 'value="2026-11-23T11:59"' in page and 'value="2026-11-23T12:01"' in page
    assert FORM["text_zh"] in supervisor.get("/chat").text  # it is noon


def test_the_preview_says_numbers_in_words_and_names_what_cannot_be_said(supervisor: httpx.Client) -> None:
    new = f"{ANNOUNCEMENTS}/new"
    page = send(supervisor, f"{ANNOUNCEMENTS}/preview", new, **FORM).text
    assert "预计十八点恢复" in page
    assert 'data-testid="unspeakable"' not in page
    told = send(supervisor, f"{ANNOUNCEMENTS}/preview", new, **FORM | {"speech_zh": "见 www.a.cn"}).text
    assert 'data-testid="unspeakable"' in told


@pytest.mark.parametrize(
    "path", [ANNOUNCEMENTS, f"{ANNOUNCEMENTS}/new", NUMBERS, f"{NUMBERS}/12319", f"{NUMBERS}/export"]
)
@pytest.mark.parametrize(("username", "status"), [("operator1", 403), ("editor1", 403), ("supervisor1", 200)])
def test_only_supervisors_may_look(web: httpx.Client, path: str, username: str, status: int) -> None:
    assert log_in(web, username).get(path).status_code == status


@pytest.mark.parametrize("path", [f"{ANNOUNCEMENTS}/99", f"{NUMBERS}/99"])
def test_what_is_not_there_is_said_so(supervisor: httpx.Client, path: str) -> None:
    assert supervisor.get(path).status_code == 404


@pytest.mark.parametrize("path", [ANNOUNCEMENTS, f"{ANNOUNCEMENTS}/new", NUMBERS, f"{NUMBERS}/new"])
def test_no_page_has_inline_code(supervisor: httpx.Client, path: str) -> None:
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", supervisor.get(path).text)


def call(parts: Parts, dialled: str | None, *acts: str, case: bool = False, waited: bool = False) -> None:
    """A call to this number in which the bot's replies did these acts."""
    with parts.database.write() as session:
        conversation, _ = service.open_conversation(session, "phone", "zh", parts.clock())
        conversation.dialled = dialled
        for act in acts:
            service.record_reply(session, conversation, Reply("好", "好", act=act), parts.clock())
        if waited:
            conversation.waiting_since = parts.clock()
        if case:
            filing = Filing(what="路灯不亮", channel="phone", conversation_id=conversation.id)
            file_case(session, parts.knowledge, filing, Actor("bot"), parts.clock(), "shandong")


def counts(page: str) -> dict[str, list[str]]:
    """number -> calls, cases, answered, handed over."""
    rows = re.findall(r'data-number="([^"]*)">(.*?)</tr>', page, re.DOTALL)
    return {number: re.findall(r'class="number"[^>]* data-testid="[^"]+">(\d+)<', row) for number, row in rows}


def test_calls_are_counted_by_the_number_dialled(supervisor: httpx.Client, parts: Parts) -> None:
    call(parts, "12319", "answer")
    call(parts, "12319", "answer", "handoff")
    call(parts, "12319", "filed", case=True)
    call(parts, "12345", "answer", waited=True)
    call(parts, None)
    with parts.database.write() as session:
        session.add(service.open_conversation(session, "chat", "zh", parts.clock())[0])
    parts.clock.advance(minutes=1)  # type: ignore[attr-defined]
    shown = counts(supervisor.get(NUMBERS).text)
    assert shown["12319"] == ["3", "1", "1", "1"]
    assert shown["12345"] == ["1", "0", "0", "1"]
    assert shown[""] == ["1", "0", "0", "0"]
    assert shown["12333"] == ["0", "0", "0", "0"]
    lines = supervisor.get(f"{NUMBERS}/export").text.splitlines()
    assert "12319,城管热线,3,1,1,1" in lines
    parts.clock.advance(days=8)  # type: ignore[attr-defined]
    log_in(supervisor, "supervisor1")
    assert counts(supervisor.get(NUMBERS, params={"days": "7"}).text)["12319"] == ["0", "0", "0", "0"]
    assert counts(supervisor.get(NUMBERS, params={"days": "28"}).text)["12319"][0] == "3"


def test_a_greeting_is_changed_and_one_that_cannot_be_said_is_refused(supervisor: httpx.Client, parts: Parts) -> None:
    page = f"{NUMBERS}/12319"
    fields = {"name": "城管", "greeting_zh": "您好。", "greeting_en": "Hello.", "category": "CM", "active": "on"}
    assert send(supervisor, page, page, **fields | {"greeting_zh": "见 www.a.cn"}).status_code == 422
    assert send(supervisor, page, page, **fields).status_code == 302
    assert "您好。" in supervisor.get(page).text
    new = f"{NUMBERS}/new"
    assert send(supervisor, new, new, **fields, number="0551-96777").status_code == 302
    assert 'data-number="96777"' in supervisor.get(NUMBERS).text
