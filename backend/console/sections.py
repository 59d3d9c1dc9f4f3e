"""The sections of the console, in the order of the navigation; where somebody begins is the first that they may enter."""

from dataclasses import dataclass
from typing import Final

from flask import request, url_for
from flask_babel import LazyString, lazy_gettext

from backend.cases.rules import HOLDERS
from backend.console import administration
from backend.console.log_in import Person


@dataclass(frozen=True)
class Section:
    """One entry of the navigation: its endpoint, the areas of rights of which one is enough, what it is called, and below
    which paths (after /console) its pages are."""

    endpoint: str
    areas: tuple[str, ...]
    words: LazyString
    paths: tuple[str, ...]


SECTIONS: Final = (
    Section("desk", ("conversations",), lazy_gettext("接听台"), ("/conversations",)),
    Section("inbox", ("inbox",), lazy_gettext("待办"), ("/inbox",)),
    Section("dispatch", ("dispatch",), lazy_gettext("派单"), ("/dispatch",)),
    Section("roots", ("dispatch", "inbox"), lazy_gettext("共性问题"), ("/roots",)),
    Section("cases", ("cases",), lazy_gettext("工单"), ("/cases",)),
    Section("floor", ("supervision",), lazy_gettext("现场"), ("/floor",)),
    Section("supervision", ("supervision",), lazy_gettext("督办"), ("/supervision",)),
    Section("insight", ("insight",), lazy_gettext("数据"), ("/insight", "/wall")),
    Section("assessment", ("inbox", "appeals", "insight"), lazy_gettext("考核"), ("/assessment",)),
    Section("articles", ("knowledge",), lazy_gettext("知识"), ("/knowledge", "/documents")),
    Section(
        "administration",
        administration.AREAS,
        lazy_gettext("管理"),
        (
            "/administration",
            "/people",
            "/agencies",
            "/categories",
            "/line",
            "/deadlines",
            "/integrations",
            "/audit",
            "/erasure",
            "/supervision/identity",
        ),
    ),
)


def sections_of(person: Person) -> list[Section]:
    """What this person may open."""
    return [section for section in SECTIONS if any(map(person.may_enter, section.areas))]


def current_section() -> str:
    """The endpoint of the section that the page asked for is in: the one with the longest path that fits."""
    path = request.path.removeprefix("/console")
    fitting = [(len(below), one.endpoint) for one in SECTIONS for below in one.paths if path.startswith(below)]
    return max(fitting, default=(0, "desk"))[1]


def first_page(person: Person) -> str:
    """The address at which this person's work begins; at the list of cases it is with those whose turn is theirs."""
    endpoint = next((section.endpoint for section in sections_of(person)), "account")
    theirs = next((state for state, role in HOLDERS.items() if role == person.role), None)
    return url_for(f"console.{endpoint}", state=theirs if endpoint == "cases" else None)
