"""What a city changes about its line while it runs: kept, checked, audited, heard by every process, and taken back."""

import httpx
import pytest

from backend.app import create_app
from backend.audit import AuditEvent
from backend.line_settings import CitySetting
from backend.parts import Parts
from ivr.queue import limit_of
from tests.conftest import StandingClock
from tests.console.test_agency_pages import log_in, token

PAGE = "/console/line/settings"
WANTED = {
    "queue_limit": "90",
    "long_wait": "30",
    "too_long_wait": "60",
    "idle_minutes": "5",
    "first_gap": "3",
    "second_gap": "24",
    "later_gap": "48",
    "calling_from": "10:00",
    "calling_until": "18:30",
    "call_recording": "consent",
}


def save(web: httpx.Client, **changed: str) -> httpx.Response:
    return web.post(PAGE, data={**WANTED, **changed, "csrf_token": token(web.get(PAGE))})


def test_another_process_hears_the_citys_settings_until_they_are_taken_back(
    web: httpx.Client, parts: Parts, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    other: Parts = create_app(parts.settings, clock=clock).extensions["parts"]
    assert other.line_settings() == other.line_settings.delivered
    log_in(web, "admin1")
    assert PAGE in web.get("/console/administration").text
    assert save(web).headers["location"] == PAGE
    monkeypatch.setattr("backend.followed.LOOKED_AT_EVERY", 0.0)  # as if a second had gone by
    heard = other.line_settings()
    assert (limit_of(other).seconds, heard.calling_hours, heard.call_recording) == (90, "10:00-18:30", "consent")
    assert [heard.gap_after(tries).total_seconds() / 3600 for tries in (1, 2, 3, 4)] == [3, 24, 48, 48]
    assert 'data-testid="delivered-queue_limit"' in web.get(PAGE).text
    with parts.database.read() as session:
        told = {event.subject: event.after for event in session.query(AuditEvent).filter_by(kind="setting")}
    assert told["queue_limit"]["value"] == "90"
    assert save(web, restore="1").status_code == 302
    assert other.line_settings() == other.line_settings.delivered
    with parts.database.read() as session:
        assert session.query(CitySetting).count() == 0
        assert session.query(AuditEvent).filter_by(kind="setting", act="removed").count() == len(told)


@pytest.mark.parametrize(
    ("changed", "status", "why"),
    [
        ({"queue_limit": "5"}, 422, "15 到 1800 之间"),
        ({"queue_limit": "９０"}, 422, "15 到 1800 之间"),
        ({"idle_minutes": "1.5"}, 422, "2 到 120 之间"),
        ({"later_gap": "241"}, 422, "1 到 240 之间"),
        ({"long_wait": "60"}, 422, "标红的时间要比标黄的长"),
        ({"calling_until": "25:00"}, 422, "从早到晚的时段"),
        ({"calling_from": "21:00"}, 422, "从早到晚的时段"),
        ({"call_recording": "secretly"}, 400, "与坐席通话的录音"),
    ],
)
def test_a_setting_that_can_not_hold_is_refused_with_its_name_and_nothing_typed_is_lost(
    web: httpx.Client, parts: Parts, changed: dict[str, str], status: int, why: str
) -> None:
    log_in(web, "admin1")
    refused = save(web, **changed)
    assert (refused.status_code, why in refused.text) == (status, True)
    assert 'value="18:30"' in refused.text or "calling_until" in changed
    assert parts.line_settings() == parts.line_settings.delivered


def test_a_value_that_a_later_release_refuses_gives_way_to_the_delivered_one(parts: Parts) -> None:
    kept = {"queue_limit": "0", "no_longer_there": "1", "idle_minutes": "7"}
    with parts.database.write() as session:
        session.add_all(CitySetting(name=name, value=value) for name, value in kept.items())
    parts.line_settings.look_again()
    now = parts.line_settings()
    assert (now.queue_limit, now.idle_minutes) == (parts.line_settings.delivered.queue_limit, 7)
