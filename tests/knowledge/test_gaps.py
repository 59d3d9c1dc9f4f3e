"""Questions without a good answer: grouped, counted, masked, drafted, dismissed, and back when they come again."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.database import Database
from backend.directory.models import Staff
from backend.errors import Refused
from backend.knowledge import gaps
from backend.knowledge.masking import COVER, mask
from backend.knowledge.models import Article, ArticleVersion, GapGroup
from backend.knowledge.service import log_gap
from tests.conftest import StandingClock

CHARGING = ["小区里能装充电桩吗", "能在小区里装充电桩吗", "小区里能装充电桩吗？"]
FISHING = "明湖里可以钓鱼吗"


class Meanings:
    """An embedder that takes questions for the same when they name the same thing."""

    name = "meanings"

    def questions(self, texts: Sequence[str]) -> gaps.Floats:
        return np.array([[float("桩" in text), float("桩" not in text)] for text in texts], dtype=np.float32)

    passages = questions


def ask(database: Database, clock: StandingClock, *questions: str, reason: str = "unknown") -> None:
    """Questions that got no answer, now; grouped by their words."""
    with database.write() as session:
        for question in questions:
            log_gap(session, "conversation", question, reason, clock())
    gaps.group_new(database, None, clock())


def listed(database: Database, clock: StandingClock, state: str = "open", reason: str = "") -> list[tuple[str, int]]:
    with database.read() as session:
        return [(group.title, group.count) for group in gaps.groups(session, clock(), 28, state, reason)]


def editor(database: Database) -> Staff:
    with database.read() as session:
        return session.query(Staff).filter_by(username="editor1").one()


def only_group(database: Database) -> int:
    with database.read() as session:
        return session.query(GapGroup).one().id


def test_questions_in_nearly_the_same_words_are_one_to_do(database: Database, clock: StandingClock) -> None:
    ask(database, clock, *CHARGING, FISHING)
    assert listed(database, clock) == [("小区里能装充电桩吗", 3), (FISHING, 1)]


def test_questions_of_the_same_meaning_are_one_to_do_when_there_is_a_model(
    database: Database, clock: StandingClock
) -> None:
    with database.write() as session:
        for question in ("小区里能装充电桩吗", "物业不让电动汽车桩进地库", FISHING):
            log_gap(session, "conversation", question, "unknown", clock())
    gaps.group_new(database, Meanings(), clock())
    assert [count for _, count in listed(database, clock)] == [2, 1]


def test_a_new_question_joins_the_group_that_is_there(database: Database, clock: StandingClock) -> None:
    ask(database, clock, CHARGING[0])
    clock.advance(days=1)
    ask(database, clock, CHARGING[1])
    assert [count for _, count in listed(database, clock)] == [2]


def test_many_new_questions_are_grouped_a_part_at_a_time(
    database: Database, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gaps, "AT_ONCE", 2)
    ask(database, clock, *CHARGING)
    with database.read() as session:
        assert gaps.waiting(session) == 1
    assert gaps.group_new(database, None, clock()) == 1
    assert gaps.group_new(database, None, clock()) == 0


def test_the_list_goes_by_reason_and_period(database: Database, clock: StandingClock) -> None:
    ask(database, clock, FISHING, reason="unsolved")
    clock.advance(days=29)
    ask(database, clock, *CHARGING)
    assert [count for _, count in listed(database, clock)] == [3]
    assert listed(database, clock, reason="unsolved") == []


def test_the_trend_counts_each_day_by_chinas_clock(clock: StandingClock) -> None:
    late = clock() + timedelta(hours=13)  # one in the morning of the next day in China
    daily = gaps.by_day([clock(), late, late], late)
    assert (len(daily), daily[-2:]) == (28, [1, 2])


def test_one_click_makes_a_draft_with_the_other_ways_to_ask(database: Database, clock: StandingClock) -> None:
    ask(database, clock, *CHARGING)
    author = editor(database)
    with database.write() as session:
        made = gaps.draft(session, only_group(database), "C-LINE", "GV-OTHER", author, clock())
        assert (made.question, made.variants, made.state) == (CHARGING[0], [CHARGING[1]], "draft")
        assert session.query(ArticleVersion).filter_by(article_id=made.id).one().author_id == author.id
    assert listed(database, clock) == []
    assert len(listed(database, clock, state="drafted")) == 1


def test_a_draft_leaves_out_ways_of_asking_with_something_covered_up_in_them(
    database: Database, clock: StandingClock
) -> None:
    ask(database, clock, *CHARGING, f"我电话13812345678，{CHARGING[0]}")
    with database.write() as session:
        made = gaps.draft(session, only_group(database), "C-LINE", "GV-OTHER", editor(database), clock())
        assert (made.question, made.variants) == (CHARGING[0], [CHARGING[1]])


def test_of_two_editors_who_decide_at_once_the_second_is_refused(database: Database, clock: StandingClock) -> None:
    ask(database, clock, FISHING)
    group, by = only_group(database), editor(database)
    with database.write() as session:
        gaps.dismiss(session, group, "不归本市管", by, clock())
    with pytest.raises(Refused) as refusal, database.write() as session:
        gaps.draft(session, group, "C-LINE", "GV-OTHER", by, clock())
    assert refusal.value.code == "group_decided"


def test_nothing_is_dismissed_without_a_reason(database: Database, clock: StandingClock) -> None:
    ask(database, clock, FISHING)
    with pytest.raises(Refused) as refusal, database.write() as session:
        gaps.dismiss(session, only_group(database), " ", editor(database), clock())
    assert refusal.value.code == "reason_missing"


def test_a_dismissed_question_that_comes_again_is_back_on_the_list(database: Database, clock: StandingClock) -> None:
    ask(database, clock, FISHING)
    with database.write() as session:
        gaps.dismiss(session, only_group(database), "太少人问", editor(database), clock())
    assert listed(database, clock) == []
    clock.advance(hours=1)
    ask(database, clock, FISHING)
    assert listed(database, clock) == [(FISHING, 2)]


def test_a_drafted_question_comes_back_only_after_its_article_was_published(
    database: Database, clock: StandingClock
) -> None:
    ask(database, clock, FISHING)
    with database.write() as session:
        made = gaps.draft(session, only_group(database), "C-LINE", "GV-OTHER", editor(database), clock()).id
    clock.advance(hours=1)
    ask(database, clock, FISHING)
    assert listed(database, clock) == []
    with database.write() as session:
        article = session.get_one(Article, made)
        article.state, article.changed_at = "published", clock()
    clock.advance(hours=1)
    ask(database, clock, FISHING)
    assert listed(database, clock) == [(FISHING, 3)]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("我的电话13812345678，居住证怎么办", "我的电话•••，居住证怎么办"),
        ("打138 1234 5678找我", "打•••找我"),
        ("幺三八零零一二三四五六", "•••"),
        ("身份证34010319900307123X丢了", "身份证•••丢了"),
        ("我叫王大明，想问社保", "我叫•••，想问社保"),
        ("我是王大明", "我是•••"),
        ("我住软件园三号楼2单元501室，漏水", "我住软件园•••，漏水"),
        ("我们3栋502漏水", "我们•••漏水"),
        ("My name is John Smith", "My name is •••"),
        ("发到wang.daming@example.com", "•••"),
    ],
)
def test_what_tells_who_somebody_is_is_covered(said: str, shown: str) -> None:
    assert mask(said).endswith(shown)


@pytest.mark.parametrize(
    "said",
    [
        "我是外地户口怎么落户",
        "2025-11-23停水",
        "云政〔2024〕12号文",
        "两室一厅能提公积金吗",
        "三号楼路灯不亮",
        "我叫了三次救护车",
        "拨打12345",
    ],
)
def test_what_tells_nothing_of_anybody_is_left(said: str) -> None:
    assert mask(said) == said


@settings(max_examples=200, deadline=None)
@given(before=st.text(max_size=20), after=st.text(max_size=20), digits=st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True))
def test_no_telephone_number_comes_through_whatever_stands_around_it(before: str, after: str, digits: str) -> None:
    assert digits not in mask(f"{before}{digits}{after}")


def test_personal_data_is_neither_in_the_list_nor_in_the_draft(database: Database, clock: StandingClock) -> None:
    ask(database, clock, "我叫王大明，小区里能装充电桩吗", "小区里能装充电桩吗，电话13812345678")
    with database.write() as session:
        group = session.query(GapGroup).first()
        assert group
        made = gaps.draft(session, group.id, "C-LINE", "GV-OTHER", editor(database), clock())
        whole = f"{made.question}{made.variants}"
    assert COVER in whole
    assert "王大明" not in whole
    assert "13812345678" not in whole
