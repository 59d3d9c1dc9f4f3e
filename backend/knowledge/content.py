"""What an article says: its fields, how they are tidied, and what is wrong with them. Pure."""

import dataclasses
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from backend.knowledge import speech

QUESTION_LIMIT = 300
TEXT_LIMIT = 4000
VARIANTS_LIMIT = 100
"""Ways of asking in one article; with QUESTION_LIMIT it keeps them within one cell of a spreadsheet (32,767 characters)."""
SOURCE_FIELDS = ("title", "issuer", "number", "url")
SOURCES_LIMIT = 20

ONE_LINE = ("question", "question_en", "agency_code", "category_code", "region", "valid_from", "valid_until")
TEXTS = ("answer", "next_step", "speech", "answer_en")

NOT_XML = re.compile("[^\t\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that a spreadsheet can't hold (https://www.w3.org/TR/xml/#charsets), and controls that nobody means."""


@dataclass(frozen=True)
class Content:
    """What one version of an article says. Dates are ISO text, empty for none, so that a mistyped one can be shown again.

    The names are those of the columns of `Article`.
    """

    question: str = ""
    question_en: str = ""
    variants: list[str] = dataclasses.field(default_factory=list)
    answer: str = ""
    next_step: str = ""
    speech: str = ""
    answer_en: str = ""
    agency_code: str = ""
    category_code: str = ""
    region: str = ""
    valid_from: str = ""
    valid_until: str = ""
    sources: list[dict[str, str]] = dataclasses.field(default_factory=list)


@dataclass(frozen=True)
class Known:
    """What content is checked against: the codes that exist, and how other articles are asked for (`comparable` way of
    asking -> that article's question)."""

    agencies: frozenset[str]
    categories: frozenset[str]
    regions: frozenset[str]
    asked: Mapping[str, str]


Weight = Literal["refused", "unfinished", "warning"]


@dataclass(frozen=True)
class Problem:
    """Something wrong with a field: `code` is a key of errors.yml and `facts` fill its sentence.

    `refused` content can't be kept at all, `unfinished` content is kept as a draft but goes to no reviewer, and a
    `warning` only wants to be looked at.
    """

    field: str
    code: str
    weight: Weight = "unfinished"
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def content_of(kept: Mapping[str, Any]) -> Content:
    """The content that a version keeps as JSON, or that stands in an article's columns; unknown names are passed over."""
    plain: dict[str, Any] = {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in kept.items()
        if name in Content.__dataclass_fields__ and value is not None
    }
    return tidy(Content(**plain))


def columns(content: Content) -> dict[str, Any]:
    """The content as columns of `Article`. Raises ValueError for a date that can't be read."""
    dates = {name: as_date(getattr(content, name)) for name in ("valid_from", "valid_until")}
    return vars(content) | dates


def as_date(text: str) -> date | None:
    """The date of ISO text, None for none. Raises ValueError for anything else."""
    return date.fromisoformat(text) if text else None


def tidy(content: Content) -> Content:
    """The content without stray blanks, empty rows, and characters that not every file format can carry."""
    tidied: dict[str, Any] = {name: one_line(getattr(content, name)) for name in ONE_LINE}
    tidied |= {name: whole_text(getattr(content, name)) for name in TEXTS}
    tidied["variants"] = list(dict.fromkeys(filter(None, map(one_line, content.variants))))
    sources = [{name: one_line(source.get(name, "")) for name in SOURCE_FIELDS} for source in content.sources]
    tidied["sources"] = [source for source in sources if any(source.values())]
    return Content(**tidied)


def whole_text(text: str) -> str:
    """A text of several lines, tidied."""
    return NOT_XML.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def one_line(text: str) -> str:
    """A text of one line, tidied."""
    return " ".join(whole_text(text).split())


def comparable(question: str) -> str:
    """A way of asking without width, case and punctuation, to find the same one elsewhere."""
    return re.sub(r"\W", "", unicodedata.normalize("NFKC", question).lower())


def problems(content: Content, known: Known) -> list[Problem]:
    """Everything that is wrong with tidy content, in the order of the form."""
    return [
        *question_problems(content, known),
        *text_problems(content),
        *place_problems(content, known),
        *date_problems(content),
        *source_problems(content),
    ]


def question_problems(content: Content, known: Known) -> Iterator[Problem]:
    """The question, and the other ways to ask it."""
    if not content.question:
        yield Problem("question", "field_empty", "refused")
    for name in ("question", "question_en"):
        yield from too_long(name, getattr(content, name), QUESTION_LIMIT)
    if not content.variants:
        yield Problem("variants", "variants_missing")
    if len(content.variants) > VARIANTS_LIMIT:
        yield Problem("variants", "too_many_rows", "refused", {"limit": VARIANTS_LIMIT})
    for variant in content.variants:
        yield from too_long("variants", variant, QUESTION_LIMIT)
    for name, ways in (("question", [content.question]), ("variants", content.variants)):
        for way in ways:
            other = known.asked.get(comparable(way))
            if other and way:
                yield Problem(name, "asked_elsewhere", "warning", {"way": way, "other": other})


def text_problems(content: Content) -> Iterator[Problem]:
    """What is told to the citizen."""
    for name in ("answer", "speech"):
        if not getattr(content, name):
            yield Problem(name, "field_empty")
    for name in TEXTS:
        yield from too_long(name, getattr(content, name), TEXT_LIMIT)
    for unspeakable in speech.problems(content.speech):
        yield Problem("speech", f"speech_{unspeakable}", facts={"seconds": round(speech.LONGEST_SECONDS)})


def place_problems(content: Content, known: Known) -> Iterator[Problem]:
    """Whose matter it is, what kind of matter, and where it holds."""
    for name, codes in (("agency_code", known.agencies), ("category_code", known.categories)):
        code = getattr(content, name)
        if not code:
            yield Problem(name, "field_empty", "refused")
        elif code not in codes:
            yield Problem(name, "code_unknown", "refused", {"value": code})
    if content.region and content.region not in known.regions:
        yield Problem("region", "code_unknown", "refused", {"value": content.region})


def date_problems(content: Content) -> Iterator[Problem]:
    """From when until when it holds."""
    dates = []
    for name in ("valid_from", "valid_until"):
        try:
            dates.append(as_date(getattr(content, name)))
        except ValueError:
            yield Problem(name, "date_unreadable", "refused", {"value": getattr(content, name)})
    if len(dates) == 2 and dates[0] and dates[1] and dates[1] < dates[0]:
        yield Problem("valid_until", "dates_reversed")


def source_problems(content: Content) -> Iterator[Problem]:
    """What the answer rests on."""
    if not content.sources:
        yield Problem("sources", "sources_missing")
    if len(content.sources) > SOURCES_LIMIT:
        yield Problem("sources", "too_many_rows", "refused", {"limit": SOURCES_LIMIT})
    for source in content.sources:
        if not source["title"]:
            yield Problem("sources", "source_without_title")
        if source["url"] and not source["url"].startswith(("https://", "http://")):
            yield Problem("sources", "source_address", facts={"value": source["url"]})
        for name in SOURCE_FIELDS:
            yield from too_long("sources", source[name], QUESTION_LIMIT)


def too_long(name: str, text: str, limit: int) -> Iterator[Problem]:
    """A problem if `text` is longer than `limit` characters."""
    if len(text) > limit:
        yield Problem(name, "field_too_long", "refused", {"limit": limit, "length": len(text)})
