"""/open311: the line's cases for clients of Open311 GeoReport v2, as docs/open311.md explains.

Only what was filed through this interface is shown by it: its clients publish what they send. What citizens said on the
telephone or in the chat stays between them and the line.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, Final

from flask import Blueprint, Response, request, url_for
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased, contains_eager
from werkzeug.exceptions import HTTPException

from backend.api.access import Caller, bearer_token, find_caller
from backend.api.georeport import (
    DESCRIPTION_LIMIT,
    MEDIA_TYPES,
    ROW_LIMIT,
    Answered,
    Refusals,
    answer_words,
    attributes_of,
    changeset,
    described,
    listed,
    own_words,
    read_answers,
    read_page,
    read_period,
    read_point,
    render,
    show_time,
)
from backend.api.models import PublicRequest
from backend.attachments import File, accept, keep
from backend.cases import service
from backend.cases.models import Case, CaseEvent
from backend.cases.numbers import NumberRefused, parse_number
from backend.cases.rules import FINAL_STATES
from backend.cases.service import Actor, Filing
from backend.cases.words import day_words, state_words
from backend.conversations.safety import find_danger
from backend.conversations.service import danger_reply
from backend.directory.categories import last_changed_at
from backend.directory.models import Category
from backend.errors import Refused
from backend.knowledge.masking import mask
from backend.locale import current_locale
from backend.parts import parts

Answer = tuple[str, Any]
"""The root element of an answer, and what is in it."""

SPECIFICATION: Final = "http://wiki.open311.org/GeoReport_v2"
UPLOAD_LIMIT: Final = 12_000_000
MEDIA_LIMIT: Final = 6
URL_LIMIT: Final = 500
FORMS: Final = "<any(xml, json):form>"

log = logging.getLogger(__name__)
blueprint = Blueprint("open311", __name__, url_prefix="/open311")


def resource(*paths: str, method: str = "GET") -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """The view of a resource of the specification, at each path with .xml or .json; without either it is XML."""

    def add(view: Callable[..., Answer]) -> Callable[..., Answer]:
        @wraps(view)
        def answer(form: str = "xml", **named: str) -> Response:
            root, content = view(**named)
            return respond(root, content, form)

        for path in paths:
            blueprint.add_url_rule(f"{path}.{FORMS}", view.__name__, answer, methods=[method])
            blueprint.add_url_rule(path, view.__name__, answer, methods=[method])
        return view

    return add


def respond(root: str, content: Any, form: str, status: int = 200) -> Response:
    """The answer in its form."""
    return Response(render(root, content, form), status, content_type=MEDIA_TYPES[form])


@blueprint.url_value_preprocessor
def allow_uploads(endpoint: str | None, _: dict[str, Any] | None) -> None:
    """Let pictures come with a request. This must be set before the form is read."""
    if endpoint in ("open311.file_request", "open311.add_update"):
        request.max_content_length = UPLOAD_LIMIT


@blueprint.before_request
def check_jurisdiction() -> None:
    """This line serves one jurisdiction, so its id may be left out, but not be another's."""
    named = argument("jurisdiction_id")
    if named and named != own_words()["jurisdiction_id"]:
        raise Refused("open311_jurisdiction", 404)


@blueprint.after_request
def let_every_site_ask(response: Response) -> Response:
    """Clients that run in a browser are on sites of their own; nothing here rests on a cookie."""
    response.headers["Access-Control-Allow-Origin"] = "*"
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
        response.headers["Access-Control-Max-Age"] = "86400"
    return response


