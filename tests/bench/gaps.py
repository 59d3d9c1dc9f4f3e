"""Gaps: how well questions without an answer are grouped by meaning, and where there is no model by characters.

The questions are the paraphrases of a public FAQ (README, "Development data"), each with the entry that it belongs to, in an
order drawn at random, for a new question joins what came before. A pair of questions is right when both belong to one entry.
"""

import random
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from backend.knowledge.gaps import LEXICAL, NEAR_IN_MEANING, NEAR_IN_WORDS, join
from backend.knowledge.text import normalise
from tests.bench.questions import DATA
from tests.bench.search import Meaning, read


def run() -> dict[str, Any]:
    """Group and print the table."""
    rows = []
    if DATA.exists():
        asked = [row for row in read("faq_paraphrases.csv") if zlib.crc32(row["faq_id"].encode()) % 2 == 1]
        random.Random(12345).shuffle(asked)
        texts, truth = [normalise(row["question"]) for row in asked], [row["faq_id"] for row in asked]
        meant, said = Meaning().of("query", texts), LEXICAL.transform(texts).toarray()
        rows = [
            {"method": "by meaning"} | pairs(truth, join([], meant[:0], meant, NEAR_IN_MEANING)),
            {"method": "by characters"} | pairs(truth, join([], said[:0], said, NEAR_IN_WORDS)),
        ]
    print(f"{'grouped':<16}{'questions':>10}{'kinds':>7}{'groups':>8}{'precision':>11}{'recall':>8}{'F1':>7}")
    for row in rows:
        print(
            f"{row['method']:<16}{row['questions']:>10}{row['kinds']:>7}{row['groups']:>8}{row['precision']:>11.3f}"
            f"{row['recall']:>8.3f}{row['f1']:>7.3f}"
        )
    return {"rows": rows}


def pairs(truth: Sequence[str], groups: Sequence[int]) -> dict[str, float]:
    """How many of the pairs put together belong together (precision), and how many of those that do were (recall)."""
    right = together(Counter(zip(truth, groups, strict=True)))
    put, belong = together(Counter(groups)), together(Counter(truth))
    return {
        "questions": len(truth),
        "kinds": len(set(truth)),
        "groups": len(set(groups)),
        "precision": right / put,
        "recall": right / belong,
        "f1": 2 * right / (put + belong),
    }


def together(sizes: Counter[Any]) -> int:
    """The pairs within groups of these sizes."""
    return sum(size * (size - 1) // 2 for size in sizes.values())
