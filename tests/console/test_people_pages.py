"""Administrators keep the staff: adding, one-time passwords, roles, leaving; each of it in the audit log."""

import re

import httpx
import pytest
from flask import Flask
from sqlalchemy import select

from backend.audit import AuditEvent
from backend.directory.models import Staff
from backend.directory.passwords import refuse_weak
from backend.directory.people import PersonContent, add, change, deactivate
from backend.errors import Refused
from backend.parts import Parts
from tests.conftest import StandingClock
from tests.console.test_agency_pages import log_in, token

NEW_PASSWORD = "nine grey teapots hum"
WANG = {
    "username": "wang.fang",
    "name": "王芳",
    "role": "operator",
    "telephone": "+8655112345678",
    "languages": ["zh", "en"],
    "chat_limit": "2",
}


@pytest.fixture
def admin(web: httpx.Client) -> httpx.Client:
    return log_in(web, "admin1")


def another(app: Flask) -> httpx.Client:
    return httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000")


def add_wang(admin: httpx.Client, **changed: object) -> httpx.Response:
    form = {"csrf_token": token(admin.get("/console/people/new")), **WANG, **changed}
    return admin.post("/console/people/new", data=form)


def one_time(page: httpx.Response) -> str:
    found = re.search(r'data-testid="one-time-password">([^<]+)<', page.text)
    assert found
    return found[1]


def enter(browser: httpx.Client, username: str, password: str) -> httpx.Response:
    form = {"username": username, "password": password, "csrf_token": token(browser.get("/console/log-in"))}
    return browser.post("/console/log-in", data=form)


def id_of(parts: Parts, username: str) -> int:
    with parts.database.read() as session:
        return session.scalars(select(Staff.id).where(Staff.username == username)).one()


def act(admin: httpx.Client, staff_id: int, what: str) -> httpx.Response:
    page = f"/console/people/{staff_id}"
    return admin.post(f"{page}/{what}", data={"csrf_token": token(admin.get(page))})


def audited(parts: Parts, subject: object) -> list[AuditEvent]:
    with parts.database.read() as session:
        query = select(AuditEvent).where(AuditEvent.kind == "staff", AuditEvent.subject == str(subject))
        return list(session.scalars(query.order_by(AuditEvent.number)))


def test_who_was_added_must_choose_a_password_before_anything_else(app: Flask, admin: httpx.Client) -> None:
    password = one_time(add_wang(admin))
    wang = another(app)
    assert enter(wang, "wang.fang", password).status_code == 302
    assert wang.get("/console").headers["location"] == "/console/account"
    assert wang.get("/console/queue", headers={"HX-Request": "true"}).headers["HX-Redirect"] == "/console/account"
    page = wang.get("/console/account")
    assert not re.search(
        r"hx-get=|data-events=", page.text
    )  # asked for anything else it would begin anew, again and again
    form = {"csrf_token": token(page), "old": password}
    weak = wang.post("/console/account/password", data={**form, "new": "password1", "again": "password1"})
    assert weak.status_code == 422
    good = wang.post("/console/account/password", data={**form, "new": NEW_PASSWORD, "again": NEW_PASSWORD})
    assert good.headers["location"] == "/console"
    assert wang.get("/console").status_code == 200
    assert enter(another(app), "wang.fang", password).status_code == 401
    assert enter(another(app), "wang.fang", NEW_PASSWORD).status_code == 302


def test_a_one_time_password_ends_after_three_days(app: Flask, admin: httpx.Client, clock: StandingClock) -> None:
    password = one_time(add_wang(admin))
    clock.advance(days=3, seconds=1)
    late = enter(another(app), "wang.fang", password)
    assert (late.status_code, "一次性密码已过期" in late.text) == (401, True)


def test_an_old_password_is_no_good_after_a_reset(app: Flask, admin: httpx.Client, parts: Parts) -> None:
    password = one_time(act(admin, id_of(parts, "operator1"), "password"))
    assert enter(another(app), "operator1", "correct horse battery").status_code == 401
    assert enter(another(app), "operator1", password).status_code == 302


