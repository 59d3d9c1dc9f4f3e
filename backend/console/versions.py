"""The versions of an article: what was changed between two of them, reviewing, publishing, restoring."""

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.console.forms import field
from backend.console.log_in import allowed, me
from backend.console.people import staff_names
from backend.directory.models import Agency, Category, Staff
from backend.errors import Refused
from backend.knowledge import editing
from backend.knowledge.content import Content, Problem, content_of, text_problems
from backend.knowledge.editing import ContentRefused
from backend.knowledge.lifecycle import ACTS, possible_acts
from backend.knowledge.models import Article
from backend.knowledge.speech import LONGEST_SECONDS, seconds
from backend.locale import current_locale
from backend.parts import parts

Piece = tuple[Literal["same", "deleted", "inserted"], str]

WORD = re.compile(r"[A-Za-z0-9]+|\s+|.", re.DOTALL)
"""What a difference is told by: a Latin word or number, or one Chinese character."""


@allowed("knowledge")
def show_version(article_id: str, number: int) -> ResponseReturnValue:
    """One version: what it says, what it changes, and what this person may do to it."""
    return page(article_id, number)


@allowed("knowledge")
def do_act(article_id: str, number: int, act: str) -> ResponseReturnValue:
    """Submit, approve, send back, publish or retire a version; a refusal is told on the page."""
    if act not in ACTS:
        raise Refused("not_found", 404)
    try:
        with parts().database.write() as session:
            actor = session.get_one(Staff, me().id)
            editing.act_on(session, article_id, number, act, actor, parts().clock(), field("note"))
    except Refused as refused:
        return page(article_id, number, refused)
    return redirect(url_for("console.version", article_id=article_id, number=number))


@allowed("knowledge")
def restore(article_id: str, number: int) -> ResponseReturnValue:
    """Make a new draft that says what this version said."""
    note = gettext("恢复版本 %(number)s", number=number)
    try:
        with parts().database.write() as session:
            author = session.get_one(Staff, me().id)
            editing.restore(session, article_id, number, author, parts().clock(), note)
    except ContentRefused as refused:
        return page(article_id, number, refused)
    return redirect(url_for("console.article", article_id=article_id))


def page(article_id: str, number: int, refused: Refused | None = None) -> ResponseReturnValue:
    """The page of a version, compared with `?against=`, by default with what citizens get now, or the one before; the first
    is compared with nothing."""
    with parts().database.read() as session:
        article = session.get(Article, article_id)
        if article is None:
            raise Refused("not_found", 404)
        version = editing.get_version(session, article_id, number)
        before = article.version if article.state == "published" and article.version < number else number - 1
        against = request.args.get("against", default=before, type=int)
        other = editing.get_version(session, article_id, against) if against else None
        content = content_of(version.content)
        html = render_template(
            "console/knowledge/version.html",
            article=article,
            version=version,
            versions=list(reversed(article.versions)),
            content=content,
            **sound(content),
            against=against,
            changes=differences(session, content_of(other.content), content) if other else None,
            acts=possible_acts(version.state, version.author_id == me().id),
            typed=field("note"),
            names=names_of_codes(session),
            staff_names=staff_names(session, session.scalars(select(Staff.id))),
            refusal=refused.sentence(current_locale()) if refused else None,
            limit=editing.NOTE_LIMIT,
            now=parts().clock(),
            here=url_for("console.version", article_id=article_id, number=number),
        )
    return html, refused.status if refused else 200


def differences(session: Session, before: Content, after: Content) -> list[tuple[str, list[Piece]]]:
    """The fields that differ between two contents, each with its pieces in order."""
    names = names_of_codes(session)
    pairs = ((name, as_text(before, name, names), as_text(after, name, names)) for name in vars(after))
    return [(name, list(pieces(old, new))) for name, old, new in pairs if old != new]


def as_text(content: Content, name: str, names: dict[str, str]) -> str:
    """A field as people read it."""
    value = getattr(content, name)
    if name == "sources":
        return "\n".join(" · ".join(filter(None, source.values())) for source in value)
    if name == "variants":
        return "\n".join(value)
    return names.get(value, value) if name in ("agency_code", "category_code") else str(value)


def pieces(old: str, new: str) -> Iterator[Piece]:
    """What stayed, went and came between two texts."""
    before, after = WORD.findall(old), WORD.findall(new)
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            yield "same", "".join(before[i1:i2])
            continue
        if i2 > i1:
            yield "deleted", "".join(before[i1:i2])
        if j2 > j1:
            yield "inserted", "".join(after[j1:j2])


def names_of_codes(session: Session) -> dict[str, str]:
    """What agencies and categories are called."""
    english = current_locale() == "en"
    categories = session.scalars(select(Category))
    names = {one.code: one.name_en if english and one.name_en else one.name for one in categories}
    return names | {code: name for code, name in session.execute(select(Agency.code, Agency.name))}


def sound(content: Content) -> dict[str, Any]:
    """How long the phone speaks, and why a voice can't say it, if it can't."""
    unspeakable = [problem for problem in text_problems(content) if problem.code.startswith("speech_")]
    return {
        "seconds": round(seconds(content.speech)),
        "longest": round(LONGEST_SECONDS),
        "unspeakable": sentences(unspeakable).get("speech", []),
    }


def sentences(found: Iterable[Problem]) -> dict[str, list[str]]:
    """What is told about each field."""
    told: dict[str, list[str]] = {}
    for problem in found:
        sentence = Refused(problem.code, **problem.facts).sentence(current_locale())
        told.setdefault(problem.field, []).append(sentence)
    return told
