"""Hot issues: which messages are put into one group, beside what a city could install instead.

The messages are those of ../shared/data for hot-issue grouping, in the order in which they came. What they are compared with
are five issues that one team published, with their messages: a reference, not the truth. Its issues 2 and 4 and the
other messages with even numbers are the development half, on which every setting here was chosen, the baselines' too
(the best of SETTINGS by the mean of both F1); the rest is reported.

Pairs: two messages of one issue in one group are right; a pair in one group of which at least one message is of an issue,
and which are not of the same, is wrong, also where the other message is of none (the team may have missed it, so precision
is a lower bound). B-cubed is the mean over the messages of issues, others in their groups again counting as wrong.

Vectors of meaning take a fifth of a second each on a busy core, so methods that need them are measured, and all others
again, on the messages of issues and a quarter of the others.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import DBSCAN, HDBSCAN, KMeans
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from backend.cases.places import Place, gazetteer
from backend.insight import hot
from tests.bench.questions import DATA
from tests.bench.search import Meaning, read

DEVELOPED_ON = (2, 4)
QUARTER = 8
"""Of the messages of no issue, those with numbers that leave 0 or 1 over this."""
SIZES = (10_000, 100_000)
MEANT = 384
"""Length of multilingual-e5-small's vectors."""
SEED = 12345
LONE = -1
"""What scikit-learn calls a message that is in no group."""
Labels = Sequence[int]


@dataclass(frozen=True)
class Message:
    """One message: its text, when it came, and of which published issue it is (0: none)."""

    number: int
    text: str
    at: datetime
    issue: int


def run() -> dict[str, Any]:
    """Measure everything and print the tables."""
    speed = [measure_speed(size) for size in SIZES]
    for row in speed:
        print(
            f"{row['groups']:>7} groups: a new case: of a core p50 {row['p50_ms']:.1f} ms, p95 {row['p95_ms']:.1f} ms"
        )
    if not DATA.exists():
        print("  (no development data in ../shared/data)")
        return {"speed": speed}
    messages = read_messages()
    quarter = [one for one in messages if one.issue or one.number % QUARTER < 2]
    meaning = Meaning().of("query", [one.text[: hot.READ] for one in quarter])
    known = dict(zip([one.number for one in quarter], meaning, strict=True))
    table = []
    for of, some in (("all", messages), ("a quarter", quarter)):
        halves = [[one for one in some if developed_on(one) == wanted] for wanted in (True, False)]
        methods = METHODS if of == "all" else METHODS | WITH_MEANING
        for name, (group, settings) in methods.items():
            vectors = [np.stack([known[one.number] for one in half]) if of != "all" else None for half in halves]
            tried = [(mean_f1(scores(group(halves[0], vectors[0], one), halves[0])), one) for one in settings]
            best = max(tried)[1]
            found = scores(group(halves[1], vectors[1], best), halves[1])
            table.append({"of": of, "messages": len(halves[1]), "method": name, "setting": best} | found)
            print(
                f"{of:<10}{name:<34}{best:>7}  pairs P {found['precision']:.3f} R {found['recall']:.3f} F1 "
                f"{found['f1']:.3f}  B-cubed P {found['b_precision']:.3f} R {found['b_recall']:.3f} F1 {found['b_f1']:.3f}",
                flush=True,
            )
    return {"groups": table, "speed": speed}


def read_messages() -> list[Message]:
    """All messages, in the order in which they came."""
    issues = {row["id"]: int(row["issue_id"]) for row in read("hot_issues_published_a_members.csv")}
    found = [
        Message(
            int(row["id"]),
            f"{row['title']}。{row['message']}",
            datetime.strptime(row["time"].replace("/", "-"), "%Y-%m-%d %H:%M:%S"),
            issues.get(row["id"], 0),
        )
        for row in read("messages_for_hot_issues.csv")
    ]
    return sorted(found, key=lambda one: (one.at, one.number))


def developed_on(one: Message) -> bool:
    """Whether a message is of the development half."""
    return one.issue in DEVELOPED_ON if one.issue else one.number % 2 == 0


# --- methods --------------------------------------------------------------------------------------------------------


def ours(messages: Sequence[Message], meanings: Any, _setting: float) -> Labels:
    """As the line does: one after the other, and mended once at the end."""
    groups, rarity = hot.Groups(), hot.Rarity()
    labels, vectors, runs = [], [], []
    for at, one in enumerate(messages):
        said = hot.runs(one.text)
        runs.append(rarity.vector(said))
        meaning = None
        if meanings is not None:
            known = at + 1 >= hot.MIDDLE_OF
            meaning = meanings[at] - meanings[: at + 1].mean(axis=0) if known else np.zeros_like(meanings[at])
        vectors.append(hot.features(meaning, runs[-1]))
        least = hot.near(len(one.text), meaning is not None and bool(meaning.any()))
        labels.append(groups.take(vectors[-1], gazetteer().find(one.text), least)[0])
        rarity.add(said)
    return mended(labels, vectors, runs, hot.GROWN_TOGETHER[meanings is not None])


def ours_by_runs(messages: Sequence[Message], _meanings: Any, setting: float) -> Labels:
    """The same without a model."""
    return ours(messages, None, setting)


def mended(labels: list[int], vectors: Sequence[hot.Floats], runs: Sequence[hot.Floats], together: float) -> Labels:
    """What the night makes of groups."""
    groups = hot.Groups()
    labels = list(labels)
    for label in [one for one, size in Counter(labels).items() if size >= hot.LEAST_APART]:
        members = [at for at, one in enumerate(labels) if one == label]
        away = hot.apart(np.stack([runs[at] for at in members]))
        for at, goes in zip(members, away, strict=True):
            labels[at] = -1 - label if goes else label
    for label in dict.fromkeys(labels):
        groups.put(
            np.sum([vectors[at] for at, one in enumerate(labels) if one == label], axis=0), labels.count(label), Place()
        )
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    found = [numbers[label] for label in labels]
    for stays, goes in groups.grown_together(range(len(groups.all)), together):
        found = [stays if one == goes else one for one in found]
    return found


