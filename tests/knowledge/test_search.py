"""Search with a verdict: on SQLite and PostgreSQL, and in two processes' worth of indexes."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.clock import local
from backend.database import Database
from backend.knowledge import service
from backend.knowledge.models import Article
from backend.knowledge.rules import verdict
from backend.knowledge.search import Entry, Index
from backend.knowledge.service import Knowledge
from backend.knowledge.text import grams, normalise
from tests.conftest import StandingClock

HEATING = "暖气不热该找谁？"


def first(database: Database, knowledge: Knowledge, clock: StandingClock, question: str) -> tuple[str, str]:
    with database.read() as session:
        found = knowledge.search(session, question, clock())
    return found.verdict, found.articles[0][0].id if found.articles else ""


@pytest.mark.parametrize(
    "question",
    [
        HEATING,
        "喂您好，我想问一下那个暖气不热该找谁啊",
        "暖气不热　该找谁！！",
        "My radiators are not warm. Whom do I turn to?",
    ],
)
def test_a_known_question_is_answered_however_it_is_dressed(
    database: Database, clock: StandingClock, question: str
) -> None:
    assert first(database, Knowledge(), clock, question) == ("answer", "heating-not-warm")


@pytest.mark.parametrize("question", ["火星上的土豆怎么嫁接", "asdfgh", "！！！", "今天股票会涨吗"])
def test_what_nobody_wrote_an_article_about_is_never_answered(
    database: Database, clock: StandingClock, question: str
) -> None:
    assert first(database, Knowledge(), clock, question)[0] == "unknown"


def test_publishing_takes_effect_at_the_next_question_in_every_process(
    database: Database, clock: StandingClock
) -> None:
    here, elsewhere = Knowledge(), Knowledge()
    question = "云川通里怎么预约无人机表演的座位"
    assert first(database, here, clock, question)[0] == first(database, elsewhere, clock, question)[0] == "unknown"
    with database.write() as session:
        session.add(
            Article(
                id="drones",
                question=question,
                variants=["无人机表演座位预约"],
                answer="在云川通里预约。",
                speech="请在云川通里预约。",
                agency_code="C-CULTURE",
                category_code="GV-CULTURE",
                state="published",
                changed_at=clock(),
            )
        )
        service.changed(session)
    assert first(database, here, clock, question) == ("answer", "drones")
    assert first(database, elsewhere, clock, question) == ("answer", "drones")


@pytest.mark.parametrize("how", ["retired", "expired", "not yet valid", "draft"])
def test_what_is_out_of_date_or_unpublished_is_never_answered(
    database: Database, clock: StandingClock, how: str
) -> None:
    today = local(clock()).date()

    def alter(article: Article) -> None:
        if how in ("retired", "draft"):
            article.state = how
        elif how == "expired":
            article.valid_until = today - timedelta(days=1)
        else:
            article.valid_from = today + timedelta(days=1)

    with database.write() as session:
        alter(session.get_one(Article, "heating-not-warm"))
        service.changed(session)
    assert first(database, Knowledge(), clock, HEATING)[1] != "heating-not-warm"


def test_an_article_ends_at_midnight_in_china_without_anybody_doing_anything(
    database: Database, clock: StandingClock
) -> None:
    knowledge = Knowledge()
    with database.write() as session:
        session.get_one(Article, "heating-not-warm").valid_until = local(clock()).date()
        service.changed(session)
    assert first(database, knowledge, clock, HEATING) == ("answer", "heating-not-warm")
    clock.advance(hours=12)  # noon in China has become midnight
    assert first(database, knowledge, clock, HEATING)[1] != "heating-not-warm"


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_certainty_never_turns_an_answer_into_a_question(right: float, more: float) -> None:
    low, high = sorted((right, more))
    if verdict(low, low) == "answer":
        assert verdict(high, low) == "answer"


def test_the_verdict_goes_by_cost() -> None:
    assert verdict(0.99, 0.99) == "answer"
    assert verdict(0.5, 0.9) == "clarify"
    assert verdict(0.1, 0.2) == "unknown"


SMALL = Index([Entry("one", ["暖气不热"], ["请找供热单位"]), Entry("two", ["停水了"], ["请找自来水公司"])])


@given(st.text(max_size=300))
def test_no_text_breaks_the_search(text: str) -> None:
    ranking = SMALL.rank(text)
    assert all(0 <= match.score <= 1 for match in ranking.matches)
    assert 0 <= ranking.first_is_right <= 1
    grams(normalise(text))


def test_an_index_of_one_article_works() -> None:
    assert Index([Entry("only", ["停水了"], [""])]).rank("停水了").matches[0].article_id == "only"