@blueprint.errorhandler(Refused)
@blueprint.errorhandler(Refusals)
@blueprint.errorhandler(HTTPException)
def tell_errors(error: Refused | Refusals | HTTPException) -> Response:
    """What is wrong, as the specification has it: 404 for what is not there, 403 for keys, 500 for the line's
    own faults, 400 for nearly all else, and a list."""
    if isinstance(error, HTTPException):
        codes = {404: "not_found", 405: "not_found", 429: "too_many_requests"}
        error = Refused(codes.get(error.code or 400, "bad_request"), error.code or 400)
    reasons = error.reasons if isinstance(error, Refusals) else [error]
    statuses = [reason.status if reason.status in (403, 404, 413, 429, 500) else 400 for reason in reasons]
    content = [
        {"code": status, "description": reason.sentence(current_locale())}
        for status, reason in zip(statuses, reasons, strict=True)
    ]
    return respond("errors", content, "json" if request.path.endswith(".json") else "xml", max(set(statuses)))


@blueprint.errorhandler(Exception)
def tell_fault(error: Exception) -> Response:
    """Something that nobody foresaw, in the form that the client reads."""
    log.error("unforeseen error at %s", request.endpoint, exc_info=error)
    return tell_errors(Refused("server_fault", 500))


@blueprint.route("/", defaults={"rest": ""}, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
@blueprint.route("/<path:rest>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def nothing_there(rest: str) -> Response:
    """Every other address, so that even this error is told as the specification has it."""
    raise Refused("not_found", 404)


@resource("/discovery", "/v2/discovery")
def discover() -> Answer:
    """Where the endpoint is and what it speaks (https://wiki.open311.org/Service_Discovery/)."""
    settings, locale = parts().settings, current_locale()
    with parts().database.read() as session:
        changed = changeset(last_changed_at(session))
    endpoint = {
        "specification": SPECIFICATION,
        "url": f"{settings.base_url}/open311/v2",
        "changeset": changed,
        "type": "production" if settings.environment == "production" else "test",
        "formats": ["text/xml", "application/json"],
    }
    return "discovery", {
        "changeset": changed,
        "contact": own_words()["contact"][locale],
        "key_service": own_words()["key_service"][locale],
        "endpoints": [endpoint],
    }


@resource("/v2/services")
def list_services() -> Answer:
    """The categories of the second level that are in use."""
    group = aliased(Category)
    with parts().database.read() as session:
        query = select(Category, group).join(group, Category.parent_code == group.code).where(Category.active)
        query = query.order_by(Category.code)
        return "services", [service_row(category, parent) for category, parent in session.execute(query)]


def service_row(category: Category, group: Category) -> dict[str, Any]:
    """A service, as the list shows it; the names in the other language are its keywords."""
    first, second = (category.name, category.name_en), (group.name, group.name_en)
    here, there = (1, 0) if current_locale() == "en" else (0, 1)
    return {
        "service_code": category.code,
        "service_name": first[here],
        "description": f"{second[here]}: {first[here]}" if here else f"{second[here]}：{first[here]}",
        "metadata": bool(attributes_of(category.code)),
        "type": "realtime",
        "keywords": ", ".join((first[there], second[there])),
        "group": second[here],
    }


@resource("/v2/services/<service_code>")
def define_service(service_code: str) -> Answer:
    """What a service asks for."""
    with parts().database.read() as session:
        find_service(session, service_code)
    asked = enumerate(attributes_of(service_code), start=1)
    rows = [described(attribute, order, current_locale()) for order, attribute in asked]
    return "service_definition", {"service_code": service_code, "attributes": rows}


def find_service(session: Session, code: str) -> Category:
    """The category of the second level with this code, if it is in use. Raises Refused (404)."""
    category = session.get(Category, code)
    if category is None or category.parent_code is None or not category.active:
        raise Refused("open311_service", 404, service=code)
    return category


@resource("/v2/requests")
def list_requests() -> Answer:
    """The requests that are asked for, newest first."""
    offset, size = read_page(argument("page"), argument("page_size"))
    numbers = listed(request.args.getlist("service_request_id"))
    query = public_requests().order_by(Case.filed_at.desc(), Case.id.desc()).offset(offset).limit(size)
    if numbers:  # which overrides all other arguments
        query = query.where(Case.number.in_([one for number in numbers[:ROW_LIMIT] if (one := read_number(number))]))
    else:
        first, last = read_period(argument("start_date"), argument("end_date"), parts().clock())
        query = query.where(Case.filed_at.between(first, last))
        if codes := listed(request.args.getlist("service_code")):
            query = query.where(Case.category_code.in_(codes[:ROW_LIMIT]))
        if wanted := {status.lower() for status in listed(request.args.getlist("status"))}:
            if not wanted <= {"open", "closed"}:
                raise Refused("open311_status", 400)
            if wanted == {"closed"}:
                query = query.where(Case.state.in_(FINAL_STATES))
            if wanted == {"open"}:
                query = query.where(Case.state.not_in(FINAL_STATES))
    with parts().database.read() as session:
        return "service_requests", [request_row(one, changed) for one, changed in session.execute(query)]


@resource("/v2/requests/<number>")
def show_request(number: str) -> Answer:
    """One request."""
    with parts().database.read() as session:
        found = session.execute(public_requests().where(Case.number == read_number(number))).one_or_none()
        if found is None:
            raise Refused("open311_request", 404)
        return "service_requests", [request_row(*found)]


def public_requests() -> Select[PublicRequest, datetime]:
    """What the public may see, each with the time of the last act on it."""
    changed = select(func.max(CaseEvent.acted_at)).where(CaseEvent.case_id == Case.id).scalar_subquery()
    query = select(PublicRequest, changed).join(PublicRequest.case).join(Case.agency).join(Case.category)
    shown = contains_eager(PublicRequest.case)
    return query.options(shown.contains_eager(Case.agency), shown.contains_eager(Case.category)).where(
        PublicRequest.hidden.is_(False)
    )


def read_number(text: str) -> str | None:
    """A case number however it is written, or None."""
    try:
        return parse_number(text)
    except NumberRefused:
        return None


def request_row(shown: PublicRequest, changed: datetime) -> dict[str, Any]:
    """A request as everybody may read it. Of the agency's answer only the state is told: it was written to one citizen."""
    case, locale = shown.case, current_locale()
    return {
        "service_request_id": case.number,
        "status": status_of(case.state),
        "status_notes": state_words(case.state, locale),
        "service_name": case.category.name_en if locale == "en" else case.category.name,
        "service_code": case.category_code,
        "description": mask(case.what)[:DESCRIPTION_LIMIT],
        "agency_responsible": case.agency.name,
        "service_notice": None,
        "requested_datetime": show_time(case.filed_at),
        "updated_datetime": show_time(changed),
        "expected_datetime": show_time(case.due_at),
        "address": mask(shown.address) or None,
        "address_id": shown.address_id or None,
        "zipcode": None,
        "lat": shown.latitude,
        "long": shown.longitude,
        "media_url": shown.media_url or None,
    }


def status_of(state: str) -> str:
    """The two states that the specification knows."""
    return "closed" if state in FINAL_STATES else "open"


@resource("/v2/tokens/<token>")
def show_token(token: str) -> Answer:
    """The request behind a token. All services are `realtime`: a request has its id at once, and so the id is its token."""
    with parts().database.read() as session:
        found = session.execute(public_requests().where(Case.number == read_number(token))).one_or_none()
        if found is None:
            raise Refused("open311_token", 404)
        return "service_requests", [{"service_request_id": found[0].case.number, "token": token}]


@dataclass(frozen=True)
class Report:
    """What a client files, read and checked;"""

    category: Category
    what: str
    address: str
    address_id: str
    point: tuple[float, float] | None
    contact: str | None
    media_urls: list[str]
    answers: list[Answered]
    files: list[File]

    @property
    def place(self) -> str:
        """The place in words, as agencies read it."""
        return self.address or (f"地址编号 {self.address_id}" if self.address_id else self.map_point)

    @property
    def map_point(self) -> str:
        """The point on the map, in words."""
        return f"北纬 {self.point[0]}，东经 {self.point[1]}（WGS 84）" if self.point else ""


@resource("/v2/requests", method="POST")
def file_request() -> Answer:
    """File a case."""
    shared, locale, caller = parts(), current_locale(), key_holder()
    with shared.database.read() as session:
        report = read_report(session)
    now, actor = shared.clock(), Actor("citizen", system=caller.name)
    filing = Filing(
        what=report.what,
        place=report.place,
        contact=report.contact,
        channel=service.PUBLIC,
        locale=locale,
        category=report.category.code,
    )
    with shared.database.write() as session:
        case = service.file_case(session, shared.knowledge, filing, actor, now, shared.settings.jurisdiction)
        if session.get(PublicRequest, case.id) is None:  # a repeat (并单) changes nothing of what is shown
            session.add(public_request(case, caller, report))
        particulars = [answer_words(attribute, values) for attribute, values in report.answers]
        if report.point and report.place != report.map_point:
            particulars.append(report.map_point)
        particulars += keep_media(session, case, report.media_urls, report.files, now)
        if particulars:
            service.act_on(session, case.number, "add", actor, {"note": "\n".join(particulars)}, now)
        number, due = case.number, day_words(case.due_at, locale)
    danger = find_danger(report.what)
    notice = Refused("open311_notice", due=due).sentence(locale)
    return "service_requests", [
        {
            "service_request_id": number,
            "service_notice": f"{danger_reply(danger, locale).text}\n{notice}" if danger else notice,
            "account_id": argument("account_id") or None,
        }
    ]


def public_request(case: Case, caller: Caller, report: Report) -> PublicRequest:
    """What is shown of the place of a case filed by this client."""
    latitude, longitude = report.point or (None, None)
    return PublicRequest(
        case_id=case.id,
        key_id=caller.key_id,
        address=report.address,
        address_id=report.address_id,
        latitude=latitude,
        longitude=longitude,
        media_url=next(iter(report.media_urls), ""),
    )


def key_holder() -> Caller:
    """Whose api_key came with this request. Raises Refused (403), as the specification has it."""
    caller = find_caller(argument("api_key") or bearer_token())
    if caller is None or "open311" not in caller.scopes:
        raise Refused("open311_key", 403)
    return caller


def read_report(session: Session) -> Report:
    """The form of a new request. Raises Refusals with everything that is wrong with it."""
    category, no_category = read_service(session)
    point, no_place = read_place()
    answers, wrong_answers = read_answers(argument("service_code"), request.form.to_dict(flat=False))
    media_urls, files, wrong_media = read_media()
    limits = {"description": DESCRIPTION_LIMIT, "address_string": 300, "address_id": 80}
    too_long = [
        Refused("open311_too_long", 400, name=name, limit=limit)
        for name, limit in limits.items()
        if len(argument(name)) > limit
    ]
    wrong = [*no_category, *no_place, *wrong_answers, *too_long, *wrong_media]
    if wrong or category is None:
        raise Refusals(wrong)
    contact = None
    with suppress(Refused):  # this is free text to the specification; a wrong number must not cost the report
        contact = service.contact_number(argument("phone"))
    return Report(
        category=category,
        what=argument("description") or category.name,
        address=argument("address_string"),
        address_id=argument("address_id"),
        point=point,
        contact=contact,
        media_urls=media_urls,
        answers=answers,
        files=files,
    )


def read_service(session: Session) -> tuple[Category | None, list[Refused]]:
    """The service that was chosen, or what is wrong with it."""
    if not argument("service_code"):
        return None, [Refused("open311_service_missing", 400)]
    try:
        return find_service(session, argument("service_code")), []
    except Refused as refusal:
        return None, [refusal]


def read_place() -> tuple[tuple[float, float] | None, list[Refused]]:
    """The point on the map, if there is one, and what is wrong with the location parameter."""
    latitude, longitude = argument("lat"), argument("long")
    if latitude or longitude:
        point = read_point(latitude, longitude)
        return point, [] if point else [Refused("open311_point", 400)]
    return None, [] if argument("address_string") or argument("address_id") else [Refused("open311_place", 400)]


def read_media() -> tuple[list[str], list[File], list[Refused]]:
    """Addresses of pictures, and the files that came with the form under whatever name; and what is wrong with them."""
    urls = [url.strip() for url in request.form.getlist("media_url") if url.strip()]
    sent = [(content, file.filename or "") for _, file in request.files.items(multi=True) if (content := file.read())]
    files: list[File] = []
    wrong = []
    if any(len(url) > URL_LIMIT or not url.startswith(("https://", "http://")) for url in urls):
        wrong.append(Refused("open311_media_url", 400))
    if len(urls) + len(sent) > MEDIA_LIMIT:
        return urls, files, [*wrong, Refused("open311_files", 400, limit=MEDIA_LIMIT)]
    for content, name in sent:
        try:
            files.append(accept(content, name))
        except Refused as refusal:
            wrong.append(refusal)
    return urls, files, wrong


def keep_media(session: Session, case: Case, urls: list[str], files: list[File], now: datetime) -> list[str]:
    """Keep the files, and return where they and the others are, a line each, for the history of the case."""
    kept = [keep(session, file, now, case_id=case.id) for file in files]
    base = parts().settings.base_url
    return [
        *(f"图片：{url}" for url in urls),
        *(f"附件：{base}{url_for('console.attachment', attachment_id=one.id)}" for one in kept),
    ]


@resource("/v2/servicerequestupdates")
def list_updates() -> Answer:
    """What has become of requests in a period: the extension that FixMyStreet uses, see docs/open311.md."""
    first, last = read_period(argument("start_date"), argument("end_date"), parts().clock())
    query = (
        select(CaseEvent, Case.number)
        .join(Case, CaseEvent.case_id == Case.id)
        .join(PublicRequest, PublicRequest.case_id == Case.id)
        .where(PublicRequest.hidden.is_(False), CaseEvent.acted_at.between(first, last))
        .where(CaseEvent.from_state != CaseEvent.to_state)
        .order_by(CaseEvent.acted_at, CaseEvent.id)
        .limit(ROW_LIMIT)
    )
    with parts().database.read() as session:
        return "service_request_updates", [
            {
                "update_id": f"{number}:{event.number}",
                "service_request_id": number,
                "status": status_of(event.to_state),
                "updated_datetime": show_time(event.acted_at),
                "description": state_words(event.to_state, current_locale()),
                "media_url": None,
            }
            for event, number in session.execute(query)
        ]


@resource("/v2/servicerequestupdates", "/v2/update", method="POST")
def add_update() -> Answer:
    """Something more that a citizen says to a request, through the client that filed it. The same `update_id` is one."""
    shared, caller, theirs = parts(), key_holder(), argument("update_id")[:80]
    urls, files, wrong = read_media()
    text = argument("description")
    if not text:
        wrong.append(Refused("what_missing", 400))
    if len(text) > DESCRIPTION_LIMIT:
        wrong.append(Refused("open311_too_long", 400, name="description", limit=DESCRIPTION_LIMIT))
    if wrong:
        raise Refusals(wrong)
    now, number = shared.clock(), read_number(argument("service_request_id"))
    with shared.database.write() as session:
        own = PublicRequest.key_id.is_not_distinct_from(caller.key_id)
        if session.execute(public_requests().where(Case.number == number, own)).one_or_none() is None:
            raise Refused("open311_request", 404)
        case = service.get_case(session, number or "")
        known = [event.number for event in case.history if theirs and event.details.get("update_id") == theirs]
        if not known:
            details = {"note": "\n".join([text, *keep_media(session, case, urls, files, now)]), "update_id": theirs}
            case = service.act_on(session, case.number, "add", Actor("citizen", system=caller.name), details, now)
            known = [case.history[-1].number]
        return "service_request_updates", [{"update_id": f"{case.number}:{known[0]}"}]


def argument(name: str) -> str:
    """An argument of the query or the form; an empty one is as good as none. NUL is left out: PostgreSQL refuses it."""
    return request.values.get(name, "").replace("\x00", "").strip()
