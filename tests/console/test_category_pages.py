"""Administrators keep the categories: adding, names and agencies, retiring, undoing, audited, for the next case and for all
who ask what there is: routing, desks, Open311, speech recognition."""

import re

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.app import create_app
from backend.audit import AuditEvent
from backend.cases import learning, service
from backend.cases.models import Case
from backend.cases.service import Actor, Filing
from backend.directory.categories import CODE, UNSORTED_CATEGORY, find, proposed_code
from backend.directory.models import Category, LegacyNumber
from backend.errors import Refused
from backend.parts import Parts
from tests.conftest import StandingClock, make_settings
from tests.console.test_agency_pages import log_in, token

LIST = "/console/categories"
PAGE = "/console/categories/UT-HEAT"
GOOD = {"name": "集中供热", "name_en": "District heating", "agency": "C-WATER"}


def save(web: httpx.Client, path: str = PAGE, **changed: str) -> httpx.Response:
    return web.post(path, data={**GOOD, **changed, "csrf_token": token(web.get(path))})


def press(web: httpx.Client, path: str, **fields: str) -> httpx.Response:
    return web.post(path, data={**fields, "csrf_token": token(web.get(PAGE))})


def undo(web: httpx.Client) -> httpx.Response:
    path = re.search(rf'action="({LIST}/changes/\d+/undo)"', web.get(LIST).text)
    assert path
    return press(web, path[1])


def services(web: httpx.Client) -> dict[str, str]:
    """What Open311 offers: code -> name."""
    return {one["service_code"]: one["service_name"] for one in web.get("/open311/v2/services.json").json()}


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
        ({"name": "供水"}, "已有“供水”"),
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


def test_whoever_asks_what_there_is_hears_of_a_new_category_of_a_retired_one_and_of_one_that_is_back(
    database_url: str, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.followed.LOOKED_AT_EVERY", 0.0)  # as if a second had gone by
    app = create_app(make_settings(database_url), clock=clock)
    parts: Parts = app.extensions["parts"]
    database = parts.database
    web = httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000")
    before = web.get("/open311/discovery.json").json()["changeset"]
    clock.advance(days=3650)  # beyond the day on which the delivered files were written
    log_in(web, "admin1")
    made = {"parent": "UT", "name": "直饮水", "name_en": "Drinking fountains", "agency": "C-WATER"}
    assert press(web, f"{LIST}/new", **made).headers["location"] == LIST
    assert services(web)["UT-DRINKING"] == "直饮水"
    assert "直饮水" in parts.speech_hints()["zh"].split(",")
    assert "Drinking fountains" in parts.speech_hints()["en"].split(",")
    assert web.get("/open311/discovery.json").json()["changeset"] > before
    assert press(web, f"{LIST}/UT-DRINKING/retire").headers["location"] == LIST
    assert 'data-testid="retired"' in web.get(LIST).text
    assert "UT-DRINKING" not in services(web)
    assert web.get("/open311/v2/services/UT-DRINKING.json").status_code == 404
    assert "直饮水" not in parts.speech_hints()["zh"].split(",")
    assert press(web, f"{LIST}/UT-DRINKING/bring-back").headers["location"] == LIST
    assert services(web)["UT-DRINKING"] == "直饮水"
    with database.read() as session:
        acts = [one.act for one in session.query(AuditEvent).filter_by(kind="category").order_by(AuditEvent.number)]
        assert acts == ["added", "changed", "changed"]
    database.close()


def test_a_retired_category_gets_no_new_case_and_keeps_its_old_ones(
    web: httpx.Client, parts: Parts, clock: StandingClock
) -> None:
    def file(key: str, category: str | None = None) -> Case:
        filing = Filing(what="供热管网的暖气不热", place="明湖区软件园", key=key, category=category)
        with parts.database.write() as session:
            return service.file_case(session, parts.knowledge, filing, Actor("bot"), clock(), "shandong")

    old = file("before", category="UT-HEAT")
    log_in(web, "admin1")
    press(web, f"{PAGE}/retire")
    assert file("after").category_code != "UT-HEAT"
    with pytest.raises(Refused, match="category_retired"):
        file("chosen", category="UT-HEAT")
    with parts.database.read() as session:
        assert session.get_one(Case, old.id).category_code == "UT-HEAT"
        assert all(one.labels.get("category") != "UT-HEAT" for one in learning.gather(session).said_by_city)
        number = session.get_one(Case, old.id).number
    sorting = {"kind": "complaint", "urgency": "urgent", "category": "UT-HEAT"}
    web.cookies.clear()
    log_in(web, "dispatcher1")
    offered = web.get(f"/console/cases/{number}").text
    assert 'value="UT-HEAT" selected' in offered
    with parts.database.write() as session:
        desk = Actor("dispatcher")
        assert service.act_on(session, number, "sort", desk, sorting, clock()).urgency == "urgent"
        service.act_on(session, number, "sort", desk, sorting | {"category": "UT-WATER"}, clock())
        with pytest.raises(Refused, match="category_retired"):
            service.act_on(session, number, "sort", desk, sorting, clock())


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("UT", "第一级不单独停用"),
        (UNSORTED_CATEGORY, "归不了类的工单都归到这里"),
        ("UT-HEAT", "原热线号码 12399"),
    ],
)
def test_what_cannot_be_retired_says_why(web: httpx.Client, parts: Parts, code: str, why: str) -> None:
    with parts.database.write() as session:
        greetings = {"greeting_zh": "您好", "greeting_en": "Hello"}
        session.add(LegacyNumber(number="12399", name="供热热线", category_code="UT-HEAT", **greetings))
    log_in(web, "admin1")
    refused = press(web, f"{LIST}/{code}/retire")
    assert (refused.status_code, why in refused.text) == (422, True)
    with parts.database.read() as session:
        assert find(session, code).active


