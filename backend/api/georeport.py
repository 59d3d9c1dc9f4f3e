"""Open311 GeoReport v2 apart from this line's cases: what its answers look like, how its arguments are read. Pure, except
that nlu_data/open311.yml is read once.

The specification is https://wiki.open311.org/GeoReport_v2; JSON follows from XML by its Spark convention: the root goes, an
element with children of one kind becomes an array, however many there are.
"""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from backend.clock import CHINA, local
from backend.errors import Refused

DATA: Final = Path(__file__).resolve().parents[2] / "nlu_data"
MEDIA_TYPES: Final = {"xml": "text/xml; charset=utf-8", "json": "application/json; charset=utf-8"}

ROW_LIMIT: Final = 1000
LONGEST_SPAN: Final = timedelta(days=90)
"""The specification's limits of one answer: 90 days or 1,000 requests, whichever is smaller."""
DESCRIPTION_LIMIT: Final = 4000
ANSWER_LIMIT: Final = 500
"""Characters of one attribute's value."""

CHILDREN: Final = {
    "services": "service",
    "service_requests": "request",
    "service_request_updates": "request_update",
    "attributes": "attribute",
    "values": "value",
    "errors": "error",
    "endpoints": "endpoint",
    "formats": "format",
}
"""element that holds a list -> the element of each of its members."""
NOT_IN_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 (2.2) has no place for."""
W3C_TIME: Final = re.compile(r"(?:19|20|21)\d\d-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)?)?")


class Refusals(Exception):
    """Several reasons why a request is not served; each becomes one of the answer's errors."""

    def __init__(self, reasons: Sequence[Refused]) -> None:
        super().__init__(", ".join(reason.code for reason in reasons))
        self.reasons = reasons


@dataclass(frozen=True)
class Attribute:
    """What a service asks for beyond the place and the description: one row of nlu_data/open311.yml."""

    code: str
    datatype: str
    required: bool
    description: dict[str, str]
    hint: dict[str, str]
    values: dict[str, dict[str, str]]


Answered = tuple[Attribute, list[str]]
"""An attribute and what was answered to it."""


@cache
def own_words() -> dict[str, Any]:
    """nlu_data/open311.yml."""
    loaded: dict[str, Any] = yaml.safe_load((DATA / "open311.yml").read_text(encoding="utf-8"))
    return loaded


@cache
def attributes_of(service_code: str) -> tuple[Attribute, ...]:
    """What this service asks for, in the order in which it asks."""
    return tuple(
        Attribute(
            code=row["code"],
            datatype=row["datatype"],
            required=row["required"],
            description=row["description"],
            hint=row.get("hint", {}),
            values=row.get("values", {}),
        )
        for row in own_words()["attributes"].get(service_code, [])
    )


def changeset(services_changed_at: datetime | None) -> str:
    """When the services, or what is asked for each (open311.yml), last changed, UTC, as a text that sorts."""
    asked_changed_at = datetime.fromtimestamp((DATA / "open311.yml").stat().st_mtime, UTC)
    return f"{max(services_changed_at or asked_changed_at, asked_changed_at):%Y-%m-%d %H:%M}"


def render(root: str, content: Any, form: str) -> bytes:
    """`content` (dicts, lists, strings, numbers, booleans, None) under the element `root`, as `xml` or `json`, in UTF-8."""
    if form == "json":
        return json.dumps(content, ensure_ascii=False).encode()
    written: bytes = ET.tostring(element(root, content), encoding="utf-8", xml_declaration=True)
    return written


def element(name: str, content: Any) -> ET.Element:
    """`content` as an element of XML; None is an empty one."""
    made = ET.Element(name)
    if isinstance(content, Mapping):
        made.extend(element(key, value) for key, value in content.items())
    elif isinstance(content, list):
        made.extend(element(CHILDREN[name], member) for member in content)
    elif isinstance(content, bool):
        made.text = "true" if content else "false"
    elif content is not None:
        made.text = NOT_IN_XML.sub("\ufffd", str(content))
    return made


def described(attribute: Attribute, order: int, locale: str) -> dict[str, Any]:
    """An attribute, as a service definition shows it. `values` is there for lists alone: clients take it for a list."""
    shown: dict[str, Any] = {
        "variable": True,
        "code": attribute.code,
        "datatype": attribute.datatype,
        "required": attribute.required,
        "datatype_description": attribute.hint.get(locale),
        "order": order,
        "description": attribute.description[locale],
    }
    if attribute.values:
        shown["values"] = [{"key": key, "name": names[locale]} for key, names in attribute.values.items()]
    return shown


