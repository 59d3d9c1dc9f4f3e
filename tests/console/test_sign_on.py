"""Logging in by the city's identity provider: a real provider on loopback, whose tokens are right or wrong in one thing."""

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from flask import Flask
from joserfc.jwk import RSAKey
from sqlalchemy import select

from backend.app import create_app
from backend.directory import people
from backend.directory.models import Staff
from backend.settings import SettingsRefused, checked
from tests.conftest import StandingClock, make_settings
from tests.console.identity_provider import CLIENT, SECRET, IdentityProvider, running
from tests.console.test_log_in import GOOD, enter

BEGIN, BACK = "/console/log-in/provider", "/console/log-in/provider/back"


@pytest.fixture
def city() -> Iterator[IdentityProvider]:
    with running(f"http://127.0.0.1:8000{BACK}") as provider:
        yield provider


@pytest.fixture
def app(sqlite_url: str, clock: StandingClock, city: IdentityProvider) -> Flask:
    """A line with the city's provider."""
    settings = make_settings(
        sqlite_url, oidc_issuer=city.issuer, oidc_client_id=CLIENT, oidc_client_secret=SECRET, port=8000
    )
    return create_app(settings, clock=clock)


def go(web: httpx.Client, wanted: str = "") -> str:
    """To the provider, which sends the browser back at once; returns the address that it is sent to."""
    begun = web.get(BEGIN, params={"next": wanted})
    assert begun.status_code == 302, begun.text
    back = httpx.get(begun.headers["location"])
    assert back.status_code == 302, back.text
    return str(back.headers["location"])


def staff(app: Flask, username: str) -> Staff:
    with app.extensions["parts"].database.read() as session:
        found: Staff = session.scalars(select(Staff).where(Staff.username == username)).one()
        return found


def test_who_the_provider_names_is_let_in_and_comes_to_the_page_that_they_wanted(web: httpx.Client) -> None:
    assert BEGIN in web.get("/console/log-in").text
    done = web.get(go(web, "/console/cases"))
    assert (done.status_code, done.headers["location"]) == (302, "/console/cases")
    assert "坐席甲" in web.get("/console").text


def test_passwords_are_as_good_as_before(web: httpx.Client) -> None:
    assert enter(web, "operator1", GOOD).status_code == 302


def test_no_other_site_is_gone_to_after_the_log_in(web: httpx.Client) -> None:
    assert web.get(go(web, "//evil.example/console")).headers["location"] == "/console"


def test_who_is_not_of_the_staff_or_has_left_is_told_so(web: httpx.Client, app: Flask, city: IdentityProvider) -> None:
    city.user = "nobody"
    refused = web.get(go(web))
    assert (refused.status_code, "还没有在这条热线上登记" in refused.text) == (403, True)
    city.user = "operator1"
    with app.extensions["parts"].database.write() as session:
        session.get_one(Staff, staff(app, "operator1").id).left_at = app.extensions["parts"].clock()
    refused = web.get(go(web))
    assert (refused.status_code, "已停用" in refused.text) == (401, True)
    assert web.get("/console").status_code == 302


def test_who_has_just_been_added_needs_no_password(
    web: httpx.Client, app: Flask, city: IdentityProvider, clock: StandingClock
) -> None:
    with app.extensions["parts"].database.write() as session:
        people.add(session, people.PersonContent("wang.fang", "王芳", "operator"), clock())
    clock.advance(seconds=timedelta(days=9).total_seconds())
    city.user = "wang.fang"
    assert web.get(go(web)).status_code == 302
    assert web.get("/console").status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "another client"},
        {"iss": "https://evil.example"},
        {"nonce": "of another log-in"},
        {"nonce": None},
        {"exp": int(time.time()) - 3600, "iat": int(time.time()) - 4000},
        {"aud": [CLIENT, "another client"], "azp": "another client"},
    ],
    ids=lambda wrong: "-".join(wrong),
)
def test_a_token_that_is_wrong_in_one_thing_lets_nobody_in(
    web: httpx.Client, city: IdentityProvider, wrong: dict[str, object]
) -> None:
    city.wrong = wrong
    refused = web.get(go(web))
    assert (refused.status_code, "没有完成" in refused.text) == (401, True)
    assert web.get("/console").status_code == 302


def test_a_token_that_another_has_signed_lets_nobody_in(web: httpx.Client, city: IdentityProvider) -> None:
    city.key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256", "kid": "one"})
    assert web.get(go(web)).status_code == 401
    assert web.get("/console").status_code == 302


def test_an_answer_that_this_browser_did_not_ask_for_lets_nobody_in(web: httpx.Client, app: Flask) -> None:
    answer = go(web)
    other = httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000")
    assert other.get(answer).status_code == 401
    code = parse_qs(urlsplit(answer).query)["code"][0]
    assert web.get(BACK, params={"code": code, "state": "made up"}).status_code == 401
    assert web.get(BACK, params={"error": "access_denied", "state": "made up"}).status_code == 401


def test_a_code_is_good_once(web: httpx.Client) -> None:
    answer = go(web)
    assert web.get(answer).status_code == 302
    assert web.get(answer).status_code == 401


def test_a_second_factor_of_the_line_is_asked_for(web: httpx.Client, app: Flask) -> None:
    with app.extensions["parts"].database.write() as session:
        session.get_one(Staff, staff(app, "operator1").id).totp_secret = "sealed"
    assert web.get(go(web)).headers["location"] == "/console/log-in/code"
    assert web.get("/console").status_code == 302


def test_a_provider_that_is_away_is_told_and_passwords_still_work(web: httpx.Client, sqlite_url: str) -> None:
    nowhere = make_settings(
        sqlite_url, oidc_issuer="http://127.0.0.1:1", oidc_client_id=CLIENT, oidc_client_secret=SECRET
    )
    lone = httpx.Client(transport=httpx.WSGITransport(create_app(nowhere)), base_url="http://127.0.0.1:8000")
    refused = lone.get(BEGIN)
    assert (refused.status_code, "联系不上" in refused.text) == (502, True)
    assert re.search(r'data-testid="password"', refused.text)


def test_without_a_provider_there_is_nothing_of_it(sqlite_url: str) -> None:
    plain = httpx.Client(
        transport=httpx.WSGITransport(create_app(make_settings(sqlite_url))), base_url="http://127.0.0.1:8000"
    )
    assert BEGIN not in plain.get("/console/log-in").text
    assert [plain.get(path).status_code for path in (BEGIN, BACK)] == [404, 404]


def test_a_provider_without_tls_or_without_a_secret_is_refused(sqlite_url: str) -> None:
    for wrong in ({"oidc_issuer": "http://id.city.example"}, {"oidc_issuer": "https://id.city.example"}):
        with pytest.raises(SettingsRefused, match="OIDC_ISSUER"):
            checked(make_settings(sqlite_url, **wrong))
