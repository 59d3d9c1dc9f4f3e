"""The pages of the administration as a browser gets them: the overview, the audit log."""

import csv
import io
import re

import httpx
import pytest

from backend.audit import columns
from backend.console.audit_log import COLUMN_WORDS
from tests.console.test_agency_pages import log_in, token


@pytest.fixture
def changed_by_supervisor(web: httpx.Client) -> httpx.Client:
    """The browser of an auditor after a supervisor has named a day."""
    page = log_in(web, "supervisor1").get("/console/deadlines")
    form = {"csrf_token": token(page), "day": "2026-12-24", "working": "no", "name": "市庆"}
    assert web.post("/console/deadlines/days", data=form).status_code == 302
    web.cookies.clear()
    return log_in(web, "auditor1")


def test_the_overview_has_what_the_role_may_open(web: httpx.Client) -> None:
    page = log_in(web, "admin1").get("/console", follow_redirects=True)
    assert page.url.path == "/console/administration"
    assert "agencies" in re.findall(r'data-testid="to-(\w+)"', page.text)
    assert 'data-testid="nav-cases"' not in page.text


def test_an_auditor_reads_who_changed_what(changed_by_supervisor: httpx.Client) -> None:
    page = changed_by_supervisor.get("/console/audit", params={"kind": "calendar", "q": "值班长"}).text
    assert re.findall(r'data-kind="(\w+)" data-act="(\w+)"', page) == [("calendar", "added")]
    assert "市庆" in page
    assert re.search(r">上班</span>\s*<ins>否</ins>", page)
    assert 'data-kind="' not in changed_by_supervisor.get("/console/audit?kind=agency").text
    assert 'data-kind="' not in changed_by_supervisor.get("/console/audit?until=2026-11-22").text
    assert 'data-kind="' in changed_by_supervisor.get("/console/audit?from=2026-11-23&until=2026-11-23").text


def test_the_log_is_exported_as_it_is_filtered(changed_by_supervisor: httpx.Client) -> None:
    exported = changed_by_supervisor.get("/console/audit/export?kind=calendar").content.decode("utf-8-sig")
    [heading, row] = csv.reader(io.StringIO(exported))
    assert row[heading.index("姓名")] == "值班长"
    assert row[heading.index("哪一个")] == "2026-12-24"


def test_every_column_that_is_put_down_has_its_words() -> None:
    assert columns() <= set(COLUMN_WORDS)
