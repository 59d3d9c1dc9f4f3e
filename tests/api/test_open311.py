"""Open311 GeoReport v2: every method of the specification in XML and in JSON, its errors, and the requests that two
existing clients send: `three` (JSON) and FixMyStreet (XML)."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.api.georeport import LONGEST_SPAN, read_period, read_point, read_time, render, show_time
from backend.api.keys import make_key
from backend.api.models import PublicRequest
from backend.cases import service
from backend.cases.service import Actor, Filing
from backend.parts import Parts
from tests.conftest import NOON, StandingClock
from tests.pictures import photo

V2 = "/open311/v2"
PHOTO = photo()
PLACE = {"address_string": "明湖区湖滨路18号"}


@pytest.fixture
def key(parts: Parts) -> str:
    """A client's key."""
    with parts.database.write() as session:
        return make_key(session, "市民拍", {"open311"}, None, parts.clock())[1]


@pytest.fixture
def file(web: httpx.Client, key: str) -> Callable[..., str]:
    """Files a request and returns its id."""

    def post(**fields: Any) -> str:
        form = {"api_key": key, "service_code": "UT-HEAT", "description": "暖气不热", **PLACE, **fields}
        filed = web.post(f"{V2}/requests.json", data=form)
        assert filed.status_code == 200, filed.text
        number: str = filed.json()[0]["service_request_id"]
        return number

    return post


def errors_of(response: httpx.Response) -> list[tuple[str, str]]:
    """Code and description of each error, whichever the form."""
    if response.headers["content-type"].startswith("application/json"):
        return [(str(error["code"]), error["description"]) for error in response.json()]
    root = ET.fromstring(response.content)
    assert root.tag == "errors"
    return [(error.findtext("code", ""), error.findtext("description", "")) for error in root.findall("error")]


def test_discovery_names_the_endpoint_in_both_forms(web: httpx.Client) -> None:
    told = web.get("/open311/discovery.json").json()
    assert set(told) == {"changeset", "contact", "key_service", "endpoints"}
    endpoint = told["endpoints"][0]
    assert endpoint["specification"] == "http://wiki.open311.org/GeoReport_v2"
    assert endpoint["url"] == "http://127.0.0.1:8000/open311/v2"
    assert endpoint["type"] == "test"
    assert endpoint["formats"] == ["text/xml", "application/json"]
    root = ET.fromstring(web.get("/open311/discovery.xml").content)
    assert [one.text for one in root.findall("endpoints/endpoint/formats/format")] == ["text/xml", "application/json"]
    assert root.findtext("endpoints/endpoint/url") == endpoint["url"]


@pytest.mark.parametrize(
    ("form", "media_type"), [("xml", "text/xml; charset=utf-8"), ("json", "application/json; charset=utf-8")]
)
@pytest.mark.parametrize("path", ["/discovery", "/v2/services", "/v2/requests", "/v2/services/UT-HEAT", "/v2/nowhere"])
def test_every_answer_is_utf_8_of_the_form_asked_for_and_may_be_read_by_any_site(
    web: httpx.Client, path: str, form: str, media_type: str
) -> None:
    answer = web.get(f"/open311{path}.{form}")
    assert answer.headers["content-type"] == media_type
    assert answer.headers["access-control-allow-origin"] == "*"
    if form == "xml":
        assert re.match(rb"<\?xml version='1.0' encoding='utf-8'\?>", answer.content)


def test_a_browser_may_ask_before_it_posts(web: httpx.Client) -> None:
    asked = web.options(f"{V2}/requests.json", headers={"Origin": "https://app.example"})
    assert asked.status_code == 200
    assert "POST" in asked.headers["access-control-allow-methods"]


def test_services_have_all_fields_of_the_schema(web: httpx.Client) -> None:
    services = web.get(f"{V2}/services.json").json()
    assert len(services) > 50
    for one in services:
        assert set(one) == {
            "service_code",
            "service_name",
            "description",
            "metadata",
            "type",
            "keywords",
            "group",
        }
        assert isinstance(one["metadata"], bool)
        assert one["type"] == "realtime"
        assert all(isinstance(one[name], str) and one[name] for name in set(one) - {"metadata"})
    assert {one["service_code"] for one in services if one["metadata"]} == {"UT-HEAT", "EN-NOISE", "CM-LIGHT"}


