"""Search: which articles and passages a question is about, and how sure that is.

Several rankers look at each entry: characters (TF-IDF), words (BM25) and meaning (dense vectors), each at the ways it is
asked, at what it says, and at the document around it. Each ranker's scores are put on one scale for the question at hand
and added up with weights. The weights start from those shipped here and move as far as the knowledge's own ways of asking
justify: each is tried against the index without it. The same trials, and trials without the whole entry (there is nothing
to find), calibrate the two probabilities. Without vectors, lexical rankers and weights of their own do the work.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rjieba import Jieba
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, diags_array
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from backend.knowledge.rules import CLARIFY_AMONG
from backend.knowledge.text import grams, normalise
from backend.settings import ROOT

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]
Texts = Sequence[str]

WEIGHTS = {
    "asked_characters": 0.15,
    "asked_words": 0.15,
    "told_characters": 0.3,
    "told_words": 0.15,
    "document_words": 0.3,
    "document_best": 0.2,
    "asked_nearest": 0.9,
    "asked_middle": 0.9,
    "told_meaning": 0.6,
}
"""Where learning starts: about what was learned on questions to articles, to guidelines and to an agency's replies."""
LEXICAL = 6
"""How many of the rankers need no vectors: the first ones."""
HOLD = 3.0
"""How strongly the weights are held where they start; in questions for a weight that is off by about 0.4."""
LEARN_FROM = 600
"""Ways of asking that are tried, evenly chosen: more of them make learning slower and no better."""
CANDIDATES = 40
"""Entries that a trial's right one has to be told from."""
LEARN_AGAIN = 0.1
"""Share of the entries that may come or go before weights and probabilities are learned again; publishing one article
then costs a rebuild of the matrices only."""
ANSWERABLE = 0.7
"""How many of the questions asked are taken to have an article: the two sides of the calibration are weighed by it. Of the
others half are taken to be near the knowledge and half to have nothing to do with it."""
STRANGERS = (ROOT / "nlu_data" / "out_of_domain.txt").read_text(encoding="utf-8").splitlines()
"""Everyday questions that no city answers: what must not be taken for a question to the city."""
CENTRE_OF = 50
"""Vectors of one model crowd around their middle, which is taken off; with fewer texts than this, only partly."""
BM25_SATURATION, BM25_LENGTH = 1.5, 0.75
"""k1 and b of Okapi BM25, the usual values."""


@dataclass(frozen=True)
class Match:
    """One entry found: its id and its score, 0 to 1."""

    article_id: str
    score: float


@dataclass(frozen=True)
class Ranking:
    """The entries nearest to a question, best first, and two probabilities (0 to 1): that the first one is right, and
    that the right one is among the first CLARIFY_AMONG."""

    matches: list[Match]
    first_is_right: float
    among_the_first: float


NOTHING = Ranking([], 0.0, 0.0)


@dataclass(frozen=True)
class Entry:
    """What the index knows of one article or passage: its id, the ways it is asked for (of a passage: its document's title),
    the texts of its answer, and the document that it is a passage of."""

    article_id: str
    asked: Texts
    told: Texts
    document: str = ""


@dataclass(frozen=True)
class Vectors:
    """Where dense vectors come from: rows of unit length for ways of asking, for answers, and for a question (None when it
    can't be had just now)."""

    asked: Callable[[Texts], Floats]
    told: Callable[[Texts], Floats]
    question: Callable[[str], Floats | None]


@dataclass
class Terms:
    """The terms of each text, kept from one version of the knowledge to the next so that only new texts are cut."""

    cut: Callable[[str], list[str]]
    numbers: dict[str, int] = field(default_factory=dict)
    texts: dict[str, NDArray[np.int32]] = field(default_factory=dict)

    def learn(self, texts: Texts) -> None:
        """Cut the texts that are new."""
        for text in texts:
            if text not in self.texts:
                terms = self.cut(text)
                self.texts[text] = np.array(
                    [self.numbers.setdefault(term, len(self.numbers)) for term in terms], dtype=np.int32
                )

    def count(self, texts: Texts) -> csr_matrix:
        """How often each term (column) is in each text (row) that was learned."""
        return self._matrix([self.texts[text] for text in texts], len(self.numbers))

    def of_questions(self, texts: Texts, width: int) -> csr_matrix:
        """The same of questions, of which only the first `width` terms count: those that an index knows."""
        known = [[self.numbers.get(term, width) for term in self.cut(text)] for text in texts]
        return self._matrix([np.array([one for one in row if one < width], dtype=np.int32) for row in known], width)

    def _matrix(self, rows: list[NDArray[np.int32]], width: int) -> csr_matrix:
        ends = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
        columns = np.concatenate(rows) if rows else np.empty(0, dtype=np.int32)
        found = csr_matrix((np.ones(len(columns), dtype=np.float32), columns, ends), shape=(len(rows), max(1, width)))
        found.sum_duplicates()
        return found


