"""A linear classifier of requests with probabilities, and the words that weighed. Pure.

A request is seen as runs of one to three characters, as words and their pairs, as its opening (citizens begin with the
matter, so its runs count once more), by its circumstances (season, time of day, district), and where there is little to
learn from and a model of meaning, by its vector. A support vector machine a target (scikit-learn's LinearSVC, one class
against the rest) weighs them; one temperature a target, set on texts that the machine wasn't trained on, turns its margins
into probabilities. What is kept are numbers and words, never code: npz without pickles.
"""

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rjieba import Jieba
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GroupKFold
from sklearn.svm import LinearSVC

Floats = NDArray[np.float32]

OPENING: Final = 30
"""Characters of a text that are its opening."""
REGULARITY: Final = 0.5
"""C of the support vector machines. It, OPENING and the weights below were chosen by cross-validation within the training
part of the messages that tests/bench/routing.py measures with."""
TERMS_LIMIT: Final = 60_000
"""Terms of a block at most, the most frequent ones: a model of a big city stays at some ten megabytes."""
RARE_FROM: Final = 3000
"""From so many texts on, a term must be in two of them: one alone is mostly a name."""
NEAR_ENOUGH: Final = 0.01
"""How exactly the machines are trained; more takes longer and changes nothing that is seen."""
FOLDS: Final = 5
WORDS_SHOWN: Final = 5
_JIEBA: Final = Jieba()


@dataclass(frozen=True)
class Said:
    """A request: its normalised text without names of places, its circumstances, and its vector (None: not to be had)."""

    text: str
    circumstances: tuple[str, ...] = ()
    vector: Floats | None = field(default=None, compare=False)


def runs(text: str) -> list[str]:
    """One to three neighbouring characters."""
    return [text[begin : begin + size] for size in (1, 2, 3) for begin in range(len(text) - size + 1)]


def words(text: str) -> list[str]:
    """The words of a text, and pairs of neighbouring ones with a blank between."""
    single = [word for word in _JIEBA.cut(text) if word.strip()]
    return single + [f"{one} {two}" for one, two in pairwise(single)]


BLOCKS: Final[dict[str, tuple[Callable[[Said], Iterable[str]], float]]] = {
    "runs": (lambda said: runs(said.text), 1.0),
    "words": (lambda said: words(said.text), 1.0),
    "opening": (lambda said: runs(said.text[:OPENING]), 0.8),
    "circumstances": (lambda said: said.circumstances, 0.3),
}
"""block of terms -> how a request has them, and the length of its row."""
MEANING: Final = 1.0
"""The length of a vector beside them."""
FEW: Final = 3000
"""With fewer texts than this, vectors help to tell matters that words have not met; with more they cost a little accuracy,
and the time to make them."""


@dataclass(frozen=True)
class Head:
    """What decides one target: the labels, a weight for each term (row) and label (column), and the temperature."""

    labels: list[str]
    weights: Floats
    offsets: Floats
    temperature: float

    def probabilities(self, rows: csr_matrix) -> NDArray[np.float64]:
        """A row for each request: the probability of each label."""
        return softmax(np.asarray(rows @ self.weights + self.offsets) * self.temperature)


