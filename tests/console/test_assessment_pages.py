"""Assessment as browsers get it: rates of the ratings that count, appeals, frozen months, each agency its own."""

import io
import re

import httpx
import pytest
from flask import Flask
from openpyxl import load_workbook
from sqlalchemy import func, select

from backend.cases import service as cases
from backend.cases.models import Case, Visit
from backend.cases.service import Actor, Filing
from backend.directory.models import Staff
from backend.insight import assessment
from backend.insight.models import AssessmentMonth
from backend.insight.rollups import keep_in_step
from backend.parts import Parts
from tests.conftest import StandingClock
from tests.console.test_gap_pages import log_in, token

PAGE = "/console/assessment"
OTHER = "C-WATER"


@pytest.fixture
def agency(parts: Parts) -> str:
    """The code of agency1's agency."""
    with parts.database.read() as session:
        return str(session.scalar(select(Staff.agency_code).where(Staff.username == "agency1")))


def rate(parts: Parts, agency: str, grade: int, solved: bool = True) -> tuple[str, int]:
    """A case that this agency has answered, and that its citizen has rated; its number and the visit's id."""
    now = parts.clock()
    with parts.database.write() as session:
        citizen = f"+86138{(session.scalar(select(func.max(Case.id))) or 0):08d}"  # a new one each time
        filing = Filing(what="路灯不亮", place="明湖区3号楼", contact=citizen, kind="complaint", category="UT-POWER")
        number = cases.file_case(session, parts.knowledge, filing, Actor("bot"), now, "shandong").number
        desk, bureau = Actor("dispatcher"), Actor("agency", agency_code=agency)
        said = {"contacted": "yes", "solved": "yes" if solved else "no", "grade": grade, "words": "电话13900001111"}
        for act, who, details in (
            ("accept", desk, {}), ("dispatch", desk, {"agency": agency}), ("sign", bureau, {}),
            ("reply", bureau, {"note": "已修好"}), ("visit", Actor("line"), said),
        ):  # fmt: skip
            cases.act_on(session, number, act, who, details, now)
        if solved and grade >= 3:
            cases.act_on(session, number, "close", Actor("line"), {}, now)
        visit = session.scalars(select(Visit).join(Case, Case.id == Visit.case_id).where(Case.number == number)).one()
    keep_in_step(parts.database, parts.clock)
    return number, visit.id


def row(page: httpx.Response, value: str) -> dict[str, str]:
    """The cells of a line of the table by name; empty when there is no such line."""
    assert page.status_code == 200
    found = re.search(rf'data-testid="row" data-value="{value}">(.*?)</tr>', page.text, re.S)
    return dict(re.findall(r'data-name="(\w+)">([^<]*)', found[1])) if found else {}


