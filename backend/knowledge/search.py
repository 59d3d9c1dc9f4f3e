"""Search: which articles a question is about, and how sure that is.

Question and article are compared as TF-IDF vectors of short runs of characters (no word list is needed, and a misheard
character costs little), in three ways that add up: with what the article says, with the middle of all the ways it is
asked, and with the nearest of them, which counts only when it is almost the same. The probabilities are calibrated on the
knowledge itself: each way of asking is tried against the index without it (it should find its article) and against the
index without its article (there is nothing to find).
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from backend.knowledge.rules import CLARIFY_AMONG
from backend.knowledge.text import grams, normalise

Floats = NDArray[np.float64]

MIDDLE_COUNTS = 0.3
"""Weight of the middle of all ways of asking, beside what the article says; chosen by leaving out each way of asking."""
ANSWERABLE = 0.7
"""How many of the questions asked are taken to have an article: the two sides of the calibration are weighed by it."""


@dataclass(frozen=True)
class Match:
    """One article found: its id and its score, 0 to 1."""

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


@dataclass(frozen=True)
class Entry:
    """What the index knows of one article: its id, the ways it is asked for, and the texts of its answer."""

    article_id: str
    asked: Sequence[str]
    told: Sequence[str]


class Index:
    """An index over articles. Built once, then only read."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.ids = [entry.article_id for entry in entries]
        asked, self.article_of = flatten([entry.asked for entry in entries])
        told, told_of = flatten([entry.told for entry in entries])
        self.asked_from, self.told_from = first_rows(self.article_of), first_rows(told_of)
        self.vectorizer = TfidfVectorizer(analyzer=grams, sublinear_tf=True, dtype=np.float64).fit(asked + told)
        self.asked = self.vectorizer.transform(asked)
        self.told = self.vectorizer.transform(told)
        self.sums = csr_matrix((np.ones(len(asked)), (self.article_of, np.arange(len(asked))))) @ self.asked
        self.lengths = np.sqrt(np.asarray(self.sums.multiply(self.sums).sum(axis=1)).ravel())
        self.first_model, self.among_model = self._calibrate()

    def rank(self, question: str, allowed: set[str], limit: int = 10) -> Ranking:
        """The articles nearest to `question` among those whose ids are `allowed`."""
        vector = self.vectorizer.transform([normalise(question)])
        if vector.nnz == 0:
            return NOTHING
        nearest = np.maximum.reduceat((vector @ self.asked.T).toarray(), self.asked_from, axis=1)
        middle = (vector @ self.sums.T).toarray() / self.lengths
        score = self._score(vector, middle, nearest)
        score[0, [place for place, article_id in enumerate(self.ids) if article_id not in allowed]] = 0.0
        order = np.argsort(-score[0], kind="stable")[: max(limit, CLARIFY_AMONG + 1)]
        matches = [Match(self.ids[place], min(1.0, float(score[0, place]))) for place in order if score[0, place] > 0]
        if not matches:
            return NOTHING
        features = evidence(score[:, order], nearest[:, order[0]])
        return Ranking(
            matches[:limit], probability(self.first_model, features), probability(self.among_model, features)
        )

    def _score(self, vectors: csr_matrix, middle: Floats, nearest: Floats) -> Floats:
        """How near each article (column) is to each question (row)."""
        told = np.maximum.reduceat((vectors @ self.told.T).toarray(), self.told_from, axis=1)
        return told + MIDDLE_COUNTS * middle + nearest**4

    def _calibrate(self) -> tuple[LogisticRegression, LogisticRegression]:
        """Learn both probabilities by leaving out each way of asking, and then each way's whole article."""
        features, first, among, weights = [], [], [], []
        for begin in range(0, len(self.article_of), 256):
            rows = np.arange(begin, min(begin + 256, len(self.article_of)))
            here, own = np.arange(len(rows)), self.article_of[rows]
            vectors = self.asked[rows]
            similar = (vectors @ self.asked.T).toarray()
            similar[here, rows] = 0.0
            nearest = np.maximum.reduceat(similar, self.asked_from, axis=1)
            sums = (vectors @ self.sums.T).toarray()
            middle = sums / self.lengths
            without = np.sqrt(np.maximum(self.lengths[own] ** 2 - 2 * sums[here, own] + 1, 1e-12))
            middle[here, own] = (sums[here, own] - 1) / without
            score = self._score(vectors, np.maximum(middle, 0.0), nearest)
            for answerable in (True, False):
                if not answerable:
                    score[here, own] = 0.0
                order = np.argsort(-score, axis=1, kind="stable")[:, : CLARIFY_AMONG + 1]
                best = np.take_along_axis(nearest, order[:, :1], axis=1)[:, 0]
                features.append(evidence(np.take_along_axis(score, order, axis=1), best))
                first.append((order[:, 0] == own) & answerable)
                among.append((order[:, :CLARIFY_AMONG] == own[:, np.newaxis]).any(axis=1) & answerable)
                weights.append(np.full(len(rows), ANSWERABLE if answerable else 1 - ANSWERABLE))
        every, weight = np.concatenate(features), np.concatenate(weights)
        return fit(every, np.concatenate(first), weight), fit(every, np.concatenate(among), weight)


def flatten(texts: Sequence[Sequence[str]]) -> tuple[list[str], NDArray[np.intp]]:
    """All normalised texts in one row, and the place of the article that each belongs to; an article without a text
    has an empty one."""
    found = [
        (place, text)
        for place, some in enumerate(texts)
        for text in dict.fromkeys([normalise(text) for text in some if text.strip()] or [""])
    ]
    return [text for _, text in found], np.array([place for place, _ in found], dtype=np.intp)


def first_rows(article_of: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where each article's texts begin."""
    return np.flatnonzero(np.diff(article_of, prepend=-1))


def evidence(scores: Floats, nearest: Floats) -> Floats:
    """What the probabilities are judged by, one row a question: the best score, its lead over the second and the fourth,
    and how near the best article's nearest way of asking is. `scores` are in descending order, one row a question."""
    padded = np.pad(scores, ((0, 0), (0, max(0, CLARIFY_AMONG + 1 - scores.shape[1]))))
    best = padded[:, 0]
    return np.column_stack([best, best - padded[:, 1], best - padded[:, CLARIFY_AMONG], nearest])


def fit(features: Floats, right: NDArray[np.bool_], weight: Floats) -> LogisticRegression:
    """A logistic model of how often evidence like this was right; without both outcomes to learn from (a handful of
    articles) it is taught that likeness 1 is right and likeness 0 is not."""
    if right.all() or not right.any():
        features, right, weight = np.array([[0.0] * 4, [1.0] * 4]), np.array([False, True]), np.ones(2)
    return LogisticRegression(C=100.0, max_iter=1000).fit(features, right, weight)


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