def test_who_has_left_is_out_at_their_next_request(app: Flask, admin: httpx.Client, parts: Parts) -> None:
    operator = log_in(another(app), "operator1")
    assert operator.get("/console").status_code == 200
    assert act(admin, id_of(parts, "operator1"), "deactivate").status_code == 302
    assert "/console/log-in" in operator.get("/console").headers["location"]
    shut = enter(another(app), "operator1", "correct horse battery")
    assert (shut.status_code, "已停用" in shut.text) == (401, True)
    assert 'data-username="operator1"' not in admin.get("/console/people").text
    assert 'data-username="operator1"' in admin.get("/console/people?state=left").text
    act(admin, id_of(parts, "operator1"), "activate")
    assert enter(another(app), "operator1", "correct horse battery").status_code == 302


def test_every_change_of_a_person_is_in_the_audit_log_without_secrets(admin: httpx.Client, parts: Parts) -> None:
    password = one_time(add_wang(admin))
    staff_id = id_of(parts, "wang.fang")
    page = f"/console/people/{staff_id}"
    form = {"csrf_token": token(admin.get(page)), **WANG, "role": "agency", "agency": "C-URBAN", "skills": "A"}
    refused = admin.post(page, data=form)
    assert (refused.status_code, "没有“A”这一项" in refused.text) == (422, True)
    assert admin.post(page, data={**form, "skills": []}).status_code == 302
    added, changed = audited(parts, staff_id)
    assert (added.act, added.after["username"], added.after["telephone"]) == ("added", "wang.fang", "••••5678")
    assert changed.before == {"role": "operator", "agency_code": None}
    assert changed.after == {"role": "agency", "agency_code": "C-URBAN"}
    assert password not in str([vars(row) for row in (added, changed)])


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"username": "operator1"}, "已存在"),
        ({"username": "a b"}, "用户名只能用"),
        ({"name": ""}, "姓名须为"),
        ({"role": "mayor"}, "没有“mayor”这一项"),
        ({"role": "agency"}, "须选定单位"),
        ({"telephone": "12345"}, "话机请写成"),
        ({"languages": []}, "至少选一种语言"),
        ({"chat_limit": "11"}, "须为 0 到 10 个"),
        ({"chat_limit": "many"}, "须为 0 到 10 个"),
        ({"languages": ["zh"], "skills": ["none"]}, "没有“none”这一项"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_typed_is_lost(
    admin: httpx.Client, wrong: dict[str, object], why: str
) -> None:
    page = add_wang(admin, **wrong)
    assert (page.status_code, why in page.text) == (422, True)
    typed = {**WANG, **wrong}["username"]
    assert f'value="{typed}"' in page.text


def test_nobody_shuts_themselves_or_the_last_administrator_out(admin: httpx.Client, parts: Parts) -> None:
    own = id_of(parts, "admin1")
    assert act(admin, own, "deactivate").status_code == 409
    with parts.database.write() as session:
        staff = session.get_one(Staff, own)
        with pytest.raises(Refused, match="last_administrator"):
            change(session, staff, PersonContent("admin1", "管理员", "operator"))
        with pytest.raises(Refused, match="last_administrator"):
            deactivate(session, staff, own + 1, parts.clock())
        add(session, PersonContent("admin2", "另一位", "admin"), parts.clock())
        deactivate(session, staff, own + 1, parts.clock())


@pytest.mark.parametrize("password", ["12345678", "woaini1314", "Password2026!", "qwertyuiop", "wangfang-99"])
def test_common_passwords_and_ones_own_name_are_refused(password: str) -> None:
    with pytest.raises(Refused):
        refuse_weak(password, ("wangfang", "王芳"))


@pytest.mark.parametrize(
    "password", [NEW_PASSWORD, "西湖醋鱼配蓝墨水瓶", "x" * 8 + "Jq7vR2mT9wLz", "Jq7vR2mT9wLz" * 16]
)
def test_long_passwords_and_any_characters_are_taken(password: str) -> None:
    refuse_weak(password, ("wangfang", "王芳"))