def test_services_are_named_in_english_on_request(web: httpx.Client) -> None:
    heating = next(s for s in web.get(f"{V2}/services.json?lang=en").json() if s["service_code"] == "UT-HEAT")
    assert (heating["service_name"], heating["group"]) == ("Heating", "Utilities")


def test_a_definition_has_its_attributes_in_order_and_values_for_lists_alone(web: httpx.Client) -> None:
    told = web.get(f"{V2}/services/CM-LIGHT.json").json()
    assert told["service_code"] == "CM-LIGHT"
    assert [one["order"] for one in told["attributes"]] == [1, 2, 3]
    by_code = {one["code"]: one for one in told["attributes"]}
    assert by_code["facility"]["datatype"] == "singlevaluelist"
    assert by_code["facility"]["required"] is True
    assert by_code["facility"]["values"][0] == {"key": "lamp", "name": "路灯"}
    assert "values" not in by_code["pole"]
    root = ET.fromstring(web.get(f"{V2}/services/CM-LIGHT.xml").content)
    assert root.tag == "service_definition"
    assert [one.findtext("required") for one in root.findall("attributes/attribute")] == ["true", "false", "false"]
    assert root.findtext("attributes/attribute/values/value/key") == "lamp"


def test_a_service_without_attributes_has_an_empty_definition(web: httpx.Client) -> None:
    assert web.get(f"{V2}/services/TR-PARK.json").json() == {"service_code": "TR-PARK", "attributes": []}


def test_who_reports_the_same_again_gets_the_same_request_and_nothing_told_to_the_line_alone_is_made_public_by_it(
    web: httpx.Client, parts: Parts, file: Callable[..., str]
) -> None:
    words = "家里暖气一直不热，老人住不下去"
    with parts.database.write() as session:
        told = Filing(
            what=words, place="明湖区湖滨路18号", contact="+8613800001111", channel="phone", category="UT-HEAT"
        )
        private = service.file_case(session, parts.knowledge, told, Actor("bot"), parts.clock(), "beijing").number
    first = file(description=words, phone="13800001111")
    assert first != private
    assert file(description=words, phone="13800001111", lat="31.1", long="117.1") == first
    assert [one["service_request_id"] for one in web.get(f"{V2}/requests.json").json()] == [first]
    with parts.database.read() as session:
        assert [service.get_case(session, number).repeats for number in (private, first)] == [0, 1]


