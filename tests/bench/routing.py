"""Routing: how often it is right, and how far its probabilities can be trusted, beside what a city could train instead.

Two sets. The labelled messages of ../shared/data (seven classes, given as words): a fifth is the test, drawn once with its
classes in proportion; messages that are near twins (cosine of their runs of three characters over TWIN, and all that hang
together by such pairs) are all on one side. The settings of backend/cases/linear.py were chosen by cross-validation within
the other four fifths. And the project's own articles: each article is asked for by its ways of asking while the model has
not seen it, so what is measured is how well other matters of the same agency give it away. Urgency and risk are asked of
messages of their own (urgency.csv).
"""

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score, precision_recall_fscore_support
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold
from sklearn.svm import LinearSVC

from backend.cases import learning
from backend.cases.learning import Lesson, gather, said_of
from backend.cases.linear import Linear, Said
from backend.cases.models import RoutingModel
from backend.cases.places import gazetteer
from backend.cases.routing import duty_of, route
from backend.database import Database
from backend.knowledge.search import STRANGERS, Index
from backend.knowledge.service import Knowledge
from tests.bench.questions import DATA, starter
from tests.bench.search import Meaning, read
from tests.conftest import NOON, build

TWIN = 0.3
SEED = 12345
PARTS = 5


def run() -> dict[str, Any]:
    """Measure everything and print the tables."""
    meaning = Meaning()
    messages = measure_messages() if DATA.exists() else []
    own = measure_own(meaning)
    for row in messages:
        print(f"messages  {row['method']:<44} macro-F1 {row['f1']:.3f}  accuracy {row['accuracy']:.3f}")
    for row in own:
        print(f"own       {row['method']:<44} first {row['first']:.3f}  first three {row['first_three']:.3f}")
    for row in [*messages, *own]:
        for tenth in row.get("reliability", []):
            print(
                f"  {row['method']}: said {tenth['said']:.2f}, was right {tenth['right']:.2f} ({tenth['count']} of them)"
            )
    duties = measure_duties()
    print(f"duty list: speaks on {duties['speaks']:.1%} of own ways of asking, agency right on {duties['right']:.1%}")
    urgency = measure_urgency()
    for row in urgency:
        shares = f"found {row['recall']:.2f}, right {row['precision']:.2f} ({row['asked']} of them)"
        print(f"{row['target']:<8}{row['label']:<12} {shares}")
    speed = measure_speed()
    print(
        f"a proposal takes {speed['p50_ms']:.0f} ms (p95 {speed['p95_ms']:.0f}), learning {speed['learning_s']:.0f} s"
    )
    return {"messages": messages, "own": own, "duties": duties, "urgency": urgency, "speed": speed}


def measure_messages() -> list[dict[str, Any]]:
    """Ours and LinearSVC on the labelled messages, twins kept apart."""
    rows = read("messages_labelled.csv")
    labels = np.array([row["label"] for row in rows])
    texts = [row["words"].replace(" ", "") for row in rows]
    matters = twins(texts)
    folds = StratifiedGroupKFold(PARTS, shuffle=True, random_state=SEED)
    taught, asked = next(folds.split(texts, labels, matters))
    plain = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True)
    machine = LinearSVC(random_state=0).fit(plain.fit_transform([texts[place] for place in taught]), labels[taught])
    guessed = machine.predict(plain.transform([texts[place] for place in asked]))
    said = [Said(text) for text in texts]
    model = Linear.fit(
        [said[place] for place in taught], {"category": labels[taught].tolist()}, matters[taught].astype(str).tolist()
    )
    names, probabilities = model.probabilities("category", [said[place] for place in asked])
    best = probabilities.argmax(axis=1)
    ours = np.array(names)[best]
    found = [("LinearSVC, characters 1-3 TF-IDF", guessed), ("ours", ours)]
    table: list[dict[str, Any]] = [
        {
            "method": name,
            "f1": float(f1_score(labels[asked], guess, average="macro")),
            "accuracy": float((guess == labels[asked]).mean()),
            "taught": len(taught),
            "asked": len(asked),
        }
        for name, guess in found
    ]
    table[1]["reliability"] = reliability(probabilities.max(axis=1), ours == labels[asked])
    return table


def twins(texts: Sequence[str]) -> NDArray[np.intp]:
    """A number for each text that it shares with its near twins and theirs."""
    rows = csr_matrix(TfidfVectorizer(analyzer="char", ngram_range=(3, 3), sublinear_tf=True).fit_transform(texts))
    pairs = []
    for begin in range(0, len(texts), 500):
        near = coo_matrix(rows[begin : begin + 500] @ rows.T)
        close = near.data > TWIN
        pairs.append((near.row[close] + begin, near.col[close]))
    one, other = (np.concatenate(side) for side in zip(*pairs, strict=True))
    graph = csr_matrix((np.ones(len(one)), (one, other)), shape=(len(texts), len(texts)))
    return np.asarray(connected_components(graph, directed=False)[1])


