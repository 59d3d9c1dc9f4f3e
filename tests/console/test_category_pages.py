"""Administrators keep the categories: names and agencies, audited, for the next case."""

import httpx
import pytest

from backend.audit import AuditEvent
from backend.directory.models import Category
from backend.parts import Parts
from tests.console.test_agency_pages import log_in, token

PAGE = "/console/categories/UT-HEAT"
GOOD = {"name": "集中供热", "name_en": "District heating", "agency": "C-WATER"}


def save(web: httpx.Client, path: str = PAGE, **changed: str) -> httpx.Response:
    return web.post(path, data={**GOOD, **changed, "csrf_token": token(web.get(path))})


def test_a_category_is_renamed_and_given_to_another_agency_and_the_audit_log_has_both_sides(
    web: httpx.Client, parts: Parts
) -> None:
    log_in(web, "admin1")
    assert "/console/categories" in web.get("/console/administration").text
    assert save(web).headers["location"] == "/console/categories"
    assert "集中供热" in web.get("/console/categories").text
    assert "District heating" in web.get("/console/categories").text
    with parts.database.read() as session:
        (event,) = session.query(AuditEvent).filter_by(kind="category")
        assert (event.subject, event.act) == ("UT-HEAT", "changed")
        assert event.before == {"name": "供热供暖", "name_en": "Heating", "agency_code": "C-URBAN"}
        assert event.after == {"name": "集中供热", "name_en": "District heating", "agency_code": "C-WATER"}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"name": ""}, "类别要有中文和英文名"),
        ({"name_en": "x" * 101}, "类别要有中文和英文名"),
        ({"name": "供水"}, "已经有了"),
        ({"agency": "nowhere"}, "nowhere"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_typed_is_lost(
    web: httpx.Client, parts: Parts, changed: dict[str, str], why: str
) -> None:
    log_in(web, "admin1")
    refused = save(web, **changed)
    assert (refused.status_code, why in refused.text) == (422, True)
    assert "District heating" in refused.text or "name_en" in changed
    with parts.database.read() as session:
        assert session.get_one(Category, "UT-HEAT").name == "供热供暖"


def test_a_first_level_has_names_alone(web: httpx.Client, parts: Parts) -> None:
    log_in(web, "admin1")
    assert 'name="agency"' not in web.get("/console/categories/UT").text
    assert save(web, "/console/categories/UT").status_code == 302
    with parts.database.read() as session:
        assert session.get_one(Category, "UT").agency_code is None
    assert web.get("/console/categories/nothing").status_code == 404