@pytest.mark.parametrize("form", ["json", "xml"])
def test_what_nobody_foresaw_is_told_in_the_form_asked_for(
    web: httpx.Client, key: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(service, "file_case")
    broken = web.post(f"{V2}/requests.{form}", data={"api_key": key, "service_code": "TR-PARK", **PLACE})
    assert broken.status_code == 500
    assert [code for code, _ in errors_of(broken)] == ["500"]


REQUEST_FIELDS = {
    "service_request_id": str,
    "status": str,
    "status_notes": str,
    "service_name": str,
    "service_code": str,
    "description": str,
    "agency_responsible": str,
    "service_notice": type(None),
    "requested_datetime": str,
    "updated_datetime": str,
    "expected_datetime": str,
    "address": str,
    "address_id": type(None),
    "zipcode": type(None),
    "lat": float,
    "long": float,
    "media_url": str,
}


def test_a_request_that_was_filed_is_shown_with_all_its_fields(web: httpx.Client, file: Callable[..., str]) -> None:
    number = file(lat="31.8612", long="117.2830", media_url="https://photos.example/1.jpg")
    shown = web.get(f"{V2}/requests/{number}.json").json()
    assert len(shown) == 1  # a single request is an array too
    assert {name: type(value) for name, value in shown[0].items()} == REQUEST_FIELDS
    assert shown[0]["service_request_id"] == number
    assert shown[0]["status"] == "open"
    assert shown[0]["service_name"] == "供热供暖"
    assert shown[0]["requested_datetime"] == "2026-11-23T12:00:00+08:00"
    assert (shown[0]["lat"], shown[0]["long"]) == (31.8612, 117.2830)
    root = ET.fromstring(web.get(f"{V2}/requests/{number}.xml").content)
    assert root.tag == "service_requests"
    assert {child.tag for child in root[0]} == set(REQUEST_FIELDS)
    assert root.findtext("request/description") == "暖气不热"


def test_a_filing_answers_with_its_id_and_a_notice_and_no_token(web: httpx.Client, key: str) -> None:
    form = {"api_key": key, "service_code": "TR-PARK", "account_id": "123456", **PLACE}
    filed = web.post(f"{V2}/requests.xml", data=form)
    root = ET.fromstring(filed.content)
    request = root.find("request")
    assert request is not None
    assert [child.tag for child in request] == ["service_request_id", "service_notice", "account_id"]
    assert request.findtext("account_id") == "123456"
    assert "2026年" in request.findtext("service_notice", "")


def test_the_specifications_own_example_is_filed(web: httpx.Client, key: str) -> None:
    form = {
        "api_key": key,
        "jurisdiction_id": "yunchuan.example",
        "service_code": "UT-WATER",
        "lat": "37.76524078",
        "long": "-122.4212043",
        "address_string": "1234 5th street",
        "email": "smith@example.org",
        "device_id": "tt222111",
        "account_id": "123456",
        "first_name": "john",
        "last_name": "smith",
        "phone": "111111111",
        "description": "A large sinkhole is destroying the street",
        "media_url": "http://photos.example/2212426634.jpg",
        "attribute[WHISPAWN]": "123456",
        "attribute[WHISDORN]": "COISL001",
    }
    assert web.post(f"{V2}/requests.xml", data=form).status_code == 200


def test_personal_data_stays_with_the_line(web: httpx.Client, file: Callable[..., str], parts: Parts) -> None:
    number = file(
        phone="13812345678",
        first_name="小明",
        email="ming@example.org",
        description="暖气不热，联系13812345678",
        address_string="湖滨路18号3号楼2单元501室",
    )
    shown = web.get(f"{V2}/requests/{number}.json").text + web.get(f"{V2}/requests.xml").text
    assert not [secret for secret in ("12345678", "小明", "ming@", "501") if secret in shown]
    with parts.database.read() as session:
        assert service.get_case(session, number).contact == "+8613812345678"


def test_what_citizens_told_the_line_otherwise_is_not_public(web: httpx.Client, parts: Parts) -> None:
    with parts.database.write() as session:
        filing = Filing("路灯不亮", contact="+8613812345678")
        number = service.file_case(
            session, parts.knowledge, filing, Actor("citizen"), parts.clock(), parts.settings.jurisdiction
        ).number
    assert web.get(f"{V2}/requests/{number}.json").status_code == 404
    assert web.get(f"{V2}/requests.json").json() == []
    assert web.get(f"{V2}/requests.json?service_request_id={number}").json() == []


def test_what_the_line_has_hidden_is_not_there(web: httpx.Client, file: Callable[..., str], parts: Parts) -> None:
    number = file()
    with parts.database.write() as session:
        session.query(PublicRequest).one().hidden = True
    assert web.get(f"{V2}/requests/{number}.json").status_code == 404
    assert web.get(f"{V2}/requests.json").json() == []


def test_no_requests_are_an_empty_list_in_both_forms(web: httpx.Client) -> None:
    assert web.get(f"{V2}/requests.json").json() == []
    root = ET.fromstring(web.get(f"{V2}/requests.xml").content)
    assert (root.tag, len(root)) == ("service_requests", 0)


def test_the_category_that_was_chosen_stands_and_its_agency_at_the_place(
    web: httpx.Client, file: Callable[..., str], parts: Parts
) -> None:
    number = file(service_code="UT-GAS", description="有点问题", address_string="明湖区湖滨路")
    with parts.database.read() as session:
        case = service.get_case(session, number)
        assert (case.category_code, case.agency.name) == ("UT-GAS", "明湖区城市管理局")


def test_what_came_with_the_request_is_in_the_history_for_the_agency(
    file: Callable[..., str], web: httpx.Client, parts: Parts, key: str
) -> None:
    form = {
        "api_key": key,
        "service_code": "EN-NOISE",
        "attribute[source]": "building",
        "attribute[hours][]": ["day", "night"],
        "lat": "31.8612",
        "long": "117.2830",
        **PLACE,
    }
    filed = web.post(f"{V2}/requests.json", data=form, files={"media": ("photo.jpg", PHOTO, "image/jpeg")})
    with parts.database.read() as session:
        case = service.get_case(session, filed.json()[0]["service_request_id"])
        note = case.history[-1].details["note"]
    for words in ("噪声来源：建筑施工", "什么时间：白天、22点以后", "31.8612", "/console/attachments/1"):
        assert words in note


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({}, 2),  # neither service nor place
        ({"service_code": "UT-HEAT"}, 1),
        ({"service_code": "UT-HEAT", "lat": "31.8"}, 1),
        ({"service_code": "UT-HEAT", "lat": "95", "long": "10"}, 1),
        ({"service_code": "UT-HEAT", "lat": "north", "long": "east"}, 1),
        ({"service_code": "EN-NOISE", **PLACE}, 1),  # a required attribute
        ({"service_code": "EN-NOISE", **PLACE, "attribute[source]": "moon"}, 1),
        ({"service_code": "EN-NOISE", **PLACE, "attribute[source]": ["building", "other"]}, 1),
        ({"service_code": "UT-HEAT", **PLACE, "attribute[temperature]": "warm"}, 1),
        ({"service_code": "UT-HEAT", **PLACE, "description": "长" * 4001}, 1),
        ({"service_code": "UT-HEAT", **PLACE, "media_url": "javascript:alert(1)"}, 1),
    ],
)
@pytest.mark.parametrize("form", ["xml", "json"])
def test_what_is_wrong_with_a_request_is_a_list_of_errors(
    web: httpx.Client, key: str, fields: dict[str, Any], count: int, form: str
) -> None:
    refused = web.post(f"{V2}/requests.{form}", data={"api_key": key, **fields})
    assert refused.status_code == 400
    assert [code for code, _ in errors_of(refused)] == ["400"] * count
    assert all(description for _, description in errors_of(refused))


