"""The editors' desk over HTTP: who may enter, what is kept when something is refused, review, import and export."""

import re
from html import unescape
from typing import Any

import httpx
import pytest
from flask import Flask
from sqlalchemy import select

from backend.app import create_app
from backend.conversations.service import open_conversation, record_reply
from backend.knowledge.models import Article, ArticleVersion
from backend.parts import Parts
from bot.client import Reply
from tests.conftest import StandingClock, make_settings

FORM: dict[str, Any] = {
    "question": "动物园的大象几点洗澡？",
    "variants": "大象什么时候洗澡\n看大象洗澡",
    "answer": "每天下午三点，在象馆外。",
    "next_step": "",
    "speech": "大象每天下午三点洗澡。",
    "agency_code": "C-URBAN",
    "category_code": "MA-CONS",
    "source_title": ["云川动物园公告", ""],
    "source_issuer": ["云川动物园", ""],
    "source_number": ["2026年第1号", ""],
    "source_url": ["", ""],
    "note": "新设的项目",
}


HEATING = "heating-not-warm"


class Editor:
    """Somebody of the staff at the console."""

    def __init__(self, app: Flask, username: str) -> None:
        self.http = httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000/console")
        self.landed = self.post("/log-in", username=username, password="correct horse battery", act="")

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path, follow_redirects=True)

    def post(self, path: str, at: str | None = None, files: dict | None = None, **fields: Any) -> httpx.Response:
        """Send a form with the token of the page that it is on."""
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.get(at or path).text)
        assert token
        return self.http.post(path, data={"csrf_token": token[1], **fields}, files=files, follow_redirects=True)

    def create(self, act: str = "save", **changed: Any) -> str:
        """Write the article about the elephant; returns its address."""
        page = self.post("/knowledge/new", **{**FORM, "act": act, **changed})
        assert page.status_code == 200, told(page)
        return str(page.url.path).removeprefix("/console")


def told(page: httpx.Response) -> list[str]:
    """What a page says against what was sent."""
    found = re.findall(r'data-testid="refusal">([^<]+)<|<li>([^<]+)</li>', page.text)
    return [unescape("".join(one)) for one in found]


def seen(page: httpx.Response) -> str:
    """Which version a form began from."""
    found = re.search(r'name="seen" value="([^"]*)"', page.text)
    assert found
    return found[1]


@pytest.fixture
def app(database_url: str, clock: StandingClock) -> Flask:
    """The application, on each database."""
    return create_app(make_settings(database_url), clock=clock)


@pytest.fixture
def editor(app: Flask) -> Editor:
    return Editor(app, "editor1")


@pytest.fixture
def other(app: Flask) -> Editor:
    return Editor(app, "editor2")


def newest(parts: Parts, path: str) -> ArticleVersion:
    """The newest version of the article at this address."""
    with parts.database.read() as session:
        return session.get_one(Article, path.rsplit("/", 1)[1]).versions[-1]


def test_editors_land_on_the_articles_and_see_no_cases(editor: Editor) -> None:
    assert editor.landed.url.path == "/console/knowledge"
    assert 'data-testid="nav-cases"' not in editor.landed.text
    assert editor.get("/cases").status_code == 403


def test_supervisors_may_enter_and_nobody_else(app: Flask) -> None:
    assert Editor(app, "supervisor1").get("/knowledge").status_code == 200
    assert Editor(app, "operator1").get("/knowledge").status_code == 403
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000") as nobody:
        assert nobody.get("/console/knowledge").headers["Location"].startswith("/console/log-in")


def test_an_article_goes_from_draft_over_a_second_editor_to_the_citizen(
    editor: Editor, other: Editor, parts: Parts, app: Flask
) -> None:
    path = editor.create(act="submit")
    version = f"{path}/versions/1"
    refused = editor.post(f"{version}/approve", at=path)
    assert refused.status_code == 403
    assert "不能审核自己写的" in refused.text
    assert FORM["question"] in other.get("/knowledge/review").text
    assert 'data-state="reviewed"' in other.post(f"{version}/approve", at=version).text
    assert 'data-state="published"' in other.post(f"{version}/publish", at=version).text
    with parts.database.read() as session:
        found = parts.knowledge.search(session, "大象什么时候洗澡", parts.clock())
    assert found.articles[0][0].question == FORM["question"]


def test_what_is_wrong_is_told_at_its_field_and_nothing_typed_is_lost(editor: Editor) -> None:
    page = editor.post("/knowledge/new", **FORM | {"act": "save", "agency_code": "", "answer": "写了很久的 <b>答复"})
    assert page.status_code == 422
    assert 'data-testid="told-agency_code"' in page.text
    assert "写了很久的 &lt;b&gt;答复" in page.text
    assert "云川动物园公告" in page.text
    assert "新设的项目" in page.text


