"""Questions that lean on what was said before: on SQLite and PostgreSQL, with a search that remembers what it was asked."""

from typing import Any

import pytest

from backend.conversations import answers, service
from backend.conversations.context import Context, context_of
from backend.database import Database
from backend.knowledge.models import Article, Gap
from backend.knowledge.service import Answerable, Found, Knowledge, SpokenPassage
from bot.client import Reply
from tests.conftest import StandingClock

PERMIT = "residence-permit"


class ListeningKnowledge(Knowledge):
    """The knowledge with an ear at its door: it keeps in what context it was asked, and finds what a test lays out."""

    def __init__(self, verdict: Any = "answer", passage: bool = False) -> None:
        super().__init__()
        self.verdict, self.passage = verdict, passage
        self.asked: list[tuple[str, str | None, str]] = []

    def search(self, session: Any, question: str, *_: Any, about: str | None = None, region: str = "") -> Found:
        self.asked.append((question, about, region))
        found: Answerable | None = (
            PASSAGE if self.passage else self.article(session, answerable(session), StandingClock()())
        )
        assert found
        return Found(self.verdict, [(found, 1.0)], 1.0)


PASSAGE = SpokenPassage(
    id="passage:7",
    document_id=3,
    question="《云川市居住证管理办法》第十二条",
    answer="居住证每年签注一次。",
    region="",
    sources=[{"title": "云川市居住证管理办法", "issuer": "云川市人民政府", "number": "云政〔2024〕3号 第十二条"}],
    valid_from=None,
    valid_until=None,
)


def answerable(session: Any) -> str:
    """The id of an article of the starter knowledge."""
    return str(session.query(Article.id).order_by(Article.id).first()[0])


def opened(database: Database, clock: StandingClock, locale: str = "zh") -> str:
    with database.write() as session:
        return service.open_conversation(session, "chat", locale, clock())[0].id


def say(database: Database, clock: StandingClock, conversation: str, *said: str | Reply) -> None:
    with database.write() as session:
        found = service.get_conversation(session, conversation)
        for one in said:
            if isinstance(one, str):
                service.record(session, found, "citizen", one, clock())
            else:
                service.record_reply(session, found, one, clock())


def asked_in(database: Database, conversation: str, question: str = "") -> Context:
    with database.read() as session:
        return context_of(session, conversation, question)


def answer(article_id: str) -> Reply:
    return Reply("答案", "答案", act="answer", article=article_id)


def test_a_follow_up_is_looked_up_with_the_article_that_was_just_given(
    database: Database, clock: StandingClock
) -> None:
    conversation, knowledge = opened(database, clock), ListeningKnowledge()
    say(database, clock, conversation, "居住证怎么办", answer(PERMIT), "那需要什么材料")
    answers.answer_question(database, knowledge, conversation, "那需要什么材料", clock)
    assert knowledge.asked == [("那需要什么材料", PERMIT, "")]


def test_the_first_question_leans_on_nothing(database: Database, clock: StandingClock) -> None:
    conversation, knowledge = opened(database, clock), ListeningKnowledge()
    answers.answer_question(database, knowledge, conversation, "居住证怎么办", clock)
    assert knowledge.asked == [("居住证怎么办", None, "")]


def test_a_chosen_article_is_what_the_conversation_is_about(database: Database, clock: StandingClock) -> None:
    conversation, knowledge = opened(database, clock), Knowledge()
    with database.read() as session:
        chosen = answerable(session)
    reply = answers.give_article(database, knowledge, conversation, chosen, clock)
    say(database, clock, conversation, "第一个", reply)
    assert asked_in(database, conversation).about == chosen


@pytest.mark.parametrize("solved", [True, False])
def test_after_the_citizen_said_whether_it_helped_a_follow_up_is_still_about_the_answer(
    database: Database, clock: StandingClock, solved: bool
) -> None:
    conversation = opened(database, clock)
    say(database, clock, conversation, "居住证怎么办", answer(PERMIT))
    reply = answers.take_feedback(database, conversation, solved, clock)
    say(database, clock, conversation, "解决了", reply)
    assert asked_in(database, conversation).about == PERMIT
    assert reply.act == ("solved" if solved else "unsolved")


