"""Loads the starter content of nlu_data/ into an empty or older record; run as `python -m backend.load_starter`.

What is there already is left as it is, so that what a city has edited stays. Sample staff are made in development only.
"""

import csv
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.cases.learning import in_use, learn
from backend.clock import utc_now
from backend.conversations.models import CannedPhrase
from backend.database import Database
from backend.directory.models import Agency, Category, LegacyNumber, Staff
from backend.directory.service import add_staff
from backend.knowledge.content import content_of
from backend.knowledge.embedding import Embedder, EmbeddingFailed, make_embedder, vectors
from backend.knowledge.models import Article, ArticleVersion
from backend.knowledge.service import changed, entry, published, texts_of
from backend.knowledge.speech import spoken
from backend.settings import Settings, load_settings

DATA = Path(os.environ.get("STARTER_DATA") or Path(__file__).resolve().parents[1] / "nlu_data")

SAMPLE_STAFF = (
    ("operator1", "坐席甲", "operator", None),
    ("operator2", "坐席乙", "operator", None),
    ("dispatcher1", "派单员", "dispatcher", None),
    ("agency1", "城管经办人", "agency", "C-URBAN"),
    ("supervisor1", "值班长", "supervisor", None),
    ("editor1", "编辑甲", "editor", None),
    ("editor2", "编辑乙", "editor", None),
    ("reviewer1", "回访审核员", "reviewer", None),
    ("analyst1", "分析员", "analyst", None),
    ("auditor1", "审计员", "auditor", None),
    ("admin1", "管理员", "admin", None),
)
"""username, name, role, agency: for trying the line, with CONSOLE_PASSWORD."""


def rows(name: str) -> Iterator[dict[str, str]]:
    """The rows of a CSV file of nlu_data."""
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def load_starter(session: Session, settings: Settings, now: datetime) -> dict[str, int]:
    """Add what is missing; returns how many rows of each kind were added."""
    added = {
        "agencies": add_missing(session, Agency, list(agency_rows())),
        "categories": add_missing(session, Category, list(category_rows())),
        "legacy numbers": add_missing(session, LegacyNumber, list(legacy_rows())),
        "canned phrases": add_missing(session, CannedPhrase, list(phrase_rows())),
        "articles": add_missing(session, Article, list(article_rows(now))),
        "staff": 0,
    }
    if added["articles"]:
        add_first_versions(session, now)
        changed(session)
    if settings.environment == "development" and session.scalar(select(Staff.id)) is None:
        for username, name, role, agency in SAMPLE_STAFF:
            add_staff(session, username, settings.console_password, role, name, agency, f"client:{username}")
        added["staff"] = len(SAMPLE_STAFF)
    return added


def add_missing(session: Session, table: type[Any], wanted: list[dict[str, Any]]) -> int:
    """Add those of the `wanted` rows whose primary key the table doesn't have; returns how many."""
    key = table.__mapper__.primary_key[0].name
    there = set(session.scalars(select(getattr(table, key))))
    missing = [row for row in wanted if row[key] not in there]
    session.add_all(table(**row) for row in missing)
    session.flush()
    return len(missing)


def add_first_versions(session: Session, now: datetime) -> None:
    """Give each article that has no version one that says what it says, so that its history begins there."""
    without = select(Article).where(Article.id.not_in(select(ArticleVersion.article_id)))
    session.add_all(
        ArticleVersion(
            article_id=article.id,
            number=1,
            content=vars(content_of(vars(article))),
            state=article.state,
            made_at=now,
            published_at=now,
        )
        for article in session.scalars(without)
    )


def phrase_rows() -> Iterator[dict[str, Any]]:
    """nlu_data/canned_phrases.csv."""
    for row in rows("canned_phrases.csv"):
        yield {**row, "position": int(row["position"]), "active": True}


def agency_rows() -> Iterator[dict[str, Any]]:
    """nlu_data/agencies.csv, parents before children."""
    for row in sorted(rows("agencies.csv"), key=lambda row: (row["level"], len(row["code"]))):
        yield {
            "code": row["code"],
            "name": row["name"],
            "level": int(row["level"]),
            "parent_code": row["parent"] or None,
            "district": row["district"],
            "duties": row["duties"],
        }


def category_rows() -> Iterator[dict[str, Any]]:
    """nlu_data/categories.csv, parents before children."""
    for row in sorted(rows("categories.csv"), key=lambda row: row["parent"] != ""):
        yield {
            "code": row["code"],
            "parent_code": row["parent"] or None,
            "name": row["name"],
            "name_en": row["name_en"],
            "agency_code": row["agency"] or None,
        }


def legacy_rows() -> Iterator[dict[str, Any]]:
    """nlu_data/legacy_numbers.csv with the city's name filled into the greetings."""
    for row in rows("legacy_numbers.csv"):
        greetings = {name: text.format_map(facts()) for name, text in row.items() if name.startswith("greeting_")}
        yield greetings | {
            "number": row["number"],
            "name": row["name"],
            "category_code": row["category"] or None,
            "agency_code": row["agency"] or None,
            "basis": row["basis"],
        }


def facts() -> dict[str, str]:
    """The city's facts, which fill what is loaded."""
    found: dict[str, str] = yaml.safe_load((DATA / "city.yml").read_text(encoding="utf-8"))["facts"]
    return found


def article_rows(now: datetime) -> Iterator[dict[str, Any]]:
    """nlu_data/knowledge/*.yml with the facts of nlu_data/city.yml filled in; sample content counts as published."""
    known = facts()
    for path in sorted((DATA / "knowledge").glob("*.yml")):
        for article in yaml.safe_load(path.read_text(encoding="utf-8")):
            filled = {
                field: article[field].format_map(known).strip()
                for field in ("question", "question_en", "answer", "next_step", "speech", "answer_en")
            }
            yield filled | {
                "id": article["id"],
                "speech": spoken(filled["speech"]),  # the city's facts have digits
                "variants": [variant.format_map(known) for variant in article["variants"]],
                "agency_code": article["agency"],
                "category_code": article["category"],
                "sources": article["sources"],
                "state": "published",
                "changed_at": now,
            }


def main() -> None:
    """Load the starter content into the record of the settings, and say what was added."""
    settings = load_settings()
    database = Database(settings.database_url)
    with database.write() as session:
        added = load_starter(session, settings, utc_now())
    print("，".join(f"{name} +{count}" for name, count in added.items()))
    embedder = make_embedder(settings)
    if embedder:
        make_vectors(database, embedder)
    with database.read() as session:
        has_learned = in_use(session) is not None
    if not has_learned:
        learn(database, embedder, utc_now())
        print("派单建议已学习 / routing has learned")


def make_vectors(database: Database, embedder: Embedder) -> None:
    """Make the vectors of what is published, so that the first question is searched by meaning already. What is made is
    kept: an interrupted start goes on where it was."""
    with database.read() as session:
        entries = [entry(one) for one in published(session)]
    try:
        for kind, texts in texts_of(entries).items():
            vectors(database, embedder, kind, texts, show_progress)
    except EmbeddingFailed as failure:
        print(f"向量未能生成，先按字词检索 / no vectors, search by words alone: {failure}")


def show_progress(made: int, missing: int) -> None:
    """One line that counts up."""
    end = "\n" if made == missing else ""
    print(f"\r语义向量 {made}/{missing}", end=end, flush=True)


if __name__ == "__main__":
    main()
