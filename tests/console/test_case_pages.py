"""The pages on which cases are worked, watched and timed."""

import re

import httpx
import pytest

from backend.cases import service as cases
from backend.cases.city_deadlines import deadlines, last_saved
from backend.cases.service import Actor, Filing
from backend.directory.models import Staff
from backend.parts import Parts
from tests.conftest import StandingClock


@pytest.fixture
def number(parts: Parts) -> str:
    """A confidential case that lies with the sample agency."""
    with parts.database.write() as session:
        filing = Filing(what="举报王大明13900001111排污", contact="+8613800001234", confidential=True)
        now = parts.clock()
        case = cases.file_case(session, parts.knowledge, filing, Actor("bot"), now, "shandong")
        desk = Actor("dispatcher")
        cases.act_on(session, case.number, "accept", desk, {}, now)
        code = agency_of_sample(parts)
        cases.act_on(session, case.number, "dispatch", desk, {"agency": code}, now)
        return case.number


def agency_of_sample(parts: Parts) -> str:
    with parts.database.read() as session:
        return str(session.query(Staff).filter_by(username="agency1").one().agency_code)


def log_in(web: httpx.Client, who: str) -> None:
    form = web.get("/console/log-in")
    fields = {"csrf_token": token_of(form), "username": who, "password": "correct horse battery"}
    assert web.post("/console/log-in", data=fields).status_code == 302


def token_of(page: httpx.Response) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found
    return found[1]


def test_an_agency_never_sees_who_a_confidential_citizen_is(web: httpx.Client, number: str) -> None:
    log_in(web, "agency1")
    page = web.get(f"/console/cases/{number}")
    assert page.status_code == 200
    assert not any(secret in page.text for secret in ("1234<", "13900001111", "13800001234", "138 0000 1234"))
    asked = web.post(f"/console/cases/{number}/identity", data={"csrf_token": token_of(page), "reason": "回电"})
    assert asked.status_code == 403


def test_a_supervisor_sees_who_it_is_with_a_reason_that_stands_on_record(web: httpx.Client, number: str) -> None:
    log_in(web, "supervisor1")
    page = web.get(f"/console/cases/{number}")
    assert "138 0000 1234" not in page.text
    assert "act-form-protect" not in page.text  # it is confidential already
    address, token = f"/console/cases/{number}/identity", token_of(page)
    assert web.post(address, data={"csrf_token": token}).status_code == 422
    assert "138 0000 1234" in web.post(address, data={"csrf_token": token, "reason": "核实线索"}).text
    assert "核实线索" in web.get("/console/supervision/identity").text


def test_acts_on_the_page_are_those_of_the_table_and_lead_on(web: httpx.Client, number: str) -> None:
    log_in(web, "agency1")
    page = web.get(f"/console/cases/{number}")
    assert set(re.findall(r'data-testid="act-form-(\w+)"', page.text)) == {"sign", "send_back"}
    signed = web.post(f"/console/cases/{number}/acts/sign", data={"csrf_token": token_of(page)}, follow_redirects=True)
    acts = set(re.findall(r'data-testid="act-form-(\w+)"', signed.text))
    assert acts == {"reply", "ask_extension", "co_handle"}


def test_an_agency_reads_until_when_it_may_send_back_and_then_why_it_can_not(
    web: httpx.Client, number: str, clock: StandingClock
) -> None:
    log_in(web, "agency1")
    assert 'data-testid="send-back-until"' in web.get(f"/console/cases/{number}").text
    clock.advance(days=10)
    log_in(web, "agency1")
    page = web.get(f"/console/cases/{number}")
    assert "act-form-send_back" not in page.text
    assert "退单时限已过" in page.text


def test_the_agency_that_a_send_back_names_is_not_shown_as_the_one_that_has_the_case(
    web: httpx.Client, number: str
) -> None:
    log_in(web, "agency1")
    fields = {"csrf_token": token_of(web.get(f"/console/cases/{number}")), "note": "不归我们", "agency": "C-WATER"}
    page = web.post(f"/console/cases/{number}/acts/send_back", data=fields, follow_redirects=True)
    events = re.findall(r'data-act="send_back">(.*?)</li>', page.text, re.DOTALL)
    assert len(events) == 1
    assert "建议转给" in events[0]
    assert "承办单位：" not in events[0]


def test_a_reviewer_begins_with_the_cases_that_wait_for_review(web: httpx.Client, number: str) -> None:
    log_in(web, "reviewer1")
    page = web.get("/console", follow_redirects=True)
    assert page.url.params["state"] == "visited"
    assert number not in page.text


@pytest.mark.parametrize("wanted", ["deadline", "agency", "repetition", "register"])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_supervisors_have_their_lists(web: httpx.Client, number: str, wanted: str, lang: str) -> None:
    log_in(web, "supervisor1")
    page = web.get("/console/supervision", params={"by": wanted, "lang": lang})
    assert page.status_code == 200
    assert (number in page.text) == (wanted == "deadline")


def test_nobody_else_sets_deadlines(web: httpx.Client) -> None:
    log_in(web, "dispatcher1")
    assert web.get("/console/deadlines").status_code == 403
    assert web.get("/console/supervision").status_code == 403


