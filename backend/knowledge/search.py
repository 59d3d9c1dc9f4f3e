"""Search: which articles a question is about, and how sure that is.

Questions are compared as TF-IDF vectors of one to three characters (no word list needed, and forgiving of speech
recognition). The probabilities are calibrated on the knowledge itself: each way of asking is tried against the index
without it (it should find its article) and against the index without its article (there is nothing to find).
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from backend.knowledge.rules import CLARIFY_AMONG
from backend.knowledge.text import normalise

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Match:
    """One article found: its id and its similarity, 0 to 1."""

    article_id: str
    score: float


@dataclass(frozen=True)
class Ranking:
    """The articles nearest to a question, best first, and two probabilities (0 to 1): that the first one is right, and
    that the right one is among the first CLARIFY_AMONG."""

    matches: list[Match]
    first_is_right: float
    among_the_first: float


NOTHING = Ranking([], 0.0, 0.0)


class Index:
    """An index over articles, each given by its id and the ways it is asked for. Built once, then only read."""

    def __init__(self, articles: Sequence[tuple[str, Sequence[str]]]) -> None:
        self.ids = [article_id for article_id, _ in articles]
        asked = [
            (place, text)
            for place, (_, texts) in enumerate(articles)
            for text in dict.fromkeys(normalise(text) for text in texts)
            if text
        ]
        self.article_of = np.array([place for place, _ in asked], dtype=np.intp)
        self.starts = np.flatnonzero(np.diff(self.article_of, prepend=-1))
        self.vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True, dtype=np.float64)
        self.vectors = self.vectorizer.fit_transform([text for _, text in asked])
        self.first_model, self.among_model = self._calibrate()

    def rank(self, question: str, allowed: set[str], limit: int = 10) -> Ranking:
        """The articles nearest to `question` among those whose ids are `allowed`."""
        vector = self.vectorizer.transform([normalise(question)])
        if vector.nnz == 0:
            return NOTHING
        similar = np.maximum.reduceat((self.vectors @ vector.T).toarray().ravel(), self.starts)
        similar[[place for place, article_id in enumerate(self.ids) if article_id not in allowed]] = 0.0
        order = np.argsort(-similar, kind="stable")[: max(limit, CLARIFY_AMONG + 1)]
        matches = [Match(self.ids[place], float(similar[place])) for place in order if similar[place] > 0]
        if not matches:
            return NOTHING
        features = evidence(similar[order][np.newaxis, :])
        return Ranking(
            matches[:limit], probability(self.first_model, features), probability(self.among_model, features)
        )

    def _calibrate(self) -> tuple[LogisticRegression, LogisticRegression]:
        """Learn both probabilities by leaving out each way of asking, and then each way's whole article."""
        features, first, among = [], [], []
        for begin in range(0, len(self.article_of), 256):
            rows = np.arange(begin, min(begin + 256, len(self.article_of)))
            own = self.article_of[rows]
            similar = (self.vectors[rows] @ self.vectors.T).toarray()
            similar[np.arange(len(rows)), rows] = 0.0
            by_article = np.maximum.reduceat(similar, self.starts, axis=1)
            without_own = by_article.copy()
            without_own[np.arange(len(rows)), own] = 0.0
            for scores, answerable in ((by_article, True), (without_own, False)):
                order = np.argsort(-scores, axis=1, kind="stable")[:, : CLARIFY_AMONG + 1]
                features.append(evidence(np.take_along_axis(scores, order, axis=1)))
                first.append((order[:, 0] == own) & answerable)
                among.append((order[:, :CLARIFY_AMONG] == own[:, np.newaxis]).any(axis=1) & answerable)
        every = np.concatenate(features)
        return fit(every, np.concatenate(first)), fit(every, np.concatenate(among))


def evidence(scores: Floats) -> Floats:
    """What the probabilities are judged by, one row a question: the best similarity, its lead over the second, and the
    lead of the third over the fourth. `scores` holds similarities in descending order, one row a question."""
    padded = np.pad(scores, ((0, 0), (0, max(0, CLARIFY_AMONG + 1 - scores.shape[1]))))
    return np.column_stack([padded[:, 0], padded[:, 0] - padded[:, 1], padded[:, 0] - padded[:, CLARIFY_AMONG]])


def fit(features: Floats, right: NDArray[np.bool_]) -> LogisticRegression:
    """A logistic model of how often evidence like this was right; without both outcomes to learn from (a handful of
    articles) it is taught that likeness 1 is right and likeness 0 is not."""
    if right.all() or not right.any():
        features, right = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]), np.array([False, True])
    return LogisticRegression(C=100.0).fit(features, right)


def probability(model: LogisticRegression, features: Floats) -> float:
    """The model's probability for one row of evidence."""
    return float(1 / (1 + np.exp(-(features @ model.coef_[0] + model.intercept_[0])))[0])


class CurrentIndex:
    """The index of one process, built anew when the knowledge's version has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._built: tuple[int, Any] | None = None

    def at(self, version: int, load: Any) -> Any:
        """What `load()` gave for this version of the knowledge, calling it once a version."""
        built = self._built
        if built is None or built[0] != version:
            with self._lock:
                built = self._built
                if built is None or built[0] != version:
                    built = self._built = (version, load())
        return built[1]