def browser(app: Flask, who: str) -> httpx.Client:
    return log_in(httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000"), who)


def test_rates_are_those_of_the_ratings_and_the_file_says_the_same(
    web: httpx.Client, parts: Parts, agency: str
) -> None:
    for grade, solved in ((5, True), (4, True), (3, True), (2, True), (1, False)):
        rate(parts, agency, grade, solved)
    keep_in_step(parts.database, parts.clock)
    log_in(web, "supervisor1")
    page = web.get(PAGE)
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", page.text)
    shown = row(page, agency)
    assert (shown["rated"], shown["contacted"], shown["solved"], shown["satisfied"]) == (
        "5",
        "100.0%",
        "80.0%",
        "60.0%",
    )
    assert (shown["graded"], shown["on_time"], shown["place"]) == ("52.0%", "100.0%", "1")
    assert shown["score"] == f"{100 * (0.2 + 0.4 * 0.8 + 0.4 * 0.52):.1f}"
    for by in ("district", "category"):
        assert row(web.get(PAGE, params={"by": by}), {"district": "明湖区", "category": "UT-POWER"}[by])["rated"] == "5"
    book = load_workbook(io.BytesIO(web.get(f"{PAGE}/export").content))
    lines = [[cell.value for cell in cells] for cells in book.worksheets[0].iter_rows()]
    assert lines[0][:5] == ["名次", "承办单位", "综合得分", "计入评价", "响应率 (%)"]
    assert lines[1][2:5] == [float(shown["score"]), 5, 100]


def test_the_rates_are_those_of_the_analysts_page(web: httpx.Client, parts: Parts, agency: str) -> None:
    for grade, solved in ((5, True), (3, True), (1, False)):
        rate(parts, agency, grade, solved)
    keep_in_step(parts.database, parts.clock)
    log_in(web, "supervisor1")
    assessed, analysed = row(web.get(PAGE), agency), web.get("/console/insight").text
    for name in ("contacted", "solved", "satisfied"):
        assert f"<dd>{assessed[name]}" in analysed, name


def test_an_upheld_appeal_leaves_the_rating_out_and_says_why(app: Flask, parts: Parts, agency: str) -> None:
    rate(parts, agency, 5)
    number, visit = rate(parts, agency, 1, solved=False)
    bureau, supervisor = browser(app, "agency1"), browser(app, "supervisor1")
    ratings = bureau.get(f"{PAGE}/ratings", params={"only": "bad"})
    assert number in ratings.text
    assert "13900001111" not in ratings.text
    address, form = f"{PAGE}/ratings/{visit}/appeal", {"csrf_token": token(ratings), "reason": "市民所说地点不在本市"}
    assert bureau.post(address, data=form | {"reason": " "}).status_code == 422
    assert bureau.post(address, data=form).status_code == 302
    assert bureau.post(address, data=form).status_code == 409
    assert row(supervisor.get(PAGE), agency)["rated"] == "2"  # an appeal alone changes nothing
    page = supervisor.get(f"{PAGE}/appeals")
    assert "市民所说地点不在本市" in page.text
    found = re.search(r"/console/assessment/appeals/(\d+)/ruling", page.text)
    assert found
    ruling = {"csrf_token": token(page), "upheld": "yes", "ruling": "经核实属实"}
    assert supervisor.post(found[0], data=ruling | {"ruling": ""}).status_code == 422
    assert supervisor.post(found[0], data=ruling).status_code == 302
    assert supervisor.post(found[0], data=ruling).status_code == 409
    shown = row(supervisor.get(PAGE), agency)
    assert (shown["rated"], shown["solved"], shown["left_out"]) == ("1", "100.0%", "申诉成立 1")
    assert "经核实属实" in bureau.get(f"{PAGE}/appeals").text
    assert "申诉成立" in bureau.get(f"{PAGE}/ratings", params={"only": "left_out"}).text
    assert "经核实属实" in supervisor.get("/console/audit", params={"kind": "appeal"}).text


def test_a_refused_appeal_changes_nothing(app: Flask, parts: Parts, agency: str) -> None:
    _, visit = rate(parts, agency, 2)
    bureau, reviewer = browser(app, "agency1"), browser(app, "supervisor1")
    form = {"csrf_token": token(bureau.get(f"{PAGE}/ratings")), "reason": "不服"}
    bureau.post(f"{PAGE}/ratings/{visit}/appeal", data=form)
    page = reviewer.get(f"{PAGE}/appeals")
    found = re.search(r"/console/assessment/appeals/(\d+)/ruling", page.text)
    assert found
    reviewer.post(found[0], data={"csrf_token": token(page), "upheld": "no", "ruling": "评价有效"})
    assert row(reviewer.get(PAGE), agency)["rated"] == "1"


def test_an_agency_has_its_own_figures_and_nobody_elses_whatever_it_asks_for(
    web: httpx.Client, parts: Parts, agency: str
) -> None:
    own, _ = rate(parts, agency, 5)
    other, visit = rate(parts, OTHER, 1, solved=False)
    log_in(web, "agency1")
    for params in ({}, {"agency": OTHER}):
        page = web.get(PAGE, params=params)
        assert row(page, agency)["rated"] == "1"
        assert row(page, OTHER) == {}
        ratings = web.get(f"{PAGE}/ratings", params=params).text
        assert own in ratings
        assert other not in ratings
        [_, [place, *_]] = (
            load_workbook(io.BytesIO(web.get(f"{PAGE}/export", params=params).content)).worksheets[0].values
        )
        assert place is None  # of one alone there is none
    form = {"csrf_token": token(web.get(f"{PAGE}/ratings")), "reason": "不服"}
    assert web.post(f"{PAGE}/ratings/{visit}/appeal", data=form).status_code == 404


def test_a_month_is_frozen_as_it_stood_and_a_later_appeal_is_a_correction(
    app: Flask, parts: Parts, clock: StandingClock, agency: str
) -> None:
    for grade in (5, 5, 5, 5, 5, 1):
        _, visit = rate(parts, agency, grade, solved=grade > 1)
    bureau = browser(app, "agency1")
    form = {"csrf_token": token(bureau.get(f"{PAGE}/ratings")), "reason": "地点不在本市"}
    bureau.post(f"{PAGE}/ratings/{visit}/appeal", data=form)
    assessment.freeze_when_due(parts.database, clock)  # 23 November freezes October, of which there is nothing
    clock.advance(days=22)
    assessment.freeze_when_due(parts.database, clock)
    assessment.freeze_when_due(parts.database, clock)
    supervisor, november = browser(app, "supervisor1"), {"month": "2026-11"}
    before = row(supervisor.get(PAGE, params=november), agency)
    page = supervisor.get(f"{PAGE}/appeals")
    found = re.search(r"/console/assessment/appeals/(\d+)/ruling", page.text)
    assert found
    clock.advance(minutes=5)
    supervisor.post(found[0], data={"csrf_token": token(page), "upheld": "yes", "ruling": "属实"})
    after = supervisor.get(PAGE, params=november)
    assert row(after, agency) == before
    assert before["rated"] == "6"
    corrected = re.search(r'data-testid="correction">(.*?)</tr>', after.text, re.S)
    assert corrected
    assert re.findall(r"<td>([^<]*)</td>", corrected[1]) == ["1", before["score"], "100.0"]
    with parts.database.read() as session:
        assert session.query(AssessmentMonth).count() == 2


@pytest.mark.parametrize("query", ["month=x", "month=9999-99", "span=7", "by=no", "agency=%00", "page=-1", "only=no"])
def test_an_address_that_somebody_made_up_is_answered(web: httpx.Client, query: str) -> None:
    log_in(web, "supervisor1")
    for page in (PAGE, f"{PAGE}/ratings", f"{PAGE}/export"):
        assert web.get(f"{page}?{query}").status_code == 200
