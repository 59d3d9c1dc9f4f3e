"""Logging in: locks after wrong passwords, sessions that end, and what is written down of both."""

import re
from collections.abc import Callable

import httpx
import pytest
from flask import Flask
from sqlalchemy import select

from backend.app import create_app
from backend.audit import AuditEvent
from backend.database import Database
from backend.directory import sessions
from backend.directory.models import Staff
from backend.errors import Refused
from backend.parts import Parts
from tests.conftest import NOON, StandingClock, make_settings
from tests.console.test_agency_pages import log_in, token

GOOD = "correct horse battery"
NEW = "nine grey teapots hum"
Browsers = Callable[..., httpx.Client]


@pytest.fixture
def browser(app: Flask) -> Browsers:
    """Makes browsers, each at a network address of its own choice."""

    def make(address: str = "127.0.0.1") -> httpx.Client:
        transport = httpx.WSGITransport(app, remote_addr="127.0.0.1")
        headers = {"X-Forwarded-For": address, "X-Forwarded-Proto": "http", "X-Forwarded-Host": "127.0.0.1:8000"}
        return httpx.Client(transport=transport, base_url="http://127.0.0.1:8000", headers=headers)

    return make


def enter(browser: httpx.Client, username: str, password: str) -> httpx.Response:
    form = {"username": username, "password": password, "csrf_token": token(browser.get("/console/log-in"))}
    return browser.post("/console/log-in", data=form)


def log_ins(parts: Parts) -> list[tuple[str, str]]:
    """What the audit log has about logging in: (name, act)."""
    with parts.database.read() as session:
        rows = session.scalars(select(AuditEvent).where(AuditEvent.kind == "log_in").order_by(AuditEvent.number))
        return [(row.name, row.act) for row in rows]


def test_five_wrong_passwords_lock_an_account_for_a_quarter_of_an_hour(
    browser: Browsers, parts: Parts, clock: StandingClock
) -> None:
    for _ in range(4):
        assert enter(browser("10.0.0.1"), "operator1", "wrong").status_code == 401
    fifth = enter(browser("10.0.0.2"), "operator1", "wrong")
    assert (fifth.status_code, "15 分钟后再试" in fifth.text) == (429, True)
    assert enter(browser("10.0.0.3"), "operator1", GOOD).status_code == 429
    assert enter(browser("10.0.0.1"), "operator2", GOOD).status_code == 302
    clock.advance(minutes=15)
    assert enter(browser("10.0.0.3"), "operator1", GOOD).status_code == 302
    assert log_ins(parts) == [*[("", "failed")] * 5, ("", "locked"), ("坐席乙", "logged_in"), ("坐席甲", "logged_in")]


def test_a_name_that_nobody_has_is_locked_like_any_other(browser: Browsers) -> None:
    answers = [enter(browser(), "nobody", "wrong").status_code for _ in range(6)]
    assert answers == [401, 401, 401, 401, 429, 429]


def test_the_right_password_forgets_wrong_ones(browser: Browsers) -> None:
    for _ in range(3):
        for _ in range(4):
            assert enter(browser(), "operator1", "wrong").status_code == 401
        assert enter(browser(), "operator1", GOOD).status_code == 302


def test_an_address_that_tries_many_names_is_locked_out(browser: Browsers, parts: Parts) -> None:
    with parts.database.write() as session:
        for number in range(sessions.TRIES_OF_ADDRESS - 1):
            sessions.begin_attempt(session, f"name{number}", "10.0.0.9", NOON)
    assert enter(browser("10.0.0.9"), "name", "wrong").status_code == 429
    shut = enter(browser("10.0.0.9"), "operator1", GOOD)
    assert (shut.status_code, "网络地址" in shut.text) == (429, True)
    assert enter(browser("10.0.0.8"), "operator1", GOOD).status_code == 302


def test_a_wrong_present_password_counts_like_a_failed_log_in(browser: Browsers, parts: Parts) -> None:
    here, new = log_in(browser(), "operator1"), "nine grey teapots hum"

    def change(old: str) -> int:
        form = {"csrf_token": token(here.get("/console/account")), "old": old, "new": new, "again": new}
        return here.post("/console/account/password", data=form).status_code

    assert [change("wrong") for _ in range(6)] == [422, 422, 422, 422, 429, 429]
    assert change(GOOD) == 429
    assert enter(browser(), "operator1", GOOD).status_code == 429
    assert log_ins(parts) == [("坐席甲", "logged_in"), *[("", "failed")] * 5, ("", "locked")]


