"""An agency's desk: what is due first on top, signing from the list, files with replies, templates, co-handlers' parts."""

import io
import re
from collections.abc import Sequence

import httpx
import pytest
from docx import Document
from PIL import Image

from backend.cases import service as cases
from backend.cases.models import Case
from backend.cases.service import Actor, Filing
from backend.directory.models import Agency, Staff
from backend.directory.service import add_staff
from backend.parts import Parts
from tests.conftest import StandingClock
from tests.console.test_agency_pages import log_in, token

MINE = "C-URBAN"
OTHER = "C-WATER"
DESK = Actor("dispatcher")


def file(parts: Parts, agency: str = MINE, contact: str = "+8613800001234", confidential: bool = False) -> str:
    """A case that was just sent to this agency."""
    now = parts.clock()
    with parts.database.write() as session:
        what, place = "路灯不亮，回电 13800001234", "人民路 8 号"
        filing = Filing(what=what, contact=contact, place=place, confidential=confidential)
        number = cases.file_case(session, parts.knowledge, filing, Actor("bot"), now, "shandong").number
        cases.act_on(session, number, "accept", DESK, {}, now)
        cases.act_on(session, number, "dispatch", DESK, {"agency": agency}, now)
        return number


def do(parts: Parts, number: str, act: str, actor: Actor, **details: object) -> None:
    with parts.database.write() as session:
        cases.act_on(session, number, act, actor, details, parts.clock())


@pytest.fixture
def clerk(web: httpx.Client) -> httpx.Client:
    return log_in(web, "agency1")


def listed(page: httpx.Response, name: str) -> list[tuple[str, str]]:
    """(number, mark) of the rows of one list."""
    part = page.text.partition(f'data-testid="list-{name}"')[2].partition("</section>")[0]
    return re.findall(r'data-number="([^"]+)" data-mark="(\w*)"', part)


def act(
    clerk: httpx.Client, number: str, what: str, files: Sequence[tuple[str, bytes]] = (), **form: str
) -> httpx.Response:
    page = clerk.get(f"/console/cases/{number}")
    sent = [("files", one) for one in files]
    return clerk.post(
        f"/console/cases/{number}/acts/{what}", data={"csrf_token": token(page), **form}, files=sent or None
    )


def photo() -> bytes:
    kept = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(kept, "JPEG")
    return kept.getvalue()


def letter() -> bytes:
    kept = io.BytesIO()
    document = Document()
    document.add_paragraph("回函")
    document.save(kept)
    return kept.getvalue()


def test_a_clerk_begins_with_what_is_due_first_and_only_their_agencys(
    clerk: httpx.Client, parts: Parts, clock: StandingClock
) -> None:
    old = file(parts)
    clock.advance(minutes=50)
    new = file(parts, contact="+8613800005678")
    elsewhere = file(parts, OTHER, contact="+8613800009999")
    assert clerk.get("/console").headers["location"] == "/console/inbox"
    page = clerk.get("/console/inbox")
    assert [number for number, _ in listed(page, "sign")] == [old, new]
    assert elsewhere not in page.text
    with parts.database.write() as session:
        session.query(Case).filter_by(number=new).one().step_due_at = clock.now
    clock.advance(seconds=1)
    page = clerk.get("/console/inbox")
    assert listed(page, "sign") == [(new, "overdue"), (old, "")]
    assert listed(clerk.get("/console/inbox?mark=overdue"), "sign") == [(new, "overdue")]


def test_signing_from_the_list_leads_back_to_it_and_colleagues_see_who_did_it(
    clerk: httpx.Client, parts: Parts
) -> None:
    number = file(parts)
    assert act(clerk, number, "sign", back="inbox").headers["location"] == "/console/inbox"
    page = clerk.get("/console/inbox")
    assert (listed(page, "sign"), listed(page, "hand")) == ([], [(number, "")])
    deeds = page.text.partition('data-testid="deeds"')[2]
    assert re.findall(r"<b>(.+?)</b> (\S+) <a", deeds)[0] == ("城管经办人", "签收")


def test_files_come_with_a_reply_and_the_citizen_gets_them(
    clerk: httpx.Client, parts: Parts, web: httpx.Client
) -> None:
    number = file(parts)
    act(clerk, number, "sign")
    files = [("修好了.jpg", photo()), ("回函.docx", letter())]
    assert act(clerk, number, "reply", files, note="已修好。").status_code == 302
    page = clerk.get(f"/console/cases/{number}").text
    assert page.count("/console/attachments/") == 3  # a picture is a link with the picture in it
    web.cookies.clear()
    form = {"number": number, "last_digits": "1234", "csrf_token": token(web.get("/cases"))}
    shown = web.post("/cases", data=form).text
    addresses = re.findall(r'href="([^"]+)" data-testid="answer-file">附件：(\S+?)<', shown)
    assert [name for _, name in addresses] == ["修好了.jpg", "回函.docx"]
    types = [web.get(address).headers["content-type"].split("/")[0] for address, _ in addresses]
    assert types == ["image", "application"]


def test_a_file_that_is_not_taken_refuses_the_whole_act_and_keeps_what_was_typed(
    clerk: httpx.Client, parts: Parts
) -> None:
    number = file(parts)
    act(clerk, number, "sign")
    page = act(clerk, number, "reply", [("a.exe", b"MZ" * 50)], note="已修好。")
    assert (page.status_code, "已修好。" in page.text) == (422, True)
    with parts.database.read() as session:
        assert cases.get_case(session, number).state == "signed"


