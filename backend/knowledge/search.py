"""Search: which articles and passages a question is about, and how sure that is.

Several rankers look at each entry: characters (TF-IDF), words (BM25) and meaning (dense vectors), each at the ways it is
asked, at what it says, and at the document around it. Each ranker's scores are put on one scale for the question at hand
and added up with weights. The weights start from those shipped here and move as far as the knowledge's own ways of asking
justify: each is tried against the index without it. The same trials, and trials without the whole entry (there is nothing
to find), calibrate the two probabilities. Without vectors, lexical rankers and weights of their own do the work.
"""

import itertools
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
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from backend.knowledge.rules import CLARIFY_AMONG
from backend.knowledge.text import grams, normalise
from backend.settings import ROOT

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]
Texts = Sequence[str]

WEIGHTS: dict[str, tuple[float, ...]] = {
    "asked_characters": (0.0, 0.0, 0.2, 0.0),
    "asked_words": (0.0, 0.0, 0.35, 0.0),
    "told_characters": (0.1, -0.1, 0.1, -0.1),
    "told_words": (0.1, -0.1, 0.05, 0.0),
    "document_words": (0.1, 0.45, 0.05, 0.5),
    "document_best": (0.1, 0.2, 0.1, 0.2),
    "document_pairs": (-0.3, 0.55, -0.15, 0.55),
    "covered_pairs": (0.4, 0.3, 0.3, 0.35),
    "asked_nearest": (0.85, 0.2),
    "asked_middle": (0.7, 0.2),
    "told_meaning": (0.25, 0.8),
}
"""Where learning starts: for articles, for passages of documents, and for both when there are no vectors; of a knowledge
that has articles and passages, between the two. What was learned on one half of the development sets' questions, rounded;
the bench reports the other half. `document_pairs` of an article weighs against it, for it is in `covered_pairs` too, and it
tells less that the answer has these pairs than that it is asked for by them."""
LEXICAL = 8
"""How many of the rankers need no vectors: the first ones."""
HOLD = 3.0
"""How strongly the weights are held where they start; in questions for a weight that is off by about 0.4."""
LEARN_FROM = 600
"""Ways of asking that are tried, evenly chosen: more of them make learning slower and no better."""
CANDIDATES = 40
"""Entries that a trial's right one has to be told from."""
LEARN_AGAIN = 0.1
"""Share of the entries that may come or go before the base is built anew and weights and probabilities are learned again,
in the background: publishing one article costs the matrices of that article only."""
ANSWERABLE = 0.7
"""How many of the questions asked are taken to have an article. Of the others half are taken to be near the knowledge and
half to have nothing to do with it."""
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
    the texts of its answer, the document that it is a passage of, and what was asked by citizens who then chose it from
    a list. That is a hint, never a certainty."""

    article_id: str
    asked: Texts
    told: Texts
    document: str = ""
    chosen: Texts = ()


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
    lock: threading.Lock = field(default_factory=threading.Lock)

    def learn(self, texts: Texts) -> None:
        """Cut the texts that are new."""
        for text in texts:
            if text not in self.texts:
                terms = self.cut(text)
                with self.lock:  # a base may be built while another segment is
                    row = [self.numbers.setdefault(term, len(self.numbers)) for term in terms]
                self.texts[text] = np.array(row, dtype=np.int32)

    def pairs(self, width: int) -> Floats:
        """1 for those of the first `width` terms that are two neighbouring characters or a single Latin word, else 0."""
        found = np.zeros(max(1, width), dtype=np.float32)
        for place, term in enumerate(itertools.islice(self.numbers, width)):
            found[place] = len(term) == 2 if term[0] > "\x7f" else " " not in term
        return found

    def count(self, texts: Texts, width: int) -> csr_matrix:
        """How often each of the first `width` terms (column) is in each text (row) that was learned."""
        return self._matrix([self.texts[text] for text in texts], width)

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
class Chance:
    """A logistic model as the sum that it comes to: to ask scikit-learn takes longer than the rest of a search."""

    weights: NDArray[np.float64]
    offset: float

    def of(self, seen: Floats) -> float:
        """The probability for one row of evidence."""
        return float(expit(seen[0] @ self.weights + self.offset))


@dataclass(frozen=True)
class Learned:
    """The rankers' weights, and three models: whether a question has an entry at all, and if it has one, whether the first
    is the right one, and whether the right one is among the first CLARIFY_AMONG. Apart, because what tells a stranger
    (little in common with any entry) isn't what tells a near miss (little lead over the next)."""

    weights: Floats
    known: Chance
    first: Chance
    among: Chance

    def probabilities(self, seen: Floats) -> tuple[float, float]:
        """Both probabilities of a Ranking, from one row of evidence."""
        known, first, among = (one.of(seen) for one in (self.known, self.first, self.among))
        return known * first, known * among


