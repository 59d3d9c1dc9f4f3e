"""What others ask of the knowledge: search with a verdict, an article, publishing, gaps."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend.clock import local
from backend.database import Database
from backend.knowledge.embedding import Embedder, EmbeddingFailed, Floats, Kind, digest, read_vectors, vectors
from backend.knowledge.models import Article, Document, Gap, KnowledgeVersion, Passage
from backend.knowledge.rules import Verdict, follows_up, is_current, verdict
from backend.knowledge.search import STRANGERS, CurrentIndex, Entry, Index, Vectors, flatten
from backend.knowledge.speech import short_speech
from backend.knowledge.text import normalise

REMEMBERED_QUESTIONS = 2000
"""Questions whose vectors a process keeps: the same ones come again and again, and each costs 6 to 9 ms."""
REMEMBERED_DAYS = 64
"""Days and regions for which a process keeps what may be given."""
MAKE_AT_ONCE = 48
"""Missing vectors that a question may wait for: a newly published article's, well under a second."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """What a search came to: the verdict, the articles or passages with their similarity (best first), and the
    probability that the first one is right."""

    verdict: Verdict
    articles: list[tuple["Answerable", float]]
    first_is_right: float


@dataclass(frozen=True)
class SpokenPassage:
    """A passage of a document with the attributes of an article, so that whoever gives answers treats both alike."""

    id: str
    question: str
    answer: str
    region: str
    sources: list[dict[str, Any]]
    valid_from: date | None
    valid_until: date | None
    state: str = "published"
    question_en: str = ""
    variants: tuple[str, ...] = ()
    next_step: str = ""
    answer_en: str = ""
    agency_code: str = ""
    category_code: str = ""

    @property
    def speech(self) -> str:
        """What the telephone says: its first sentences."""
        return short_speech(self.answer)


Answerable = Article | SpokenPassage


@dataclass(frozen=True)
class Loaded:
    """What is published in one version of the knowledge, its index, and the day and place that were asked for last."""

    answerables: list[Answerable]
    place_of: dict[str, int]
    index: Index | None
    allowed_on: dict[tuple[date, str], NDArray[np.bool_]] = field(default_factory=dict)

    def allowed(self, today: date, region: str) -> NDArray[np.bool_]:
        """Which may be given today to somebody in `region` (empty: not known)."""
        if (today, region) not in self.allowed_on:
            if len(self.allowed_on) >= REMEMBERED_DAYS:
                self.allowed_on.clear()
            self.allowed_on[today, region] = np.array(
                [is_current(one, today) and (not region or one.region in ("", region)) for one in self.answerables]
            )
        return self.allowed_on[today, region]


class Knowledge:
    """The published knowledge of this process; holds nothing that the database doesn't."""

    def __init__(self, database: Database | None = None, embedder: Embedder | None = None) -> None:
        """`database` and `embedder` are for searching by meaning as well; without them words alone do."""
        self._current = CurrentIndex()
        self._meaning = Meaning(database, embedder) if database and embedder else None

    def search(
        self,
        session: Session,
        question: str,
        now: datetime,
        limit: int = 10,
        about: str | None = None,
        region: str = "",
    ) -> Found:
        """Find what `question` is about among what is published and valid today. `about` is the id of what the last answer
        was about: a question with no matter of its own ("那需要什么材料") is about that. `region` is a district's name:
        what holds in another district only isn't found."""
        loaded = self._loaded(session)
        allowed = loaded.allowed(local(now).date(), region)
        if loaded.index is None or not allowed.any():
            return Found("unknown", [], 0.0)
        place = loaded.place_of.get(about or "")
        if place is not None and allowed[place] and follows_up(normalise(question)):
            return Found("answer", [(loaded.answerables[place], 1.0)], 1.0)
        ranking = loaded.index.rank(question, allowed, limit)
        return Found(
            verdict(ranking.first_is_right, ranking.among_the_first) if ranking.matches else "unknown",
            [(loaded.answerables[loaded.place_of[match.article_id]], match.score) for match in ranking.matches],
            ranking.first_is_right,
        )

    def article(self, session: Session, article_id: str, now: datetime) -> Answerable | None:
        """The article or passage, if it may be given today."""
        loaded = self._loaded(session)
        place = loaded.place_of.get(article_id)
        if place is None or not is_current(loaded.answerables[place], local(now).date()):
            return None
        return loaded.answerables[place]

    def _loaded(self, session: Session) -> Loaded:
        number = session.scalar(select(KnowledgeVersion.number)) or 0
        loaded: Loaded = self._current.at(number, lambda last: self._load(session, last))
        return loaded

    def _load(self, session: Session, last: Loaded | None) -> Loaded:
        answerables = published(session)
        entries = [entry(one) for one in answerables]
        vectors = self._meaning.of(entries, self._current.forget) if self._meaning else None
        return Loaded(
            answerables,
            {one.id: place for place, one in enumerate(answerables)},
            Index(entries, vectors, last.index if last else None) if entries else None,
        )