def test_an_answer_given_long_ago_is_no_longer_what_is_meant(database: Database, clock: StandingClock) -> None:
    conversation = opened(database, clock)
    say(database, clock, conversation, "居住证怎么办", answer(PERMIT))
    for _ in range(3):
        say(database, clock, conversation, "路灯不亮", Reply("在哪里？", "在哪里？", act="ask"))
    assert asked_in(database, conversation).about is None


def test_the_district_named_last_narrows_the_search(database: Database, clock: StandingClock) -> None:
    conversation = opened(database, clock)
    say(database, clock, conversation, "我住云水区", Reply("好", "好"), "明湖那边的幼儿园怎么报名")
    assert asked_in(database, conversation).region == "明湖区"
    assert asked_in(database, conversation, "桐河县呢").region == "桐河县"
    assert asked_in(database, conversation, "and in Wangling District?").region == "望岭区"


def test_the_place_of_a_case_that_is_being_filed_narrows_the_search(database: Database, clock: StandingClock) -> None:
    conversation, knowledge = opened(database, clock), ListeningKnowledge()
    say(database, clock, conversation, "路灯不亮", Reply("在哪里？", "在哪里？", act="ask"), "明湖区软件园三号楼")
    answers.answer_aside(database, knowledge, conversation, "多久能修好", clock)
    assert knowledge.asked == [("多久能修好", None, "明湖区")]


def test_only_what_the_citizen_says_names_a_district(database: Database, clock: StandingClock) -> None:
    conversation = opened(database, clock)
    say(database, clock, conversation, "路灯不亮", Reply("明湖区城市管理局会处理", "明湖区城市管理局会处理"))
    assert asked_in(database, conversation).region == ""


def test_a_follow_up_without_an_answer_is_kept_with_the_article_before_it(
    database: Database, clock: StandingClock
) -> None:
    conversation = opened(database, clock)
    say(database, clock, conversation, "居住证怎么办", answer(PERMIT), "那多少钱")
    answers.answer_question(database, ListeningKnowledge("unknown"), conversation, "那多少钱", clock)
    with database.read() as session:
        gap = session.query(Gap).one()
        assert (gap.question, gap.reason, gap.article_id) == ("那多少钱", "unknown", PERMIT)


def test_a_chosen_answer_that_did_not_help_is_kept_under_the_question_and_not_under_the_choice(
    database: Database, clock: StandingClock
) -> None:
    conversation = opened(database, clock)
    knowledge = ListeningKnowledge("clarify")
    offer = answers.answer_question(database, knowledge, conversation, "没有热气", clock)
    say(database, clock, conversation, "没有热气", offer, "第一个", answer(PERMIT))
    answers.take_feedback(database, conversation, False, clock)
    with database.read() as session:
        assert session.query(Gap).one().question == "没有热气"


def test_a_passage_is_quoted_with_document_and_clause_and_spoken_without(
    database: Database, clock: StandingClock
) -> None:
    conversation = opened(database, clock)
    knowledge = ListeningKnowledge(passage=True)
    reply = answers.answer_question(database, knowledge, conversation, "居住证多久签注", clock)
    assert reply.text.startswith("根据《云川市居住证管理办法》第十二条：\n居住证每年签注一次。")
    assert "第十二条" not in reply.speech
    assert reply.sources[0].number == "云政〔2024〕3号 第十二条"
    assert reply.article == "passage:7"


def test_a_passage_among_the_choices_is_named_by_document_and_clause(database: Database, clock: StandingClock) -> None:
    conversation = opened(database, clock)
    knowledge = ListeningKnowledge("clarify", passage=True)
    reply = answers.answer_question(database, knowledge, conversation, "签注", clock)
    assert reply.choices[0].label == "《云川市居住证管理办法》第十二条"


def test_an_answer_writes_nothing(database: Database, clock: StandingClock) -> None:
    conversation, knowledge = opened(database, clock), ListeningKnowledge()
    with database.write():  # with SQLite's one writer busy, a write would wait here for ever
        answers.answer_question(database, knowledge, conversation, "居住证怎么办", clock)