def deadlines_form(web: httpx.Client) -> dict[str, object]:
    """A form of the deadlines that is in order."""
    names = ["accept", "dispatch", "sign", "send_back", "rule", "extension", "pause", "visit", "review", "redo"]
    names += ["supervision", "supervise_after", "unanswered"]
    fields: dict[str, object] = {"csrf_token": token_of(web.get("/console/deadlines")), "visit_tries": "2"}
    fields |= {f"{name}_count": "1" for name in names} | {f"{name}_unit": "working_days" for name in names}
    fields |= {"reply_urgency": "", "reply_kind": "", "reply_category": "", "reply_unit": "hours", "reply_count": "6"}
    fields |= {"step_0_mark": "red", "step_0_at": "75", "step_0_tells": ["handler", "supervisor"]}
    return fields | {"step_1_mark": "overdue", "step_1_at": "100", "step_1_tells": "above"}


def test_deadlines_saved_on_the_page_hold_for_what_is_filed_from_then_on(web: httpx.Client, parts: Parts) -> None:
    log_in(web, "supervisor1")
    fields = deadlines_form(web)
    refused = web.post("/console/deadlines", data=fields | {"reply_count": "x"})
    assert refused.status_code == 422
    assert "期限设置有误" in refused.text
    assert web.post("/console/deadlines", data=fields).status_code == 302
    with parts.database.write() as session:
        filing = Filing(what="井盖坏了")
        case = cases.file_case(session, parts.knowledge, filing, Actor("bot"), parts.clock(), "shandong")
        assert (case.due_at - parts.clock()).total_seconds() == 6 * 3600
        chain = deadlines(session, "shandong").profile.warnings
    assert [(step.mark, step.at, step.tells) for step in chain] == [
        ("red", 0.75, ("handler", "supervisor")),
        ("overdue", 1.0, ("above",)),
    ]
    assert 'value="75"' in web.get("/console/deadlines").text


@pytest.mark.parametrize(
    "step", [{"step_1_at": "soon"}, {"step_1_at": "nan"}, {"step_1_at": "90"}, {"step_1_at": ""}, {"step_0_at": "900"}]
)
def test_a_chain_that_can_not_be_is_refused(web: httpx.Client, parts: Parts, step: dict[str, str]) -> None:
    log_in(web, "supervisor1")
    refused = web.post("/console/deadlines", data=deadlines_form(web) | step)
    assert refused.status_code == 422
    assert "warnings" in refused.text
    with parts.database.read() as session:
        assert last_saved(session, "shandong") is None


def test_a_day_is_set_and_left_to_the_calendars_again(web: httpx.Client) -> None:
    log_in(web, "supervisor1")
    token = token_of(web.get("/console/deadlines"))
    day = {"csrf_token": token, "day": "2026-11-25", "working": "no", "name": "建市日"}
    assert "建市日" in web.post("/console/deadlines/days", data=day, follow_redirects=True).text
    assert "建市日" not in web.post("/console/deadlines/days", data=day | {"working": ""}, follow_redirects=True).text
    assert web.post("/console/deadlines/days", data=day | {"day": "soon"}).status_code == 422


def test_a_dispatcher_merges_into_another_open_case_of_the_citizen_which_keeps_the_words(
    web: httpx.Client, parts: Parts
) -> None:
    def filed(what: str, contact: str) -> str:
        with parts.database.write() as session:
            filing = Filing(what=what, place="云水区望月小区", contact=contact)
            return cases.file_case(session, parts.knowledge, filing, Actor("bot"), parts.clock(), "shandong").number

    first, again = filed("停车位被占", "+8613800001234"), filed("暖气不热三天了", "+8613800001234")
    neighbours = filed("停车位被占", "+8613800009999")
    log_in(web, "dispatcher1")
    page = web.get(f"/console/cases/{again}")
    assert re.findall(r'<option value="(\d{5}-\d{5})"', page.text) == [first]
    assert "act-form-merge" not in web.get(f"/console/cases/{neighbours}").text
    fields = {"csrf_token": token_of(page), "into": first}
    assert web.post(f"/console/cases/{again}/acts/merge", data=fields).status_code == 302
    joined = web.get(f"/console/cases/{first}").text.split('data-testid="joined"')[1]
    assert again in joined
    assert "暖气不热三天了" in joined


def test_the_register_says_who_ordered_when_what_was_replied_and_how_it_ended(
    web: httpx.Client, parts: Parts, number: str, clock: StandingClock
) -> None:
    with parts.database.write() as session:
        supervisor = Actor("supervisor", session.query(Staff).filter_by(username="supervisor1").one())
        cases.act_on(session, number, "supervise", supervisor, {"note": "三日内到场"}, clock())
    log_in(web, "supervisor1")
    [row] = re.findall(r'data-testid="row">(.*?)</tr>', web.get("/console/supervision?by=register").text)
    assert re.search(r"三日内到场</td><td>值班长<br><span[^>]*>12:00</span>", row)
    with parts.database.write() as session:
        cases.act_on(session, number, "designate", supervisor, {"agency": "C-WATER", "note": "改由水务办理"}, clock())
    [row] = re.findall(r'data-testid="row">(.*?)</tr>', web.get("/console/supervision?by=register&lang=en").text)
    assert "An agency was designated" in row