class Meaning:
    """The vectors of this process: read from the database once, and the latest questions'."""

    def __init__(self, database: Database, embedder: Embedder) -> None:
        self._database, self._embedder = database, embedder
        self._rows: dict[str, Floats] = {}
        self._question = lru_cache(maxsize=REMEMBERED_QUESTIONS)(self._embed)
        self._making = threading.Lock()

    def of(self, entries: Sequence[Entry], when_made: Callable[[], None]) -> Vectors | None:
        """The vectors of these entries. A few missing ones are made at once; for more, None: nobody waits on the line
        while they are made in the background, and `when_made` is called then."""
        missing = {kind: self._read(kind, texts) for kind, texts in texts_of(entries).items()}
        if sum(map(len, missing.values())) > MAKE_AT_ONCE:
            threading.Thread(target=self._make, args=(missing, when_made), daemon=True).start()
            return None
        try:
            for kind, texts in missing.items():
                self._add(kind, texts)
        except EmbeddingFailed:
            return None
        return Vectors(
            lambda texts: self._stack("query", texts), lambda texts: self._stack("passage", texts), self.question
        )

    def question(self, text: str) -> Floats | None:
        """The vector of a citizen's question, or None when it can't be had now."""
        try:
            return self._question(text)
        except EmbeddingFailed:
            return None

    def _embed(self, text: str) -> Floats:
        found: Floats = self._embedder.questions([text])[0]
        return found

    def _read(self, kind: Kind, texts: Sequence[str]) -> list[str]:
        """Take over what the database keeps; returns the texts that it doesn't."""
        unknown = {digest(kind, text): text for text in texts}
        unknown = {key: text for key, text in unknown.items() if key not in self._rows}
        for key, numbers in read_vectors(self._database, self._embedder.name, list(unknown)).items():
            self._rows[key] = np.frombuffer(numbers, dtype="<f2").astype(np.float32)
            del unknown[key]
        return list(unknown.values())

    def _add(self, kind: Kind, texts: Sequence[str]) -> None:
        make = self._embedder.questions if kind == "query" else self._embedder.passages
        if texts:
            self._rows.update(zip([digest(kind, text) for text in texts], make(texts), strict=True))

    def _stack(self, kind: Kind, texts: Sequence[str]) -> Floats:
        return np.stack([self._rows[digest(kind, text)] for text in texts])

    def _make(self, missing: dict[Kind, list[str]], when_made: Callable[[], None]) -> None:
        if not self._making.acquire(blocking=False):
            return
        try:
            for kind, texts in missing.items():
                vectors(self._database, self._embedder, kind, texts)
            when_made()
        except EmbeddingFailed:
            log.warning("vectors can't be made now; search runs on its lexical part until the knowledge changes")
        finally:
            self._making.release()


def texts_of(entries: Sequence[Entry]) -> dict[Kind, list[str]]:
    """The texts whose vectors an index of these entries needs."""
    return {
        "query": [*flatten([one.asked for one in entries])[0], *STRANGERS],
        "passage": flatten([one.told for one in entries])[0],
    }


def published(session: Session) -> list[Answerable]:
    """All published articles, and the passages of all published documents."""
    articles = list(session.scalars(select(Article).where(Article.state == "published").order_by(Article.id)))
    for article in articles:
        session.expunge(article)
    passages = session.execute(
        select(Passage, Document)
        .join(Document, Passage.document_id == Document.id)
        .where(Document.state == "published")
        .order_by(Document.id, Passage.place)
    )
    return [*articles, *(spoken(passage, document) for passage, document in passages)]


def spoken(passage: Passage, document: Document) -> SpokenPassage:
    """The passage as an answer that cites its document and clause."""
    return SpokenPassage(
        id=f"passage:{passage.id}",
        question=f"《{document.title}》{passage.clause}",
        answer=passage.text,
        region=document.region,
        sources=[
            {
                "title": document.title,
                "issuer": document.issuer,
                "number": f"{document.number} {passage.clause}".strip(),
                "url": document.url,
            }
        ],
        valid_from=document.valid_from,
        valid_until=document.valid_until,
    )


def entry(one: Answerable) -> Entry:
    """What the index knows of it. A passage is found by its document's title and its own text."""
    if isinstance(one, SpokenPassage):
        title = str(one.sources[0]["title"])
        return Entry(one.id, [title], [one.answer], document=f"{title} {one.sources[0]['url']}")
    return Entry(
        one.id,
        [one.question, one.question_en, *one.variants],
        [f"{one.answer}{one.next_step}{one.speech}", one.answer_en],
    )


def changed(session: Session) -> None:
    """Say that the knowledge has changed: every process sees it at its next question."""
    grown = session.execute(update(KnowledgeVersion).values(number=KnowledgeVersion.number + 1))
    if grown.rowcount == 0:  # type: ignore[attr-defined]  # an UPDATE's result has it
        session.add(KnowledgeVersion(id=1, number=1))


def log_gap(
    session: Session, conversation_id: str, question: str, reason: str, now: datetime, article_id: str | None = None
) -> None:
    """Keep a question that got no answer (`unknown`) or whose answer didn't help (`unsolved`) for the editors."""
    session.add(
        Gap(conversation_id=conversation_id, question=question, reason=reason, article_id=article_id, asked_at=now)
    )