def test_a_draft_may_wait_unfinished_but_not_be_submitted(editor: Editor, parts: Parts) -> None:
    page = editor.post("/knowledge/new", **FORM | {"act": "submit", "answer": ""})
    assert page.status_code == 422
    assert 'data-testid="told-answer"' in page.text
    with parts.database.read() as session:
        kept = session.scalars(select(Article).where(Article.question == FORM["question"])).one()
        assert kept.state == "draft"


def test_saving_over_a_newer_version_is_refused_with_the_difference_and_the_text_stays(
    editor: Editor, other: Editor, parts: Parts
) -> None:
    path = editor.create()
    begun = seen(editor.get(path))
    other.post(path, **FORM | {"act": "save", "answer": "改到下午四点。", "seen": begun})
    page = editor.post(path, **FORM | {"act": "save", "answer": "改到下午五点。", "seen": begun})
    assert page.status_code == 409
    assert 'data-testid="overtaken"' in page.text
    assert "改到下午五点。</textarea>" in page.text
    assert newest(parts, path).content["answer"] == "改到下午四点。"
    editor.post(path, **FORM | {"act": "save", "answer": "改到下午五点。", "seen": seen(page)})
    assert (newest(parts, path).number, newest(parts, path).content["answer"]) == (3, "改到下午五点。")


def test_what_was_changed_is_marked_by_more_than_colour_and_can_be_restored(
    editor: Editor, other: Editor, parts: Parts
) -> None:
    path = editor.create()
    other.post(path, **FORM | {"act": "save", "answer": "每天下午四点，在象馆外。", "seen": seen(other.get(path))})
    page = other.get(f"{path}/versions/2?against=1").text
    assert re.search(
        r"<del><span class=\"unseen\">删去：</span>三</del><ins><span class=\"unseen\">增加：</span>四</ins>", page
    )
    editor.post(f"{path}/versions/1/restore", at=f"{path}/versions/1")
    assert (newest(parts, path).number, newest(parts, path).content["answer"]) == (3, FORM["answer"])


def test_sending_back_needs_a_reason_and_the_author_reads_it(editor: Editor, other: Editor) -> None:
    path = editor.create(act="submit")
    version = f"{path}/versions/1"
    assert other.post(f"{version}/send_back", at=version).status_code == 422
    other.post(f"{version}/send_back", at=version, note="请写明周一闭园")
    assert "请写明周一闭园" in editor.get("/knowledge/review").text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=象馆外", True),
        ("q=看大象洗", True),
        ("q=暖气片漏水", False),
        ("q=大象&state=draft", True),
        ("q=大象&state=published", False),
        ("state=draft&category=MA-CONS&agency=C-URBAN", True),
        ("state=draft&validity=expired", False),
        ("state=draft&region=明湖区", False),
        ("state=draft&sort=ends&page=99", True),
        ("q=%25", False),
        ("q=%00&author=x&page=-1&sort=no&state=no", False),
    ],
)
def test_the_list_finds_by_words_and_filters(editor: Editor, query: str, found: bool) -> None:
    path = editor.create()
    page = editor.get(f"/knowledge?{query}")
    assert page.status_code == 200
    assert (f'data-id="{path.rsplit("/", 1)[1]}"' in page.text) is found


def test_the_list_finds_published_articles_by_meaning(editor: Editor) -> None:
    page = editor.get("/knowledge?q=家里暖气片摸着是凉的咋办").text
    assert 'data-id="heating-not-warm"' in page
    assert "意思相近" in page


def test_what_search_finds_best_stands_first_unless_another_order_is_asked_for(editor: Editor) -> None:
    listed = re.findall(r'data-testid="article-row" data-id="([^"]+)"', editor.get("/knowledge?q=居住证").text)
    assert listed[0].startswith("residence-permit")
    by_question = re.findall(r'data-id="([^"]+)"', editor.get("/knowledge?q=居住证&sort=question").text)
    assert by_question[0] != listed[0]


def test_a_new_article_that_cannot_be_submitted_yet_is_kept_once_and_goes_on_where_it_is(editor: Editor) -> None:
    refused = editor.post("/knowledge/new", **{**FORM, "speech": "见 https://a.cn", "act": "submit"})
    assert refused.status_code == 422
    action = re.search(r'id="article-form" method="post" action="/console(/knowledge/articles/[^"]+)"', refused.text)
    assert action
    sent = editor.post(action[1], **{**FORM, "seen": seen(refused), "act": "submit"})
    assert "等另一位编辑审核" in sent.text
    assert (
        len(re.findall('data-testid="article-row"', editor.get("/knowledge?q=大象几点洗澡&state=submitted").text)) == 1
    )
    assert 'data-testid="article-row"' not in editor.get("/knowledge?q=大象几点洗澡&state=draft&author=0").text


def test_to_discard_a_draft_is_not_called_what_takes_an_article_from_citizens(editor: Editor) -> None:
    draft = editor.get(editor.create()).text
    assert "放弃这一版" in draft
    assert "停用" not in draft
    assert "停用" in editor.get("/knowledge/articles/heating-not-warm/versions/1").text


