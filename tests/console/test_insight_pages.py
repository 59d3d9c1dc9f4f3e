"""The analyst's page and the hall screen, as browsers get them."""

import io
import re

import httpx
import pytest
from openpyxl import load_workbook
from sqlalchemy import update

from backend.directory.models import Agency
from backend.insight.models import CaseCell, CaseFact, CaseSum
from backend.insight.rollups import keep_in_step
from backend.insight.sample_year import fill
from backend.parts import Parts
from tests.console.test_gap_pages import log_in, token

INSIGHT, WALL = "/console/insight", "/console/wall"


@pytest.fixture
def analyst(web: httpx.Client, parts: Parts) -> httpx.Client:
    """An analyst's browser, at a line with a month behind it."""
    fill(parts.database, parts.clock(), cases=200, days=30, seed=1)
    keep_in_step(parts.database, parts.clock)
    return log_in(web, "analyst1")


PERIODS: tuple[dict[str, str], ...] = ({}, {"since": "2026-11-01", "until": "2026-11-20"})


@pytest.mark.parametrize("period", PERIODS, ids=["until today", "past"])
def test_a_figure_is_that_of_the_cases_behind_it(analyst: httpx.Client, period: dict[str, str]) -> None:
    page = analyst.get(INSIGHT, params=period)
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", page.text)
    for measure in ("filed", "ended", "open", "overdue"):
        link = re.search(rf'<a href="([^"]+)" data-testid="tile-{measure}">([\d,]+)</a>', page.text)
        assert link
        address, shown, listed, number = link[1].replace("&amp;", "&"), int(link[2].replace(",", "")), 0, 0
        while found := analyst.get(f"{address}&page={number}").text.count('data-testid="row"'):
            listed, number = listed + found, number + 1
        assert listed == shown > 0


def test_a_part_of_a_slice_and_its_other_parts_are_the_whole(analyst: httpx.Client) -> None:
    def filed(**query: str) -> int:
        found = re.search(r'data-testid="tile-filed">([\d,]+)<', analyst.get(INSIGHT, params=query).text)
        assert found
        return int(found[1].replace(",", ""))

    channels = ("phone", "chat", "operator", "api")
    assert sum(filed(channel=one) for one in channels) == filed()
    assert filed(category="UT-HEAT") < filed(category="UT") < filed()  # a category with all below it
    assert filed(since="2026-11-01", until="2026-11-10") + filed(since="2026-11-11", until="2026-11-23") == filed(
        since="2026-11-01", until="2026-11-23"
    )


STRANGE = (
    {"since": "x"},
    {"by": "no", "compare": "no"},
    {"district": "\x00"},
    {"since": "0001-01-01"},
    {"since": "2027-01-01"},
)


@pytest.mark.parametrize("query", STRANGE)
def test_a_strange_address_shows_a_page(analyst: httpx.Client, query: dict[str, str]) -> None:
    assert analyst.get(INSIGHT, params=query).status_code == 200


def test_a_saved_view_opens_by_its_short_link_for_a_colleague(analyst: httpx.Client) -> None:
    view = {"category": "UT-HEAT", "since": "2026-11-01", "until": "2026-11-20", "by": "district", "compare": ""}
    form = {"csrf_token": token(analyst.get(INSIGHT)), "name": "供热 <b>"} | view
    short = analyst.post(f"{INSIGHT}/views", data=form)
    analyst.cookies.clear()
    opened = log_in(analyst, "supervisor1").get(short.headers["Location"])
    assert dict(httpx.URL(opened.headers["Location"]).params) == view
    assert "供热 &lt;b&gt;" in analyst.get(INSIGHT).text


def test_who_has_saved_a_view_takes_it_away_and_nobody_else_does(analyst: httpx.Client) -> None:
    short = analyst.post(f"{INSIGHT}/views", data={"csrf_token": token(analyst.get(INSIGHT)), "name": "供热"})
    link = short.headers["Location"]
    mine = dict(analyst.cookies)
    analyst.cookies.clear()
    page = log_in(analyst, "supervisor1").get(INSIGHT)
    assert f'href="{link}"' in page.text and f"{link}/remove" not in page.text
    assert analyst.post(f"{link}/remove", data={"csrf_token": token(page)}).status_code == 404
    analyst.cookies.clear()
    analyst.cookies.update(mine)
    assert analyst.post(f"{link}/remove", data={"csrf_token": token(analyst.get(INSIGHT))}).status_code == 302
    assert analyst.get(link).status_code == 404


