"""Every page that people see, made from the application's own routes, as axe-core finds it by WCAG 2.2 A and AA, light and
dark. A new page is in without being named here; one whose address has a new kind of part needs an example of it."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, Frame, Page
from sqlalchemy import select
from werkzeug.routing import Rule
from werkzeug.serving import BaseWSGIServer, make_server

from backend.app import create_app
from backend.cases import links
from backend.cases.roots import Step, open_root_issue, plan
from backend.cases.service import Actor, Filing, file_case
from backend.conversations import presence, service, wrap_up
from backend.conversations.models import Announcement, AnnouncementEvent
from backend.directory.models import Staff
from backend.directory.rules import RIGHTS
from backend.insight.models import Alert, HotGroup, HotMember
from backend.knowledge.gaps import group_new
from backend.knowledge.models import Article, Document, GapGroup, Import
from backend.knowledge.service import log_gap
from backend.parts import Parts
from tests.conftest import StandingClock, closed_port, make_settings
from tests.console.test_document_pages import RULES, upload, work
from tests.console.test_gap_pages import log_in

WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, "resultTypes": ["violations"]}
SAMPLE = {role: f"{role}1" for role in RIGHTS}
"""role -> one of the sample staff."""
NOT_PAGES = (
    *("static", "open_screen", "export", "download", "voice_token", "attachment", "file", "data", "widget", "code"),
    *("insight_view", "sign_on", "sign_on_back"),
)
"""Ends of endpoints that answer with files, data or a redirect."""


@dataclass(frozen=True)
class City:
    """A line with something on each of its pages, and an example of each part of an address."""

    app: Flask
    url: str
    examples: dict[str, Any]

    def pages(self, role: str | None) -> list[str]:
        """The addresses that this role is the first to see (None: everybody), without parts of pages."""
        return [
            address
            for rule in self.app.url_map.iter_rules()
            if "GET" in (rule.methods or ()) and self.seen_by(rule) == role and (address := self.address_of(rule))
        ]

    def seen_by(self, rule: Rule) -> str | None:
        """The role that looks at a page here: who talks with citizens where they may, else the first that may."""
        areas = getattr(self.app.view_functions[rule.endpoint], "areas", ())
        ranked = ("supervisor", "operator", *RIGHTS)
        return next((role for role in ranked if any(area in RIGHTS[role] for area in areas)), None)

    def address_of(self, rule: Rule) -> str:
        """Where the page is; nothing for what is none."""
        people = rule.endpoint.startswith(("console.", "chat."))
        if not people or any(rule.endpoint.endswith(end) or f".{end}_" in rule.endpoint for end in NOT_PAGES):
            return ""
        values = {
            name: self.examples.get(f"{rule.endpoint}.{name}", self.examples.get(name)) for name in rule.arguments
        }
        assert None not in values.values(), f"{rule.rule} needs an example"
        built = rule.build(values)
        assert built
        return built[1]


@pytest.fixture(scope="module")
def city(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    record = tmp_path_factory.mktemp("city") / "line.sqlite3"
    record.write_bytes(sqlite_template.read_bytes())
    port, clock = closed_port(), StandingClock()
    url = f"http://127.0.0.1:{port}"
    app = create_app(make_settings(f"sqlite:///{record}", public_base_url=url, port=port), clock=clock)
    server: BaseWSGIServer = make_server("127.0.0.1", port, app, threaded=True)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    yield City(app, url, furnish(app))
    server.shutdown()
    serving.join()
    app.extensions["parts"].database.close()


def furnish(app: Flask) -> dict[str, Any]:
    """Put something on each page; returns examples of the parts of addresses."""
    parts: Parts = app.extensions["parts"]
    now = parts.clock()
    web = httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000")
    upload(log_in(web, "editor1"), ("办法.txt", RULES))
    work(app)
    with parts.database.write() as session:
        staff = session.query(Staff).filter_by(username="supervisor1").one()
        talk, _ = service.open_conversation(session, "chat", "zh", now)
        for text in ("和平路的路灯不亮", "已经三天了"):
            service.record(session, talk, "citizen", text, now)
        service.request_operator(session, talk, now)
        presence.set_presence(session, staff, "ready", now)
        staff.seen_at = now
        service.take(session, talk, staff, now)
        service.operator_says(session, talk, staff, "您好，我马上为您登记。", now)
        wrap_up.add_note(session, talk, staff, "说话很急", now)
        waiting, _ = service.open_conversation(session, "chat", "en", now)
        service.record(session, waiting, "citizen", "The street lamp is broken", now)
        service.request_operator(session, waiting, now)
        filing = Filing(
            what="和平路的路灯不亮", place="和平路十八号", contact="+8613800138000", conversation_id=talk.id
        )
        case = file_case(session, parts.knowledge, filing, Actor("operator", staff), now, parts.settings.jurisdiction)
        neighbour = Filing(what="和平路的路灯不亮", place="和平路二十号", contact="+8613800138001")
        other = file_case(session, parts.knowledge, neighbour, Actor("bot"), now, parts.settings.jurisdiction)
        root = open_root_issue(session, "和平路路灯", [case.number, other.number], Actor("dispatcher", staff), now)
        root_id = plan(session, root.id, [Step("换灯", now.date())], Actor("dispatcher", staff), now).id
        for question in ("明湖里可以钓鱼吗", "明湖里能钓鱼吗"):
            log_gap(session, waiting.id, question, "unknown", now)
        notice = Announcement(kind="outage", occasion="always", text_zh="停水", text_en="No water", categories=[])
        issue = HotGroup(name="路灯 和平路", size=2, total=b"", words={"路灯": 2}, district="", community="")
        issue.first_at = issue.last_at = now
        alert = Alert(
            kind="burst", category="", district="", risk="", since=now, raised_at=now, last_at=now, hours=3, count=9,
            expected=0.5, p=1e-9, days=[["2026-11-22", 1, 0.5, 3]],
        )  # fmt: skip
        session.add_all((notice, issue, alert))
        session.flush()
        session.add(HotMember(case_id=case.id, group_id=issue.id, likeness=1.0))
        session.add(
            AnnouncementEvent(announcement_id=notice.id, act="write", content={}, staff_id=staff.id, acted_at=now)
        )
        alert_id = alert.id
        number, announcement_id, conversation_id, staff_id = case.number, notice.id, talk.id, staff.id
        issue_id = issue.id
    group_new(parts.database, None, now)
    with parts.database.read() as session:
        return {
            "alert_id": alert_id,
            "announcement_id": announcement_id,
            "article_id": session.scalars(select(Article.id).order_by(Article.id)).first(),
            "code": "greet",
            "console.category.code": "UT-HEAT",
            "conversation_id": conversation_id,
            "document_id": session.scalars(select(Document.id)).first(),
            "group_id": session.scalars(select(GapGroup.id)).first(),
            "import_id": session.scalars(select(Import.id)).first(),
            "number": number,
            "catalogue": "telephone",
            "console.prompt.key": "greeting",
            "console.hot_issue.group_id": issue_id,
            "console.number.number": "12319",
            "console.version.number": 1,
            "root_id": root_id,
            "staff_id": staff_id,
            "token": links.sign(parts.settings.secret_key, number),
        }


def faults(page: Page | Frame, options: dict[str, Any]) -> list[str]:
    """What axe finds: the rule, and where."""
    found = Axe().run(page, options=options).response["violations"]
    return [f"{one['id']}: {node['target'][0]}: {node['html'][:120]}" for one in found for node in one["nodes"][:3]]


def look(browser: Browser, city: City, role: str | None) -> dict[str, list[str]]:
    """The faults of all pages that this role looks at, in both colour schemes."""
    context = browser.new_context(viewport={"width": 1366, "height": 768}, locale="zh-CN")
    page, wrong = context.new_page(), {}
    if role:
        page.goto(f"{city.url}/console/log-in")
        page.get_by_test_id("username").fill(SAMPLE[role])
        page.get_by_test_id("password").fill("correct horse battery")
        page.get_by_test_id("log-in").click()
        page.get_by_test_id("who").wait_for()
    for address in city.pages(role):
        answer = page.goto(city.url + address)
        if not page.evaluate("document.doctype !== null"):
            continue  # a part of a page
        found = [] if answer and answer.status == 200 else [f"status {answer.status if answer else '-'}"]
        page.emulate_media(color_scheme="light")
        found += faults(page, WCAG)
        page.emulate_media(color_scheme="dark")
        found += [f"dark: {fault}" for fault in faults(page, COLOURS)]
        if found:
            wrong[address] = found
    context.close()
    return wrong


@pytest.mark.parametrize("role", [None, *RIGHTS])
def test_axe_finds_nothing_on_any_page(browser: Browser, city: City, role: str | None) -> None:
    assert look(browser, city, role) == {}
