"""Hot words: what is said more often than usual, and nothing of anybody."""

from datetime import timedelta

import httpx
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from backend.cases.models import Case
from backend.database import Database
from backend.insight import words
from backend.insight.figures import Slice, today
from backend.insight.models import WordCell
from backend.insight.rollups import keep_in_step
from backend.insight.sample_year import fill
from backend.insight.words import ALL, count_words, hot, hot_words, most_frequent, terms
from backend.parts import Parts
from tests.conftest import StandingClock
from tests.console.test_gap_pages import log_in


def test_nothing_personal_is_a_word() -> None:
    said = terms(
        "我叫王大明，电话13812345678，身份证110101199003072316，住3号楼2单元501，车牌京A12345，物业经理李小红不管电梯"
    )
    assert "电梯" in said
    assert not {
        word for word in said if any(part in word for part in ("王大明", "李小红", "138", "110101", "京A", "501"))
    }


def test_a_place_is_one_word_whatever_of_it_is_said() -> None:
    assert "阳光花园" in terms("云水区望月街道阳光花园停水")
    assert not {"云水区", "望月街道", "花园"} & terms("云水区望月街道阳光花园停水")


def test_neighbours_that_belong_together_are_one_phrase() -> None:
    said = {"电动车": 20, "充电": 22, "电动车|充电": 19, "停水": 60, "物业": 50, "物业|停水": 1}
    found = [one.word for one in most_frequent(said, 10)]
    assert "电动车充电" in found
    assert "电动车" not in found
    assert "物业停水" not in found


def test_a_word_that_is_always_frequent_is_not_hot_and_one_that_has_become_so_is() -> None:
    usual = {"噪声": 1200, "停车": 1000, "停水": 20}
    found = hot({"噪声": 100, "停车": 90, "停水": 40}, usual, 10)
    assert [one.word for one in found] == ["停水"]


@given(
    st.dictionaries(st.text("甲乙丙丁", min_size=1), st.integers(1, 9)),
    st.dictionaries(st.text("甲乙丙丁"), st.integers(1, 9)),
)
def test_what_few_have_said_is_never_shown(said: dict[str, int], usual: dict[str, int]) -> None:
    assert all(one.cases >= words.LEAST for one in (*hot(said, usual, 99), *most_frequent(said, 99)))


def test_the_counts_of_days_and_of_months_are_those_of_the_cases(database: Database, clock: StandingClock) -> None:
    fill(database, clock(), cases=120, days=40, seed=2)
    keep_in_step(database, clock)
    for _ in range(2):
        clock.advance(minutes=11)
        count_words(database, clock)
    with database.read() as session:
        cells = list(session.scalars(select(WordCell)))
        whole = {
            grain: sum(one.cases for one in cells if one.grain == grain and one.district == one.category == ALL)
            for grain in "dm"
        }
        parts = sum(one.cases for one in cells if one.grain == "d" and ALL not in (one.district, one.category))
        filed = session.scalar(select(func.count()).select_from(Case))
        assert whole["d"] == whole["m"] == parts == filed
        now = today(clock())
        assert hot_words(session, Slice(now - timedelta(days=39), now + timedelta(days=1))).cases == filed


def test_the_page_and_the_screen_show_what_is_hot(web: httpx.Client, parts: Parts, clock: StandingClock) -> None:
    fill(parts.database, clock(), cases=500, days=200, seed=3)
    keep_in_step(parts.database, clock)
    clock.advance(minutes=11)
    count_words(parts.database, clock)
    analyst = log_in(web, "analyst1")
    page = analyst.get("/console/insight/words")
    assert page.status_code == 200
    assert 'data-testid="word"' in page.text
    assert analyst.get("/console/wall/data").json()["words"]
