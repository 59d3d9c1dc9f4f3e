"""A citizen's chat with the real bot."""

import os
import re
import subprocess
from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy import select

from backend.cases.models import Case
from backend.cases.service import Actor, Filing, file_case
from backend.database import Database
from backend.knowledge.service import Knowledge
from backend.settings import ROOT
from tests.conftest import closed_port
from tests.console.test_agency_pages import log_in, token
from tests.running_line import BOT_PYTHON, SECRETS, Chat, RunningLine, until


def act_of(replies: list[dict[str, object]]) -> object:
    return replies[-1]["act"]


def text_of(replies: list[dict[str, object]]) -> str:
    return "\n".join(str(reply["text"]) for reply in replies)


def labels_of(replies: list[dict[str, object]]) -> list[str]:
    return [choice["label"] for choice in replies[-1]["choices"]]  # type: ignore[attr-defined]


def file_lamp(chat: Chat) -> str:
    """Report a broken street lamp up to the summary; returns the summary."""
    chat.say("我要反映问题")
    chat.say("小区路灯不亮")
    chat.say("明湖区软件园三号楼门口")
    chat.say("三天了")
    return text_of(chat.say("13800000000"))


def test_a_question_gets_its_answer_with_source_and_what_to_do_next(line: RunningLine) -> None:
    replies = line.chat().say("暖气不热该找谁")
    assert act_of(replies) == "answer"
    assert "接下来" in text_of(replies)
    assert replies[-1]["sources"]
    assert labels_of(replies) == ["解决了", "没解决"]


def test_a_question_near_several_articles_gets_them_to_choose_from(line: RunningLine) -> None:
    chat = line.chat()
    replies = chat.say("居住证怎么办")
    assert act_of(replies) == "clarify"
    offered = labels_of(replies)
    assert 3 <= len(offered) <= 4
    chosen = chat.say(offered[0])
    assert act_of(chosen) == "answer"


def test_a_follow_up_is_answered_about_what_was_just_answered(line: RunningLine) -> None:
    chat = line.chat()
    if act_of(chat.say("居住证怎么办")) == "clarify":
        assert act_of(chat.say("第一个")) == "answer"
    follow_up = chat.say("那需要什么材料")
    assert act_of(follow_up) == "answer"
    assert "居住证" in text_of(follow_up)


def test_an_unknown_question_is_offered_a_case_or_an_operator(line: RunningLine) -> None:
    replies = line.chat().say("火星上的土豆怎么嫁接")
    assert act_of(replies) == "unknown"
    assert labels_of(replies) == ["登记工单", "转人工"]


def test_two_questions_that_the_bot_can_not_settle_bring_a_person(line: RunningLine) -> None:
    chat = line.chat()
    chat.say("火星上的土豆怎么嫁接")
    assert act_of(chat.say("那么金星上的西瓜几月采摘呢")) == "handoff"
    assert chat.state == "waiting"


def test_an_answer_that_did_not_help_is_followed_by_what_else_can_be_done(line: RunningLine) -> None:
    chat = line.chat()
    chat.say("暖气不热该找谁")
    assert labels_of(chat.say("没解决")) == ["登记工单", "转人工"]


def test_a_report_is_led_through_corrected_confirmed_and_found_again(line: RunningLine) -> None:
    chat = line.chat()
    assert "小区路灯不亮" in file_lamp(chat)
    corrected = text_of(chat.say("不对，是五号楼"))
    assert "明湖区软件园五号楼门口" in corrected
    filed = chat.say("确认")
    assert act_of(filed) == "filed"
    assert "明湖区城市管理局" in text_of(filed)
    number = re.search(r"\d{5}-\d{5}", text_of(filed))
    assert number

    later = line.chat()
    later.say("我要查工单")
    later.say(number[0])
    assert "已登记" in text_of(later.say("0000"))
    later.say("我要查工单")
    later.say(number[0])
    assert "没有找到" in text_of(later.say("1111"))
    assert "已登记" in text_of(line.chat().say(f"查一下工单{number[0]}，后四位0000"))
    alone = line.chat()
    alone.say(number[0])
    assert "已登记" in text_of(alone.say("0000"))


def test_a_question_in_the_middle_of_a_report_is_answered_and_the_report_goes_on(line: RunningLine) -> None:
    chat = line.chat()
    chat.say("我要反映问题")
    chat.say("小区路灯不亮")
    chat.say("明湖区软件园三号楼门口")
    chat.say("三天了")
    replies = chat.say("要多久能办好")
    assert len(replies) == 2
    assert "电话" in str(replies[1]["text"])
    assert "13800000000" in text_of(chat.say("13800000000"))


