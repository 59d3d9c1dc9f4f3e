"""What others ask of the knowledge: search with a verdict, an article, publishing, gaps."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend.clock import local
from backend.knowledge.models import Article, Gap, KnowledgeVersion
from backend.knowledge.rules import Verdict, is_current, verdict
from backend.knowledge.search import CurrentIndex, Entry, Index


@dataclass(frozen=True)
class Found:
    """What a search came to: the verdict, the articles with their similarity (best first), and the probability that the
    first one is right."""

    verdict: Verdict
    articles: list[tuple[Article, float]]
    first_is_right: float


@dataclass(frozen=True)
class Loaded:
    """The published articles of one version, and their index."""

    articles: dict[str, Article]
    index: Index | None


class Knowledge:
    """The published knowledge of this process; holds nothing that the database doesn't."""

    def __init__(self) -> None:
        self._current = CurrentIndex()

    def search(self, session: Session, question: str, now: datetime, limit: int = 10) -> Found:
        """Find what `question` is about among what is published and valid today."""
        loaded = self._loaded(session)
        today = local(now).date()
        allowed = {article.id for article in loaded.articles.values() if is_current(article, today)}
        if loaded.index is None or not allowed:
            return Found("unknown", [], 0.0)
        ranking = loaded.index.rank(question, allowed, limit)
        return Found(
            verdict(ranking.first_is_right, ranking.among_the_first) if ranking.matches else "unknown",
            [(loaded.articles[match.article_id], match.score) for match in ranking.matches],
            ranking.first_is_right,
        )

    def article(self, session: Session, article_id: str, now: datetime) -> Article | None:
        """The article, if it may be given today."""
        article = self._loaded(session).articles.get(article_id)
        return article if article and is_current(article, local(now).date()) else None

    def _loaded(self, session: Session) -> Loaded:
        number = session.scalar(select(KnowledgeVersion.number)) or 0
        loaded: Loaded = self._current.at(number, lambda: load_published(session))
        return loaded


def load_published(session: Session) -> Loaded:
    """Read all published articles and index the ways they are asked for."""
    articles = list(session.scalars(select(Article).where(Article.state == "published").order_by(Article.id)))
    for article in articles:
        session.expunge(article)
    entries = [
        Entry(
            article_id=one.id,
            asked=[one.question, one.question_en, *one.variants],
            told=[f"{one.answer}{one.next_step}{one.speech}", one.answer_en],
        )
        for one in articles
    ]
    return Loaded({one.id: one for one in articles}, Index(entries) if entries else None)


def changed(session: Session) -> None:
    """Say that the knowledge has changed: every process sees it at its next question."""
    grown = session.execute(update(KnowledgeVersion).values(number=KnowledgeVersion.number + 1))
    if grown.rowcount == 0:  # type: ignore[attr-defined]  # an UPDATE's result has it
        session.add(KnowledgeVersion(id=1, number=1))


def change(session: Session, article_id: str, alter: Callable[[Article], None], now: datetime) -> Article:
    """Alter an article and let every process know. Raises KeyError when there is no such article."""
    article = session.get_one(Article, article_id)
    alter(article)
    article.changed_at = now
    changed(session)
    return article


def log_gap(
    session: Session, conversation_id: str, question: str, reason: str, now: datetime, article_id: str | None = None
) -> None:
    """Keep a question that got no answer (`unknown`) or whose answer didn't help (`unsolved`) for the editors."""
    session.add(
        Gap(conversation_id=conversation_id, question=question, reason=reason, article_id=article_id, asked_at=now)
    )
