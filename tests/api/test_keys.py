"""Keys of the API: what each opens, that every address of the API wants one, and agencies' own systems at work."""

from collections.abc import Callable

import httpx
import pytest
from flask import Flask

from backend.api import add_key
from backend.api.keys import SCOPES, find_key, make_key, revoke
from backend.api.models import ApiKey
from backend.database import Database
from backend.errors import Refused
from backend.outbox import OutgoingMessage
from backend.parts import Parts
from backend.webhooks import subscribe
from tests.conftest import NOON, StandingClock

OPEN_TO_ALL = {
    "conversations.begin": "a chat begins",
    "conversations.say": "with the chat's own secret",
    "conversations.turns": "with the chat's own secret",
    "conversations.send_photo": "with the chat's own secret",
    "conversations.note_typing": "with the chat's own secret",
    "knowledge.search": "published answers",
    "cases.case_state": "with the last digits of the citizen's telephone",
    "api-docs.openapi_json": "the description itself",
}
"""Addresses of the API without a key, and why."""

MakeKey = Callable[..., dict[str, str]]


@pytest.fixture
def headers(parts: Parts) -> MakeKey:
    """Makes a key and returns the headers of a request with it."""

    def make(*scopes: str, agency: str | None = None) -> dict[str, str]:
        with parts.database.write() as session:
            _, key = make_key(session, "一个系统", set(scopes), agency, parts.clock())
        return {"Authorization": f"Bearer {key}"}

    return make


def wanted_scope(app: Flask, endpoint: str) -> str | None:
    view = app.view_functions[endpoint]
    return getattr(view, "wanted_scope", None)


