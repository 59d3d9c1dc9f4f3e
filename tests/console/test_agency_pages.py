"""The supervisors' pages about agencies and about what routing has learned, as a browser gets them."""

import io
import re

import httpx
import pytest
from openpyxl import load_workbook

from backend.cases import service
from backend.cases.models import RoutingModel
from backend.cases.service import Actor, Filing
from backend.directory.models import Agency
from backend.jobs.queue import Jobs
from backend.parts import Parts

AGENCIES = "/console/agencies"


def log_in(web: httpx.Client, username: str) -> httpx.Client:
    """The browser of one of the sample staff."""
    form = {"username": username, "password": "correct horse battery", "csrf_token": token(web.get("/console/log-in"))}
    assert web.post("/console/log-in", data=form).status_code == 302
    return web


def token(page: httpx.Response) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found
    return found[1]


def upload(web: httpx.Client, name: str, data: bytes) -> httpx.Response:
    form = {"csrf_token": token(web.get(f"{AGENCIES}/import"))}
    return web.post(f"{AGENCIES}/import", data=form, files={"file": (name, data)})


@pytest.mark.parametrize("path", ["", "/export", "/import", "/learning"])
@pytest.mark.parametrize(("username", "status"), [("operator1", 403), ("agency1", 403), ("supervisor1", 200)])
def test_only_who_keeps_the_directory_may_look(web: httpx.Client, path: str, username: str, status: int) -> None:
    page = log_in(web, username).get(f"{AGENCIES}{path}")
    assert page.status_code == status
    if path != "/export":
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", page.text)


def test_the_list_finds_by_duty_level_and_district(web: httpx.Client) -> None:
    page = log_in(web, "supervisor1").get(AGENCIES, params={"q": "物业", "level": "2", "district": "明湖区"}).text
    assert re.findall(r'data-code="([^"]+)"', page) == ["D-MH-HOUSE"]


def test_what_was_exported_and_corrected_is_imported(web: httpx.Client, parts: Parts) -> None:
    exported = log_in(web, "supervisor1").get(f"{AGENCIES}/export", params={"q": "C-WATER"}).content
    book = load_workbook(io.BytesIO(exported))
    assert book.worksheets[0]["A2"].value == "C-WATER"
    book.worksheets[0]["H2"].value = "0551-1234567"
    corrected = io.BytesIO()
    book.save(corrected)
    page = upload(web, "单位.xlsx", corrected.getvalue())
    assert page.status_code == 200
    assert 'data-testid="report-done"' in page.text
    with parts.database.read() as session:
        assert session.get_one(Agency, "C-WATER").telephone == "0551-1234567"


def test_a_refused_row_is_told_with_its_number_and_reason(web: httpx.Client) -> None:
    page = upload(log_in(web, "supervisor1"), "单位.csv", "编码,名称,层级\nC-NEW,新单位,7\n".encode())
    assert page.status_code == 422
    assert re.search(r'data-number="2"', page.text)
    assert "层级应为" in page.text


def test_learning_is_put_into_the_queue_and_its_versions_are_listed(web: httpx.Client, parts: Parts) -> None:
    with parts.database.write() as session:
        figures = {"held_out": 60, "new": {"first": 0.8, "first_three": 0.95}, "used": {"first": 0.7}}
        session.add(
            RoutingModel(
                made_at=parts.clock(), state="in_use", knows="x", texts=9, cases=7, figures=figures, numbers=b""
            )
        )
    page = log_in(web, "supervisor1").get(f"{AGENCIES}/learning")
    assert all(figure in page.text for figure in ("80.0%", "95.0%", "70.0%"))
    answer = web.post(f"{AGENCIES}/learning", data={"csrf_token": token(page)})
    assert answer.status_code == 302
    queue: Jobs = web._transport.app.extensions["jobs"]  # type: ignore[attr-defined]
    assert [task.name for task in queue.queue.pending()] == ["learn_routing"]


def test_a_dispatcher_reads_why_an_agency_is_proposed_and_an_agency_does_not(web: httpx.Client, parts: Parts) -> None:
    with parts.database.write() as session:
        filing = Filing("小区路灯不亮", "")
        case = service.file_case(session, parts.knowledge, filing, Actor("bot"), parts.clock(), "shandong")
        case.state, number, shown = "signed", case.number, case.history[0]
        shown.details = {
            "proposal": "C-URBAN",
            "why": {
                "by": "duties",
                "words": ["路灯", "不亮"],
                "others": [["C-POWER", 0.12]],
                "urgency": ["urgent", 0.7],
                "risk": ["safety", 0.6],
            },
        }
    page = log_in(web, "dispatcher1").get(f"/console/cases/{number}").text
    for told in ("职责清单", "路灯、不亮", "市供电公司 12%", "公共安全 60%", "可能要加急 70%"):
        assert told in page
    web.cookies.clear()
    assert 'data-testid="why"' not in log_in(web, "agency1").get(f"/console/cases/{number}").text
