"""The editors' pages of documents, by the forms that a browser sends."""

import io
import re
import zipfile
from datetime import date

import httpx
import pytest
from flask import Flask
from sqlalchemy import select

from backend.jobs.queue import Jobs
from backend.knowledge.models import Document
from backend.parts import Parts

RULES = "云川市养犬管理办法\n云政发〔2020〕12号\n第一条 养犬要登记。\n第二条 遛犬要牵绳。\n2020年5月1日".encode()


@pytest.fixture
def editor(web: httpx.Client) -> httpx.Client:
    """A browser in which an editor is logged in."""
    return log_in(web, "editor1")


def log_in(web: httpx.Client, username: str) -> httpx.Client:
    form = {
        "csrf_token": token(web.get("/console/log-in").text),
        "username": username,
        "password": "correct horse battery",
    }
    assert web.post("/console/log-in", data=form).status_code == 302
    return web


def token(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return found[1]


def post(web: httpx.Client, path: str, page: str = "/console/documents", **form: str) -> httpx.Response:
    return web.post(path, data={"csrf_token": token(web.get(page).text), **form}, follow_redirects=True)


def upload(web: httpx.Client, *files: tuple[str, bytes]) -> httpx.Response:
    form = {"csrf_token": token(web.get("/console/documents").text)}
    sent = [("files", file) for file in files]
    return web.post("/console/documents", data=form, files=sent, follow_redirects=True)


def work(app: Flask) -> None:
    """Do what is in the queue, as the worker does."""
    jobs: Jobs = app.extensions["jobs"]
    while task := jobs.queue.dequeue():
        jobs.queue.execute(task)


def test_id(page: httpx.Response, name: str) -> str:
    found = re.search(rf'data-testid="{name}"[^>]*>(.*?)</', page.text, re.DOTALL)
    return found[1].strip() if found else ""


test_id.__test__ = False  # type: ignore[attr-defined]


def imported(app: Flask, web: httpx.Client) -> str:
    """The path of a document that was uploaded and taken in."""
    upload(web, ("办法.txt", RULES))
    work(app)
    return "/console/documents/1"


def test_uploaded_files_become_documents_with_their_clauses(app: Flask, editor: httpx.Client) -> None:
    page = upload(editor, ("办法.txt", RULES))
    assert 'data-state="running"' in page.text
    work(app)
    page = editor.get(str(page.url))
    assert 'data-state="done"' in page.text
    assert "云川市养犬管理办法" in editor.get("/console/documents").text
    assert "<b>第二条</b>" in editor.get("/console/documents/1").text


def test_an_archive_is_taken_for_the_files_in_it(app: Flask, editor: httpx.Client) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("文件/办法.txt", RULES)
        archive.writestr("__MACOSX/._办法.txt", b"rubbish")
        archive.writestr("空.txt", b"")
    page = upload(editor, ("全部.zip", packed.getvalue()))
    work(app)
    assert test_id(editor.get(str(page.url)), "import-counts") == "导入 1，未导入 1，等待 0"


def test_each_refused_file_has_its_plain_reason(app: Flask, editor: httpx.Client) -> None:
    page = upload(editor, ("a.pdf", b"%PDF-1.4 not really"), ("b.png", b"\x89PNG\r\n\x1a\n\x00\x00"))
    work(app)
    told = editor.get(str(page.url)).text
    assert "文件已损坏" in told
    assert "不支持这种文件" in told


def test_an_upload_without_files_is_refused(editor: httpx.Client) -> None:
    assert post(editor, "/console/documents").status_code == 422


def test_an_import_is_stopped_and_goes_on(app: Flask, editor: httpx.Client) -> None:
    here = str(upload(editor, ("办法.txt", RULES)).url)
    assert 'data-state="stopped"' in post(editor, f"{here}/stop").text
    work(app)
    assert 'data-state="stopped"' in editor.get(here).text
    post(editor, f"{here}/resume")
    work(app)
    assert 'data-state="done"' in editor.get(here).text
    assert post(editor, f"{here}/stop").status_code == 409


def test_the_progress_that_htmx_asks_for_is_only_the_progress(app: Flask, editor: httpx.Client) -> None:
    here = str(upload(editor, ("办法.txt", RULES)).url)
    part = editor.get(here, headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert 'hx-trigger="every 1s"' in part


def test_it_is_said_when_no_worker_is_there(app: Flask, editor: httpx.Client) -> None:
    here = str(upload(editor, ("办法.txt", RULES)).url)
    assert "no-worker" in editor.get(here).text
    app.extensions["jobs"].give_sign_of_life()
    assert "no-worker" not in editor.get(here).text


def test_what_was_found_can_be_corrected(app: Flask, editor: httpx.Client, parts: Parts) -> None:
    path = imported(app, editor)
    post(editor, path, title="养犬办法", number="云政发〔2020〕13号", valid_until="2026-12-31", region="明湖区")
    with parts.database.read() as session:
        found = session.scalars(select(Document)).one()
    assert (found.title, found.number, found.valid_until, found.region) == (
        "养犬办法",
        "云政发〔2020〕13号",
        date(2026, 12, 31),
        "明湖区",
    )


@pytest.mark.parametrize(
    "form",
    [
        {"title": ""},
        {"title": "一" * 301},
        {"title": "办法", "issued_on": "去年"},
        {"title": "办法", "url": "javascript:alert(1)"},
        {"title": "办法", "valid_from": "2026-02-01", "valid_until": "2026-01-01"},
    ],
)
def test_a_wrong_correction_changes_nothing_and_says_why(
    app: Flask, editor: httpx.Client, form: dict[str, str]
) -> None:
    path = imported(app, editor)
    answer = post(editor, path, **form)
    assert answer.status_code == 422
    assert test_id(answer, "refusal")
    assert test_id(editor.get(path), "document-title") == "云川市养犬管理办法"


def test_a_document_is_retired_and_given_again(app: Flask, editor: httpx.Client) -> None:
    path = imported(app, editor)
    assert 'data-state="retired"' in post(editor, f"{path}/state", state="retired").text
    assert 'data-state="current"' in post(editor, f"{path}/state", state="published").text


def test_an_editor_says_which_document_replaces_which(app: Flask, editor: httpx.Client) -> None:
    imported(app, editor)
    upload(editor, ("new.txt", "云川市犬只管理条例\n第一条 养犬要登记和免疫。".encode()))
    work(app)
    assert "云川市养犬管理办法" in post(editor, "/console/documents/2/replaces", old="1").text
    old = editor.get("/console/documents/1").text
    assert 'data-state="retired"' in old
    assert "云川市犬只管理条例" in old
    assert post(editor, "/console/documents/2/replaces", old="2").status_code == 422


def test_the_original_is_downloaded_never_shown(app: Flask, editor: httpx.Client) -> None:
    answer = editor.get(f"{imported(app, editor)}/file")
    assert answer.content == RULES
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_documents_are_found_by_number_title_and_state(app: Flask, editor: httpx.Client) -> None:
    imported(app, editor)
    for found in ("q=养犬", "q=云政发〔2020〕12号", "state=published"):
        assert "document-row" in editor.get(f"/console/documents?{found}").text
    for nothing in ("q=停车", "q=%25", "state=retired"):
        assert "document-row" not in editor.get(f"/console/documents?{nothing}").text


def test_the_pages_speak_english(editor: httpx.Client) -> None:
    assert "Documents" in editor.get("/console/documents?lang=en").text


@pytest.mark.parametrize("path", ["", "/1", "/imports/1", "/1/file"])
def test_who_may_not_edit_knowledge_sees_no_document(web: httpx.Client, path: str) -> None:
    assert log_in(web, "operator1").get(f"/console/documents{path}").status_code == 403


def test_only_editors_may_send_large_files(app: Flask, web: httpx.Client) -> None:
    large = ("办法.txt", "第一条 养犬要登记。\n".encode() * 50_000)
    form = {"csrf_token": token(web.get("/console/log-in").text)}
    assert web.post("/console/documents", data=form, files={"files": large}).status_code == 413
    assert upload(log_in(web, "editor1"), large).status_code == 200


def test_what_is_not_there_is_not_found(editor: httpx.Client) -> None:
    for path in ("7", "7/file", "imports/7"):
        assert editor.get(f"/console/documents/{path}").status_code == 404
