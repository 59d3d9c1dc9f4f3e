"""Lists: whose cases they show, how they are narrowed and paged, and that a longer list asks the record no oftener."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import httpx
import pytest
from flask import Flask
from sqlalchemy import event, select

from backend.cases import service as cases
from backend.cases.models import Case, IdentityAccess, SupervisionOrder
from backend.cases.service import Actor, Filing
from backend.database import Database
from backend.directory.models import Staff
from backend.insight.rollups import keep_in_step
from backend.insight.sample_year import fill
from backend.parts import Parts
from tests.console.test_gap_pages import log_in

LIST = "/console/cases"


def numbers(page: httpx.Response) -> list[str]:
    """The cases of a page, from top to bottom."""
    assert page.status_code == 200
    return re.findall(r'data-testid="case-row" data-number="([^"]+)"', page.text)


def link(page: httpx.Response, name: str) -> str:
    """The address of the button to the page before or after; empty: there is none."""
    found = re.search(rf'href="([^"]+)"[^>]*data-testid="{name}"', page.text)
    return found[1].replace("&amp;", "&") if found else ""


@pytest.fixture
def year(parts: Parts) -> Parts:
    """A line with some weeks behind it."""
    fill(parts.database, parts.clock(), cases=260, days=30, seed=1)
    keep_in_step(parts.database, parts.clock)
    return parts


def test_from_page_to_page_every_case_is_shown_once_newest_first_and_back_again(web: httpx.Client, year: Parts) -> None:
    log_in(web, "dispatcher1")
    pages = [web.get(LIST)]
    while address := link(pages[-1], "older"):
        pages.append(web.get(address))
    with year.database.read() as session:
        every = list(session.scalars(select(Case.number).order_by(Case.id.desc())))
    shown = [number for page in pages for number in numbers(page)]
    assert shown == every
    assert len(pages) > 3
    assert numbers(web.get(link(pages[2], "newer"))) == numbers(pages[1])
    assert link(pages[0], "newer") == ""


FILTERED: tuple[tuple[dict[str, str], Callable[[Case, datetime], bool]], ...] = (
    ({"state": "closed"}, lambda case, _: case.state == "closed"),
    ({"state": "open"}, lambda case, _: case.step_due_at is not None),
    ({"mark": "overdue"}, lambda case, now: case.step_due_at is not None and case.step_due_at < now),
    ({"category": "UT"}, lambda case, _: case.category_code.startswith("UT-")),
    ({"category": "UT-HEAT", "state": "closed"}, lambda case, _: (case.category_code, case.state) == ("UT-HEAT", "closed")),
    ({"q": "明湖区 号楼"}, lambda case, _: all(word in case.place + case.what for word in ("明湖区", "号楼"))),
    ({"q": "100%"}, lambda case, _: "100%" in case.what + case.place),
)  # fmt: skip


def test_a_filter_leaves_the_cases_that_it_names_and_no_others(web: httpx.Client, year: Parts) -> None:
    log_in(web, "dispatcher1")
    for filters, holds in FILTERED:
        page = web.get(LIST, params=filters)
        shown = numbers(page)
        while address := link(page, "older"):
            page = web.get(address)
            shown += numbers(page)
        with year.database.read() as session:
            every = session.scalars(select(Case).order_by(Case.id.desc()))
            assert shown == [case.number for case in every if holds(case, year.clock())], filters


def test_districts_are_those_of_the_figures(web: httpx.Client, year: Parts) -> None:
    log_in(web, "dispatcher1")
    page = web.get(LIST, params={"district": "明湖区"})
    assert numbers(page)
    with year.database.read() as session:
        places = dict(session.execute(select(Case.number, Case.place)).all())
    assert all("明湖区" in places[number] for number in numbers(page))


def test_who_types_a_number_comes_to_its_case_and_is_told_of_a_wrong_one(web: httpx.Client, year: Parts) -> None:
    log_in(web, "dispatcher1")
    with year.database.read() as session:
        number = session.scalar(select(Case.number).limit(1))
    assert number
    assert web.get(LIST, params={"q": number.replace("-", " ")}).headers["Location"].endswith(number)
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    refused = web.get(LIST, params={"q": wrong})
    assert refused.status_code == 422
    assert 'data-testid="refusal"' in refused.text


def test_an_address_that_somebody_made_up_is_answered(web: httpx.Client) -> None:
    log_in(web, "dispatcher1")
    for query in ("before=x", "after=99999999999999", "state=no", "mark=no", "q=%00", "before=-1"):
        assert web.get(f"{LIST}?{query}").status_code == 200, query


def test_an_agency_has_its_own_cases_and_cannot_search_for_who_a_protected_citizen_is(
    web: httpx.Client, year: Parts
) -> None:
    with year.database.write() as session:
        agency = session.scalar(select(Staff.agency_code).where(Staff.username == "agency1"))
        filing = Filing(what="举报王大明13900001111排污", contact="+8613800001234", confidential=True)
        case = cases.file_case(session, year.knowledge, filing, Actor("bot"), year.clock(), "shandong")
        for act, details in (("accept", {}), ("dispatch", {"agency": agency})):
            cases.act_on(session, case.number, act, Actor("dispatcher"), details, year.clock())
        number = case.number
    log_in(web, "agency1")
    page = web.get(LIST)
    assert numbers(page)[0] == number
    assert "13900001111" not in page.text
    assert numbers(web.get(LIST, params={"q": "王大明"})) == []
    with year.database.read() as session:
        theirs = set(session.scalars(select(Case.number).where(cases.cases_of(session, str(agency)))))
    assert set(numbers(page)) <= theirs


PAGES = {
    "supervisor1": (
        "/console", "/console/queue", LIST, f"{LIST}?state=open&category=UT&q=%E5%8F%B7%E6%A5%BC",
        "/console/supervision?by=deadline", "/console/supervision?by=agency", "/console/supervision?by=repetition",
        "/console/supervision?by=register", "/console/supervision/identity", "/console/audit", "/console/insight",
        "/console/insight/cases?measure=filed", "/console/knowledge/gaps", "/console/knowledge/gaps/outcomes",
        "/console/assessment", "/console/assessment?span=12&by=district", "/console/assessment/ratings",
        "/console/assessment/ratings?span=12&only=left_out", "/console/assessment/appeals",
        "/console/insight?by=agency", "/console/insight/cases?measure=overdue", "/console/insight/issues",
        "/console/insight/alerts", "/console/insight/words", "/console/insight/reports", "/console/floor",
        "/console/agencies", "/console/agencies/learning", "/console/categories", "/console/line/announcements",
        "/console/line/numbers", "/console/integrations", "/open311/v2/requests.json",
    ),
    "dispatcher1": ("/console/dispatch", "/console/roots"),
    "agency1": (LIST, "/console/inbox", "/console/roots", "/console/assessment", "/console/assessment/ratings"),
    "reviewer1": (LIST, "/console/assessment/appeals"),
    "editor1": ("/console/knowledge", "/console/documents"),
}  # fmt: skip
"""The pages with lists, and who looks at them; those whose length the starter content sets are counted all the same."""


@contextmanager
def queries_of(database: Database) -> Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield sent
    event.remove(database.engine, "before_cursor_execute", note)


def grow(parts: Parts, count: int, seed: int) -> None:
    """So many more cases, each with an order and a look at who filed it."""
    now = parts.clock()
    with parts.database.write() as session:
        staff = session.scalars(select(Staff).where(Staff.username == "supervisor1")).one()
        agency = session.scalar(select(Staff.agency_code).where(Staff.username == "agency1"))
        for turn in range(count):
            filing = Filing(
                what=f"号楼路灯不亮{seed}-{turn}", place="明湖区3号楼", category="UT-POWER", key=f"{seed}-{turn}"
            )
            case = cases.file_case(session, parts.knowledge, filing, Actor("bot"), now, "shandong")
            for act, details in (("accept", {}), ("dispatch", {"agency": agency}), ("sign", {})):
                actor = Actor("agency", agency_code=agency) if act == "sign" else Actor("dispatcher")
                cases.act_on(session, case.number, act, actor, details, now)
            case.repeats, due = 1, now + timedelta(days=1)
            session.add(IdentityAccess(case_id=case.id, staff_id=staff.id, looked_at=now))
            session.add(
                SupervisionOrder(case_id=case.id, agency_code=agency, ordered="尽快", ordered_at=now, due_at=due)
            )
    keep_in_step(parts.database, parts.clock)


@pytest.mark.parametrize("who", PAGES)
def test_a_list_of_fifty_asks_the_record_as_often_as_a_list_of_five(app: Flask, parts: Parts, who: str) -> None:
    web = httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000")
    log_in(web, who)
    counted = []
    for seed, more in enumerate((5, 45)):
        grow(parts, more, seed)
        counts = {}
        for page in PAGES[who]:
            web.get(page)  # what a process keeps is kept from now on
            with queries_of(parts.database) as sent:
                assert web.get(page).status_code == 200
            counts[page] = len(sent)
        counted.append(counts)
    assert counted[0] == counted[1]
