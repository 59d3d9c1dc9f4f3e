"""The editors' pages about gaps and about what came of the answers, as a browser gets them."""

import re

import httpx
import pytest

from backend.conversations import service
from backend.knowledge.models import Article, GapGroup
from backend.knowledge.service import log_gap
from backend.parts import Parts
from bot.client import Reply

GAPS = "/console/knowledge/gaps"


def log_in(web: httpx.Client, username: str) -> httpx.Client:
    """The browser of one of the sample staff."""
    form = {"username": username, "password": "correct horse battery", "csrf_token": token(web.get("/console/log-in"))}
    assert web.post("/console/log-in", data=form).status_code == 302
    return web


def token(page: httpx.Response) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found
    return found[1]


def act(web: httpx.Client, group: int, what: str, **fields: str) -> httpx.Response:
    page = web.get(f"{GAPS}/{group}")
    return web.post(f"{GAPS}/{group}/{what}", data={"csrf_token": token(page), **fields})


@pytest.fixture
def group(parts: Parts, web: httpx.Client) -> int:
    """A group of two questions, one with a telephone number in it."""
    with parts.database.write() as session:
        conversation = service.open_conversation(session, "chat", "zh", parts.clock())[0].id
        for question in ("明湖里可以钓鱼吗", "明湖里可以钓鱼吗，我电话13812345678"):
            log_gap(session, conversation, question, "unknown", parts.clock())
    log_in(web, "editor1").get(GAPS)
    with parts.database.read() as session:
        return session.query(GapGroup).order_by(GapGroup.id).first().id  # type: ignore[union-attr]


def test_the_list_shows_what_is_asked_with_its_trend_and_no_inline_code(web: httpx.Client, group: int) -> None:
    page = web.get(GAPS).text
    assert "明湖里可以钓鱼吗" in page
    assert '<svg class="sparkline"' in page
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", page)


@pytest.mark.parametrize("path", [GAPS, f"{GAPS}/1", f"{GAPS}/outcomes"])
@pytest.mark.parametrize(("username", "status"), [("operator1", 403), ("agency1", 403), ("supervisor1", 200)])
def test_only_who_works_on_knowledge_may_look(
    web: httpx.Client, group: int, path: str, username: str, status: int
) -> None:
    web.cookies.clear()
    assert log_in(web, username).get(path).status_code == status


def test_no_page_shows_a_telephone_number(web: httpx.Client, group: int) -> None:
    assert "13812345678" not in web.get(GAPS).text + web.get(f"{GAPS}/{group}").text


def test_conversations_are_linked_only_for_who_may_read_them(web: httpx.Client, group: int) -> None:
    assert 'data-testid="conversation-link"' not in web.get(f"{GAPS}/{group}").text
    web.cookies.clear()
    assert 'data-testid="conversation-link"' in log_in(web, "supervisor1").get(f"{GAPS}/{group}").text


def test_one_click_opens_the_draft(web: httpx.Client, parts: Parts, group: int) -> None:
    made = act(web, group, "draft")
    assert made.status_code == 302
    with parts.database.read() as session:
        article = session.get_one(Article, made.headers["Location"].rsplit("/", 1)[1])
        assert (article.question, article.state) == ("明湖里可以钓鱼吗", "draft")
    assert 'data-state="drafted"' in web.get(f"{GAPS}/{group}").text


def test_dismissed_with_a_reason_and_listed_again(web: httpx.Client, group: int) -> None:
    assert act(web, group, "dismiss", reason=" ").status_code == 422
    assert act(web, group, "dismiss", reason="不归本市管").status_code == 302
    assert "不归本市管" in web.get(f"{GAPS}/{group}").text
    assert "明湖里可以钓鱼吗" not in web.get(GAPS).text
    assert "明湖里可以钓鱼吗" in web.get(GAPS, params={"state": "dismissed"}).text
    assert act(web, group, "reopen").status_code == 302
    assert "明湖里可以钓鱼吗" in web.get(GAPS).text


@pytest.mark.parametrize("query", [{"days": "x"}, {"state": "no"}, {"reason": "\x00"}, {"days": "-1"}])
def test_a_strange_address_shows_the_usual_list(web: httpx.Client, group: int, query: dict[str, str]) -> None:
    assert "明湖里可以钓鱼吗" in web.get(GAPS, params=query).text


def test_a_group_that_is_not_there_is_said_so(web: httpx.Client, group: int) -> None:
    assert web.get(f"{GAPS}/9999").status_code == 404


def test_the_worst_article_stands_first_with_its_rate(web: httpx.Client, parts: Parts, group: int) -> None:
    with parts.database.write() as session:
        good, bad = session.query(Article.id).order_by(Article.id).limit(2)
        for (article_id,), act_ in ((good, "solved"), (bad, "unsolved")):
            opened, _ = service.open_conversation(session, "chat", "zh", parts.clock())
            for reply in (
                Reply("答", "答", act="answer", article=article_id),
                Reply("好", "好", act=act_, article=article_id),
            ):
                service.record_reply(session, opened, reply, parts.clock())
    parts.clock.advance(minutes=1)  # type: ignore[attr-defined]
    page = web.get(f"{GAPS}/outcomes").text
    assert re.findall(r'data-article="([^"]+)"', page) == [bad[0], good[0]]
    assert re.findall(r'data-testid="solved-rate">([^<]+)<', page) == ["0%", "100%"]
