"""How often one address may ask, at the door: refused with 429 in the citizen's language, others are not."""

from collections.abc import Callable

import httpx
import pytest
from flask import Flask

from backend.app import create_app
from backend.limits import LIMITS
from tests.chat.test_pages import look_up
from tests.conftest import StandingClock, closed_port, make_settings

HERE, ELSEWHERE = {"X-Forwarded-For": "203.0.113.7"}, {"X-Forwarded-For": "203.0.113.8"}


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, sqlite_url: str, clock: StandingClock) -> httpx.Client:
    """A line on which each limit is reached at once, and doesn't end while a slow machine tests it."""
    for endpoint in LIMITS:
        monkeypatch.setitem(LIMITS, endpoint, "4 per hour")
    app = create_app(make_settings(sqlite_url), clock=clock)
    return httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000")


def first_refused(send: Callable[[], httpx.Response], limit: str) -> httpx.Response:
    """The answer to the request after the last one that is allowed."""
    allowed = int(LIMITS[limit].split()[0])
    statuses = [send().status_code for _ in range(allowed)]
    assert 429 not in statuses
    return send()


def test_the_look_up_page_is_refused_in_the_citizens_language_and_only_for_that_address(web: httpx.Client) -> None:
    web.headers.update(HERE)
    numbers = iter(range(10**6))
    refused = first_refused(lambda: look_up(web, f"26{next(numbers):03d}-00000", "1234", lang="en"), "chat.case_page")
    assert refused.status_code == 429
    assert "Too many requests" in refused.text
    assert int(refused.headers["Retry-After"]) > 0
    assert web.get("/cases").status_code == 200
    web.headers.update(ELSEWHERE)
    assert look_up(web, "26000-00023", "1234").status_code == 404


@pytest.mark.parametrize(
    ("endpoint", "address", "body"),
    [
        ("cases.case_state", "/api/v1/cases/26000-00023/state", {"last_digits": "1234", "locale": "zh"}),
        ("conversations.begin", "/api/v1/conversations", {"channel": "chat", "locale": "zh"}),
    ],
)
def test_the_api_is_refused_as_json_and_the_line_itself_is_not(
    web: httpx.Client, endpoint: str, address: str, body: dict[str, str]
) -> None:
    numbers = iter(range(1, 10**6))

    def send() -> httpx.Response:
        place = address.replace("26000-00023", f"26{next(numbers):03d}-00000")
        return web.post(place, json=body, headers=HERE)

    refused = first_refused(send, endpoint)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    bot = HERE | {"Authorization": "Bearer api-token"}
    assert web.post(address, json=body, headers=bot).status_code != 429
    assert web.post(address, json=body).status_code != 429  # from this machine


def test_open311_tells_it_as_its_specification_has_errors(web: httpx.Client) -> None:
    form = {"service_code": "none", "description": "x"}
    refused = first_refused(
        lambda: web.post("/open311/v2/requests.json", data=form, headers=HERE), "open311.file_request"
    )
    assert refused.status_code == 429
    assert refused.json()[0]["code"] == 429


def test_while_redis_is_away_each_process_counts_for_itself(
    monkeypatch: pytest.MonkeyPatch, sqlite_url: str, clock: StandingClock
) -> None:
    monkeypatch.setitem(LIMITS, "cases.case_state", "4 per hour")
    nowhere = f"redis://127.0.0.1:{closed_port()}/0"
    app = create_app(make_settings(sqlite_url, redis_url=nowhere), clock=clock)
    web = httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000", headers=HERE)
    body = {"last_digits": "1234", "locale": "zh"}
    refused = first_refused(lambda: web.post("/api/v1/cases/26000-00023/state", json=body), "cases.case_state")
    assert refused.status_code == 429


def test_every_limit_is_on_an_address_that_is_there(app: Flask) -> None:
    assert set(LIMITS) <= set(app.view_functions)