def test_a_new_article_without_agency_is_told_so_in_plain_words(editor: Editor) -> None:
    refused = editor.post("/knowledge/new", **{**FORM, "agency_code": "", "category_code": "NO-SUCH", "act": "save"})
    assert told(refused)[1:] == ["不能为空。", "没有“NO-SUCH”这一项。"]


def test_the_preview_shows_chat_and_speech_as_text(editor: Editor) -> None:
    page = editor.post("/knowledge/preview", at="/knowledge/new", **FORM | {"answer": "<script>x</script>"})
    assert "&lt;script&gt;" in page.text
    assert str(FORM["speech"]) in page.text
    assert "云川动物园公告" in page.text


def test_an_import_is_reported_reviewed_and_published_in_bulk_by_another(
    editor: Editor, other: Editor, parts: Parts
) -> None:
    table = (
        "问题,其他问法,答复,电话播报,承办单位,类别,依据\n大象几点洗澡,象洗澡,三点,三点,C-URBAN,MA-CONS,公告\n"
        "河马几点洗澡,河马洗澡,四点,四点,C-URBAN,MA-CONS,公告\n"
    )
    wrong = editor.post("/knowledge/import", files={"file": ("a.csv", table.replace("MA-CONS,公告\n", "NO,公告\n", 1))})
    assert wrong.status_code == 422
    assert 'data-testid="report-row" data-number="2"' in wrong.text
    done = editor.post("/knowledge/import", files={"file": ("a.csv", table.encode("gb18030"))})
    assert done.status_code == 200, told(done)
    drafts = re.findall(r'name="version" value="([^"]+)"', editor.get("/knowledge?state=draft").text)
    assert len(drafts) == 2
    editor.post("/knowledge/acts", at="/knowledge?state=draft", act="submit", version=drafts)
    own = editor.post("/knowledge/acts", at="/knowledge", act="pass", version=drafts)
    assert own.status_code == 422
    assert 'data-testid="refused"' in own.text
    assert other.post("/knowledge/acts", at="/knowledge", act="pass", version=drafts).status_code == 200
    with parts.database.read() as session:
        states = session.scalars(select(Article.state).where(Article.question.in_(("大象几点洗澡", "河马几点洗澡"))))
        assert list(states) == ["published", "published"]


@pytest.mark.parametrize("kind", ["xlsx", "csv", "json", "md"])
def test_an_export_of_the_list_is_taken_back_as_it_is(editor: Editor, kind: str) -> None:
    export = editor.get(f"/knowledge/export?format={kind}&category=MA-CONS")
    assert export.headers["Content-Disposition"].endswith(f'.{kind}"')
    page = editor.post("/knowledge/import", files={"file": (f"articles.{kind}", export.content)})
    assert page.status_code == 200
    assert "新文章 0 篇，修改 0 篇" in page.text


def test_files_larger_than_other_forms_are_taken_here_up_to_twenty_megabytes(editor: Editor) -> None:
    large = editor.post("/knowledge/import", files={"file": ("a.csv", b"x" * 2_000_000)})
    assert "读不出来" in large.text
    assert editor.post("/knowledge/import", files={"file": ("a.csv", b"x" * 20_500_000)}).status_code == 413


@pytest.mark.parametrize("path", ["/knowledge", "/knowledge/new", "/knowledge/review", "/knowledge/import"])
def test_the_pages_are_english_for_english_readers_and_need_no_inline_code(editor: Editor, path: str) -> None:
    page = editor.get(f"{path}?lang=en")
    assert page.status_code == 200
    assert '<html lang="en">' in page.text
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", page.text)


def test_nobody_acts_without_the_token_of_a_page(editor: Editor, parts: Parts) -> None:
    path = editor.create()
    assert editor.http.post(f"{path}/versions/1/submit").status_code == 400
    assert newest(parts, path).state == "draft"


@pytest.mark.parametrize(
    "path",
    [
        "/knowledge/articles/none",
        "/knowledge/articles/none/versions/1",
        "/knowledge/articles/heating-not-warm/versions/99",
    ],
)
def test_what_is_not_there_is_told(editor: Editor, path: str) -> None:
    assert editor.get(path).status_code == 404


def test_the_list_tells_what_came_of_an_articles_answers(editor: Editor, parts: Parts, clock: StandingClock) -> None:
    with parts.database.write() as session:
        conversation = open_conversation(session, "chat", "zh", clock())[0]
        record_reply(session, conversation, Reply("先看阀门。", "先看阀门。", act="answer", article=HEATING), clock())
        record_reply(session, conversation, Reply("太好了。", "太好了。", act="solved", article=HEATING), clock())
    clock.advance(minutes=1)
    row = re.search(rf'data-id="{HEATING}".*?</tr>', editor.get("/knowledge?q=暖气不热").text, re.DOTALL)
    assert row and "答 1 · 解决 1 · 未解决 0 · 转人工 0" in row[0]
