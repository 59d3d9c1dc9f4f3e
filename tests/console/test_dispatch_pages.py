"""The dispatcher's desk: least certain first, one key and the next one comes, rulings on send-backs."""

import re

import httpx
import pytest

from backend.cases import service as cases
from backend.cases.models import Case
from backend.cases.service import Actor, Filing
from backend.parts import Parts
from tests.console.test_agency_pages import log_in, token

DESK = "/console/dispatch"


def file(parts: Parts, contact: str, certainty: float, agency: str = "C-URBAN") -> str:
    """A case of which routing was so sure."""
    with parts.database.write() as session:
        filing = Filing(what="路灯不亮", contact=contact, place="人民路 8 号")
        case = cases.file_case(session, parts.knowledge, filing, Actor("bot"), parts.clock(), "shandong")
        case.certainty, case.agency_code = certainty, agency
        others = [["C-WATER", 0.2], ["C-ENV", 0.1]]
        case.history[0].details = {"proposal": agency, "why": {"by": "learned", "words": ["路灯"], "others": others}}
        return case.number


def send_back(parts: Parts, number: str) -> None:
    """The agency that has the case wants it to go to the waterworks."""
    with parts.database.write() as session:
        case = cases.get_case(session, number)
        actor = Actor("agency", None, case.agency_code)
        wanted = "C-WATER" if case.agency_code != "C-WATER" else "C-URBAN"
        cases.act_on(session, number, "send_back", actor, {"agency": wanted, "note": "不归我们"}, parts.clock())


def shown(page: httpx.Response) -> str:
    found = re.search(r'data-testid="dispatch-case" data-number="([^"]+)"', page.text)
    return found[1] if found else ""


def stand(parts: Parts, number: str) -> tuple[str, str]:
    with parts.database.read() as session:
        case = session.query(Case).filter_by(number=number).one()
        return case.state, case.agency_code


@pytest.fixture
def desk(web: httpx.Client) -> httpx.Client:
    return log_in(web, "dispatcher1")


def test_the_least_certain_comes_first_and_after_one_key_the_next(desk: httpx.Client, parts: Parts) -> None:
    sure, unsure = file(parts, "+8613800000001", 0.9), file(parts, "+8613800000002", 0.3)
    page = desk.get("/console", follow_redirects=True)
    assert (page.url.path, shown(page)) == (DESK, unsure)
    assert re.search(r'data-key="a" data-testid="accept">.*30%', page.text)
    assert re.search(r'data-key="1" data-testid="other-1">.*20%', page.text)
    after = desk.post(f"{DESK}/{unsure}", data={"csrf_token": token(page), "agency": "C-URBAN"}, follow_redirects=True)
    assert stand(parts, unsure) == ("dispatched", "C-URBAN")
    assert shown(after) == sure


def test_what_is_left_for_later_comes_after_the_others(desk: httpx.Client, parts: Parts) -> None:
    sure, unsure = file(parts, "+8613800000001", 0.9), file(parts, "+8613800000002", 0.3)
    assert shown(desk.get(f"{DESK}?skip={unsure}")) == sure
    assert shown(desk.get(f"{DESK}?skip={unsure}&skip={sure}")) == unsure


def test_a_send_back_is_ruled_on_with_its_reason_in_view(desk: httpx.Client, parts: Parts) -> None:
    number = file(parts, "+8613800000001", 0.9)
    form = {"csrf_token": token(desk.get(DESK))}
    desk.post(f"{DESK}/{number}", data={**form, "agency": "C-URBAN"})
    send_back(parts, number)
    page = desk.get(DESK)
    assert (shown(page), "不归我们" in page.text) == (number, True)
    refused = desk.post(f"{DESK}/{number}/reject", data=form)
    assert (refused.status_code, shown(refused)) == (409, number)
    assert desk.post(f"{DESK}/{number}/reject", data={**form, "note": "按职责清单归你们"}).status_code == 302
    assert stand(parts, number) == ("dispatched", "C-URBAN")


def test_what_was_sent_back_twice_is_the_supervisors_to_designate(
    desk: httpx.Client, parts: Parts, web: httpx.Client
) -> None:
    number = file(parts, "+8613800000001", 0.9)
    form = {"csrf_token": token(desk.get(DESK))}
    desk.post(f"{DESK}/{number}", data={**form, "agency": "C-URBAN"})
    send_back(parts, number)
    desk.post(f"{DESK}/{number}", data={**form, "agency": "C-WATER"})
    send_back(parts, number)
    assert shown(desk.get(DESK)) == ""
    assert desk.post(f"{DESK}/{number}/designate", data={**form, "agency": "C-ENV", "note": "a"}).status_code == 409
    web.cookies.clear()
    supervisor = log_in(web, "supervisor1")
    page = supervisor.get(DESK)
    assert shown(page) == number
    form = {"csrf_token": token(page), "agency": "C-WATER", "note": "指定水务承办"}
    assert supervisor.post(f"{DESK}/{number}/designate", data=form).status_code == 302
    assert stand(parts, number) == ("dispatched", "C-WATER")


def test_a_link_to_a_case_that_is_done_says_that_another_is_shown(desk: httpx.Client, parts: Parts) -> None:
    done, waits = file(parts, "+8613800000001", 0.9), file(parts, "+8613800000002", 0.3)
    assert "elsewhere" not in desk.get(DESK, params={"number": done}).text
    desk.post(f"{DESK}/{done}", data={"csrf_token": token(desk.get(DESK)), "agency": "C-URBAN"})
    page = desk.get(DESK, params={"number": done})
    assert shown(page) == waits
    assert f"没有打开工单 {done}" in page.text


def test_an_agency_that_is_not_there_is_refused_and_nothing_changes(desk: httpx.Client, parts: Parts) -> None:
    number = file(parts, "+8613800000001", 0.9)
    form = {"csrf_token": token(desk.get(DESK)), "agency": "C-NONE"}
    assert desk.post(f"{DESK}/{number}", data=form).status_code == 422
    assert stand(parts, number) == ("filed", "C-URBAN")
