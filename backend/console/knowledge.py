"""The editors' desk: the list of articles, what waits for review, and the form in which an article is written."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import ColumnElement, Text, cast, func, or_, select
from sqlalchemy.orm import Session, aliased

from backend.city import city
from backend.clock import local
from backend.console.cases import by_district
from backend.console.forms import field
from backend.console.log_in import allowed, me
from backend.console.people import staff_names
from backend.console.versions import differences, names_of_codes, sentences, sound
from backend.conversations.outcomes import Outcomes, outcomes
from backend.directory.models import Category, Staff
from backend.directory.service import agencies
from backend.errors import Refused
from backend.knowledge import editing
from backend.knowledge.content import SOURCE_FIELDS, Content, content_of, problems, tidy
from backend.knowledge.editing import ContentRefused, Overtaken
from backend.knowledge.lifecycle import OPEN_STATES, possible_acts
from backend.knowledge.models import Article, ArticleVersion
from backend.locale import current_locale
from backend.parts import parts

FILTERS: Final = ("q", "state", "category", "agency", "region", "validity", "author", "sort")
PAGE: Final = 100
SOON: Final = timedelta(days=30)
LATELY: Final = timedelta(days=90)
"""How far back the list counts what came of an article's answers."""
"""An article that ends within this time is listed as ending soon."""
SPARE_SOURCES: Final = 2
"""Empty rows for sources below those that there are; a script adds more."""
SORTS: Final = {
    "newest": Article.changed_at.desc(),
    "oldest": Article.changed_at,
    "question": Article.question,
    "ends": Article.valid_until,
}
BULK_ACTS: Final = {
    "submit": ("submit",),
    "approve": ("approve",),
    "publish": ("publish",),
    "pass": ("approve", "publish"),
}
"""button of a list -> what it does to each article that is chosen."""

NEWEST = aliased(ArticleVersion)


@dataclass(frozen=True)
class Line:
    """One article of the list, with its newest version, whether it was found by its meaning alone, and what came of its
    answers lately."""

    article: Article
    newest: ArticleVersion
    by_meaning: bool
    outcomes: Outcomes | None


