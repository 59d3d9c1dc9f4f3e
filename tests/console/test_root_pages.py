"""Root issues on the console: from the dispatcher's offer to one reply, what a leading agency sees, and undoing."""

import re

import httpx
import pytest
from flask import Flask

from backend.cases import roots, service
from backend.cases.service import Actor, Filing
from backend.directory.models import Staff
from backend.insight.models import HotGroup, HotMember
from backend.parts import Parts
from tests.console.test_agency_pages import log_in, token

ROOTS = "/console/roots"


def file(parts: Parts, count: int, place: str = "阳光花园3号楼", begin: int = 0) -> list[str]:
    with parts.database.write() as session:
        return [
            service.file_case(
                session,
                parts.knowledge,
                Filing(what="小区停水两天了，没有人来修", place=place, contact=f"+86138{begin + at:08d}"),
                Actor("bot"),
                parts.clock(),
                "shandong",
            ).number
            for at in range(count)
        ]


def another(app: Flask) -> httpx.Client:
    """Somebody else's browser."""
    return httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000")


def post(web: httpx.Client, address: str, **data: object) -> httpx.Response:
    form = {"csrf_token": token(web.get("/console/account")), **data}
    return web.post(address, data=form, follow_redirects=True)


def opened(web: httpx.Client, numbers: list[str]) -> str:
    page = post(web, ROOTS, title="阳光花园停水", numbers=" ".join(numbers))
    assert page.status_code == 200
    return str(page.url.path)


def members(page: httpx.Response) -> list[str]:
    return re.findall(r'data-testid="member" data-number="([^"]+)"', page.text)


@pytest.fixture
def desk(web: httpx.Client) -> httpx.Client:
    return log_in(web, "dispatcher1")


def test_the_desk_offers_what_is_alike_and_makes_one_issue_of_it(desk: httpx.Client, parts: Parts) -> None:
    numbers = file(parts, 3)
    page = desk.get("/console/dispatch")
    case = re.search(r'data-testid="dispatch-case" data-number="([^"]+)"', page.text)
    assert case
    offered = re.findall(r'name="number" value="([^"]+)" checked', page.text)
    assert sorted([case[1], *offered]) == numbers
    page = post(desk, ROOTS, title="阳光花园停水", number=numbers[:2])
    assert members(page) == numbers[:2]
    page = desk.get(f"/console/dispatch?number={numbers[2]}")
    assert "加入 G1" in page.text
    assert post(desk, f"{ROOTS}/1/join", number=numbers[2], back="dispatch").url.path == "/console/dispatch"
    assert members(desk.get(f"{ROOTS}/1")) == numbers
    assert "G1 阳光花园停水" in desk.get(f"/console/cases/{numbers[2]}").text


def test_from_the_owner_to_one_reply_to_all(desk: httpx.Client, app: Flask, parts: Parts) -> None:
    numbers = file(parts, 3)
    issue = opened(desk, numbers)
    post(desk, f"{issue}/assign", agency="C-URBAN")
    assert "把 3 件转给牵头单位" in desk.get(issue).text
    post(desk, f"{issue}/send")
    with parts.database.write() as session:
        username = session.query(Staff).filter_by(role="agency", agency_code="C-URBAN").limit(1).one().username
    agency = log_in(another(app), username)
    assert "阳光花园停水" in agency.get(ROOTS).text
    page = agency.get(issue)
    assert "3 件会得到这个答复" in page.text
    assert "拆出工单" not in page.text
    page = post(agency, f"{issue}/plan", step_what=["查漏", "换管", ""], step_day=["2026-11-25", "2026-12-02", ""])
    assert re.findall(r'name="step_what"[^>]*value="([^"]+)"', page.text) == ["查漏", "换管"]
    refused = post(agency, f"{issue}/plan", step_what=["换主管"], step_day=["下周"])
    assert (refused.status_code, "换主管" in refused.text) == (422, True)
    assert post(agency, f"{issue}/reply", note="").status_code == 422
    page = post(agency, f"{issue}/reply", note="主管已更换")
    assert page.text.count('badge badge-replied"') == 3
    assert "答复 3 件，另告知 0 件" in page.text
    assert post(agency, f"{issue}/undo", event="1", note="x").status_code == 403


def test_an_agency_sees_only_the_issues_that_it_leads_and_no_words_of_others_cases(
    desk: httpx.Client, app: Flask, parts: Parts
) -> None:
    numbers = file(parts, 2)
    issue = opened(desk, numbers)
    agency = log_in(another(app), "agency1")
    assert agency.get(issue).status_code == 403
    assert "阳光花园停水" not in agency.get(ROOTS).text
    assert post(agency, ROOTS, title="x", numbers=" ".join(numbers)).status_code == 403
    with parts.database.write() as session:
        code = session.query(Staff).filter_by(username="agency1").one().agency_code
        roots.assign(session, 1, str(code), Actor("dispatcher"), parts.clock())
    page = agency.get(issue)
    assert members(page) == numbers
    assert "没有人来修" not in page.text


def test_a_refusal_says_which_two_and_keeps_what_was_typed(desk: httpx.Client, parts: Parts) -> None:
    here, there = file(parts, 2), file(parts, 1, "望月社区", 10)
    issue = opened(desk, here)
    page = post(desk, f"{issue}/join", numbers=there[0])
    assert page.status_code == 409
    assert f"{here[0]}（阳光花园3号楼）" in page.text
    assert f">{there[0]}</textarea>" in page.text
    post(desk, f"{issue}/join", numbers=there[0], note="同一主管")
    assert members(desk.get(issue)) == [*here, *there]


def test_splitting_and_taking_that_back_with_its_reason_in_view(desk: httpx.Client, parts: Parts) -> None:
    numbers = file(parts, 3)
    issue = opened(desk, numbers)
    page = post(desk, f"{issue}/split", number=numbers[1], note="自家水管")
    assert (members(page), "自家水管" in page.text) == ([numbers[0], numbers[2]], True)
    page = post(desk, f"{issue}/undo", event="2", note="问清楚了，是总管")
    assert (members(page), "问清楚了，是总管" in page.text) == (numbers, True)
    assert post(desk, f"{issue}/undo", event="2", note="再来").status_code == 409
    assert post(desk, f"{issue}/absorb", into="G99", note="x").status_code == 404
    assert post(desk, f"{issue}/close").status_code == 409


def test_a_hot_issue_becomes_one_root_issue_of_its_open_cases(web: httpx.Client, parts: Parts) -> None:
    numbers = file(parts, 3)
    with parts.database.write() as session:
        service.act_on(session, numbers[0], "withdraw", Actor("citizen"), {}, parts.clock())
        group = HotGroup(name="阳光花园：停水", size=3, total=b"", words={}, district="", community="")
        group.first_at = group.last_at = parts.clock()
        session.add(group)
        session.flush()
        for number in numbers:
            case = service.get_case(session, number)
            session.add(HotMember(case_id=case.id, group_id=group.id, likeness=0.9))
    boss = log_in(web, "supervisor1")
    page = post(boss, "/console/insight/issues/1/root")
    assert members(page) == numbers[1:]
    assert post(boss, "/console/insight/issues/1/root").status_code == 409
