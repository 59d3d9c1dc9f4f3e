"""What others ask of the knowledge: search with a verdict, an article, publishing, gaps."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend.clock import local
from backend.database import Database
from backend.knowledge.embedding import (
    READ_AT_ONCE,
    Embedder,
    EmbeddingFailed,
    Floats,
    Kind,
    digest,
    read_vectors,
    vectors,
)
from backend.knowledge.masking import mask
from backend.knowledge.models import Article, Document, Gap, KnowledgeVersion, Passage
from backend.knowledge.rules import Period, Verdict, follows_up, holds_in, is_current, period_named, verdict
from backend.knowledge.search import STRANGERS, CurrentIndex, Entry, Index, Vectors, flatten
from backend.knowledge.speech import short_speech
from backend.knowledge.text import normalise

REMEMBERED_QUESTIONS = 2000
"""Questions whose vectors a process keeps: the same ones come again and again, and each costs 6 to 9 ms."""
REMEMBERED_DAYS = 64
"""Days and regions for which a process keeps what may be given."""
MAKE_AT_ONCE = 48
"""Missing vectors that a question may wait for: a newly published article's, well under a second."""
TRY_AGAIN = 60.0
"""Seconds after which vectors that could not be made are tried again."""
CHOICES = 20
"""Of what citizens asked before they chose an article, so many different questions teach: the latest."""

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
    document_id: int
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


Passages = dict[tuple[Any, ...], tuple[SpokenPassage, ...]]
"""The passages of each document, by all that they take over from it: only what is new or was corrected is read."""


Choices = Sequence[tuple[str, str]]
"""What citizens asked, and the id of the article that they then chose from a list."""


@dataclass(frozen=True)
class Loaded:
    """What is published in one version of the knowledge, its index, and who may be given what on which day and place."""

    answerables: dict[str, Answerable]
    passages: Passages
    choices: Choices
    index: Index | None
    allowed_for: dict[tuple[date, str, Period | None], NDArray[np.bool_]] = field(default_factory=dict)

    def allowed(self, index: Index, today: date, region: str, period: Period | None) -> NDArray[np.bool_]:
        """Which of the index's entries may be given today to somebody in `region` (empty: not known) who asks about
        `period` (None: now)."""
        key = today, region, period
        if key not in self.allowed_for:
            if len(self.allowed_for) >= REMEMBERED_DAYS:
                self.allowed_for.clear()
            may = {
                name
                for name, one in self.answerables.items()
                if is_current(one, today)
                and (not region or one.region in ("", region))
                and (period is None or holds_in(one, period))
            }
            self.allowed_for[key] = np.array([name in may for name in index.ids])
        return self.allowed_for[key]


