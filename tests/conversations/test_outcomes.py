"""What came of the answers, counted from the turns: on SQLite and PostgreSQL."""

from datetime import timedelta

from backend.conversations import service
from backend.conversations.outcomes import Outcomes, clicks, outcomes
from backend.conversations.rules import choosing
from backend.database import Database
from bot.client import Choice, Reply
from tests.conftest import StandingClock

HELPED = Reply("好的", "好的", act="solved", article="heating")
DID_NOT_HELP = Reply("抱歉", "抱歉", act="unsolved", article="heating")
PERSON = Reply("转接", "转接", act="handoff")
LIST = Reply(
    "哪一个？",
    "哪一个？",
    act="clarify",
    choices=(Choice("暖气不热", choosing("heating")), Choice("停水", choosing("water")), Choice("都不是", "/unsolved")),
)


def answer(article_id: str) -> Reply:
    return Reply("答案", "答案", act="answer", article=article_id)


def conversation(database: Database, clock: StandingClock, *said: str | Reply) -> None:
    """A conversation in which the citizen said the texts and the bot the replies."""
    with database.write() as session:
        opened, _ = service.open_conversation(session, "chat", "zh", clock())
        for one in said:
            if isinstance(one, str):
                service.record(session, opened, "citizen", one, clock())
            else:
                service.record_reply(session, opened, one, clock())


def counted(database: Database, clock: StandingClock) -> dict[str, tuple[int, int, int, int]]:
    """article -> asked, solved, unsolved, handed over in the last week."""
    with database.read() as session:
        found = outcomes(session, clock() - timedelta(days=7), clock() + timedelta(seconds=1))
    return {one.article_id: (one.asked, one.solved, one.unsolved, one.handed_over) for one in found}


def test_what_followed_an_answer_decides_what_came_of_it(database: Database, clock: StandingClock) -> None:
    conversation(database, clock, "暖气", answer("heating"), "解决了", HELPED)
    conversation(database, clock, "暖气", answer("heating"), "没解决", DID_NOT_HELP)
    conversation(database, clock, "暖气", answer("heating"), "转人工", PERSON)
    conversation(database, clock, "暖气", answer("heating"))
    assert counted(database, clock) == {"heating": (4, 1, 1, 1)}


def test_an_answer_counts_once_and_as_handed_over_when_it_ended_with_a_person(
    database: Database, clock: StandingClock
) -> None:
    conversation(database, clock, "暖气", answer("heating"), "没解决", DID_NOT_HELP, "转人工", PERSON)
    assert counted(database, clock) == {"heating": (1, 0, 0, 1)}


def test_what_is_said_of_the_next_answer_is_not_said_of_the_one_before(
    database: Database, clock: StandingClock
) -> None:
    conversation(database, clock, "停水", answer("water"), "暖气", answer("heating"), "解决了", HELPED)
    assert counted(database, clock) == {"heating": (1, 1, 0, 0), "water": (1, 0, 0, 0)}


def test_an_answer_in_the_middle_of_a_filing_is_not_counted_because_nobody_is_asked_whether_it_helped(
    database: Database, clock: StandingClock
) -> None:
    aside = Reply("五个工作日", "五个工作日", article="deadline")
    conversation(database, clock, "报修", Reply("在哪里？", "在哪里？", act="ask"), "要多久", aside)
    assert counted(database, clock) == {}


def test_answers_outside_the_period_are_not_counted(database: Database, clock: StandingClock) -> None:
    conversation(database, clock, "暖气", answer("heating"))
    clock.advance(days=8)
    conversation(database, clock, "停水", answer("water"))
    assert counted(database, clock) == {"water": (1, 0, 0, 0)}


def test_the_worst_article_comes_first_and_a_single_failure_does_not_stand_before_many(
    database: Database, clock: StandingClock
) -> None:
    conversation(database, clock, "停水", answer("water"), "没解决", DID_NOT_HELP)
    for _ in range(4):
        conversation(database, clock, "暖气", answer("heating"), "没解决", DID_NOT_HELP)
    conversation(database, clock, "居住证", answer("permit"), "解决了", HELPED)
    assert list(counted(database, clock)) == ["heating", "water", "permit"]


def test_nothing_judged_is_neither_good_nor_bad() -> None:
    assert Outcomes("heating", 5, 0, 0, 0).solved_rate == 0.5


def test_a_choice_from_a_list_tells_what_was_meant(database: Database, clock: StandingClock) -> None:
    conversation(database, clock, "家里没有热气", LIST, "第一个", answer("heating"))
    with database.read() as session:
        assert clicks(session, clock()) == [("家里没有热气", "heating")]


def test_another_question_none_of_these_and_old_choices_are_no_clicks(database: Database, clock: StandingClock) -> None:
    conversation(database, clock, "没有热气", LIST, "第一个", answer("heating"))
    clock.advance(days=1)
    conversation(database, clock, "没有热气", LIST, "停水了找谁", answer("water"))
    conversation(database, clock, "没有热气", LIST, "都不是", Reply("没有", "没有", act="unknown"))
    with database.read() as session:
        assert clicks(session, clock()) == []
