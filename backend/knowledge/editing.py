"""The one writer of articles: creating, saving, reviewing, publishing, retiring, restoring. Each verb is one transaction
of its caller's; an article's row always shows the version that stands (lifecycle.standing)."""

import hashlib
import json
import secrets
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.city import city
from backend.directory.models import Agency, Category, Staff
from backend.errors import Refused
from backend.knowledge.content import Content, Known, Problem, columns, comparable, content_of, problems, tidy
from backend.knowledge.lifecycle import OPEN_STATES, Refusal, decide, standing, state_of_article
from backend.knowledge.models import Article, ArticleVersion
from backend.knowledge.service import changed

NOTE_LIMIT = 300


class ContentRefused(Refused):
    """Content that can't be kept, or can't go to a reviewer, with everything that is wrong with it."""

    def __init__(self, found: list[Problem]) -> None:
        super().__init__("content_refused")
        self.problems = found


class Overtaken(Refused):
    """Somebody saved a newer version (`newest`) after the editor had opened the form."""

    def __init__(self, newest: ArticleVersion) -> None:
        super().__init__("article_changed", 409)
        self.newest = newest


def create(
    session: Session, content: Content, author: Staff, now: datetime, note: str = "", article_id: str | None = None
) -> ArticleVersion:
    """A new article whose first version is a draft. Raises ContentRefused when it can't be kept even as a draft."""
    kept = checked(session, content, article_id)
    article = Article(id=article_id or secrets.token_hex(6), changed_at=now, **columns(kept))
    session.add(article)
    session.flush()
    return add_version(session, article, kept, author, now, note)


def save(
    session: Session, article_id: str, content: Content, author: Staff, now: datetime, seen: str, note: str = ""
) -> ArticleVersion:
    """Keep what an editor wrote: in their own draft if that is the newest version, else as a new draft.

    `seen` is the `stamp` of the version that the editor began from. Raises Overtaken when it isn't the newest any more,
    and ContentRefused.
    """
    article = lock(session, article_id)
    newest = article.versions[-1]
    if seen != stamp(newest):
        raise Overtaken(newest)
    kept = checked(session, content, article_id)
    if newest.state != "draft" or newest.author_id != author.id:
        if newest.state in OPEN_STATES:
            newest.state = "replaced"
        return add_version(session, article, kept, author, now, note)
    newest.content, newest.note, newest.made_at = dict(vars(kept)), note[:NOTE_LIMIT], now
    settle(session, article, now)
    return newest


def restore(session: Session, article_id: str, number: int, author: Staff, now: datetime, note: str) -> ArticleVersion:
    """A new draft that says what version `number` said. Raises Refused when there is no such version."""
    newest = lock(session, article_id).versions[-1]
    return save(
        session,
        article_id,
        content_of(get_version(session, article_id, number).content),
        author,
        now,
        stamp(newest),
        note,
    )


def act_on(
    session: Session, article_id: str, number: int, act: str, actor: Staff, now: datetime, note: str = ""
) -> ArticleVersion:
    """Do `act` to a version, if the table allows it. Raises Refused with the reason otherwise."""
    article = lock(session, article_id)
    version = get_version(session, article_id, number)
    target = decide(version.state, act, version.author_id == actor.id, note)
    if isinstance(target, Refusal):
        raise Refused(target.code, target.status)
    if act in ("submit", "publish"):
        require_finished(session, article_id, content_of(version.content))
    if act in ("approve", "send_back"):
        version.reviewer_id, version.reviewed_at, version.remark = actor.id, now, note[:NOTE_LIMIT]
    if act == "publish":
        for other in article.versions:
            if other.state == "published":
                other.state = "replaced"
        version.published_by_id, version.published_at = actor.id, now
    if act == "retire":
        version.retired_by_id, version.retired_at, version.remark = actor.id, now, note[:NOTE_LIMIT]
    version.state = target
    settle(session, article, now)
    return version


def add_version(
    session: Session, article: Article, content: Content, author: Staff | None, now: datetime, note: str = ""
) -> ArticleVersion:
    """Append a draft to an article."""
    number = max((version.number for version in article.versions), default=0) + 1
    version = ArticleVersion(
        article_id=article.id,
        number=number,
        content=dict(vars(content)),
        state="draft",
        note=note[:NOTE_LIMIT],
        author_id=author.id if author else None,
        made_at=now,
    )
    session.add(version)
    settle(session, article, now)
    return version


def settle(session: Session, article: Article, now: datetime) -> None:
    """Let the article's row show the version that stands; tell every process when what citizens get has changed."""
    session.flush()
    session.refresh(article, ["versions"])
    states = {version.number: version.state for version in article.versions}
    version = article.versions[standing(states) - 1]
    state = state_of_article(states.values())
    before = (article.state, article.version)
    for name, value in columns(content_of(version.content)).items():
        setattr(article, name, value)
    article.state, article.version, article.changed_at = state, version.number, now
    if before != (state, version.number) and "published" in (before[0], state):
        changed(session)
    session.flush()


def lock(session: Session, article_id: str) -> Article:
    """The article, held until the transaction ends, so that of two editors the second sees what the first did."""
    article = session.get(Article, article_id, with_for_update=True, populate_existing=True)
    if article is None:
        raise Refused("not_found", 404)
    session.refresh(article, ["versions"])
    return article


def get_version(session: Session, article_id: str, number: int) -> ArticleVersion:
    """The version of the article with this number. Raises Refused (404)."""
    version = session.scalar(
        select(ArticleVersion).where(ArticleVersion.article_id == article_id, ArticleVersion.number == number)
    )
    if version is None:
        raise Refused("not_found", 404)
    return version


def stamp(version: ArticleVersion) -> str:
    """A name for exactly what a version says now: its number, and a digest because a draft is saved many times."""
    said = json.dumps(version.content, sort_keys=True)
    return f"{version.number}-{hashlib.sha256(said.encode()).hexdigest()[:16]}"


def checked(session: Session, content: Content, article_id: str | None) -> Content:
    """The content, tidied. Raises ContentRefused when it can't be kept even as a draft."""
    tidied = tidy(content)
    found = problems(tidied, known(session, article_id))
    if any(problem.weight == "refused" for problem in found):
        raise ContentRefused(found)
    return tidied


def require_finished(session: Session, article_id: str, content: Content) -> None:
    """Raises ContentRefused when a citizen can't be told this yet."""
    found = problems(content, known(session, article_id))
    if any(problem.weight != "warning" for problem in found):
        raise ContentRefused(found)


def known(session: Session, article_id: str | None = None) -> Known:
    """What content is checked against, without the article itself and those that are retired."""
    others = select(Article.question, Article.variants).where(
        Article.state != "retired", Article.id != (article_id or "")
    )
    return Known(
        agencies=frozenset(session.scalars(select(Agency.code))),
        categories=frozenset(session.scalars(select(Category.code))),
        regions=frozenset(city()["districts"]),
        asked={comparable(way): question for question, ways in session.execute(others) for way in (question, *ways)},
    )
