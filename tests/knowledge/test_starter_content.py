"""The starter content is what README promises: complete, sourced, speakable."""

import re
from collections import Counter
from typing import Any

import pytest
import yaml

from backend.clock import utc_now
from backend.load_starter import DATA, agency_rows, article_rows, category_rows

ARTICLES = list(article_rows(utc_now()))
AGENCIES = {row["code"]: row for row in agency_rows()}
CATEGORIES = {row["code"]: row for row in category_rows()}


def test_there_are_at_least_150_articles_and_120_agencies_at_three_levels() -> None:
    assert len(ARTICLES) >= 150
    assert len(AGENCIES) >= 120
    assert {row["level"] for row in AGENCIES.values()} == {1, 2, 3}


def test_categories_have_two_levels_and_the_second_names_its_agency() -> None:
    for row in CATEGORIES.values():
        if row["parent_code"]:
            assert CATEGORIES[row["parent_code"]]["parent_code"] is None
            assert row["agency_code"] in AGENCIES


def test_every_agency_hangs_in_the_tree() -> None:
    for row in AGENCIES.values():
        if row["level"] > 1:
            assert AGENCIES[row["parent_code"]]["level"] < row["level"] or row["parent_code"] in AGENCIES


@pytest.mark.parametrize("article", ARTICLES, ids=lambda article: article["id"])
def test_every_article_is_complete_sourced_and_speakable(article: dict[str, Any]) -> None:
    assert len(set(article["variants"]) - {article["question"]}) >= 6
    assert article["answer"] and article["next_step"] and article["answer_en"] and article["question_en"]
    assert article["agency_code"] in AGENCIES
    assert CATEGORIES[article["category_code"]]["parent_code"]
    for source in article["sources"]:
        assert source["title"] and source["issuer"] and source["number"]
    assert article["sources"]
    assert len(article["speech"]) <= 60
    assert not re.search(r"https?:|[《》（）/]|[A-Za-z]", article["speech"])
    shown = [article[field] for field in ("question", "answer", "next_step", "speech", "answer_en")]
    assert not any(re.search(r"\{\w*\}", text) for text in shown), "a placeholder was not filled"


def test_no_two_articles_share_a_way_of_asking() -> None:
    asked = Counter(
        re.sub(r"\W", "", text)
        for article in ARTICLES
        for text in {re.sub(r"\W", "", text) for text in [article["question"], *article["variants"]]}
    )
    assert [text for text, count in asked.items() if count > 1] == []


def test_a_dialogue_example_stands_under_one_intent_only_and_not_in_the_held_out_set() -> None:
    def examples(path: Any) -> Counter[str]:
        intents = yaml.safe_load(path.read_text(encoding="utf-8"))["nlu"]
        return Counter(
            text
            for intent in intents
            for text in {re.sub(r"\W", "", line[2:]).lower() for line in intent["examples"].splitlines()}
            if text
        )

    learned = examples(DATA / "dialogue" / "nlu.yml")
    held_out = examples(DATA.parent / "tests" / "bot" / "nlu_held_out.yml")
    assert [text for text, count in learned.items() if count > 1] == []
    assert set(learned) & set(held_out) == set()
