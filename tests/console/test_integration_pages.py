"""The supervisors' page of other systems: keys, webhooks, what Open311 shows; and files that came with requests."""

import re

import httpx
import pytest

from backend.attachments import accept, keep
from backend.cases import service
from backend.cases.service import Actor, Filing
from backend.parts import Parts
from tests.console.test_gap_pages import log_in, token
from tests.pictures import photo

PAGE = "/console/integrations"


def send(web: httpx.Client, path: str, **fields: str | list[str]) -> httpx.Response:
    return web.post(f"{PAGE}/{path}", data={"csrf_token": token(web.get(PAGE)), **fields})


def made(page: httpx.Response) -> str:
    found = re.search(r'data-testid="made">([^<]+)<', page.text)
    assert found, page.text
    return found[1]


@pytest.mark.parametrize(("username", "status"), [("operator1", 403), ("agency1", 403), ("supervisor1", 200)])
def test_only_supervisors_may_look(web: httpx.Client, username: str, status: int) -> None:
    page = log_in(web, username).get(PAGE)
    assert page.status_code == status
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", page.text)


def test_a_key_is_shown_once_works_and_is_revoked(web: httpx.Client) -> None:
    log_in(web, "supervisor1")
    key = made(send(web, "keys", name="城管系统", scope=["cases:file"]))
    assert key not in web.get(PAGE).text
    assert "城管系统" in web.get(PAGE).text
    headers = {"Authorization": f"Bearer {key}"}
    assert web.post("/api/v1/cases", json={"what": "路灯不亮"}, headers=headers).status_code == 201
    assert send(web, "keys/1/revoke").status_code == 302
    assert web.post("/api/v1/cases", json={"what": "路灯不亮"}, headers=headers).status_code == 401


def test_what_is_missing_from_a_form_is_told_on_the_page(web: httpx.Client) -> None:
    log_in(web, "supervisor1")
    for refused in (send(web, "keys", name="系统"), send(web, "webhooks", name="系统", url="ftp://agency.example")):
        assert refused.status_code == 422
        assert 'data-testid="refusal"' in refused.text


def test_a_receiver_begins_and_ends(web: httpx.Client) -> None:
    log_in(web, "supervisor1")
    secret = made(send(web, "webhooks", name="城管系统", url="https://agency.example/hook", event=["case.reply"]))
    assert secret.startswith("whsec_")
    assert "https://agency.example/hook" in web.get(PAGE).text
    assert send(web, "webhooks/1/end").status_code == 302
    assert "https://agency.example/hook" not in web.get(PAGE).text


def test_a_request_is_taken_out_of_the_publics_sight_and_shown_again(web: httpx.Client) -> None:
    form = {"api_key": "api-token", "service_code": "UT-HEAT", "address_string": "湖滨路", "description": "暖气不热"}
    number = web.post("/open311/v2/requests.json", data=form).json()[0]["service_request_id"]
    log_in(web, "supervisor1")
    for hidden, status in (("yes", 404), ("no", 200)):
        assert send(web, "requests/1/hidden", hidden=hidden).status_code == 302
        assert web.get(f"/open311/v2/requests/{number}.json").status_code == status


@pytest.mark.parametrize(("username", "status"), [("operator1", 200), ("agency1", 404), ("editor1", 403)])
def test_files_of_a_request_are_for_who_works_the_case(
    web: httpx.Client, parts: Parts, username: str, status: int
) -> None:
    with parts.database.write() as session:
        filing = Filing("自来水发黄", category="UT-WATER")
        case = service.file_case(
            session, parts.knowledge, filing, Actor("citizen"), parts.clock(), parts.settings.jurisdiction
        )
        file = keep(session, accept(photo(), "水.jpg"), parts.clock(), case_id=case.id)
        address = f"/console/attachments/{file.id}"
    got = log_in(web, username).get(address)
    assert got.status_code == status
    if status == 200:
        assert got.headers["content-type"] == "image/jpeg"
        assert "sandbox" in got.headers["content-security-policy"]
