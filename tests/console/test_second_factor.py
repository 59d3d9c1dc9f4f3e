"""Logging in with a second factor: codes that are good once, recovery codes, roles that must have it."""

import re

import httpx
import pyotp
import pytest
from flask import Flask

from backend.app import create_app
from backend.directory import second_factor
from backend.directory.models import Staff
from backend.errors import Refused
from backend.parts import Parts
from tests.conftest import StandingClock, make_settings
from tests.console.test_agency_pages import log_in, token

GOOD = "correct horse battery"


@pytest.fixture
def app(sqlite_url: str, clock: StandingClock) -> Flask:
    """A line on which administrators must have a second factor."""
    return create_app(make_settings(sqlite_url, second_factor_roles="admin, auditor"), clock=clock)


def another(app: Flask) -> httpx.Client:
    return httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000")


def turn_on(browser: httpx.Client, clock: StandingClock) -> tuple[pyotp.TOTP, list[str]]:
    """Set it up as an app would: read the secret, type the code."""
    page = browser.get("/console/account/second-factor")
    assert "data:image/svg+xml" in page.text
    found = re.search(r'data-testid="totp-secret">(\w+)<', page.text)
    assert found
    totp = pyotp.TOTP(found[1])
    form = {"csrf_token": token(page), "code": totp.at(clock.now)}
    done = browser.post("/console/account/second-factor", data=form)
    codes = re.findall(r'<li class="number">([\w-]+)</li>', done.text)
    assert len(codes) == 10
    return totp, codes


def enter(browser: httpx.Client, username: str) -> httpx.Response:
    form = {"username": username, "password": GOOD, "csrf_token": token(browser.get("/console/log-in"))}
    return browser.post("/console/log-in", data=form)


def send_code(browser: httpx.Client, code: str) -> httpx.Response:
    page = browser.get("/console/log-in/code")
    return browser.post("/console/log-in/code", data={"csrf_token": token(page), "code": code})


def test_a_code_is_asked_for_and_is_good_once(app: Flask, web: httpx.Client, clock: StandingClock) -> None:
    totp, _ = turn_on(log_in(web, "operator1"), clock)
    clock.advance(seconds=60)
    one, two = another(app), another(app)
    for browser in (one, two):
        assert enter(browser, "operator1").headers["location"] == "/console/log-in/code"
        assert "/console/log-in" in browser.get("/console").headers["location"]
    code = totp.at(clock.now)
    assert send_code(one, "000000" if code != "000000" else "111111").status_code == 401
    assert send_code(one, code).headers["location"] == "/console"
    assert one.get("/console").status_code == 200
    assert send_code(two, code).status_code == 401


def test_a_recovery_code_stands_for_a_code_once(app: Flask, web: httpx.Client, clock: StandingClock) -> None:
    _, codes = turn_on(log_in(web, "operator1"), clock)
    for _ in range(2):
        browser = another(app)
        enter(browser, "operator1")
        answer = send_code(browser, codes[3].upper())
    assert answer.status_code == 401


def test_codes_are_not_guessed_by_typing_the_password_again(
    app: Flask, web: httpx.Client, clock: StandingClock
) -> None:
    turn_on(log_in(web, "operator1"), clock)
    statuses = []
    for _ in range(3):
        browser = another(app)
        statuses.append(enter(browser, "operator1").status_code)
        if statuses[-1] == 302:
            statuses.append(send_code(browser, "abcdef").status_code)
    assert statuses == [302, 401, 302, 401, 302, 429]


def test_the_time_for_the_code_ends(app: Flask, web: httpx.Client, clock: StandingClock) -> None:
    turn_on(log_in(web, "operator1"), clock)
    browser = another(app)
    enter(browser, "operator1")
    clock.advance(minutes=6)
    assert browser.get("/console/log-in/code").headers["location"] == "/console/log-in"


def test_a_role_that_must_have_it_sets_it_up_before_any_work(web: httpx.Client, clock: StandingClock) -> None:
    admin = log_in(web, "admin1")
    assert admin.get("/console/people").headers["location"] == "/console/account/second-factor"
    turn_on(admin, clock)
    page = admin.get("/console/people")
    assert page.status_code == 200
    form = {"csrf_token": token(page), "password": GOOD}
    assert admin.post("/console/account/second-factor/end", data=form).status_code == 409


def test_it_is_turned_off_with_the_password_only(web: httpx.Client, clock: StandingClock) -> None:
    operator = log_in(web, "operator1")
    turn_on(operator, clock)
    form = {"csrf_token": token(operator.get("/console/account"))}
    end = "/console/account/second-factor/end"
    assert operator.post(end, data={**form, "password": "wrong"}).status_code == 422
    assert operator.post(end, data={**form, "password": GOOD}).status_code == 302
    assert 'data-testid="factor">未开启' in operator.get("/console/account").text


def test_the_record_alone_makes_no_codes(web: httpx.Client, clock: StandingClock, parts: Parts) -> None:
    totp, codes = turn_on(log_in(web, "operator1"), clock)
    with parts.database.read() as session:
        staff = session.query(Staff).filter_by(username="operator1").one()
        assert totp.secret not in (staff.totp_secret or "")
        kept = {row.code_hash for row in session.query(second_factor.RecoveryCode)}
        assert not kept & set(codes)
        with pytest.raises(Refused, match="second_factor_unreadable"):
            second_factor.opened(staff.totp_secret or "", "another key")