@dataclass(frozen=True)
class Norms:
    """What rows are weighed by: how rare terms are, how long texts, where the middle of the vectors lies. Those of the base
    hold for what comes after it, too, until the base is built anew."""

    characters: Floats
    asked_words: "WordNorms"
    told_words: "WordNorms"
    document_words: "WordNorms"
    document_pairs: "WordNorms"
    entry_pairs: "WordNorms"
    asked_middle: Floats
    told_middle: Floats


class Segment:
    """Some entries as matrices: built once, then only read."""

    def __init__(
        self, entries: Sequence[Entry], terms: tuple[Terms, Terms], vectors: Vectors | None, norms: Norms | None = None
    ) -> None:
        """`norms` are the base's; without them the segment is a base and has its own."""
        self.entries, self.terms = entries, terms
        asked, self.entry_of = flatten([[*entry.asked, *entry.chosen] for entry in entries])
        told, told_of = flatten([entry.told for entry in entries])
        self.asked_from, self.told_from = first_rows(self.entry_of), first_rows(told_of)
        _, self.document_of = np.unique([one.document or f"\0{one.article_id}" for one in entries], return_inverse=True)

        characters, in_words = terms
        self.plain, plain_told = [normalise(text) for text in asked], [normalise(text) for text in told]
        for one in terms:
            one.learn([*self.plain, *plain_told])
        width = len(characters.numbers), len(in_words.numbers)
        counts = characters.count(self.plain, width[0]), characters.count(plain_told, width[0])
        asked_words, told_words = in_words.count(self.plain, width[1]), in_words.count(plain_told, width[1])
        document_words = adding(self.document_of[told_of]) @ told_words
        pairs = characters.pairs(width[0])
        self.asked_pairs, told_pairs = ((count @ diags_array(pairs).tocsr()).tocsr() for count in counts)
        document_pairs = adding(self.document_of[told_of]) @ told_pairs
        self.entry_pairs = (adding(self.entry_of) @ self.asked_pairs + adding(told_of) @ told_pairs).tocsr()
        different, self.asked_of = numbered(asked)
        nothing = np.zeros((len(different), 0), dtype=np.float32)
        self.raw_asked, raw_told = (vectors.asked(different), vectors.told(told)) if vectors else (nothing, nothing)
        self.norms = norms or Norms(
            rarity(*counts),
            WordNorms.of(asked_words),
            WordNorms.of(told_words),
            WordNorms.of(document_words),
            WordNorms.of(document_pairs),
            WordNorms.of(self.entry_pairs),
            middle(self.raw_asked, np.bincount(self.asked_of, minlength=len(different))),
            middle(raw_told, np.ones(len(raw_told))),
        )
        asked_rows, told_rows = (cosine_rows(count, self.norms.characters) for count in counts)
        sums = adding(self.entry_of) @ asked_rows
        self.sum_lengths = np.sqrt(np.asarray(sums.multiply(sums).sum(axis=1)).ravel())
        self.sums, self.told_characters = by_term(sums), by_term(told_rows)
        self.asked_words = by_term(bm25_rows(asked_words, self.norms.asked_words))
        self.told_words = by_term(bm25_rows(told_words, self.norms.told_words))
        self.document_words = by_term(bm25_rows(document_words, self.norms.document_words))
        self.document_pairs = by_term(bm25_rows(document_pairs, self.norms.document_pairs))
        self.pair_rarity = widened(self.norms.entry_pairs.rare, width[0]) * pairs
        self.covered_pairs = by_term(self.entry_pairs.sign() @ diags_array(self.pair_rarity).tocsr())
        if vectors:
            self.asked_vectors = unit(self.raw_asked - self.norms.asked_middle)
            self.told_vectors = unit(raw_told - self.norms.told_middle)
            ways = csr_matrix(
                (np.ones(len(asked), dtype=np.float32), self.asked_of, [*self.asked_from, len(asked)]),
                shape=(len(entries), len(different)),
            )
            self.vector_sum_lengths = np.linalg.norm(ways @ self.asked_vectors, axis=1)

    def rankers(self, plain: Texts, vectors: Floats | None, left_out: Rows | None = None) -> Floats:
        """The scores of each ranker (last axis, as in WEIGHTS) for each question and entry; `left_out` are the rows of the
        ways of asking that the questions themselves are, which the segment then does as if it hadn't."""
        width = self.told_characters.shape[0]
        counts = self.terms[0].of_questions(plain, width)
        runs = counts.sign()
        characters = cosine_rows(counts, self.norms.characters)
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
            product(runs, self.document_pairs)[:, self.document_of],
            self._covered(runs, left_out),
        ]
        if vectors is not None:
            turned = unit(vectors - self.norms.asked_middle)
            similar = (turned @ self.asked_vectors.T)[:, self.asked_of]
            sums = np.add.reduceat(similar, self.asked_from, axis=1)
            found += [
                best(without(similar, left_out), self.asked_from),
                self._middle(sums, self.vector_sum_lengths, left_out),
                best(turned @ self.told_vectors.T, self.told_from),
            ]
        # each ranker's scores lie together, however they are looked at: what follows goes through them ranker by ranker
        return np.stack(found, axis=1, dtype=np.float32).transpose(0, 2, 1)

    def _covered(self, runs: csr_matrix, left_out: Rows | None) -> Floats:
        """The share of each question's pairs, weighed by how rare they are, that is anywhere in an entry."""
        found = product(runs, self.covered_pairs)
        if left_out is not None:
            here, own = np.arange(len(left_out)), self.entry_of[left_out]
            others = self.entry_pairs[own] - self.asked_pairs[left_out]
            found[here, own] = others.minimum(runs) @ self.pair_rarity
        return np.asarray(found / np.maximum(runs @ self.pair_rarity, 1e-6)[:, np.newaxis], dtype=np.float32)

    def _middle(self, sums: Floats, lengths: Floats, left_out: Rows | None) -> Floats:
        """The cosine with the sum of an entry's ways of asking, given the inner product with it and its length."""
        found = np.asarray(sums / np.maximum(lengths, 1e-6), dtype=np.float32)
        if left_out is not None:
            here, own = np.arange(len(left_out)), self.entry_of[left_out]
            rest = np.sqrt(np.maximum(lengths[own] ** 2 - 2 * sums[here, own] + 1, 1e-6))
            found[here, own] = np.where(rest > 1e-2, (sums[here, own] - 1) / rest, 0.0)
        return found

    def teaching(self) -> Rows:
        """The ways of asking (rows) to learn from: those of articles that have others besides."""
        ways = Counter(self.entry_of.tolist())
        rows = [row for row, place in enumerate(self.entry_of) if ways[place] > 1 and not self.entries[place].document]
        return np.array(rows[:: max(1, -(-len(rows) // LEARN_FROM))], dtype=np.intp)


class Index:
    """An index over entries, which are two segments: the base, and what has come since it was built. Publishing an article
    builds the second one only; what was taken away is skipped. Built once, then only read."""

    def __init__(
        self, entries: Sequence[Entry], vectors: Vectors | None = None, previous: "Index | None" = None
    ) -> None:
        """With `previous`, its base is kept, and what was learned on it."""
        if previous is None:
            terms = Terms(grams), Terms(words)
            self.base, fresh = Segment(entries, terms, vectors), []
            self.vectors, self.learned = vectors, learn(self.base, vectors)
        else:
            self.base, fresh = previous.base, previous.new_to_base(entries)
            self.vectors, self.learned = previous.vectors, previous.learned
        added = Segment(fresh, self.base.terms, self.vectors, self.base.norms) if fresh else None
        self.segments = [self.base, added] if added else [self.base]
        known = {one.article_id for one in entries} - {one.article_id for one in fresh}
        self.ids = [one.article_id for segment in self.segments for one in segment.entries]
        self.there = np.array([one.article_id in known for one in self.base.entries] + [True] * len(fresh))
        self.changes = len(fresh) + int(np.count_nonzero(~self.there))
        self.exact = {
            normalise(text): place
            for place, one in enumerate(one for segment in self.segments for one in segment.entries)
            if self.there[place] and not one.document
            for text in one.asked
        }

    @property
    def is_old(self) -> bool:
        """Whether so much has come or gone that it is time to build the base anew and to learn again."""
        return self.changes > LEARN_AGAIN * len(self.base.entries)

    def new_to_base(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those of the entries that the base doesn't have as they are."""
        known = {one.article_id: one for one in self.base.entries}
        return [one for one in entries if known.get(one.article_id) != one]

    def rank(self, question: str, allowed: NDArray[np.bool_] | None = None, limit: int = 10) -> Ranking:
        """The entries nearest to `question`; `allowed` says for each entry, in the order of `ids`, whether it may be
        found."""
        plain = normalise(question)
        permitted = self.there if allowed is None else self.there & allowed
        known = self.exact.get(plain)
        certain = known is not None and bool(permitted[known])
        vector = None if certain or not self.vectors else self.vectors.question(question)
        widest = self.segments[-1].told_characters.shape[0]
        if not permitted.any() or (vector is None and self.base.terms[0].of_questions([plain], widest).nnz == 0):
            return NOTHING
        vectors = None if vector is None else vector[np.newaxis]
        raw = np.concatenate([segment.rankers([plain], vectors)[0] for segment in self.segments])
        learned = self.learned[vector is not None]
        score = np.where(permitted, on_one_scale(raw) @ learned.weights, -np.inf)
        if certain:
            score[known] = np.inf
        order = highest(score, max(limit, CLARIFY_AMONG + 1))
        order = order[score[order] > -np.inf]
        matches = [Match(self.ids[place], likeness(score[place])) for place in order[:limit]]
        if certain:
            return Ranking(matches, 1.0, 1.0)
        seen = evidence(score[np.newaxis, order], raw[np.newaxis, order[0]])
        return Ranking(matches, *learned.probabilities(seen))


def learn(base: Segment, vectors: Vectors | None) -> tuple[Learned, Learned]:
    """What is learned of the lexical rankers alone, and of all."""
    teaching = base.teaching()
    lexical = learned_from(base, teaching, None, None)
    if not vectors:
        return lexical, lexical
    return lexical, learned_from(base, teaching, base.raw_asked[base.asked_of[teaching]], vectors.asked(STRANGERS))


def learned_from(base: Segment, teaching: Rows, vectors: Floats | None, strange: Floats | None) -> Learned:
    """Try each way of asking (rows of `base`, with their `vectors`) against the index without it, and then without its whole
    entry; and put the strangers (with their vectors `strange`) to it."""
    passages = float(np.mean([bool(one.document) or not any(one.asked) for one in base.entries]))
    columns = slice(2, 4) if vectors is None else slice(0, 2)
    known = list(WEIGHTS.values())[: LEXICAL if vectors is None else None]
    start = np.array([row[columns] for row in known], dtype=np.float32) @ np.array(
        [1 - passages, passages], dtype=np.float32
    )
    trials = [Trials.of(base, teaching, vectors, start, begin) for begin in range(0, len(teaching), 64)]
    if not trials:
        return Learned(start, *[untaught(len(start))] * 3)
    scaled, raw = (np.concatenate([getattr(one, name) for one in trials]) for name in ("scaled", "raw"))
    weights = better_weights(scaled, start)
    score = scaled @ weights
    order, answerable = seen(score, raw)
    score[:, 0] = -np.inf
    strangers = base.rankers([normalise(one) for one in STRANGERS], strange)
    others = [seen(score, raw)[1], seen(on_one_scale(strangers) @ weights, strangers)[1]]
    every = np.concatenate([answerable, *others])
    is_known = np.arange(len(every)) < len(answerable)
    other = (1 - ANSWERABLE) / 2 * len(answerable)
    weight = [ANSWERABLE] * len(answerable) + [other / len(rows) for rows in others for _ in rows]
    right = order == 0
    return Learned(
        weights,
        fit(every, is_known, np.array(weight, dtype=np.float32)),
        fit(answerable, right[:, 0]),
        fit(answerable, right[:, :CLARIFY_AMONG].any(axis=1)),
    )


def seen(score: Floats, raw: Floats) -> tuple[Rows, Floats]:
    """The places of the best entries of each question (row), best first, and the evidence on them."""
    order = np.argsort(-score, axis=1, kind="stable")[:, : CLARIFY_AMONG + 1]
    best_raw = np.take_along_axis(raw, order[:, :1, np.newaxis], axis=1)[:, 0]
    return order, evidence(np.take_along_axis(score, order, axis=1), best_raw)


@dataclass(frozen=True)
class Trials:
    """Ways of asking put to the index without them: the rankers' scores of the right entry (place 0) and of the
    strongest others, on one scale and as they are."""

    scaled: Floats
    raw: Floats

    @classmethod
    def of(cls, base: Segment, teaching: Rows, vectors: Floats | None, weights: Floats, begin: int) -> "Trials":
        """The trials of 64 ways of asking from `begin` on."""
        part = slice(begin, begin + 64)
        rows = teaching[part]
        raw = base.rankers([base.plain[row] for row in rows], None if vectors is None else vectors[part], rows)
        scaled = on_one_scale(raw)
        score = scaled @ weights
        score[np.arange(len(rows)), base.entry_of[rows]] = np.inf
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


def numbered(texts: Texts) -> tuple[list[str], Rows]:
    """Each different text once, and for each of `texts` its place among them. Passages of a document are all asked for by
    its title, whose vector is then kept, and compared, once."""
    places: dict[str, int] = {}
    of = [places.setdefault(text, len(places)) for text in texts]
    return list(places), np.array(of, dtype=np.intp)


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


def widened(rare: Floats, width: int) -> Floats:
    """The rarity of `width` terms; one that came later is as rare as the rarest before."""
    return np.pad(rare, (0, max(0, width - len(rare))), constant_values=rare.max())


def cosine_rows(counts: csr_matrix, rare: Floats) -> csr_matrix:
    """TF-IDF rows of unit length, with the logarithm of the counts."""
    counts.data = (1 + np.log(counts.data)) * widened(rare, counts.shape[1])[counts.indices]
    lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    return (diags_array(1 / np.maximum(lengths, 1e-6)) @ counts).tocsr().astype(np.float32)


@dataclass(frozen=True)
class WordNorms:
    """What Okapi BM25 needs to know of all texts: how rare each term is, and how long a text is on average."""

    rare: Floats
    length: float

    @classmethod
    def of(cls, counts: csr_matrix) -> "WordNorms":
        """Those of these texts (rows)."""
        having = np.bincount(counts.indices, minlength=counts.shape[1])
        rare = np.log(1 + (counts.shape[0] - having + 0.5) / (having + 0.5))
        return cls(rare.astype(np.float32), max(float(counts.sum(axis=1).mean()), 1e-6))


def bm25_rows(counts: csr_matrix, norms: WordNorms) -> csr_matrix:
    """What each term in a text adds to its score by Okapi BM25."""
    relative = np.asarray(counts.sum(axis=1)).ravel() / norms.length
    held_back = BM25_SATURATION * (1 - BM25_LENGTH + BM25_LENGTH * np.repeat(relative, np.diff(counts.indptr)))
    rare = widened(norms.rare, counts.shape[1])
    scored = counts.copy()
    scored.data = rare[counts.indices] * counts.data * (BM25_SATURATION + 1) / (counts.data + held_back)
    return scored.astype(np.float32)


def middle(vectors: Floats, times: NDArray[Any]) -> Floats:
    """The middle around which these vectors crowd, each of which is there so many `times`."""
    return np.asarray(times.astype(np.float32) @ vectors / (times.sum() + CENTRE_OF), dtype=np.float32)


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


def highest(scores: Floats, most: int) -> Rows:
    """The places of the highest scores, `most` at most, the highest first; of equal ones the earlier comes first."""
    if most < len(scores):
        least = np.partition(scores, -most)[-most]
        places = np.flatnonzero(scores >= least)
    else:
        places = np.arange(len(scores))
    return places[np.argsort(-scores[places], kind="stable")][:most]


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


def untaught(rankers: int) -> Chance:
    """The model of a knowledge base that is too small to learn from: likeness of the characters with the ways of asking
    alone tells; 1 is right and 0 is not."""
    features = np.zeros((2, 2 + rankers))
    features[1, 2] = 1.0
    model = LogisticRegression(C=100.0).fit(features, [False, True])
    return Chance(model.coef_[0], float(model.intercept_[0]))


def fit(features: Floats, right: NDArray[np.bool_], weight: Floats | None = None) -> Chance:
    """A logistic model of how often evidence like this was right. One trial of either outcome is added in the middle of the
    evidence: what never went wrong in a few trials isn't certain."""
    middle_twice = np.repeat(features.mean(axis=0, keepdims=True), 2, axis=0)
    weights = np.append(np.ones(len(features)) if weight is None else weight, [1.0, 1.0])
    scaler = StandardScaler()
    scaled = scaler.fit_transform(np.concatenate([features, middle_twice]))
    model = LogisticRegression(max_iter=1000).fit(scaled, np.append(right, [False, True]), weights)
    slope = model.coef_[0] / scaler.scale_
    return Chance(slope, float(model.intercept_[0] - slope @ scaler.mean_))


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

    @property
    def is_built(self) -> bool:
        """Whether there is one, perhaps of a version before."""
        return self._built is not None

    def forget(self, last: Any = None) -> None:
        """Load again at the next question, though the knowledge is the same; `last`, if given, is then what went before."""
        self._last = last or self._last
        self._built = None