@allowed("knowledge")
def list_articles() -> ResponseReturnValue:
    """The articles that the search and the filters of the address leave over, a page at a time."""
    with parts().database.read() as session:
        wanted = wanted_of_address()
        ids, near = find(session, wanted)
        pages = max(1, -(-len(ids) // PAGE))
        number = min(max(1, request.args.get("page", default=1, type=int)), pages)
        return render_template(
            "console/knowledge/list.html",
            lines=lines(session, ids[(number - 1) * PAGE : number * PAGE], near),
            count=len(ids),
            page=number,
            pages=pages,
            wanted=wanted,
            today=local(parts().clock()).date(),
            soon=SOON,
            **choices(session),
            editors=authors(session),
            staff_names=staff_names(session, session.scalars(select(Staff.id))),
            now=parts().clock(),
        )


def wanted_of_address() -> dict[str, str]:
    """The search, filters and order that the address asks for; empty for what it doesn't name."""
    return {name: request.args.get(name, "").replace("\x00", "").strip()[:100] for name in FILTERS}


def find(session: Session, wanted: dict[str, str]) -> tuple[list[str], set[str]]:
    """The ids of the articles wanted, in order, and those of them found by meaning alone: they come after the others.
    Unless another order is asked for, what search finds best comes first, and without words what was changed last."""
    newest = select(func.max(ArticleVersion.number)).where(ArticleVersion.article_id == Article.id).scalar_subquery()
    query = select(Article.id).join(NEWEST, (NEWEST.article_id == Article.id) & (NEWEST.number == newest))
    query = query.where(*conditions(wanted, local(parts().clock()).date()))
    asked_for = SORTS.get(wanted["sort"])
    order = SORTS["newest"] if asked_for is None else asked_for
    if not wanted["q"]:
        return list(session.scalars(query.order_by(order, Article.id))), set()
    words = list(session.scalars(query.where(has_words(wanted["q"])).order_by(order, Article.id)))
    found = parts().knowledge.search(session, wanted["q"], parts().clock())
    best = [one.id for one, _ in found.articles]
    near = [article_id for article_id in best if article_id not in words]
    if asked_for is None:
        words.sort(key=lambda article_id: best.index(article_id) if article_id in best else len(best))
    kept = set(session.scalars(query.where(Article.id.in_(near))))
    return words + [article_id for article_id in near if article_id in kept], kept


def conditions(wanted: dict[str, str], today: date) -> list[ColumnElement[bool]]:
    """What the filters ask for."""
    found: list[ColumnElement[bool]] = []
    if wanted["state"] in OPEN_STATES:
        found.append(NEWEST.state == wanted["state"])
    elif wanted["state"]:
        found.append(Article.state == wanted["state"])
    for name, column in (
        ("category", Article.category_code),
        ("agency", Article.agency_code),
        ("region", Article.region),
    ):
        if wanted[name]:
            found.append(column == wanted[name])
    if wanted["author"].isdecimal() and wanted["author"].isascii():
        found.append(NEWEST.author_id == int(wanted["author"][:9]))
    if wanted["validity"] == "expired":
        found.append(Article.valid_until < today)
    if wanted["validity"] == "soon":
        found.append(Article.valid_until.between(today, today + SOON))
    if wanted["validity"] == "later":
        found.append(Article.valid_from > today)
    return found


def has_words(words: str) -> ColumnElement[bool]:
    """Whether an article has these characters in it. JSON keeps what isn't ASCII escaped, on both databases."""
    escaped = json.dumps(words)[1:-1]
    texts = (Article.id, Article.question, Article.question_en, Article.answer, Article.next_step, Article.answer_en)
    return or_(
        *(text.icontains(words, autoescape=True) for text in texts),
        cast(Article.variants, Text).icontains(escaped, autoescape=True),
    )


def lines(session: Session, ids: list[str], near: set[str]) -> list[Line]:
    """The lines of the list for these articles, in their order."""
    articles = {one.id: one for one in session.scalars(select(Article).where(Article.id.in_(ids)))}
    last = (
        select(func.max(ArticleVersion.id))
        .where(ArticleVersion.article_id.in_(ids))
        .group_by(ArticleVersion.article_id)
    )
    newest = {one.article_id: one for one in session.scalars(select(ArticleVersion).where(ArticleVersion.id.in_(last)))}
    now = parts().clock()
    came_of = {one.article_id: one for one in outcomes(session, now - LATELY, now)}
    return [Line(articles[one], newest[one], one in near, came_of.get(one)) for one in ids]


def authors(session: Session) -> list[tuple[int, str]]:
    """Who has written an article: id and name."""
    return sorted(staff_names(session, session.scalars(select(ArticleVersion.author_id).distinct())).items())


def choices(session: Session) -> dict[str, Any]:
    """What an article's codes can be chosen from."""
    every_category = list(session.scalars(select(Category).order_by(Category.code)))
    names = {one.code: one for one in every_category}
    groups: dict[str, list[Category]] = {}
    for category in every_category:
        if category.parent_code:
            groups.setdefault(category.parent_code, []).append(category)
    return {
        "agency_groups": by_district(agencies(session)),
        "category_groups": [(names[code], group) for code, group in groups.items()],
        "names": names_of_codes(session),
        "regions": [(name, shown if current_locale() == "en" else name) for name, shown in city()["districts"].items()],
    }


@allowed("knowledge")
def show_review() -> ResponseReturnValue:
    """What waits for this editor: drafts of others to review, what is reviewed and can go out, and what came back."""
    with parts().database.read() as session:
        return review_page(session)


def review_page(session: Session, done: int | None = None, refused: Iterable[tuple[str, str]] = ()) -> str:
    """The page, after acts on many with how many were done, and with the question and sentence of each refusal."""
    waiting = select(ArticleVersion).where(ArticleVersion.state.in_(("submitted", "reviewed", "returned")))
    versions = list(session.scalars(waiting.order_by(ArticleVersion.made_at, ArticleVersion.id)))
    return render_template(
        "console/knowledge/review.html",
        to_review=[one for one in versions if one.state == "submitted" and one.author_id != me().id],
        to_publish=[one for one in versions if one.state == "reviewed"],
        returned=[one for one in versions if one.state == "returned" and one.author_id == me().id],
        own=[one for one in versions if one.state == "submitted" and one.author_id == me().id],
        staff_names=staff_names(session, (one.author_id for one in versions)),
        done=done,
        refused=list(refused),
        now=parts().clock(),
        here=url_for("console.review"),
    )


@allowed("knowledge")
def act_on_many() -> ResponseReturnValue:
    """Do the same to all versions that are chosen in a list; what is refused is told, the others are done."""
    acts = BULK_ACTS.get(field("act"))
    if acts is None:
        raise Refused("bad_request", 400)
    done, refused = 0, []
    with parts().database.write() as session:
        actor = session.get_one(Staff, me().id)
        for chosen in request.form.getlist("version"):
            article_id, _, number = chosen.rpartition(":")
            if not (number.isascii() and number.isdigit()):
                raise Refused("bad_request", 400)
            try:
                for act in acts:
                    editing.act_on(session, article_id, int(number[:6]), act, actor, parts().clock())
                done += 1
            except Refused as refusal:
                article = session.get(Article, article_id)
                refused.append((article.question if article else article_id, refusal.sentence(current_locale())))
    with parts().database.read() as session:
        return review_page(session, done, refused), 422 if refused else 200


@allowed("knowledge")
def create_article() -> ResponseReturnValue:
    """A new article: the empty form, and its first draft."""
    if request.method == "GET":
        return form_page(Content())
    content = content_of_form()
    try:
        with parts().database.write() as session:
            author = session.get_one(Staff, me().id)
            made = editing.create(session, content, author, parts().clock(), field("note"))
    except ContentRefused as refused:
        return form_page(content, refused)
    return submit_if_asked(made)


@allowed("knowledge")
def edit_article(article_id: str) -> ResponseReturnValue:
    """The form of an article in its newest version, and keeping what was written there."""
    if request.method == "GET":
        with parts().database.read() as session:
            newest = newest_version(session, article_id)
        return form_page(content_of(newest.content), newest=newest)
    content = content_of_form()
    try:
        with parts().database.write() as session:
            author = session.get_one(Staff, me().id)
            kept = editing.save(session, article_id, content, author, parts().clock(), field("seen"), field("note"))
    except (ContentRefused, Overtaken) as refused:
        with parts().database.read() as session:
            return form_page(content, refused, newest_version(session, article_id))
    return submit_if_asked(kept)


def submit_if_asked(kept: ArticleVersion) -> ResponseReturnValue:
    """After saving: hand the draft to a reviewer if that button was pressed. What is missing is told at the form."""
    if field("act") == "submit":
        try:
            with parts().database.write() as session:
                actor = session.get_one(Staff, me().id)
                editing.act_on(session, kept.article_id, kept.number, "submit", actor, parts().clock())
        except ContentRefused as refused:
            return form_page(content_of(kept.content), refused, kept)
    return redirect(url_for("console.article", article_id=kept.article_id))


def form_page(
    content: Content, refused: Refused | None = None, newest: ArticleVersion | None = None
) -> ResponseReturnValue:
    """The form with this content in it, after a refusal with what is wrong at each field; nothing typed is lost."""
    with parts().database.read() as session:
        article = session.get(Article, newest.article_id) if newest else None
        versions = list(reversed(article.versions)) if article else []
        known = editing.known(session, newest.article_id if newest else None)
        found = refused.problems if isinstance(refused, ContentRefused) else problems(tidy(content), known)
        shown = found if refused or newest else []
        html = render_template(
            "console/knowledge/form.html",
            content=content,
            rows=[*content.sources, *({name: "" for name in SOURCE_FIELDS} for _ in range(SPARE_SOURCES))],
            article=article,
            newest=newest,
            versions=versions,
            seen=editing.stamp(newest) if newest else "",
            note=field("note") if request.method == "POST" else "",
            acts=possible_acts(newest.state, newest.author_id == me().id) if newest else [],
            problems=sentences(shown),
            warnings={problem.field for problem in shown} - {one.field for one in shown if one.weight != "warning"},
            overtaken=differences(session, content_of(newest.content), content)
            if newest and isinstance(refused, Overtaken)
            else [],
            staff_names=staff_names(session, session.scalars(select(Staff.id))),
            refusal=refused.sentence(current_locale()) if refused else None,
            **choices(session),
            limit=editing.NOTE_LIMIT,
            now=parts().clock(),
            here=url_for("console.article", article_id=newest.article_id) if newest else url_for("console.new_article"),
        )
    return html, refused.status if refused else 200


@allowed("knowledge")
def preview() -> ResponseReturnValue:
    """How what is in the form would look in the chat and sound on the phone; asked for while it is written."""
    content = content_of_form()
    return render_template("console/knowledge/_preview.html", content=content, **sound(content))


def newest_version(session: Session, article_id: str) -> ArticleVersion:
    """The newest version of an article. Raises Refused (404)."""
    article = session.get(Article, article_id)
    if article is None:
        raise Refused("not_found", 404)
    return article.versions[-1]


def content_of_form() -> Content:
    """What the form says, as it was typed."""
    plain = {name: field(name) for name in Content.__dataclass_fields__ if name not in ("variants", "sources")}
    columns = [request.form.getlist(f"source_{name}") for name in SOURCE_FIELDS]
    sources = [dict(zip(SOURCE_FIELDS, row, strict=True)) for row in zip(*columns, strict=False)]
    whole: dict[str, Any] = plain | {"variants": field("variants").split("\n"), "sources": sources}
    return tidy(Content(**whole))
