"""Every page as every role, made from the application's own routes: allowed or refused as the table of rights says.

A page without a declared right fails here, and so does a public address that nobody has put on the list.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from backend.app import create_app
from backend.directory.models import Agency
from backend.directory.rules import AREAS, RIGHTS
from backend.directory.service import add_staff
from backend.parts import Parts
from tests.conftest import StandingClock, make_settings

PASSWORD = "six blue kettles sing"


def listed(names: str) -> frozenset[str]:
    """The endpoints of a list with blanks between them."""
    return frozenset(names.split())


PUBLIC = listed("""
    health live ready static console.static console.log_in console.log_in_code console.log_out
    console.sign_on console.sign_on_back
    chat.home chat.page chat.widget chat.static chat.case_page chat.case_link chat.act_on_case
    open311.discover open311.list_services open311.define_service open311.list_requests open311.show_request
    open311.show_token open311.list_updates open311.nothing_there api-docs.openapi_json
    open_data.give_csv open_data.give_json open_data.give_dictionary
""")
"""Open to everybody, by name."""
OTHERWISE_GUARDED = listed("""
    cases.file_case cases.get_case cases.act_on_case cases.case_state cases.tell_of_neighbours
    conversations.begin conversations.say conversations.turns conversations.send_photo conversations.note_typing
    conversations.answer conversations.feedback chat.file wechat.verify wechat.receive
    knowledge.search knowledge.suggest wordings.list_wordings open311.file_request open311.add_update
    ivr.voice ivr.turn ivr.come_in ivr.dialled ivr.fallback ivr.left ivr.leg ivr.leg_join ivr.leg_status ivr.music
    ivr.queue_again ivr.recorded ivr.recording ivr.relay ivr.relayed ivr.status ivr.wait ivr.whisper
    outgoing.sms outgoing.sms_status outgoing.visit outgoing.visit_status outgoing.visit_turn
    console.wall console.wall_data console.open_screen metrics.show
    phone.page phone.noise phone.recording phone.session phone.static phone.window
""")
"""Guarded by keys, by tokens, by a signed link, by a hall screen's key or by webhook signatures, and the
practice phone, which is there in development only: tests/api, tests/chat, tests/ivr, tests/test_watch and test_insight_pages
hold those."""


def routes(app: Flask) -> Iterator[tuple[Rule, tuple[str, ...] | None]]:
    """Every address with the areas that its view declares; None: none declared."""
    for rule in app.url_map.iter_rules():
        yield rule, getattr(app.view_functions[rule.endpoint], "areas", None)


def test_every_page_declares_its_right_or_is_public_by_name(app: Flask) -> None:
    undeclared = {rule.endpoint for rule, areas in routes(app) if areas is None}
    assert undeclared - PUBLIC - OTHERWISE_GUARDED == set()


def test_nothing_stands_on_the_lists_that_is_no_longer_there(app: Flask) -> None:
    undeclared = {rule.endpoint for rule, areas in routes(app) if areas is None}
    assert undeclared >= PUBLIC | OTHERWISE_GUARDED


def test_every_area_has_a_role_and_every_role_known_areas_only() -> None:
    assert set().union(*RIGHTS.values()) == set(AREAS)


@dataclass
class Browser:
    """Somebody of the staff with a role, logged in; the pages' stream is not read to its end."""

    client: FlaskClient
    token: str = field(default="")

    def log_in(self, username: str) -> None:
        """Log in by the form."""
        form = {"username": username, "password": PASSWORD, "csrf_token": self.read_token("/console/log-in")}
        assert self.client.post("/console/log-in", data=form).status_code == 302
        self.token = self.read_token("/console/account")

    def read_token(self, page: str) -> str:
        """The token of the forms on this page."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.client.get(page).text)
        assert found
        return found[1]

    def status(self, address: str, method: str) -> int:
        """What this request is answered with."""
        with self.client.open(address, method=method, data={"csrf_token": self.token}) as answer:
            return answer.status_code


@pytest.fixture(scope="module")
def line(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """One line for all roles; what is asked for isn't there, so nothing is changed that another role would see."""
    copy = tmp_path_factory.mktemp("rights") / "line.sqlite3"
    shutil.copy(sqlite_template, copy)
    app = create_app(make_settings(f"sqlite:///{copy}"), clock=StandingClock())
    parts: Parts = app.extensions["parts"]
    with parts.database.write() as session:
        agency = session.get_one(Agency, "C-URBAN")
        for role in RIGHTS:
            add_staff(session, f"test-{role}", PASSWORD, role, role, agency.code if role == "agency" else None)
    yield app
    parts.database.close()


def address_of(rule: Rule) -> str:
    """An address of this rule at which there is nothing."""
    values = {
        name: 99_999_999 if "Integer" in type(kind).__name__ else "none" for name, kind in rule._converters.items()
    }
    built = rule.build(values)
    assert built
    return built[1]


@pytest.mark.parametrize("role", RIGHTS)
def test_every_page_is_open_or_shut_to_a_role_as_the_table_says(line: Flask, role: str) -> None:
    browser = Browser(line.test_client())
    browser.log_in(f"test-{role}")
    wrong = {}
    for rule, areas in routes(line):
        if areas is None:
            continue
        may = any(area in RIGHTS[role] for area in areas)
        for method in sorted((rule.methods or set()) & {"GET", "POST", "PUT", "PATCH", "DELETE"}):
            status = browser.status(address_of(rule), method)
            if (status == 403) == may or status >= 500:
                wrong[f"{method} {rule.rule}"] = (status, "allowed" if may else "refused")
    assert wrong == {}


def test_who_is_not_logged_in_is_sent_to_the_log_in_from_every_page(line: Flask) -> None:
    client = line.test_client()
    token = Browser(client).read_token("/console/log-in")
    for rule, areas in routes(line):
        if areas is None:
            continue
        for method in (rule.methods or set()) & {"GET", "POST"}:
            with client.open(address_of(rule), method=method, data={"csrf_token": token}) as answer:
                assert "/console/log-in" in answer.headers.get("Location", ""), rule.rule