def read_answers(service_code: str, form: Mapping[str, list[str]]) -> tuple[list[Answered], list[Refused]]:
    """What was answered to the service's attributes, and what is wrong with it. `form` is name -> values; an answer stands
    under attribute[code], several under attribute[code][]. Attributes that the service doesn't have are passed over:
    clients add some of their own."""
    answered: list[Answered] = []
    wrong: list[Refused] = []
    for attribute in attributes_of(service_code):
        sent = form.get(f"attribute[{attribute.code}]", []) + form.get(f"attribute[{attribute.code}][]", [])
        values = [value.strip() for value in sent if value.strip()]
        if not values and attribute.required:
            wrong.append(Refused("open311_attribute_missing", 400, attribute=attribute.code))
        elif values and not is_answer(attribute, values):
            wrong.append(Refused("open311_attribute_wrong", 400, attribute=attribute.code, datatype=attribute.datatype))
        elif values:
            answered.append((attribute, values))
    return answered, wrong


def is_answer(attribute: Attribute, values: list[str]) -> bool:
    """Whether these values are of the attribute's datatype."""
    if attribute.datatype == "multivaluelist":
        return all(value in attribute.values for value in values)
    if len(values) > 1 or len(values[0]) > ANSWER_LIMIT:
        return False
    match attribute.datatype:
        case "singlevaluelist":
            return values[0] in attribute.values
        case "number":
            return re.fullmatch(r"[+-]?\d{1,15}(?:\.\d{1,15})?", values[0], re.ASCII) is not None
        case "datetime":
            return read_time(values[0]) is not None
        case "string":
            return len(values[0].splitlines()) == 1
    return True


def answer_words(attribute: Attribute, values: list[str]) -> str:
    """An answer as the agency reads it, such as 噪声来源：建筑施工."""
    words = [attribute.values[value]["zh"] if attribute.values else value for value in values]
    return f"{attribute.description['zh']}：{'、'.join(words)}"


def read_point(latitude: str, longitude: str) -> tuple[float, float] | None:
    """A place on the earth (WGS 84) from two arguments; None when they are none."""
    if not all(re.fullmatch(r"[+-]?\d{1,3}(?:\.\d{1,20})?", text, re.ASCII) for text in (latitude, longitude)):
        return None
    point = float(latitude), float(longitude)
    return point if abs(point[0]) <= 90 and abs(point[1]) <= 180 else None


def read_time(text: str) -> datetime | None:
    """A time in W3C's form (https://www.w3.org/TR/NOTE-datetime); None for anything else. Without a zone it is China's."""
    text = re.sub(r" (?=\d\d:\d\d$)", "+", text)  # a client that forgot to escape the plus of its zone
    if not W3C_TIME.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=CHINA)).astimezone(UTC)
    except ValueError:
        return None


def read_period(start: str, end: str, now: datetime) -> tuple[datetime, datetime]:
    """The first and the last moment that are asked for: 90 days up to now where nothing is said, or 90 days from the start,
    or up to the end. Raises Refused (400) for what is no time, and for a longer period."""
    read = {name: read_time(text) for name, text in (("start_date", start), ("end_date", end)) if text}
    for name, moment in read.items():
        if moment is None:
            raise Refused("open311_time", 400, name=name)
    first, last = read.get("start_date"), read.get("end_date")
    if first is None:
        last = last or now
        first = last - LONGEST_SPAN
    last = last or first + LONGEST_SPAN
    if last - first > LONGEST_SPAN:
        raise Refused("open311_span", 400, days=LONGEST_SPAN.days)
    return first, last


def read_page(page: str, page_size: str) -> tuple[int, int]:
    """How many requests to pass over and how many to give. These two arguments are an extension of the specification that
    most servers know (https://wiki.open311.org/GeoReport_v2/Extensions/). Raises Refused (400) for what is no number."""
    for name, text in (("page", page), ("page_size", page_size)):
        if text and not re.fullmatch(r"[1-9]\d{0,5}", text, re.ASCII):
            raise Refused("open311_number", 400, name=name)
    size = min(int(page_size or ROW_LIMIT), ROW_LIMIT)
    return (int(page or 1) - 1) * size, size


def listed(values: list[str]) -> list[str]:
    """The members of an argument that may be given several times, and with commas."""
    return [one.strip() for value in values for one in value.split(",") if one.strip()]


def show_time(moment: datetime) -> str:
    """A moment in W3C's form, by China's clock: 2026-11-23T12:00:00+08:00."""
    return local(moment).isoformat(timespec="seconds")