@pytest.mark.parametrize("form", ["xml", "json"])
@pytest.mark.parametrize("given", [None, "", "wrong", "line_" + "x" * 43])
def test_without_a_good_key_nothing_is_filed(web: httpx.Client, given: str | None, form: str) -> None:
    fields = {"service_code": "UT-HEAT", **PLACE} | ({} if given is None else {"api_key": given})
    refused = web.post(f"{V2}/requests.{form}", data=fields)
    assert refused.status_code == 403
    assert [code for code, _ in errors_of(refused)] == ["403"]
    assert web.get(f"{V2}/requests.json").json() == []


def test_a_key_for_something_else_files_nothing_here(web: httpx.Client, parts: Parts) -> None:
    with parts.database.write() as session:
        other = make_key(session, "别的系统", {"cases:read"}, None, parts.clock())[1]
    form = {"api_key": other, "service_code": "UT-HEAT", **PLACE}
    assert web.post(f"{V2}/requests.json", data=form).status_code == 403


@pytest.mark.parametrize("form", ["xml", "json"])
@pytest.mark.parametrize(
    "path",
    [
        "services/NO-SUCH",
        "services/UT",  # a group, no service
        "requests/26000-00015",
        "requests/12",
        "tokens/12345",
        "nowhere",
        "services?jurisdiction_id=sfgov.org",
        "requests?jurisdiction_id=sfgov.org",
    ],
)
def test_what_is_not_there_is_404_with_the_error_in_the_body(web: httpx.Client, path: str, form: str) -> None:
    address, _, query = path.partition("?")
    refused = web.get(f"{V2}/{address}.{form}?{query}")
    assert refused.status_code == 404
    assert [code for code, _ in errors_of(refused)] == ["404"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_are_told_in_the_same_form(web: httpx.Client, method: str) -> None:
    assert [code for code, _ in errors_of(web.request(method, f"{V2}/requests.json"))] == ["404"]


@pytest.mark.parametrize(
    "name", ["jurisdiction_id", "service_request_id", "service_code", "start_date", "end_date", "status", "page"]
)
def test_an_empty_argument_is_as_good_as_none(web: httpx.Client, file: Callable[..., str], name: str) -> None:
    file()
    assert web.get(f"{V2}/requests.json?{name}=").content == web.get(f"{V2}/requests.json").content
    assert web.get(f"{V2}/services.json?{name}=").content == web.get(f"{V2}/services.json").content


def test_requests_are_filtered_by_id_service_status_and_time(
    web: httpx.Client, file: Callable[..., str], clock: StandingClock, parts: Parts
) -> None:
    heat = file()
    clock.advance(days=1)
    park = file(service_code="TR-PARK")
    clock.advance(days=1)
    bus = file(service_code="TR-BUS")
    with parts.database.write() as session:
        service.act_on(session, park, "withdraw", Actor("citizen"), {}, clock())

    def asked(**arguments: str) -> list[str]:
        rows = web.get(f"{V2}/requests.json", params=arguments).json()
        return [row["service_request_id"] for row in rows]

    assert asked() == [bus, park, heat]
    assert asked(status="closed") == [park]
    assert asked(status="open") == [bus, heat]
    assert asked(status="open,closed") == [bus, park, heat]
    assert asked(service_code="UT-HEAT,TR-BUS") == [bus, heat]
    assert asked(service_code="NO-SUCH") == []
    assert asked(start_date="2026-11-24T04:00:00Z") == [bus, park]
    assert asked(end_date="2026-11-24T12:00:00+08:00") == [park, heat]
    assert asked(start_date="2026-11-24T00:00:00Z", end_date="2026-11-25T00:00:00Z") == [park]
    assert asked(service_request_id=f"{heat},{park}", status="open", start_date="nonsense") == [park, heat]
    assert asked(service_request_id=heat.replace("-", "")) == [heat]
    closed = web.get(f"{V2}/requests/{park}.json").json()[0]
    assert closed["updated_datetime"] == "2026-11-25T12:00:00+08:00"


def test_a_page_has_as_many_as_were_asked_for(web: httpx.Client, file: Callable[..., str]) -> None:
    numbers = [file() for _ in range(5)][::-1]

    def page(number: int) -> list[str]:
        rows = web.get(f"{V2}/requests.json", params={"page": number, "page_size": 2}).json()
        return [row["service_request_id"] for row in rows]

    assert page(1) + page(2) + page(3) == numbers
    assert page(4) == []


def test_at_most_ninety_days_and_a_thousand_requests(
    web: httpx.Client, parts: Parts, file: Callable[..., str], clock: StandingClock, key: str
) -> None:
    old = file()
    clock.advance(days=91)
    new = file()
    assert [row["service_request_id"] for row in web.get(f"{V2}/requests.json").json()] == [new]
    for form in ("xml", "json"):
        refused = web.get(f"{V2}/requests.{form}?start_date=2026-11-01T00:00:00Z&end_date=2027-02-28T00:00:00Z")
        assert refused.status_code == 400
        assert "90" in errors_of(refused)[0][1]
    assert web.get(f"{V2}/requests.json?service_request_id={old}").json()[0]["service_request_id"] == old


@pytest.mark.parametrize(
    "query",
    ["status=lost", "start_date=yesterday", "end_date=2026-13-01T00:00:00Z", "page=0", "page=x", "page_size=-1"],
)
@pytest.mark.parametrize("form", ["xml", "json"])
def test_arguments_that_mean_nothing_are_400(web: httpx.Client, query: str, form: str) -> None:
    refused = web.get(f"{V2}/requests.{form}?{query}")
    assert refused.status_code == 400
    assert [code for code, _ in errors_of(refused)] == ["400"]


def test_a_token_leads_to_its_request(web: httpx.Client, file: Callable[..., str]) -> None:
    number = file()
    told = web.get(f"{V2}/tokens/{number}.json").json()
    assert told == [{"service_request_id": number, "token": number}]
    root = ET.fromstring(web.get(f"{V2}/tokens/{number}.xml").content)
    assert root.findtext("request/service_request_id") == number


def test_danger_is_answered_with_whom_to_call(web: httpx.Client, key: str) -> None:
    form = {"api_key": key, "service_code": "UT-GAS", "description": "楼下着火了", **PLACE}
    assert "119" in web.post(f"{V2}/requests.json", data=form).json()[0]["service_notice"]


def test_only_pictures_and_pdf_files_are_taken(web: httpx.Client, key: str) -> None:
    form = {"api_key": key, "service_code": "UT-HEAT", **PLACE}
    page = {"media": ("photo.jpg", b"<html><script>", "image/jpeg")}
    assert web.post(f"{V2}/requests.json", data=form, files=page).status_code == 400


def test_files_too_large_are_refused_in_the_form_asked_for(web: httpx.Client, key: str) -> None:
    form = {"api_key": key, "service_code": "UT-HEAT", **PLACE}
    much = {"media": ("photo.jpg", PHOTO + b"\x00" * 13_000_000, "image/jpeg")}
    refused = web.post(f"{V2}/requests.xml", data=form, files=much)
    assert refused.status_code == 413
    assert errors_of(refused)


# -- existing clients


def test_what_three_sends_is_understood(web: httpx.Client, key: str) -> None:
    """codeforamerica's `three`, JSON: the calls of its README, as three/core.py puts them together."""
    get: Callable[..., Any] = lambda path, **query: web.get(f"{V2}/{path}.json", params=query).json()  # noqa: E731
    assert get("discovery")["endpoints"]
    assert get("services")[0]["service_code"]
    assert get("services/CM-LIGHT")["attributes"]
    posted = web.post(
        f"{V2}/requests.json",
        data={
            "service_code": "CM-LIGHT",
            "address_string": "123 Any St",
            "first_name": "Zach",
            "last_name": "Williams",
            "phone": "555-5555",
            "description": "My issue description.",
            "api_key": key,
            "attribute[facility]": "lamp",
        },
        files={"media": ("photo.png", photo("PNG"))},
    )
    number = posted.json()[0]["service_request_id"]
    assert get(f"requests/{number}")[0]["service_request_id"] == number
    assert get(f"tokens/{number}")[0]["service_request_id"] == number
    dates = {"start_date": "2026-11-01T00:00:00Z", "end_date": "2026-11-30T00:00:00Z"}  # start='11-01-2026', end=…
    assert len(get("requests", page_size=100, status="open", **dates)) == 1
    assert get("requests", service_code="123", **dates) == []
    assert web.post(f"{V2}/requests.json", data={"service_code": "0", "api_key": ""}).json()[0]["code"] == 403


def test_what_fixmystreet_sends_is_understood(web: httpx.Client, key: str, parts: Parts) -> None:
    """FixMyStreet's Open311.pm, XML: services, their attributes, a report with photos, its state, updates both ways."""
    services = ET.fromstring(web.get(f"{V2}/services.xml").content)
    assert services.tag == "services"
    assert {"true", "false"} == {one.findtext("metadata") for one in services.findall("service")}
    asked = ET.fromstring(web.get(f"{V2}/services/EN-NOISE.xml").content).findall("attributes/attribute")
    assert [one.findtext("code") for one in asked] == ["source", "hours"]

    posted = web.post(
        f"{V2}/requests.xml",
        data={
            "api_key": key,
            "jurisdiction_id": "yunchuan.example",
            "service_code": "EN-NOISE",
            "description": "夜里施工\n\n天天到十二点\n\nhttps://fix.example/report/1\n",
            "first_name": "Ming",
            "last_name": "",
            "email": "ming@example.org",
            "lat": "31.8612",
            "long": "117.283",
            "deviceid": "iOS",
            "attribute[source]": "building",
            "attribute[uprn]": "100",
            "media_url": ["https://fix.example/photo/1.0.full.jpeg", "https://fix.example/photo/1.1.full.jpeg"],
        },
        files={"photo1": ("1.0.full.jpeg", PHOTO, "image/jpeg"), "photo2": ("1.1.full.jpeg", PHOTO, "image/jpeg")},
    )
    number = ET.fromstring(posted.content).findtext("request/service_request_id", "")
    assert number

    report = {"api_key": key, "service_request_id": number, "update_id": "77", "status": "OPEN", "last_name": "-"}
    report |= {"updated_datetime": "2026-11-23T05:00:00Z", "description": "还在施工", "first_name": "Ming"}
    updated = [web.post(f"{V2}/{one}.xml", data=report) for one in ("servicerequestupdates", "update")]  # new and old
    ids = {ET.fromstring(one.content).findtext("request_update/update_id") for one in updated}
    assert len(ids) == 1  # sent again, it is one update
    assert None not in ids

    with parts.database.write() as session:
        service.act_on(session, number, "withdraw", Actor("citizen"), {}, parts.clock())
    period = {"start_date": "2026-11-23T02:00:00Z", "end_date": "2026-11-23T04:00:00Z", "api_key": key}
    told = ET.fromstring(web.get(f"{V2}/servicerequestupdates.xml", params=period).content)
    assert told.tag == "service_request_updates"
    assert [one.findtext("service_request_id") for one in told.findall("request_update")] == [number]
    assert told.findtext("request_update/status") == "closed"
    state = ET.fromstring(web.get(f"{V2}/requests.xml", params={"service_request_id": number}).content)
    assert state.findtext("request/status") == "closed"

    wrong = web.post(f"{V2}/requests.xml", data={"api_key": "wrong", "service_code": "EN-NOISE"})
    assert errors_of(wrong)[0][0] == "403"


def test_a_client_adds_only_to_what_it_filed(web: httpx.Client, file: Callable[..., str], parts: Parts) -> None:
    number = file()
    with parts.database.write() as session:
        other = make_key(session, "别的应用", {"open311"}, None, parts.clock())[1]
    form = {"api_key": other, "service_request_id": number, "description": "补充"}
    assert web.post(f"{V2}/servicerequestupdates.json", data=form).status_code == 404


# -- properties

words = st.text(max_size=40)


@given(words)
def test_whatever_citizens_write_is_well_formed_xml_and_json(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    content = [{"description": text, "lat": None}]
    root = ET.fromstring(render("service_requests", content, "xml"))
    assert len(root) == 1
    assert json.loads(render("service_requests", content, "json")) == content


@given(st.datetimes(min_value=datetime(1980, 1, 1), max_value=datetime(2100, 1, 1)))
def test_a_time_that_is_shown_can_be_asked_for(moment: datetime) -> None:
    asked = NOON.replace(year=moment.year, month=moment.month, day=min(moment.day, 28), hour=moment.hour)
    assert read_time(show_time(asked)) == asked


@given(words | st.sampled_from(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59Z"]))
def test_no_text_breaks_the_reading_of_times_and_points(text: str) -> None:
    read_time(text)
    read_point(text, text)
    if read_time(text):
        first, last = read_period("", text, NOON)
        assert timedelta() <= last - first <= LONGEST_SPAN


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    form=st.dictionaries(
        st.sampled_from(["service_code", "lat", "long", "address_string", "description", "attribute[x]", "media_url"]),
        words | st.sampled_from(["UT-HEAT", "31.8"]),
    ),
    path=st.sampled_from(["requests.xml", "requests.json", "servicerequestupdates.json"]),
)
def test_no_form_that_a_stranger_sends_is_a_server_error(app: Flask, form: dict[str, str], path: str) -> None:
    fields = {name: text.encode("utf-8", "replace").decode() for name, text in form.items()}
    assert app.test_client().post(f"{V2}/{path}", data={"api_key": "api-token", **fields}).status_code < 500
    assert app.test_client().get(f"{V2}/{path}", query_string=fields).status_code < 500