@dataclass(frozen=True)
class Linear:
    """A trained model: its terms, the middle of its vectors (empty: it has none), and a head for each target."""

    vectorizers: dict[str, TfidfVectorizer]
    middle: Floats
    heads: dict[str, Head]

    @classmethod
    def fit(cls, said: Sequence[Said], targets: Mapping[str, Sequence[str | None]], matters: Sequence[str]) -> "Linear":
        """Learn each target's labels, one a request; None: nothing is known of this request's. Vectors are learned from
        when there are few requests and every one has its vector. Requests of one matter don't serve to say how far
        probabilities can be trusted."""
        rare = 2 if len(said) >= RARE_FROM else 1
        vectorizers = {
            name: TfidfVectorizer(
                analyzer=terms, sublinear_tf=True, min_df=rare, max_features=TERMS_LIMIT, dtype=np.float32
            )
            for name, (terms, _) in BLOCKS.items()
        }
        for name, (terms, _) in BLOCKS.items():
            if any(any(True for _ in terms(one)) for one in said):
                vectorizers[name].fit(said)
            else:
                del vectorizers[name]
        vectors = [one.vector for one in said if one.vector is not None]
        middle = np.mean(vectors, axis=0) if FEW > len(vectors) == len(said) else np.empty(0)
        model = cls(vectorizers, np.asarray(middle, dtype=np.float32), {})
        rows = model._rows(said)
        numbers = np.unique(matters, return_inverse=True)[1]
        for target, labels in targets.items():
            known = np.array([place for place, label in enumerate(labels) if label is not None], dtype=np.intp)
            given = np.array([labels[place] for place in known])
            if len(set(given)) > 1:
                model.heads[target] = fit_head(rows[known], given, numbers[known])
        return model

    def probabilities(self, target: str, said: Sequence[Said]) -> tuple[list[str], NDArray[np.float64]]:
        """The labels of a target, and a row of their probabilities for each request."""
        head = self.heads[target]
        return head.labels, head.probabilities(self._rows(said))

    def ranked(self, said: Said) -> dict[str, list[tuple[str, float]]]:
        """Each target's labels with their probabilities for a request, most probable first."""
        rows = self._rows([said])
        found = {}
        for target, head in self.heads.items():
            given = head.probabilities(rows)[0]
            order = np.argsort(-given, kind="stable")
            found[target] = [(head.labels[place], float(given[place])) for place in order]
        return found

    def why(self, target: str, said: Said, label: str, other: str) -> list[str]:
        """The words that spoke most for `label` and against `other`, the weightiest first."""
        head = self.heads[target]
        if "words" not in self.vectorizers:
            return []
        begin = sum(len(self.vectorizers[name].vocabulary_) for name in self.vectorizers if name < "words")
        column, against = head.labels.index(label), head.labels.index(other)
        row = self.vectorizers["words"].transform([said]).tocoo()
        gained = row.data * (head.weights[begin + row.col, column] - head.weights[begin + row.col, against])
        terms = self._words[row.col]
        shown: list[str] = []
        for place in np.argsort(-gained):
            word = terms[place].replace(" ", "")
            if gained[place] > 0 and len(word) > 1 and not any(word in other or other in word for other in shown):
                shown.append(word)
        return shown[:WORDS_SHOWN]

    @cached_property
    def _words(self) -> NDArray[Any]:
        """The words by the places of their weights."""
        return np.asarray(self.vectorizers["words"].get_feature_names_out())

    def _rows(self, said: Sequence[Said]) -> csr_matrix:
        """The features of each request."""
        blocks = [BLOCKS[name][1] * self.vectorizers[name].transform(said) for name in sorted(self.vectorizers)]
        if len(self.middle):
            # A request whose vector can't be had is taken to mean the middle: its words decide.
            vectors = np.array([self.middle if one.vector is None else one.vector for one in said]) - self.middle
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            blocks.append(csr_matrix(MEANING * vectors / np.maximum(lengths, 1e-6), dtype=np.float32))
        return hstack(blocks, format="csr", dtype=np.float32)

    def pack(self) -> bytes:
        """The model as an npz file."""
        arrays: dict[str, Any] = {"middle": self.middle}
        told: dict[str, Any] = {"terms": {}, "heads": {}}
        for name, vectorizer in self.vectorizers.items():
            told["terms"][name] = list(vectorizer.get_feature_names_out())
            arrays[f"idf.{name}"] = vectorizer.idf_.astype(np.float32)
        for target, head in self.heads.items():
            told["heads"][target] = {"labels": head.labels, "temperature": head.temperature}
            arrays[f"weights.{target}"] = head.weights.astype(np.float16)
            arrays[f"offsets.{target}"] = head.offsets
        arrays["told"] = np.frombuffer(json.dumps(told, ensure_ascii=False).encode(), dtype=np.uint8)
        packed = io.BytesIO()
        np.savez_compressed(packed, **arrays)
        return packed.getvalue()

    @classmethod
    def unpack(cls, packed: bytes) -> "Linear":
        """The model of such a file."""
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            told = json.loads(arrays["told"].tobytes())
            vectorizers = {}
            for name, terms in told["terms"].items():
                numbers = {term: number for number, term in enumerate(terms)}
                vectorizers[name] = TfidfVectorizer(
                    analyzer=BLOCKS[name][0], sublinear_tf=True, vocabulary=numbers, dtype=np.float32
                )
                vectorizers[name].idf_ = arrays[f"idf.{name}"]
            heads = {
                target: Head(
                    one["labels"],
                    arrays[f"weights.{target}"].astype(np.float32),
                    arrays[f"offsets.{target}"],
                    one["temperature"],
                )
                for target, one in told["heads"].items()
            }
            return cls(vectorizers, arrays["middle"], heads)


def fit_head(rows: csr_matrix, given: NDArray[Any], matters: NDArray[np.intp]) -> Head:
    """A machine for these labels, and the temperature under which machines trained without a fifth of the requests say of
    that fifth what is true. Requests of one matter are on one side."""
    labels, weights, offsets = fit_machine(rows, given)
    found, right = [], []
    folds = min(FOLDS, len(set(matters)))
    for taught, asked in GroupKFold(folds).split(given, groups=matters) if folds > 1 else ():
        if len(set(given[taught])) < 2:
            continue
        some, its_weights, its_offsets = fit_machine(rows[taught], given[taught])
        margins = np.full((len(asked), len(labels)), -np.inf)
        margins[:, [labels.index(label) for label in some]] = rows[asked] @ its_weights + its_offsets
        seen = np.isin(given[asked], some)
        found.append(margins[seen])
        right += [labels.index(label) for label in given[asked[seen]]]
    if not found:
        return Head(labels, weights, offsets, 1.0)
    margins = np.concatenate(found)
    places = np.arange(len(right))

    def loss(logarithm: float) -> float:
        return float(-np.log(softmax(margins * np.exp(logarithm))[places, right] + 1e-12).mean())

    best = minimize_scalar(loss, bounds=(-2.0, 4.0), method="bounded")
    return Head(labels, weights, offsets, float(np.exp(best.x)))


def fit_machine(rows: csr_matrix, given: NDArray[Any]) -> tuple[list[str], Floats, Floats]:
    """The labels, and the weights and offsets of a machine that tells them apart, one column a label."""
    machine = LinearSVC(C=REGULARITY, class_weight="balanced", tol=NEAR_ENOUGH, random_state=0).fit(rows, given)
    weights, offsets = machine.coef_.T, machine.intercept_
    if len(machine.classes_) == 2:  # scikit-learn keeps one column for two classes
        weights, offsets = np.hstack([-weights, weights]), np.hstack([-offsets, offsets])
    labels = [str(label) for label in machine.classes_]
    return labels, np.asarray(weights, dtype=np.float32), np.asarray(offsets, dtype=np.float32)


def softmax(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Rows that add up to one."""
    shifted = np.exp((scores - scores.max(axis=1, keepdims=True)).astype(np.float64))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