@pytest.mark.parametrize("item", ["改事情", "改地点", "改时间", "改电话"])
def test_any_item_of_the_summary_can_be_corrected_by_its_button(line: RunningLine, item: str) -> None:
    chat = line.chat()
    file_lamp(chat)
    assert act_of(chat.say(item)) == "ask"
    new = {"改事情": "井盖丢了", "改地点": "和平路十八号", "改时间": "昨天晚上", "改电话": "13900000000"}[item]
    summary = chat.say(new)
    assert act_of(summary) == "confirm"
    assert new in text_of(summary)


def test_an_anonymous_report_keeps_no_telephone(line: RunningLine) -> None:
    chat = line.chat()
    chat.say("我要投诉楼下烧烤店油烟太大")
    chat.say("云水区望月街道")
    chat.say("上周三开始")
    assert "匿名" in text_of(chat.say("匿名"))
    assert act_of(chat.say("确认")) == "filed"


def test_a_report_can_be_given_up(line: RunningLine) -> None:
    chat = line.chat()
    chat.say("我要反映问题")
    assert "不登记" in text_of(chat.say("取消"))


def test_a_misheard_case_number_is_noticed(line: RunningLine) -> None:
    chat = line.chat()
    chat.say("我要查工单")
    assert "好像不对" in text_of(chat.say("26000-00015"))


def test_danger_comes_first_in_the_middle_of_a_report(line: RunningLine) -> None:
    chat = line.chat()
    chat.say("我要反映问题")
    assert "119" in text_of(chat.say("楼下着火了"))


def test_a_message_sent_twice_is_answered_once(line: RunningLine) -> None:
    chat = line.chat()
    first = chat.say("暖气不热该找谁", key="same")
    assert chat.say("暖气不热该找谁", key="same") == first
    assert [turn["speaker"] for turn in chat.turns()] == ["bot", "citizen", "bot"]


def test_english_is_answered_in_english(line: RunningLine) -> None:
    chat = line.chat("en")
    replies = chat.say("My radiators are not warm. Whom do I turn to?")
    assert act_of(replies) == "answer"
    assert not re.search("[一-鿿]", text_of(replies))


@pytest.mark.parametrize(
    "said", ["/restart", '/affirm{"a": 1}', "/session_start", "//deny", "'; DROP TABLE cases; --", "😀" * 50]
)
def test_nothing_that_a_citizen_types_is_a_command_to_the_bot(line: RunningLine, said: str) -> None:
    chat = line.chat()
    assert chat.say(said)
    assert chat.say("暖气不热该找谁")[-1]["act"] in ("answer", "handoff")


@pytest.mark.parametrize(("said", "note"), [("确认", "是同一件事"), ("单独登记", "不是同一件事")])
def test_who_reports_what_neighbours_have_is_told_so_and_says_whether_it_is_the_same(
    line: RunningLine, said: str, note: str
) -> None:
    record = Database(line.database_url)
    with record.write() as session:
        for last in range(3):
            water = Filing("小区停水两天了，没有人来修", "康乐小区5号楼", contact=f"+861370000000{last}")
            file_case(session, Knowledge(), water, Actor("bot"), datetime.now(UTC), "shandong")
    chat = line.chat()
    chat.say("我要反映问题")
    chat.say("小区停水两天了，一直没有人来修")
    chat.say("康乐小区8号楼")
    chat.say("两天了")
    told = chat.say(f"1360000000{len(said)}")
    assert "位市民反映过同样的问题" in text_of(told)
    assert labels_of(told)[:2] == ["确认，一并登记", "不是同一件事，单独登记"]
    assert "1370000000" not in text_of(told)
    assert act_of(chat.say(said)) == "filed"
    with record.read() as session:
        case = session.scalars(select(Case).order_by(Case.id.desc())).first()
        assert case is not None
        assert f"市民说明与邻居反映的{note}" in case.history[1].details["note"]
    record.close()


def test_the_bot_asks_in_the_citys_words_until_they_are_taken_back(line: RunningLine) -> None:
    page, delivered = "/console/line/prompts/bot/ask_what", "请说说发生了什么事？"
    with httpx.Client(base_url=line.base_url, timeout=30) as web:
        log_in(web, "admin1")
        wanted = {"text_zh": "您想反映什么？", "text_en": "What is it about?", "csrf_token": token(web.get(page))}
        assert web.post(page, data=wanted).status_code == 302
        until(lambda: text_of(line.chat().say("我要反映问题")) == "您想反映什么？", "the new wording")
        web.post(f"{page}/delivered", data={"csrf_token": wanted["csrf_token"]})
        until(lambda: text_of(line.chat().say("我要反映问题")) == delivered, "the delivered wording")


def test_what_watches_containers_hears_whether_a_bot_has_its_model(line: RunningLine) -> None:
    def status(port: int) -> int:
        environment = os.environ | {"BOT_PORT": str(port), "BOT_TOKEN": SECRETS["BOT_TOKEN"]}
        return subprocess.run([BOT_PYTHON, "-m", "bot.ready"], cwd=ROOT, env=environment, check=False).returncode

    assert status(line.bot_port) == 0
    assert status(closed_port()) == 1