class Knowledge:
    """The published knowledge of this process; holds nothing that the database doesn't."""

    def __init__(
        self,
        database: Database | None = None,
        embedder: Embedder | None = None,
        choices: Callable[[], Choices] = tuple,
    ) -> None:
        """`database` and `embedder` are for searching by meaning as well; without them words alone do. `choices` gives the
        latest choices of citizens, to learn from whenever the whole index is built."""
        self._current = CurrentIndex()
        self._meaning = Meaning(database, embedder) if database and embedder else None
        self._choices = choices
        self._renewing = threading.Lock()

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
        what holds in another district only isn't found. Nor is what doesn't hold in a year that the question names."""
        loaded = self._loaded(session)
        if loaded.index is None:
            return Found("unknown", [], 0.0)
        today = local(now).date()
        allowed = loaded.allowed(loaded.index, today, region, period_named(question, today))
        ranking = loaded.index.rank(question, allowed, limit)
        found = [(loaded.answerables[match.article_id], match.score) for match in ranking.matches]
        right, among = ranking.first_is_right, ranking.among_the_first
        before = loaded.answerables.get(about or "")
        if before and is_current(before, today) and right < 0.5 and follows_up(normalise(question)):
            # It names no matter, so it is about the one before, unless the search is rather sure of another one. Asking back
            # would offer what the citizen is talking about already.
            found = [(before, 1.0), *((one, score) for one, score in found if one.id != before.id)][:limit]
            return Found("answer", found, 1 - right)
        return Found(verdict(right, among) if found else "unknown", found, right)

    def read_ahead(self, session: Session) -> None:
        """Read what is published, so that the first question finds it read."""
        self._loaded(session)

    @property
    def is_read(self) -> bool:
        """Whether the next question finds what is published read."""
        return self._current.is_built

    def vector(self, text: str) -> Floats | None:
        """The vector of what a citizen said, or None when it can't be had now."""
        return self._meaning.question(text) if self._meaning else None

    def article(self, session: Session, article_id: str, now: datetime) -> Answerable | None:
        """The article or passage, if it may be given today."""
        found = self._loaded(session).answerables.get(article_id)
        return found if found and is_current(found, local(now).date()) else None

    def _loaded(self, session: Session) -> Loaded:
        number = session.scalar(select(KnowledgeVersion.number)) or 0
        loaded: Loaded = self._current.at(number, lambda last: self._load(session, last))
        return loaded

    def _load(self, session: Session, last: Loaded | None) -> Loaded:
        answerables, passages = read_published(session, last.passages if last else {})
        choices = last.choices if last else self._choices()
        entries = with_choices(answerables, choices)
        if last is None or last.index is None:
            vectors = self._meaning.of(entries, self._current.forget) if self._meaning else None
            return Loaded(answerables, passages, choices, Index(entries, vectors) if entries else None)
        if self._meaning:
            self._meaning.of(last.index.new_to_base(entries), self._current.forget)
        loaded = Loaded(answerables, passages, choices, Index(entries, last.index.vectors, last.index))
        if loaded.index and (loaded.index.is_old or (self._meaning and loaded.index.vectors is None)):
            threading.Thread(target=self._renew, args=(loaded,), daemon=True).start()
        return loaded

    def _renew(self, loaded: Loaded) -> None:
        """Build a new base and learn again, while the old one goes on answering."""
        if not self._renewing.acquire(blocking=False):
            return
        try:
            choices = self._choices()
            entries = with_choices(loaded.answerables, choices)
            vectors = self._meaning.of(entries, self._current.forget) if self._meaning else None
            if entries and (vectors or (loaded.index and loaded.index.is_old)):
                self._current.forget(replace(loaded, choices=choices, index=Index(entries, vectors)))
        finally:
            self._renewing.release()


class Meaning:
    """The vectors of this process: read from the database once, and the latest questions'."""

    def __init__(self, database: Database, embedder: Embedder) -> None:
        self._database, self._embedder = database, embedder
        self._rows: dict[str, Floats] = {}
        self._length = 0  # of all rows; 0: not known yet
        self._question = lru_cache(maxsize=REMEMBERED_QUESTIONS)(self._embed)
        self._making = threading.Lock()

    def of(self, entries: Sequence[Entry], when_made: Callable[[], None]) -> Vectors | None:
        """The vectors of these entries. A few missing ones are made at once; for more, None: nobody waits on the line
        while they are made in the background, and `when_made` is called then, or when it is time to try again."""
        try:
            missing = {kind: self._read(kind, texts) for kind, texts in texts_of(entries).items()}
            if sum(map(len, missing.values())) > MAKE_AT_ONCE:
                threading.Thread(target=self._make, args=(missing, when_made), daemon=True).start()
                return None
            for kind, texts in missing.items():
                self._add(kind, texts)
        except EmbeddingFailed as failure:
            self._again_later(failure, when_made)
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
        self._check(found)
        return found

    def _check(self, row: Floats) -> None:
        """Raise EmbeddingFailed unless the vector is as long as all others."""
        self._length = self._length or len(row)
        if len(row) != self._length:
            raise EmbeddingFailed(
                f"vectors of {self._length} and of {len(row)} numbers under the model name {self._embedder.name}: another "
                "model needs another name (EMBEDDING_MODEL)"
            )

    def _read(self, kind: Kind, texts: Sequence[str]) -> list[str]:
        """Take over what the database keeps; returns the texts that it doesn't."""
        unknown = {digest(kind, text): text for text in texts}
        unknown = {key: text for key, text in unknown.items() if key not in self._rows}
        for key, numbers in read_vectors(self._database, self._embedder.name, list(unknown)).items():
            row = np.frombuffer(numbers, dtype="<f2").astype(np.float32)
            self._check(row)
            self._rows[key] = row
            del unknown[key]
        return list(unknown.values())

    def _add(self, kind: Kind, texts: Sequence[str]) -> None:
        make = self._embedder.questions if kind == "query" else self._embedder.passages
        for text, row in zip(texts, make(texts) if texts else [], strict=True):
            self._check(row)
            self._rows[digest(kind, text)] = row

    def _stack(self, kind: Kind, texts: Sequence[str]) -> Floats:
        """One row a text; of one whose vector isn't made yet zeros, which are like nothing."""
        nothing = np.zeros(self._length, dtype=np.float32)
        return np.stack([self._rows.get(digest(kind, text), nothing) for text in texts])

    def _make(self, missing: dict[Kind, list[str]], when_made: Callable[[], None]) -> None:
        if not self._making.acquire(blocking=False):
            return
        try:
            for kind, texts in missing.items():
                vectors(self._database, self._embedder, kind, texts)
            when_made()
        except EmbeddingFailed as failure:
            self._again_later(failure, when_made)
        finally:
            self._making.release()

    def _again_later(self, failure: EmbeddingFailed, when_made: Callable[[], None]) -> None:
        log.warning("no vectors: %s; search goes on without the missing ones, tried again in %d s", failure, TRY_AGAIN)
        timer = threading.Timer(TRY_AGAIN, when_made)
        timer.daemon = True
        timer.start()