def test_cases_of_no_known_district_are_a_slice_of_their_own(analyst: httpx.Client, parts: Parts) -> None:
    with parts.database.write() as session:
        session.execute(update(CaseCell).where(CaseCell.district == "明湖区").values(district=""))
        of_district = CaseSum.dimension == "district", CaseSum.value == "明湖区"
        session.execute(update(CaseSum).where(*of_district).values(value=""))
        session.execute(update(CaseFact).where(CaseFact.district == "明湖区").values(district=""))
    page = analyst.get(INSIGHT, params={"by": "district"})
    row = re.search(r'<a href="([^"]+)" data-row>不详</a></th>\s*<td><a href="([^"]+)">(\d+)</a>', page.text)
    assert row
    part = analyst.get(row[1].replace("&amp;", "&")).text
    assert f'data-testid="tile-filed">{row[3]}<' in part and '<option value="-" selected>不详' in part
    assert analyst.get(row[2].replace("&amp;", "&")).text.count('data-testid="row"') == int(row[3])


def test_figures_are_exported_as_numbers_that_a_spreadsheet_adds_up(analyst: httpx.Client) -> None:
    book = load_workbook(io.BytesIO(analyst.get(f"{INSIGHT}/export", params={"by": "channel"}).content))
    shown = re.search(r'data-testid="tile-filed">([\d,]+)<', analyst.get(INSIGHT).text)
    assert shown
    numbers = [row[1] for row in book.worksheets[0].iter_rows(min_row=2, values_only=True)]
    assert all(isinstance(one, int) for one in numbers)
    assert sum(one for one in numbers if isinstance(one, int)) == int(shown[1])


def test_a_name_that_a_spreadsheet_would_run_is_exported_as_words(analyst: httpx.Client, parts: Parts) -> None:
    with parts.database.write() as session:
        for agency in session.query(Agency):
            agency.name = "=1+1"
    csv = analyst.get(f"{INSIGHT}/export", params={"by": "agency", "format": "csv"}).content.decode("utf-8-sig")
    assert "\n'=1+1," in csv and "\n=1+1" not in csv
    book = load_workbook(io.BytesIO(analyst.get(f"{INSIGHT}/export", params={"by": "agency"}).content))
    assert book.worksheets[0]["A2"].value == "'=1+1"


def test_a_hall_screen_sees_the_wall_and_nothing_else_until_it_is_ended(analyst: httpx.Client) -> None:
    form = {"csrf_token": token(analyst.get(f"{INSIGHT}/screens")), "name": "一楼大厅"}
    made = analyst.post(f"{INSIGHT}/screens", data=form)
    link = re.search(r'data-testid="link">([^<]+)<', made.text)
    assert link
    ending = re.search(r'action="([^"]+/end)"', made.text)
    session = dict(analyst.cookies)
    analyst.cookies.clear()
    assert analyst.get(WALL).status_code == 302
    assert analyst.get(f"{WALL}/data").status_code == 401
    assert analyst.get(f"{WALL}/open/guess").status_code == 404
    assert analyst.get(link[1]).status_code == 302
    assert analyst.get(WALL).status_code == 200
    assert analyst.get(f"{WALL}/data").json()["cases"]["filed"] >= 0
    for elsewhere in ("/console/cases", INSIGHT, "/console", "/console/supervision"):
        assert analyst.get(elsewhere).headers["Location"].startswith("/console/log-in")
    screen = dict(analyst.cookies)
    analyst.cookies.clear()
    analyst.cookies.update(session)
    assert ending
    analyst.post(ending[1], data={"csrf_token": token(analyst.get(f"{INSIGHT}/screens"))})
    analyst.cookies.clear()
    analyst.cookies.update(screen)
    assert analyst.get(f"{WALL}/data").status_code == 401


def test_the_wall_shows_nothing_of_any_citizen(analyst: httpx.Client) -> None:
    shown = analyst.get(f"{WALL}/data").text
    assert not re.search(r"\d{5}-\d{5}|\+86|号楼", shown)
    assert '"overdue":[{' in shown.replace(" ", "").replace("\n", "")


def test_a_new_line_without_a_single_case_has_a_wall_and_figures(web: httpx.Client) -> None:
    log_in(web, "supervisor1")
    assert web.get(INSIGHT).status_code == 200
    assert web.get(f"{WALL}/data").json()["issues"] == []
