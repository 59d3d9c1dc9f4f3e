"""Alerts on the console, on the wall and by e-mail: what is unusual, dealt with by people, and nothing of any citizen."""

import httpx
import pytest

from backend.insight import mailing
from backend.insight.models import Alert
from backend.outbox import OutgoingMessage
from backend.parts import Parts
from tests.conftest import StandingClock
from tests.console.test_gap_pages import log_in, token


@pytest.fixture
def alert_ids(parts: Parts, clock: StandingClock) -> list[int]:
    """A burst in a district, and one of words of a risk."""
    now = clock()
    same = {"kind": "burst", "since": now, "raised_at": now, "last_at": now, "hours": 3, "p": 1e-9}
    days = [["2026-11-21", 1, 0.9, 3], ["2026-11-22", 2, 0.9, 3]]
    with parts.database.write() as session:
        one = Alert(category="UT-WATER", district="", risk="", count=9, expected=0.4, days=days, **same)
        other = Alert(category="", district="", risk="collective", count=4, expected=0.1, days=days, **same)
        session.add_all((one, other))
        session.flush()
        return [one.id, other.id]


def test_an_alert_is_acknowledged_given_to_somebody_and_closed_on_its_page(
    web: httpx.Client, alert_ids: list[int]
) -> None:
    analyst = log_in(web, "analyst1")
    listed = analyst.get("/console/insight/alerts").text
    assert listed.count('data-testid="alert"') == 2
    address = f"/console/insight/alerts/{alert_ids[0]}"
    assert "供水" in analyst.get(address).text
    form = {"csrf_token": token(analyst.get(address))}
    staff = analyst.get(address).text.split('name="staff"')[1].split('value="')[1].split('"')[0]

    def act(what: str, **fields: str) -> int:
        return analyst.post(f"{address}/{what}", data=form | fields).status_code

    assert act("acknowledge") == 302
    assert act("assign", staff=staff) == 302
    assert act("close", reason="because") == 422
    assert act("close", reason="false", note="水厂检修") == 302
    page = analyst.get(address).text
    assert "误报 · 水厂检修" in page
    assert act("acknowledge") == 409
    assert analyst.get("/console/insight/alerts").text.count('data-testid="alert"') == 1
    assert analyst.get("/console/insight/alerts?state=closed").text.count('data-testid="alert"') == 1


def test_the_pages_of_alerts_speak_english_too(web: httpx.Client, alert_ids: list[int]) -> None:
    analyst = log_in(web, "analyst1")
    page = analyst.get(f"/console/insight/alerts/{alert_ids[1]}?lang=en").text
    assert "Collective action" in page
    assert "The whole city · Collective action" in page


def test_the_wall_shows_what_is_open_but_nothing_of_risks(web: httpx.Client, alert_ids: list[int]) -> None:
    shown = log_in(web, "analyst1").get("/console/wall/data").json()["alerts"]
    assert [one["count"] for one in shown] == [9]
    assert "供水" in shown[0]["name"]


def test_the_mail_of_an_alert_says_what_where_and_how_unusual(parts: Parts, alert_ids: list[int]) -> None:
    message = OutgoingMessage(body={"alert": alert_ids[0], "locale": "en"})
    mail = mailing.composer(parts.database, "https://12345.example")(message)
    assert "Water supply" in mail["Subject"]
    assert "9 cases within 3 hours" in mail.get_content()
    assert f"https://12345.example/console/insight/alerts/{alert_ids[0]}" in mail.get_content()