def test_an_administrator_unlocks_an_account(browser: Browsers, parts: Parts) -> None:
    for _ in range(5):
        enter(browser(), "operator1", "wrong")
    with parts.database.read() as session:
        page = f"/console/people/{session.scalars(select(Staff.id).where(Staff.username == 'operator1')).one()}"
    admin = log_in(browser(), "admin1")
    form = {"csrf_token": token(admin.get(page))}
    assert 'data-testid="locked"' in admin.get(page).text
    assert admin.post(f"{page}/unlock", data=form).status_code == 302
    assert 'data-testid="locked"' not in admin.get(page).text
    assert enter(browser(), "operator1", GOOD).status_code == 302


def test_wrong_passwords_count_for_all_processes_and_at_once(database: Database) -> None:
    def begin() -> None:
        with database.write() as session:
            sessions.begin_attempt(session, "operator1", "10.0.0.1", NOON)

    for _ in range(sessions.TRIES_OF_ACCOUNT):
        begin()
    with pytest.raises(Refused, match="locked_account"):
        begin()


def test_a_session_ends_an_hour_after_the_last_thing_done(browser: Browsers, clock: StandingClock) -> None:
    one = log_in(browser(), "auditor1")
    for _ in range(3):
        clock.advance(minutes=50)
        assert one.get("/console/audit").status_code == 200
    clock.advance(minutes=61)
    assert "/console/log-in" in one.get("/console/audit").headers["location"]


def test_a_session_ends_after_twelve_hours_whatever_is_done(browser: Browsers, clock: StandingClock) -> None:
    one = log_in(browser(), "auditor1")
    for _ in range(15):
        clock.advance(minutes=47)
        assert one.get("/console/audit").status_code == 200
    clock.advance(minutes=16)
    assert "/console/log-in" in one.get("/console/audit").headers["location"]


def test_what_a_page_asks_for_by_itself_keeps_no_session_unless_its_operator_is_ready(
    browser: Browsers, clock: StandingClock, parts: Parts
) -> None:
    one = log_in(browser(), "operator1")
    form = {"csrf_token": token(one.get("/console"))}
    for _ in range(2):
        clock.advance(minutes=40)
        assert one.get("/console/queue", headers={"HX-Request": "true"}).status_code in (200, 401)
    assert one.get("/console/account").status_code == 302
    one = log_in(browser(), "operator1")
    form = {"csrf_token": token(one.get("/console"))}
    for _ in range(3):
        with parts.database.write() as session:
            session.query(Staff).filter_by(username="operator1").one().ready = True
        clock.advance(minutes=40)
        assert one.post("/console/beat", data=form).status_code < 300
    assert one.get("/console/account").status_code == 200


def test_one_ends_ones_other_sessions_and_a_new_password_ends_them_too(browser: Browsers) -> None:
    here, there, third = (log_in(browser(f"10.0.0.{number}"), "operator1") for number in (1, 2, 3))
    page = here.get("/console/account")
    assert page.text.count('data-testid="session"') == 3
    [number, _] = re.findall(r'name="session" value="(\d+)"', page.text)
    form = {"csrf_token": token(page)}
    assert here.post("/console/account/sessions/end", data={**form, "session": number}).status_code == 302
    ended = [one for one in (there, third) if one.get("/console/account").status_code == 302]
    assert ended == [third]
    changed = {**form, "old": GOOD, "new": NEW, "again": NEW}
    assert here.post("/console/account/password", data=changed).status_code == 302
    assert there.get("/console/account").status_code == 302
    assert here.get("/console/account").status_code == 200


def test_nobody_ends_the_session_of_another(browser: Browsers, parts: Parts) -> None:
    mine, other = log_in(browser(), "operator1"), log_in(browser(), "operator2")
    with parts.database.read() as session:
        numbers = list(session.scalars(select(sessions.StaffSession.id)))
    for number in numbers:
        form = {"csrf_token": token(mine.get("/console/account")), "session": str(number)}
        mine.post("/console/account/sessions/end", data=form)
    assert other.get("/console/account").status_code == 200


def test_a_cookie_of_a_session_that_was_logged_out_is_no_good(browser: Browsers) -> None:
    one = log_in(browser(), "operator1")
    stolen = one.cookies["session"]
    one.post("/console/log-out", data={"csrf_token": token(one.get("/console/account"))})
    thief = browser()
    thief.cookies.set("session", stolen, domain="127.0.0.1", path="/")
    assert thief.get("/console/account").status_code == 302


def test_in_production_the_cookie_goes_to_this_host_by_tls_and_to_no_script(sqlite_url: str) -> None:
    app = create_app(make_settings(sqlite_url, environment="production", public_base_url="https://line.example"))
    with app.test_client() as client:
        cookie = client.get("/console/log-in", base_url="https://line.example").headers["Set-Cookie"]
    assert cookie.startswith("__Host-session=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "Domain" not in cookie
