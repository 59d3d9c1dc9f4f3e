"""Search with a verdict: on SQLite and PostgreSQL, and in two processes' worth of indexes."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.clock import local
from backend.database import Database
from backend.knowledge import service
from backend.knowledge.models import Article
from backend.knowledge.rules import holds_in, period_named, verdict
from backend.knowledge.search import (
    CENTRE_OF,
    WEIGHTS,
    Entry,
    Floats,
    Index,
    Segment,
    Terms,
    Vectors,
    highest,
    unit,
    words,
)
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


SEVERAL = [
    Entry(f"matter-{place}", [f"{what}怎么办", f"办{what}找谁"], [f"{what}请到窗口办理"])
    for place, what in enumerate(
        ("居住证", "养老金", "公积金", "营业执照", "停车证", "失业金", "医保卡", "护照", "户口", "婚姻登记")
    )
]


def nearest(index: Index, question: str) -> str:
    return index.rank(question).matches[0].article_id


def test_what_is_published_changed_or_taken_away_needs_no_new_base() -> None:
    index = Index(SEVERAL)
    entries = [
        *SEVERAL[2:],
        Entry("matter-1", ["遛狗要牵绳吗"], ["要牵绳"]),
        Entry("new", ["无人机表演座位怎么预约"], ["在云川通里预约"]),
    ]
    later = Index(entries, previous=index)
    assert later.base is index.base
    assert nearest(later, "预约无人机表演的座位") == "new"
    assert nearest(later, "遛狗牵绳") == "matter-1"
    found = [match.article_id for match in later.rank("居住证怎么办，养老金怎么办", limit=50).matches]
    assert sorted(found) == sorted(one.article_id for one in entries)
    assert later.is_old


def test_one_article_more_is_no_reason_to_learn_again() -> None:
    assert not Index([*SEVERAL, Entry("new", ["路灯不亮"], ["报修"])], previous=Index(SEVERAL)).is_old


def test_a_choice_of_citizens_is_a_hint_and_never_a_certainty() -> None:
    chosen = "社区食堂几点开饭"
    index = Index([*SEVERAL[:9], Entry("hall", ["老年助餐点"], ["在街道"], chosen=[chosen])])
    ranking = index.rank(chosen)
    assert ranking.matches[0].article_id == "hall"
    assert ranking.first_is_right < 1
    assert chosen not in index.exact


@pytest.mark.parametrize(
    ("question", "year"),
    [
        ("去年的补贴标准是多少", 2025),
        ("前年交的社保怎么补", 2024),
        ("2024年度公积金缴存基数", 2024),
        ("2026年的补贴标准", None),
        ("2024年出生的孩子怎么上户口", None),
        ("补贴标准是多少", None),
    ],
)
def test_a_year_is_taken_from_the_question_when_its_rules_are_asked_for(question: str, year: int | None) -> None:
    period = period_named(question, date(2026, 11, 23))
    assert period == (None if year is None else (date(year, 1, 1), date(year, 12, 31)))


def test_what_holds_since_this_year_is_no_answer_to_a_question_about_last_year(
    database: Database, clock: StandingClock
) -> None:
    with database.write() as session:
        article = session.get_one(Article, "heating-not-warm")
        article.variants, article.valid_from = [*article.variants, "去年的供暖补贴标准"], date(2026, 1, 1)
        assert not holds_in(article, (date(2025, 1, 1), date(2025, 12, 31)))
        service.changed(session)
    assert first(database, Knowledge(), clock, "去年的供暖补贴标准")[1] != "heating-not-warm"


class Grows:
    """A model that was exchanged for a larger one under the same name."""

    name = "grows"
    length = 2

    def questions(self, texts: Sequence[str]) -> Floats:
        return np.full((len(texts), self.length), self.length**-0.5, dtype=np.float32)

    passages = questions


def test_vectors_of_another_length_under_the_same_name_are_not_compared(
    database: Database, clock: StandingClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "MAKE_AT_ONCE", 10**6)
    model = Grows()
    knowledge = Knowledge(database, model)
    assert first(database, knowledge, clock, HEATING) == ("answer", "heating-not-warm")
    model.length = 3
    first(database, knowledge, clock, "屋里冷得很，暖气片不热")
    with database.write() as session:
        session.get_one(Article, "heating-not-warm").variants = ["换了型号以后的问法"]
        service.changed(session)
    assert first(database, knowledge, clock, "换了型号以后的问法") == ("answer", "heating-not-warm")
    assert "another model needs another name" in caplog.text


def test_two_documents_of_one_title_are_two_documents() -> None:
    source = {"title": "办事指南", "url": ""}
    passages = [
        service.SpokenPassage(f"passage:{number}", number, "《办事指南》", f"第{number}件", "", [source], None, None)
        for number in (1, 2)
    ]
    assert len({service.entry(one).document for one in passages}) == 2


def test_a_way_of_asking_that_is_tried_does_not_find_itself() -> None:
    entries = [Entry("one", ["暖气不热怎么办", "屋里很冷"], ["请找供热单位"]), Entry("two", ["停水了"], ["请找水务"])]
    segment = Segment(entries, (Terms(grams), Terms(words)), None)
    covered = list(WEIGHTS).index("covered_pairs")
    asked = segment.plain[:1]
    assert segment.rankers(asked, None)[0, 0, covered] == 1
    assert segment.rankers(asked, None, np.array([0]))[0, 0, covered] == 0


def test_of_equal_scores_the_earlier_entry_comes_first_however_many_are_asked_for() -> None:
    scores = np.array([1, 3, 2, 3, -np.inf, 2, 3], dtype=np.float32)
    every = [1, 3, 6, 2, 5, 0, 4]
    assert [highest(scores, most).tolist() for most in range(1, 9)] == [every[:most] for most in range(1, 9)]


def test_passages_that_share_a_title_are_each_as_near_to_a_question_as_alone() -> None:
    def rows(texts: Sequence[str]) -> Floats:
        drawn = [np.random.default_rng(list(text.encode())).standard_normal(8) for text in texts]
        return np.array([row / np.linalg.norm(row) for row in drawn], dtype=np.float32)

    found = Vectors(rows, rows, lambda text: rows([text])[0])
    entries = [
        Entry("heating", ["暖气不热怎么办", "屋里很冷"], ["请找供热单位"]),
        *(Entry(f"rule-{place}", ["供热办法"], [f"第{place}条"], document="rules") for place in range(3)),
    ]
    segment = Segment(entries, (Terms(grams), Terms(words)), found)
    scores = dict(zip(WEIGHTS, segment.rankers([normalise("供热的办法")], rows(["供热的办法"]))[0].T, strict=True))
    ways = rows([text for entry in entries for text in entry.asked])
    middle = ways.sum(axis=0) / (len(ways) + CENTRE_OF)
    turned, asked = unit(ways - middle), unit(rows(["供热的办法"]) - middle)[0]
    middles = [turned[:2].sum(axis=0), *turned[2:]]
    assert scores["asked_nearest"] == pytest.approx([max(turned[:2] @ asked), *(turned[2:] @ asked)], abs=1e-5)
    assert scores["asked_middle"] == pytest.approx([one @ asked / np.linalg.norm(one) for one in middles], abs=1e-5)
    assert segment.asked_vectors.shape == (3, 8)
