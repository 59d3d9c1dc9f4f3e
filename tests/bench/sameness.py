"""Whether two citizens tell of the same matter: pairs of letters to a city, of which somebody has published the groups,
beside TF-IDF cosine and the overlap of one citizen's repeats.

Letters are halved by their id: thresholds are chosen on one half (the lowest with LEAST precision), measured on the other.
Pairs of a published group are the same matter; a member and a letter of another group or of none are not, which is hard on
every rule: the published groups are not complete. Titles are compared, which are as long as what is told by telephone.
The rule of the line asks for the same place besides, which these letters have not in our gazetteer.
"""

import csv
import hashlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import average_precision_score

from backend.cases.sameness import NEAR, likeness, overlap
from tests.bench.questions import DATA

LEAST = 0.9
Scores = NDArray[np.float64]


def run() -> dict[str, Any]:
    """Precision and recall of pairs on the other half, by rule."""
    titles = {row["id"]: row["title"].strip() for row in rows("messages_for_hot_issues.csv")}
    groups = {row["id"]: row["issue_id"] for row in rows("hot_issues_published_a_members.csv")}
    halves = [{one: title for one, title in titles.items() if half(one) == which} for which in (0, 1)]
    learned = TfidfVectorizer(analyzer="char", ngram_range=(2, 2)).fit(halves[0].values())

    def cosine(one: str, other: str) -> float:
        return float((learned.transform([one]) @ learned.transform([other]).T).toarray()[0, 0])

    rules: dict[str, Callable[[str, str], float]] = {
        "ours: words and pairs": likeness,
        "TF-IDF cosine of character pairs": cosine,
        "overlap (one citizen's repeats)": overlap,
    }
    found: dict[str, Any] = {}
    print(f"pairs of the same and of two matters in the test half: {counts(halves[1], groups)}; P precision, R recall")
    print(f"{'rule':36s} " + " ".join(f"{one:>7s}" for one in ("from", "dev P", "dev R", "test P", "test R", "av. P")))
    for name, rule in rules.items():
        scores = [scores_of(one, groups, rule, learned if rule is cosine else None) for one in halves]
        threshold = NEAR if rule is likeness else lowest(*scores[0])
        (precision, recall), (on_test, recall_on_test) = (at(threshold, *one) for one in scores)
        same, two = scores[1]
        average = float(average_precision_score([1] * len(same) + [0] * len(two), np.concatenate([same, two])))
        told = " ".join(f"{one:7.3f}" for one in (threshold, precision, recall, on_test, recall_on_test, average))
        print(f"{name:36s} {told}")
        found[name] = {"from": threshold, "precision": on_test, "recall": recall_on_test, "average": average}
    chosen = lowest(*scores_of(halves[0], groups, likeness, None))
    print(f"on the development half, ours would be chosen from {chosen:.3f}; the code has {NEAR}")
    return {"rules": found, "chosen": chosen}


def rows(name: str) -> list[dict[str, str]]:
    """A file of the development data."""
    with (DATA / name).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def half(one: str) -> int:
    """In which half a letter is."""
    return hashlib.sha256(one.encode()).digest()[0] % 2


def pairs_of(titles: dict[str, str], groups: dict[str, str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Pairs of the same matter, and of two matters."""
    members = [one for one in titles if one in groups]
    within = list(itertools.combinations(members, 2))
    same = [pair for pair in within if groups[pair[0]] == groups[pair[1]]]
    two = [pair for pair in within if groups[pair[0]] != groups[pair[1]]]
    return same, two + [(one, other) for one in members for other in titles if other not in groups]


def counts(titles: dict[str, str], groups: dict[str, str]) -> str:
    """How many pairs there are of each."""
    same, two = pairs_of(titles, groups)
    return f"{len(same)}/{len(two)}"


def scores_of(
    titles: dict[str, str],
    groups: dict[str, str],
    rule: Callable[[str, str], float],
    learned: TfidfVectorizer | None,
) -> tuple[Scores, Scores]:
    """How alike the pairs of the same and of two matters are by a rule; cosines of all at once."""
    both = pairs_of(titles, groups)
    if learned is None:
        same, two = (np.array([rule(titles[one], titles[other]) for one, other in some]) for some in both)
        return same, two
    place = {one: at for at, one in enumerate(titles)}
    vectors = learned.transform(titles.values())
    cosines = (vectors @ vectors.T).toarray()
    same, two = (np.array([cosines[place[one], place[other]] for one, other in some]) for some in both)
    return same, two


def at(threshold: float, same: Scores, two: Scores) -> tuple[float, float]:
    """Precision and recall of the pairs from this likeness on."""
    right, wrong = int((same >= threshold).sum()), int((two >= threshold).sum())
    return right / max(right + wrong, 1), right / len(same)


def lowest(same: Scores, two: Scores) -> float:
    """The likeness with the most recall at LEAST precision."""
    fitting = [one for one in np.unique(np.round(same, 3)) if one > 0 and at(float(one), same, two)[0] >= LEAST]
    return float(min(fitting, default=1.0))