def city_words() -> Jieba:
    """The Chinese word list, with the city's names of places, offices and matters added."""
    words = Jieba()
    for line in (ROOT / "nlu_data" / "dictionaries" / "city.txt").read_text(encoding="utf-8").splitlines():
        word, frequency, tag = line.split()
        words.add_word(word, int(frequency), tag)
    return words


CITY_WORDS = city_words()


def words(text: str) -> list[str]:
    """The words of a normalised text, and the shorter words within long ones."""
    return [word for word in CITY_WORDS.cut_for_search(text) if re.search(r"\w", word)]


@dataclass(frozen=True)
class Learned:
    """The rankers' weights, and the models of both probabilities."""

    weights: Floats
    first: Pipeline
    among: Pipeline


class Index:
    """An index over entries. Built once, then only read; `previous` lends what hasn't changed."""

    def __init__(
        self, entries: Sequence[Entry], vectors: Vectors | None = None, previous: "Index | None" = None
    ) -> None:
        self.ids = [entry.article_id for entry in entries]
        self.exact = {
            normalise(text): place for place, one in enumerate(entries) if not one.document for text in one.asked
        }
        self.vectors = vectors
        self.terms: tuple[Terms, Terms] = previous.terms if previous else (Terms(grams), Terms(words))
        asked, self.entry_of = flatten([entry.asked for entry in entries])
        told, told_of = flatten([entry.told for entry in entries])
        self.asked_from, self.told_from = first_rows(self.entry_of), first_rows(told_of)
        _, self.document_of = np.unique([one.document or f"\0{one.article_id}" for one in entries], return_inverse=True)
        self.teaching = self._teaching(entries)

        characters, in_words = self.terms
        plain_asked, plain_told = [normalise(text) for text in asked], [normalise(text) for text in told]
        for terms in self.terms:
            terms.learn([*plain_asked, *plain_told])
        counts = characters.count(plain_asked), characters.count(plain_told)
        self.rarity = rarity(*counts)
        asked_rows, told_rows = (cosine_rows(count, self.rarity) for count in counts)
        sums = adding(self.entry_of) @ asked_rows
        self.sum_lengths = np.sqrt(np.asarray(sums.multiply(sums).sum(axis=1)).ravel())
        self.sums, self.told_characters = by_term(sums), by_term(told_rows)
        told_words = in_words.count(plain_told)
        self.asked_words = by_term(bm25_rows(in_words.count(plain_asked)))
        self.told_words = by_term(bm25_rows(told_words))
        self.document_words = by_term(bm25_rows(adding(self.document_of[told_of]) @ told_words))
        if vectors:
            raw = vectors.asked(asked)
            self.centre = raw.mean(axis=0) * len(raw) / (len(raw) + CENTRE_OF)
            self.asked_vectors = unit(raw - self.centre)
            told_vectors = vectors.told(told)
            self.told_vectors = unit(told_vectors - told_vectors.mean(axis=0) * len(told) / (len(told) + CENTRE_OF))
            self.vector_sums = np.asarray(adding(self.entry_of) @ self.asked_vectors)
        self.learned: tuple[Learned, Learned]
        self.learned_with: int
        self.learned, self.learned_with = self._still_learned(previous) or (self._learn(asked), len(entries))

    def rank(self, question: str, allowed: NDArray[np.bool_] | None = None, limit: int = 10) -> Ranking:
        """The entries nearest to `question`; `allowed` says for each entry, in the order that they were given, whether it
        may be found."""
        plain = normalise(question)
        permitted = np.ones(len(self.ids), dtype=bool) if allowed is None else allowed
        known = self.exact.get(plain)
        certain = known is not None and bool(permitted[known])
        vector = None if certain or not self.vectors else self.vectors.question(question)
        if not permitted.any() or (vector is None and self.terms[0].of_questions([plain], len(self.rarity)).nnz == 0):
            return NOTHING
        raw = self._rankers([plain], None if vector is None else vector[np.newaxis])[0]
        learned = self.learned[vector is not None]
        score = np.where(permitted, on_one_scale(raw) @ learned.weights, -np.inf)
        if certain:
            score[known] = np.inf
        order = np.argsort(-score, kind="stable")[: max(limit, CLARIFY_AMONG + 1)]
        order = order[score[order] > -np.inf]
        matches = [Match(self.ids[place], likeness(score[place])) for place in order[:limit]]
        if certain:
            return Ranking(matches, 1.0, 1.0)
        seen = evidence(score[np.newaxis, order], raw[np.newaxis, order[0]])
        return Ranking(matches, probability(learned.first, seen), probability(learned.among, seen))

    def _rankers(self, plain: Texts, vectors: Floats | None, left_out: Rows | None = None) -> Floats:
        """The scores of each ranker (last axis, as in WEIGHTS) for each question and entry; `left_out` are the rows of the
        ways of asking that the questions themselves are, which the index then does as if it hadn't."""
        characters = cosine_rows(self.terms[0].of_questions(plain, len(self.rarity)), self.rarity)
        word_counts = self.terms[1].of_questions(plain, self.told_words.shape[0])
        word_counts.data[:] = 1.0
        told_characters = best(product(characters, self.told_characters), self.told_from)
        found = [
            self._middle(product(characters, self.sums), self.sum_lengths, left_out),
            best(without(product(word_counts, self.asked_words), left_out), self.asked_from),
            told_characters,
            best(product(word_counts, self.told_words), self.told_from),
            product(word_counts, self.document_words)[:, self.document_of],
            best_of_document(told_characters, self.document_of),
        ]
        if vectors is not None:
            turned = unit(vectors - self.centre)
            similar = turned @ self.asked_vectors.T
            lengths = np.linalg.norm(self.vector_sums, axis=1)
            found += [
                best(without(similar, left_out), self.asked_from),
                self._middle(turned @ self.vector_sums.T, lengths, left_out),
                best(turned @ self.told_vectors.T, self.told_from),
            ]
        return np.stack(found, axis=2).astype(np.float32)

    def _middle(self, sums: Floats, lengths: Floats, left_out: Rows | None) -> Floats:
        """The cosine with the sum of an entry's ways of asking, given the inner product with it and its length."""
        middle = np.asarray(sums / np.maximum(lengths, 1e-6), dtype=np.float32)
        if left_out is not None:
            here, own = np.arange(len(left_out)), self.entry_of[left_out]
            rest = np.sqrt(np.maximum(lengths[own] ** 2 - 2 * sums[here, own] + 1, 1e-6))
            middle[here, own] = np.where(rest > 1e-2, (sums[here, own] - 1) / rest, 0.0)
        return middle

    def _still_learned(self, previous: "Index | None") -> tuple[tuple[Learned, Learned], int] | None:
        """What `previous` learned and with how many entries, unless too much has changed since."""
        if previous is None or bool(previous.vectors) != bool(self.vectors):
            return None
        if abs(len(self.ids) - previous.learned_with) > LEARN_AGAIN * previous.learned_with:
            return None
        return previous.learned, previous.learned_with

    def _teaching(self, entries: Sequence[Entry]) -> Rows:
        """The ways of asking (rows) to learn from: those of articles that have others besides."""
        ways = Counter(self.entry_of.tolist())
        rows = [row for row, place in enumerate(self.entry_of) if ways[place] > 1 and not entries[place].document]
        return np.array(rows[:: max(1, -(-len(rows) // LEARN_FROM))], dtype=np.intp)

    def _learn(self, asked: Texts) -> tuple[Learned, Learned]:
        """What is learned of the lexical rankers alone, and of all."""
        plain = [normalise(asked[row]) for row in self.teaching]
        lexical = self._learned(plain, None, None)
        if not self.vectors:
            return lexical, lexical
        own = self.vectors.asked([asked[row] for row in self.teaching]) if plain else self.asked_vectors[:0]
        return lexical, self._learned(plain, own, self.vectors.asked(STRANGERS))

    def _learned(self, plain: Texts, vectors: Floats | None, strange: Floats | None) -> Learned:
        """Try each way of asking against the index without it, and then without its whole entry; and put the strangers
        (with their vectors `strange`) to it."""
        start = np.array(list(WEIGHTS.values())[: LEXICAL if vectors is None else None], dtype=np.float32)
        trials = [Trials.of(self, plain, vectors, start, begin) for begin in range(0, len(plain), 64)]
        if not trials:
            return Learned(start, untaught(len(start)), untaught(len(start)))
        scaled, raw = (np.concatenate([getattr(one, name) for one in trials]) for name in ("scaled", "raw"))
        weights = better_weights(scaled, start)
        score = scaled @ weights
        seen, first, among, weight = [], [], [], []
        for answerable in (True, False):
            if not answerable:
                score[:, 0] = -np.inf
            order = np.argsort(-score, axis=1, kind="stable")[:, : CLARIFY_AMONG + 1]
            best_raw = np.take_along_axis(raw, order[:, :1, np.newaxis], axis=1)[:, 0]
            seen.append(evidence(np.take_along_axis(score, order, axis=1), best_raw))
            first.append((order[:, 0] == 0) & answerable)
            among.append((order[:, :CLARIFY_AMONG] == 0).any(axis=1) & answerable)
            weight.append(np.full(len(score), ANSWERABLE if answerable else (1 - ANSWERABLE) / 2))
        raw = self._rankers([normalise(one) for one in STRANGERS], strange)
        score = on_one_scale(raw) @ weights
        order = np.argsort(-score, axis=1, kind="stable")[:, : CLARIFY_AMONG + 1]
        best_raw = np.take_along_axis(raw, order[:, :1, np.newaxis], axis=1)[:, 0]
        seen.append(evidence(np.take_along_axis(score, order, axis=1), best_raw))
        first.append(np.zeros(len(STRANGERS), dtype=bool))
        among.append(first[-1])
        weight.append(np.full(len(STRANGERS), (1 - ANSWERABLE) / 2 * len(plain) / len(STRANGERS)))
        every, shares = np.concatenate(seen), np.concatenate(weight)
        return Learned(weights, fit(every, np.concatenate(first), shares), fit(every, np.concatenate(among), shares))


@dataclass(frozen=True)
class Trials:
    """Ways of asking put to the index without them: the rankers' scores of the right entry (place 0) and of the
    strongest others, on one scale and as they are."""

    scaled: Floats
    raw: Floats

    @classmethod
    def of(cls, index: Index, plain: Texts, vectors: Floats | None, weights: Floats, begin: int) -> "Trials":
        """The trials of 64 ways of asking from `begin` on."""
        part = slice(begin, begin + 64)
        rows = index.teaching[part]
        raw = index._rankers(plain[part], None if vectors is None else vectors[part], rows)
        scaled = on_one_scale(raw)
        score = scaled @ weights
        score[np.arange(len(rows)), index.entry_of[rows]] = np.inf
        order = np.argsort(-score, axis=1, kind="stable")[:, :CANDIDATES, np.newaxis]
        return cls(np.take_along_axis(scaled, order, axis=1), np.take_along_axis(raw, order, axis=1))


def better_weights(scaled: Floats, start: Floats) -> Floats:
    """The weights under which the right entry (place 0) stands out most: conditional logistic regression, held to
    `start`."""

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        score = scaled @ weights
        score -= score.max(axis=1, keepdims=True)
        share = np.exp(score)
        share /= share.sum(axis=1, keepdims=True)
        expected = np.einsum("nc,ncf->f", share, scaled) - scaled[:, 0].sum(axis=0)
        off = weights - start
        return float(-np.log(share[:, 0] + 1e-12).sum() + HOLD * off @ off), expected + 2 * HOLD * off

    found = minimize(loss, start.astype(np.float64), jac=True, method="L-BFGS-B", options={"maxiter": 100})
    return np.asarray(found.x, dtype=np.float32)


def flatten(texts: Sequence[Texts]) -> tuple[list[str], Rows]:
    """All texts in one row, and the place of the entry that each belongs to; an entry without a text has an empty one."""
    found = [
        (place, text)
        for place, some in enumerate(texts)
        for text in dict.fromkeys([one for one in some if one.strip()] or [""])
    ]
    return [text for _, text in found], np.array([place for place, _ in found], dtype=np.intp)


def first_rows(entry_of: Rows) -> Rows:
    """Where each entry's texts begin."""
    return np.flatnonzero(np.diff(entry_of, prepend=-1))


def adding(group_of: Rows) -> csr_matrix:
    """The matrix that adds up rows of one group."""
    return csr_matrix((np.ones(len(group_of), dtype=np.float32), (group_of, np.arange(len(group_of)))))


def rarity(*counts: csr_matrix) -> Floats:
    """The inverse document frequency of each term, smoothed."""
    texts = sum(one.shape[0] for one in counts)
    having = sum(np.bincount(one.indices, minlength=one.shape[1]) for one in counts)
    return np.asarray(np.log((1 + texts) / (1 + having)) + 1, dtype=np.float32)


def cosine_rows(counts: csr_matrix, rare: Floats) -> csr_matrix:
    """TF-IDF rows of unit length, with the logarithm of the counts."""
    counts.data = (1 + np.log(counts.data)) * rare[counts.indices]
    lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    return (diags_array(1 / np.maximum(lengths, 1e-6)) @ counts).tocsr().astype(np.float32)


def bm25_rows(counts: csr_matrix) -> csr_matrix:
    """What each term in a text adds to its score by Okapi BM25."""
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    relative = lengths / max(lengths.mean(), 1e-6)
    having = np.bincount(counts.indices, minlength=counts.shape[1])
    rare = np.log(1 + (counts.shape[0] - having + 0.5) / (having + 0.5))
    held_back = BM25_SATURATION * (1 - BM25_LENGTH + BM25_LENGTH * np.repeat(relative, np.diff(counts.indptr)))
    scored = counts.copy()
    scored.data = rare[counts.indices] * counts.data * (BM25_SATURATION + 1) / (counts.data + held_back)
    return scored.astype(np.float32)


def by_term(rows: csr_matrix) -> csr_matrix:
    """The same turned round, one row a term: a question then touches the rows of its own terms only."""
    return rows.T.tocsr()


def product(questions: csr_matrix, texts: csr_matrix) -> Floats:
    """The inner product of each question and text; `texts` by term."""
    return np.asarray((questions @ texts).toarray(), dtype=np.float32)


def unit(rows: Floats) -> Floats:
    """Rows of unit length."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6), dtype=np.float32)


def best(scores: Floats, begins: Rows) -> Floats:
    """The best score of each entry's texts."""
    return np.asarray(np.maximum.reduceat(scores, begins, axis=1))


def best_of_document(scores: Floats, document_of: Rows) -> Floats:
    """For each entry the best score of all entries of its document."""
    order = np.argsort(document_of, kind="stable")
    return best(scores[:, order], first_rows(document_of[order]))[:, document_of]


def without(scores: Floats, left_out: Rows | None) -> Floats:
    """The scores, as if each question's own row weren't there."""
    if left_out is not None:
        scores[np.arange(len(left_out)), left_out] = scores.min(axis=1)
    return scores


def on_one_scale(raw: Floats) -> Floats:
    """Each ranker's scores for a question, as standard deviations from their mean over the entries."""
    entries = raw.ndim - 2
    spread = raw.std(axis=entries, keepdims=True)
    return np.asarray((raw - raw.mean(axis=entries, keepdims=True)) / (spread + 1e-6), dtype=np.float32)


def likeness(score: float) -> float:
    """A sum of rankers' scores as a number from 0 to 1, for people to compare."""
    return float(1 / (1 + np.exp(-np.clip(score / 4, -50, 50))))


def evidence(scores: Floats, raw: Floats) -> Floats:
    """What the probabilities are judged by, one row a question: the lead of the best score over the second and the fourth,
    and what each ranker said of the best entry. `scores` are in descending order, one row a question."""
    low = np.where(np.isfinite(scores), scores, np.inf).min(axis=1, keepdims=True)
    padded = np.concatenate(
        [np.where(np.isfinite(scores), scores, low), np.repeat(low, CLARIFY_AMONG + 1, axis=1)], axis=1
    )
    top = padded[:, 0]
    return np.column_stack([top - padded[:, 1], top - padded[:, CLARIFY_AMONG], raw])


def untaught(rankers: int) -> Pipeline:
    """The model of a knowledge base that is too small to learn from: likeness of the characters with the ways of asking
    alone tells; 1 is right and 0 is not."""
    features = np.zeros((2, 2 + rankers))
    features[1, 2] = 1.0
    return make_pipeline(LogisticRegression(C=100.0)).fit(features, [False, True])


def fit(features: Floats, right: NDArray[np.bool_], weight: Floats) -> Pipeline:
    """A logistic model of how often evidence like this was right."""
    if right.all() or not right.any():
        return untaught(features.shape[1] - 2)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return model.fit(features, right, logisticregression__sample_weight=weight)


def probability(model: Pipeline, features: Floats) -> float:
    """The model's probability for one row of evidence."""
    return float(model.predict_proba(features)[0, 1])


class CurrentIndex:
    """The index of one process, built anew when the knowledge's version has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._built: tuple[int, Any] | None = None
        self._last: Any = None

    def at(self, version: int, load: Any) -> Any:
        """What `load(previous)` gave for this version of the knowledge, calling it once a version; `previous` is what it
        gave before, or None."""
        built = self._built
        if built is None or built[0] != version:
            with self._lock:
                built = self._built
                if built is None or built[0] != version:
                    built = self._built = (version, load(self._last))
                    self._last = built[1]
        return built[1]

    def forget(self) -> None:
        """Build anew at the next question, though the knowledge is the same."""
        self._built = None