def measure_own(meaning: Meaning) -> list[dict[str, Any]]:
    """The agency of the project's own articles, each left out whole: ours with and without vectors, and the nearest article
    that is not left out."""
    lessons, articles = own_lessons()
    matters = np.array([lesson.matter for lesson in lessons])
    agencies = np.array([lesson.labels.get("agency", "") for lesson in lessons])
    vectors = meaning.of("query", [lesson.text for lesson in lessons])
    words = said_of(lessons, None, None)
    meant = [replace(one, vector=row) for one, row in zip(words, vectors, strict=True)]
    entries = {one.article_id: one for one in starter()}
    right: list[str] = []
    said: dict[str, list[tuple[list[str], float, bool]]] = {"ours": [], "ours, words alone": [], "nearest article": []}
    for taught, asked in GroupKFold(PARTS).split(lessons, groups=matters):
        asked = [place for place in asked if matters[place] in articles]
        right += [str(agencies[place]) for place in asked]
        for name, features in (("ours", meant), ("ours, words alone", words)):
            model = Linear.fit(
                [features[place] for place in taught], {"agency": agencies[taught].tolist()}, matters[taught].tolist()
            )
            names, rows = model.probabilities("agency", [features[place] for place in asked])
            for place, row in zip(asked, rows, strict=True):
                order = [names[column] for column in np.argsort(-row)[:3]]
                said[name].append((order, float(row.max()), order[0] == agencies[place]))
        known = [entries[name] for name in articles if name in set(matters[taught])]
        index = Index(known, meaning.vectors())
        for place in asked:
            ranking = index.rank(lessons[place].text, limit=20)
            order = list(dict.fromkeys(articles[match.article_id] for match in ranking.matches))[:3]
            said["nearest article"].append((order, ranking.first_is_right, order[0] == agencies[place]))
    return [
        {
            "method": name,
            "first": float(np.mean([first for _, _, first in answers])),
            "first_three": float(np.mean([one in order for (order, _, _), one in zip(answers, right, strict=True)])),
            "asked": len(answers),
            "reliability": reliability(
                np.array([stated for _, stated, _ in answers]), np.array([first for _, _, first in answers])
            ),
        }
        for name, answers in said.items()
    ]


def own_lessons() -> tuple[list[Lesson], Mapping[str, str]]:
    """What a line learns of agencies on its first day, and the agency of each article."""
    with TemporaryDirectory() as folder:
        record = first_day(Path(folder))
        with record.read() as session:
            lessons = [lesson for lesson in gather(session).said_by_city if "agency" in lesson.labels]
        record.close()
    ids = {one.article_id for one in starter()}
    return lessons, {lesson.matter: lesson.labels["agency"] for lesson in lessons if lesson.matter in ids}


def first_day(folder: Path) -> Database:
    """A record filled with the starter content."""
    build(f"sqlite:///{folder}/line.sqlite3")
    return Database(f"sqlite:///{folder}/line.sqlite3")


def measure_duties() -> dict[str, float]:
    """On how many own ways of asking the duty list speaks, and how often it names the article's agency. The list was written
    without the articles at hand, but for the same city."""
    lessons, articles = own_lessons()
    asked = [lesson for lesson in lessons if lesson.matter in articles]
    found = [(duty_of(gazetteer().without(lesson.text)), lesson.labels["agency"]) for lesson in asked]
    spoken = [duty[0].agency == agency for duty, agency in found if duty]
    return {"speaks": len(spoken) / len(asked), "right": float(np.mean(spoken)), "asked": len(asked)}


def measure_urgency() -> list[dict[str, Any]]:
    """Urgency and risk of the messages of urgency.csv as proposed on the first day, label by label: how many of those that
    are so are found, and how many of those called so are. They were written and labelled by one who had read a fifth of
    the examples that are learned from (nlu_data/urgency.csv), and nothing was changed by what came out."""
    with Path(__file__).with_name("urgency.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with TemporaryDirectory() as folder:
        record = first_day(Path(folder))
        with record.read() as session:
            lessons = [lesson for lesson in gather(session).said_by_city if "urgency" in lesson.labels]
        record.close()
    said = said_of([*lessons, *(Lesson(row["text"], {}, row["text"]) for row in rows)], None, None)
    targets = {name: [lesson.labels[name] for lesson in lessons] for name in ("urgency", "risk")}
    model = Linear.fit(said[: len(lessons)], targets, [lesson.matter for lesson in lessons])
    found: list[dict[str, Any]] = []
    for target in targets:
        names, probabilities = model.probabilities(target, said[len(lessons) :])
        guessed, true = np.array(names)[probabilities.argmax(axis=1)], np.array([row[target] for row in rows])
        precision, recall, _, asked = precision_recall_fscore_support(true, guessed, labels=names, zero_division=0)
        found += [
            {"target": target, "label": label, "precision": float(p), "recall": float(r), "asked": int(count)}
            for label, p, r, count in zip(names, precision, recall, asked, strict=True)
        ]
    return found


def measure_speed() -> dict[str, float]:
    """Milliseconds for one proposal, database and place included and without vectors, and seconds to learn the first day."""
    with TemporaryDirectory() as folder:
        record = first_day(Path(folder))
        began = time.perf_counter()
        learning.learn(record, None, NOON)
        learned = time.perf_counter() - began
        took = []
        with record.read() as session:
            assert session.query(RoutingModel).count() == 1
            for text in STRANGERS[:20] + ["小区路灯不亮，晚上看不见路，老人摔了一跤"] * 80:
                began = time.perf_counter()
                route(session, Knowledge(), text, "明湖区软件园3号楼", NOON)
                took.append((time.perf_counter() - began) * 1000)
        record.close()
    p50, p95 = np.quantile(took[1:], [0.5, 0.95])
    return {"p50_ms": float(p50), "p95_ms": float(p95), "learning_s": learned}


def reliability(stated: NDArray[Any], right: NDArray[Any]) -> list[dict[str, float]]:
    """How often what was said with a probability was right, in fifths."""
    fifths = np.minimum((np.asarray(stated) * 5).astype(int), 4)
    return [
        {
            "said": float(stated[fifths == fifth].mean()),
            "right": float(right[fifths == fifth].mean()),
            "count": int((fifths == fifth).sum()),
        }
        for fifth in range(5)
        if (fifths == fifth).any()
    ]