def test_a_co_handler_says_its_part_and_the_citizen_does_not_see_its_files(
    clerk: httpx.Client, parts: Parts, web: httpx.Client
) -> None:
    number = file(parts, OTHER)
    with parts.database.write() as session:
        water = add_staff(session, "water1", "-", "agency", "水务经办人", OTHER)
    lead = Actor("agency", water)
    do(parts, number, "sign", lead)
    do(parts, number, "co_handle", lead, agency=MINE)
    assert listed(clerk.get("/console/inbox"), "help") == [(number, "")]
    assert act(clerk, number, "contribute", [("现场.jpg", photo())], note="路面已围挡。").status_code == 302
    page = clerk.get("/console/inbox").text
    assert "已反馈" in page
    do(parts, number, "reply", lead, note="已修好。")
    web.cookies.clear()
    form = {"number": number, "last_digits": "1234", "csrf_token": token(web.get("/cases"))}
    assert "answer-file" not in web.post("/cases", data=form).text


def test_an_agency_gets_no_file_of_a_case_that_is_not_its_own(clerk: httpx.Client, parts: Parts) -> None:
    number = file(parts)
    act(clerk, number, "sign")
    act(clerk, number, "reply", [("a.jpg", photo())], note="已修好。")
    [address] = set(re.findall(r'href="(/console/attachments/\d+)"', clerk.get(f"/console/cases/{number}").text))
    assert clerk.get(address).status_code == 200
    with parts.database.write() as session:
        session.query(Staff).filter_by(username="agency1").one().agency_code = OTHER
    assert clerk.get(address).status_code == 404


def test_a_template_is_filled_from_the_case_and_is_its_agencys_alone(clerk: httpx.Client, parts: Parts) -> None:
    form = {"csrf_token": token(clerk.get("/console/inbox/templates"))}
    assert "{工单号}" in clerk.get("/console/inbox/templates").text
    english = clerk.get("/console/inbox/templates?lang=en").text
    assert "{case}" in english
    assert "{工单号}" not in english
    clerk.get("/console/inbox/templates?lang=zh")
    text = "您反映的{地点}问题（{case}）已处理。"
    assert clerk.post("/console/inbox/templates", data={**form, "name": "已处理", "text": text}).status_code == 302
    assert clerk.post("/console/inbox/templates", data={**form, "name": "", "text": text}).status_code == 422
    number = file(parts)
    act(clerk, number, "sign")
    assert f'data-fill="您反映的人民路 8 号问题（{number}）已处理。"' in clerk.get(f"/console/cases/{number}").text
    [template] = re.findall(r'name="template" value="(\d+)"', clerk.get("/console/inbox/templates").text)
    with parts.database.write() as session:
        session.query(Staff).filter_by(username="agency1").one().agency_code = OTHER
    assert (
        clerk.post(
            "/console/inbox/templates", data={**form, "template": template, "name": "a", "text": "b"}
        ).status_code
        == 404
    )
    assert clerk.post(f"/console/inbox/templates/{template}/remove", data=form).status_code == 404


def test_the_inbox_of_a_protected_citizens_case_does_not_say_who_it_was(clerk: httpx.Client, parts: Parts) -> None:
    file(parts, confidential=True)
    assert "13800001234" not in clerk.get("/console/inbox").text


# --- standing in for another agency ---------------------------------------------------------------------------------


def name_substitute(parts: Parts, of: str, code: str | None) -> None:
    with parts.database.write() as session:
        session.get_one(Agency, of).substitute_code = code


def test_a_substitute_sees_and_acts_on_the_others_cases_and_the_history_says_for_whom(
    clerk: httpx.Client, parts: Parts
) -> None:
    number = file(parts, OTHER)
    assert clerk.get(f"/console/cases/{number}").status_code == 403
    name_substitute(parts, OTHER, MINE)
    assert (number, "") in listed(clerk.get("/console/inbox"), "sign")
    assert 'data-testid="stands-in"' in clerk.get("/console/inbox").text
    assert number in clerk.get("/console/cases").text
    assert act(clerk, number, "sign").status_code == 302
    assert act(clerk, number, "reply", note="已派人修好").status_code == 302
    with parts.database.read() as session:
        case = cases.get_case(session, number)
        assert (case.state, case.responsible_code) == ("replied", OTHER)
        assert [event.details.get("for") for event in case.history if event.act in ("sign", "reply")] == [OTHER, OTHER]
    page = clerk.get(f"/console/cases/{number}", params={"lang": "zh"})
    assert "代行单位" in page.text


def test_who_is_a_substitute_no_more_sees_and_does_nothing_there(clerk: httpx.Client, parts: Parts) -> None:
    number = file(parts, OTHER)
    name_substitute(parts, OTHER, MINE)
    form = {"csrf_token": token(clerk.get(f"/console/cases/{number}"))}
    name_substitute(parts, OTHER, None)
    assert clerk.post(f"/console/cases/{number}/acts/sign", data=form).status_code == 403
    assert clerk.get(f"/console/cases/{number}").status_code == 403
    assert listed(clerk.get("/console/inbox"), "sign") == []
    with parts.database.read() as session:
        assert cases.get_case(session, number).state == "dispatched"


def test_a_substitute_helps_where_the_other_was_asked_to_and_learns_no_more_than_it(
    clerk: httpx.Client, parts: Parts
) -> None:
    number = file(parts, "C-HR", confidential=True)
    do(parts, number, "sign", Actor("agency", agency_code="C-HR"))
    do(parts, number, "co_handle", DESK, agency=OTHER)
    name_substitute(parts, OTHER, MINE)
    page = clerk.get(f"/console/cases/{number}")
    assert "13800001234" not in page.text
    assert act(clerk, number, "contribute", note="已关阀").status_code == 302
    assert act(clerk, number, "reply", note="好了").status_code == 409
    with parts.database.read() as session:
        assert cases.get_case(session, number).history[-1].details["for"] == OTHER
