"""Questions: what becomes of questions that citizens really asked, put to the starter knowledge.

The development data (README, "Development data") is of other fields and years than the starter knowledge, so most of its
questions have no article: what matters there is how few are answered all the same. Beside it stands the project's own
set, each of whose ways of asking is put to the knowledge without it.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backend.clock import utc_now
from backend.knowledge.rules import verdict
from backend.knowledge.search import Entry, Index
from backend.load_starter import article_rows
from backend.settings import ROOT

DATA = ROOT.parent / "shared" / "data"
COLUMNS = {
    "faq_paraphrases.csv": "question",
    "policy_passage_questions.csv": "question",
    "policy_questions_answers.csv": "question",
    "messages_with_replies.csv": "title",
    "messages_for_hot_issues.csv": "title",
}
"""File -> the column with what was asked."""
PARTS = 5


def run() -> dict[str, Any]:
    """Ask everything and print the table."""
    rows = [own_questions()]
    index = Index(starter())
    for name, column in COLUMNS.items():
        if (DATA / name).exists():
            rows.append(ask(index, name, asked(DATA / name, column)))
    if len(rows) == 1:
        print("  (no development data in ../shared/data)")
    print(f"{'set':<34}{'questions':>10}{'answered':>10}{'clarified':>10}{'unknown':>10}{'right of answered':>19}")
    for row in rows:
        right = f"{row['right_of_answered']:.1%}" if "right_of_answered" in row else "-"
        print(
            f"{row['set']:<34}{row['questions']:>10}{row['answer']:>10.1%}{row['clarify']:>10.1%}{row['unknown']:>10.1%}"
            f"{right:>19}"
        )
    return {"rows": rows}


def starter() -> list[Entry]:
    """The starter knowledge as the index takes it."""
    return [
        Entry(
            row["id"],
            [row["question"], row["question_en"], *row["variants"]],
            [f"{row['answer']}{row['next_step']}{row['speech']}", row["answer_en"]],
        )
        for row in article_rows(utc_now())
    ]


def asked(path: Path, column: str) -> Iterator[str]:
    """What was asked, each once."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from dict.fromkeys(row[column] for row in csv.DictReader(file) if row[column].strip())


def ask(index: Index, name: str, questions: Iterator[str]) -> dict[str, Any]:
    """The shares of verdicts over these questions."""
    counts: Counter[str] = Counter()
    for question in questions:
        ranking = index.rank(question)
        counts[verdict(ranking.first_is_right, ranking.among_the_first) if ranking.matches else "unknown"] += 1
    total = counts.total()
    return {"set": name, "questions": total} | {kind: counts[kind] / total for kind in ("answer", "clarify", "unknown")}


def own_questions() -> dict[str, Any]:
    """Every Chinese way of asking of the starter knowledge, put to an index that doesn't have it (five parts in turn)."""
    entries = starter()
    counts: Counter[str] = Counter()
    right = 0
    for part in range(PARTS):
        kept = [
            Entry(one.article_id, [text for place, text in enumerate(one.asked) if place % PARTS != part], one.told)
            for one in entries
        ]
        index = Index(kept)
        for entry in entries:
            for text in [text for place, text in enumerate(entry.asked) if place % PARTS == part and place != 1]:
                ranking = index.rank(text)
                given = verdict(ranking.first_is_right, ranking.among_the_first) if ranking.matches else "unknown"
                counts[given] += 1
                right += given == "answer" and ranking.matches[0].article_id == entry.article_id
    total = counts.total()
    shares = {kind: counts[kind] / total for kind in ("answer", "clarify", "unknown")}
    return {"set": "own, left out in turn", "questions": total, **shares, "right_of_answered": right / counts["answer"]}