def texts_of(entries: Sequence[Entry]) -> dict[Kind, list[str]]:
    """The texts whose vectors an index of these entries needs."""
    return {
        "query": [*flatten([[*one.asked, *one.chosen] for one in entries])[0], *STRANGERS],
        "passage": flatten([one.told for one in entries])[0],
    }


def published(session: Session) -> list[Answerable]:
    """All published articles, and the passages of all published documents."""
    return list(read_published(session, {})[0].values())


def read_published(session: Session, known: Passages) -> tuple[dict[str, Answerable], Passages]:
    """The same by id, and the passages by document; those `known` from before aren't read again, for the passages of a
    document never change."""
    articles = list(session.scalars(select(Article).where(Article.state == "published").order_by(Article.id)))
    for article in articles:
        session.expunge(article)
    columns = (
        Document.id,
        Document.title,
        Document.number,
        Document.issuer,
        Document.url,
        Document.region,
        Document.valid_from,
        Document.valid_until,
    )
    documents = session.execute(select(*columns).where(Document.state == "published").order_by(Document.id)).all()
    new = [one.id for one in documents if tuple(one) not in known]
    read: dict[int, list[Any]] = {number: [] for number in new}
    for begin in range(0, len(new), READ_AT_ONCE):
        some = Passage.document_id.in_(new[begin : begin + READ_AT_ONCE])
        rows = select(Passage.id, Passage.document_id, Passage.clause, Passage.text).where(some)
        for passage in session.execute(rows.order_by(Passage.document_id, Passage.place)):
            read[passage.document_id].append(passage)
    passages = {
        tuple(one): known.get(tuple(one)) or tuple(spoken(passage, one) for passage in read.get(one.id, ()))
        for one in documents
    }
    every: list[Answerable] = [*articles, *(passage for some in passages.values() for passage in some)]
    return {one.id: one for one in every}, passages


def with_choices(answerables: dict[str, Answerable], choices: Choices) -> list[Entry]:
    """What the index knows of each, with what citizens asked before they chose it; personal data covered."""
    asked: dict[str, list[str]] = {}
    for question, article_id in choices:
        asked.setdefault(article_id, []).append(mask(question))
    return [
        replace(entry(one), chosen=list(dict.fromkeys(asked[name]))[-CHOICES:]) if name in asked else entry(one)
        for name, one in answerables.items()
    ]


def spoken(passage: Any, document: Any) -> SpokenPassage:
    """The passage (a row) as an answer that cites its document (a row) and clause."""
    return SpokenPassage(
        id=f"passage:{passage.id}",
        document_id=document.id,
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
        return Entry(one.id, [str(one.sources[0]["title"])], [one.answer], document=str(one.document_id))
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