def tfidf(messages: Sequence[Message]) -> Any:
    """TF-IDF of one to three characters, which Chinese text is usually cut into where no words are."""
    return TfidfVectorizer(
        analyzer="char", ngram_range=(1, 3), sublinear_tf=True, min_df=2, dtype=np.float32
    ).fit_transform([one.text[: hot.READ] for one in messages])


def k_means(messages: Sequence[Message], _vectors: Any, setting: float) -> Labels:
    """K-means on TF-IDF by its 50 main directions; the setting is the share of groups to messages."""
    rows = normalize(TruncatedSVD(50, random_state=SEED).fit_transform(tfidf(messages)))
    return list(KMeans(int(len(messages) * setting), n_init=1, random_state=SEED).fit_predict(rows))


def dbscan(messages: Sequence[Message], _vectors: Any, setting: float) -> Labels:
    """DBSCAN on TF-IDF, by cosine."""
    return alone(DBSCAN(eps=setting, min_samples=2, metric="cosine").fit_predict(tfidf(messages)))


def like_bertopic(_messages: Sequence[Message], vectors: Any, setting: float) -> Labels:
    """Vectors of meaning, few directions, HDBSCAN: BERTopic's way (with PCA for UMAP); the setting is the smallest group."""
    rows = PCA(min(15, len(vectors)), random_state=SEED).fit_transform(vectors)
    return alone(HDBSCAN(min_cluster_size=int(setting), copy=True).fit_predict(normalize(rows)))


def dbscan_on_meaning(_messages: Sequence[Message], vectors: Any, setting: float) -> Labels:
    """DBSCAN on the vectors of meaning."""
    return alone(DBSCAN(eps=setting, min_samples=2, metric="cosine").fit_predict(vectors))


def alone(labels: NDArray[Any]) -> Labels:
    """Each message that is in no group in one of its own."""
    return [int(label) if label != LONE else -2 - at for at, label in enumerate(labels)]


Method = tuple[Callable[[Sequence[Message], Any, float], Labels], Sequence[float]]
METHODS: dict[str, Method] = {
    "ours, without a model": (ours_by_runs, (0.0,)),
    "K-means, TF-IDF": (k_means, (0.02, 0.05, 0.1)),
    "DBSCAN, TF-IDF": (dbscan, (0.6, 0.65, 0.7, 0.75, 0.8, 0.85)),
}
WITH_MEANING: dict[str, Method] = {
    "ours": (ours, (0.0,)),
    "HDBSCAN, PCA of e5 (as BERTopic)": (like_bertopic, (2, 3, 5, 8)),
    "DBSCAN, e5": (dbscan_on_meaning, (0.03, 0.04, 0.05, 0.06, 0.08)),
}


# --- measuring ------------------------------------------------------------------------------------------------------


def scores(labels: Labels, messages: Sequence[Message]) -> dict[str, float]:
    """Precision, recall and F1 of pairs and of B-cubed."""
    size = Counter(labels)
    of_issues = [(one.issue, label) for one, label in zip(messages, labels, strict=True) if one.issue]
    together, issues, in_group = Counter(of_issues), Counter(i for i, _ in of_issues), Counter(g for _, g in of_issues)
    right = sum(map(pairs, together.values()))
    said = sum(pairs(size[group]) - pairs(size[group] - number) for group, number in in_group.items())
    precision, recall = right / said if said else 1.0, right / sum(map(pairs, issues.values()))
    b_precision = float(np.mean([together[issue, group] / size[group] for issue, group in of_issues]))
    b_recall = float(np.mean([together[issue, group] / issues[issue] for issue, group in of_issues]))
    return {
        "precision": precision,
        "recall": recall,
        "f1": f1(precision, recall),
        "b_precision": b_precision,
        "b_recall": b_recall,
        "b_f1": f1(b_precision, b_recall),
    }


def pairs(number: int) -> int:
    """How many pairs so many things have."""
    return number * (number - 1) // 2


def f1(precision: float, recall: float) -> float:
    """The harmonic mean."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def mean_f1(found: dict[str, float]) -> float:
    """What a setting is chosen by."""
    return (found["f1"] + found["b_f1"]) / 2


def measure_speed(size: int) -> dict[str, float]:
    """Milliseconds of a core for one new case beside so many groups: reading its text, finding its group, joining or
    opening it; its vector of meaning, which costs some 40 ms of a core more, is made beforehand."""
    chance = np.random.default_rng(SEED)
    groups, rarity = hot.Groups(), hot.Rarity()
    for _ in range(size):
        groups.put(hot.unit(chance.standard_normal(hot.LENGTH + MEANT, np.float32)), 1, Place())
    meaning = chance.standard_normal(MEANT, np.float32)
    taken = []
    for _ in range(100):
        text = "".join(chr(0x4E00 + one) for one in chance.integers(0, 3000, hot.READ))
        begun = time.process_time()
        vector = hot.features(meaning, rarity.vector(hot.runs(text)))
        groups.take(vector, gazetteer().find(text), hot.near(len(text), True))
        taken.append((time.process_time() - begun) * 1000)
    p50, p95 = np.quantile(taken, [0.5, 0.95])
    return {"groups": size, "p50_ms": float(p50), "p95_ms": float(p95)}