def test_every_address_of_the_api_wants_a_key_with_a_scope(app: Flask) -> None:
    addresses = {rule.endpoint for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/")}
    without = {endpoint for endpoint in addresses if wanted_scope(app, endpoint) not in SCOPES}
    assert without == set(OPEN_TO_ALL)


def test_a_key_opens_what_its_scopes_say_and_nothing_else(app: Flask, web: httpx.Client, headers: MakeKey) -> None:
    asked = 0
    for rule in app.url_map.iter_rules():
        scope = wanted_scope(app, rule.endpoint)
        if scope is None:
            continue
        path = rule.rule.replace("<number>", "26000-00015").replace("<act>", "accept")
        path = path.replace("<conversation_id>", "x")
        method = "POST" if "POST" in (rule.methods or ()) else "GET"
        others = headers(*(set(SCOPES) - {scope}))
        assert web.request(method, path, json={}, headers=others).status_code == 403, path
        assert web.request(method, path, json={}, headers=headers(scope)).status_code not in (401, 403), path
        assert web.request(method, path, json={}).status_code == 401, path
        asked += 1
    assert asked >= 6


def test_a_revoked_key_opens_nothing(web: httpx.Client, headers: MakeKey, parts: Parts) -> None:
    with_key = headers("cases:file")
    assert web.post("/api/v1/cases", json={"what": "路灯不亮"}, headers=with_key).status_code == 201
    with parts.database.write() as session:
        revoke(session, session.query(ApiKey).one().id, parts.clock())
    assert web.post("/api/v1/cases", json={"what": "路灯不亮"}, headers=with_key).status_code == 401


def test_the_key_itself_is_kept_nowhere_and_its_use_is_noted(
    web: httpx.Client, headers: MakeKey, parts: Parts, clock: StandingClock
) -> None:
    with_key = headers("cases:read")
    clock.advance(hours=2)
    web.get("/api/v1/cases/26000-00015", headers=with_key)
    with parts.database.read() as session:
        row = session.query(ApiKey).one()
        key = with_key["Authorization"].removeprefix("Bearer ")
        assert key not in repr(vars(row))
        assert row.used_at == clock()


def test_a_key_is_found_on_each_database(database: Database) -> None:
    with database.write() as session:
        row, key = make_key(session, "系统", {"open311", "cases:read"}, "C-URBAN", NOON)
    with database.read() as session:
        found = find_key(session, key)
        assert found is not None
        assert (found.id, found.scopes) == (row.id, ["cases:read", "open311"])
        assert find_key(session, key + "x") is None


@pytest.mark.parametrize(
    ("name", "scopes", "agency"),
    [("", {"open311"}, None), ("系统", set(), None), ("系统", {"everything"}, None), ("系统", {"open311"}, "C-NO")],
)
def test_a_key_for_nothing_or_nobody_is_refused(parts: Parts, name: str, scopes: set[str], agency: str | None) -> None:
    with pytest.raises(Refused), parts.database.write() as session:
        make_key(session, name, scopes, agency, NOON)


def test_the_command_prints_a_key_that_works(
    web: httpx.Client, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    monkeypatch.setenv("ENVIRONMENT", "development")
    assert add_key.main(["城管系统", "cases:file"]) == 0
    key = capsys.readouterr().out.strip()
    filed = web.post("/api/v1/cases", json={"what": "路灯不亮"}, headers={"Authorization": f"Bearer {key}"})
    assert filed.status_code == 201
    assert add_key.main(["城管系统", "cases:file", "--agency", "C-NO"]) == 1


# -- an agency's own system


@pytest.fixture
def dispatched(api: httpx.Client) -> str:
    """The number of a case that has been sent to the agency C-URBAN."""
    number: str = api.post("/api/v1/cases", json={"what": "路灯不亮", "contact": "13800000000"}).json()["number"]
    for act, details in (("accept", {}), ("dispatch", {"agency": "C-URBAN"})):
        done = api.post(f"/api/v1/cases/{number}/acts/{act}", json=details)
        assert done.status_code == 200, done.text
    return number


def test_an_agencys_system_signs_and_replies(api: httpx.Client, headers: MakeKey, dispatched: str) -> None:
    with_key = headers("cases:read", "cases:act", agency="C-URBAN")
    acts = f"/api/v1/cases/{dispatched}/acts"
    assert api.post(f"{acts}/sign", json={}, headers=with_key).json()["state"] == "signed"
    replied = api.post(f"{acts}/reply", json={"note": "已修好"}, headers=with_key)
    assert replied.json()["state"] == "replied"
    assert api.get(f"/api/v1/cases/{dispatched}", headers=with_key).json()["state"] == "replied"


def test_another_agencys_system_neither_sees_nor_touches_it(
    api: httpx.Client, headers: MakeKey, dispatched: str
) -> None:
    other = headers("cases:read", "cases:act", agency="C-WATER")
    assert api.get(f"/api/v1/cases/{dispatched}", headers=other).status_code == 404
    assert api.post(f"/api/v1/cases/{dispatched}/acts/sign", json={}, headers=other).status_code == 403


def test_what_was_decided_on_an_older_version_is_refused(api: httpx.Client, headers: MakeKey, dispatched: str) -> None:
    with_key = headers("cases:read", "cases:act", agency="C-URBAN")
    seen = api.get(f"/api/v1/cases/{dispatched}", headers=with_key).json()["version"]
    acts = f"/api/v1/cases/{dispatched}/acts"
    assert api.post(f"{acts}/sign", json={"version": seen}, headers=with_key).status_code == 200
    late = api.post(f"{acts}/reply", json={"note": "已修好", "version": seen}, headers=with_key)
    assert (late.status_code, late.json()["code"]) == (409, "case_changed")


def test_whoever_knows_the_last_digits_is_told_where_a_case_stands(api: httpx.Client, web: httpx.Client) -> None:
    number = api.post("/api/v1/cases", json={"what": "路灯不亮", "contact": "13812345678"}).json()["number"]
    web.headers.pop("Authorization", None)
    path = f"/api/v1/cases/{number}/state"
    assert web.post(path, json={"last_digits": "5678"}).json()["number"] == number
    assert web.post(path, json={"last_digits": "0000"}).status_code == 404
    assert web.get(f"/api/v1/cases/{number}").status_code == 401


def test_each_act_on_a_case_is_told_to_who_subscribed_and_names_no_citizen(api: httpx.Client, parts: Parts) -> None:
    with parts.database.write() as session:
        subscribe(session, "城管系统", "https://agency.example/hook", (), None, NOON)
    number = api.post("/api/v1/cases", json={"what": "路灯不亮", "contact": "13812345678"}).json()["number"]
    api.post(f"/api/v1/cases/{number}/acts/accept", json={})
    with parts.database.read() as session:
        told = [one.body for one in session.query(OutgoingMessage).filter_by(channel="webhook")]
    assert [body["event"] for body in told] == ["case.file", "case.accept"]
    assert told[1]["data"]["number"] == number
    assert "12345678" not in str(told)
    assert "路灯" not in str(told)