def test_every_change_is_undone_at_a_click_unless_somebody_has_changed_it_again(
    web: httpx.Client, parts: Parts
) -> None:
    def stands() -> tuple[str, str | None, bool]:
        with parts.database.read() as session:
            found = find(session, "UT-HEAT")
            return found.name, found.agency_code, found.active

    log_in(web, "supervisor1")
    before = stands()
    save(web)
    assert stands() == ("集中供热", "C-WATER", True)
    undo(web)
    assert stands() == before
    press(web, f"{PAGE}/retire")
    assert 'data-act="changed"' in web.get(PAGE).text
    undo(web)
    assert stands() == before
    save(web)
    first = re.search(rf"{LIST}/changes/(\d+)/undo", web.get(LIST).text)
    assert first
    save(web, name="集中供暖")
    late = press(web, f"{LIST}/changes/{first[1]}/undo")
    assert (late.status_code, "又有人改过" in late.text) == (409, True)
    assert stands()[0] == "集中供暖"
    press(web, f"{LIST}/new", parent="UT", name="直饮水", name_en="Drinking fountains", agency="C-WATER")
    undo(web)
    with parts.database.read() as session:
        assert not find(session, "UT-DRINKING").active
    assert press(web, f"{LIST}/changes/999999/undo").status_code == 404


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"code": "heat"}, "编码“UT-HEAT”已经有了"),
        ({"code": "热"}, "编码“热”不行"),
        ({"name": "供水"}, "已有“供水”"),
        ({"agency": ""}, "没有这个承办单位"),
        ({"parent": "UT-HEAT"}, "没有“UT-HEAT”这一项"),
        ({"parent": "nowhere"}, "404"),
    ],
)
def test_a_new_category_that_cannot_be_is_refused_and_nothing_typed_is_lost(
    web: httpx.Client, parts: Parts, changed: dict[str, str], why: str
) -> None:
    log_in(web, "admin1")
    wanted = {"parent": "UT", "name": "直饮水", "name_en": "Drinking fountains", "agency": "C-WATER", **changed}
    refused = press(web, f"{LIST}/new", **wanted)
    assert refused.status_code == (404 if why == "404" else 422)
    assert why == "404" or (why in refused.text and "Drinking fountains" in refused.text)
    with parts.database.read() as session:
        assert session.get(Category, "UT-DRINKING") is None


@given(st.text(max_size=120), st.sets(st.from_regex(CODE, fullmatch=True)))
def test_whatever_it_is_called_a_category_gets_a_code_of_its_own(name: str, taken: set[str]) -> None:
    code = proposed_code(name, taken)
    assert CODE.fullmatch(code)
    assert code not in taken
