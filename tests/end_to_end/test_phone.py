"""A citizen's call with the real bot, from the practice phone through the signed webhooks."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from backend.cases.models import Case
from backend.cases.service import Actor, Filing, file_case
from backend.conversations.models import Conversation
from backend.database import Database
from backend.encryption import lookup_hash
from backend.knowledge.service import Knowledge
from bot.digits import find_case_number
from ivr.models import Call
from ivr.phone.call import PracticeCall, spoken
from tests.caller import Caller
from tests.running_line import SECRETS, RunningLine


def say(call: PracticeCall, text: str) -> str:
    events = call.speak(text)
    assert not [event for event in events if event.type == "error"]
    return spoken(events)


def press(call: PracticeCall, keys: str) -> str:
    events = call.press(keys)
    assert not [event for event in events if event.type == "error"]
    return spoken(events)


def test_a_call_from_question_to_case_number_by_speech_and_keys(line: RunningLine) -> None:
    call = line.dial()
    assert "这样解决您的问题了吗" in say(call, "喂你好我想问一下暖气不热该找谁")
    assert "别的问题" in press(call, "1")
    say(call, "我要反映问题")
    say(call, "小区路灯不亮")
    say(call, "云水区望月街道三号楼")
    assert "这个电话" in say(call, "有三天了")
    assert "三号楼" in press(call, "1")
    assert "五号楼" in say(call, "不对，是五号楼")
    filed = say(call, "对")
    number = find_case_number(filed.split("再说一遍")[0])
    assert number
    assert "再见" in say(call, "没有别的问题了，再见")
    record = Database(line.database_url)
    with record.read() as session:
        case = session.query(Case).filter_by(number=number).one()
        assert (case.channel, case.contact, case.place) == ("phone", "+8613800138000", "云水区望月街道五号楼")
    record.close()


def test_a_case_is_looked_up_by_keys(line: RunningLine) -> None:
    chat = line.chat()
    for text in ("我要反映问题", "井盖丢了", "川北区北仓街道", "昨天", "13800000000"):
        chat.say(text)
    number = re.search(r"\d{5}-\d{5}", str(chat.say("确认")[-1]["text"]))
    assert number
    call = line.dial()
    say(call, "我要查工单")
    press(call, f"{number[0].replace('-', '')}#")
    assert "已登记" in press(call, "0000#")
    call.hang_up()
    record = Database(line.database_url)
    with record.read() as session:  # told where the case stands, nobody is called back
        conversation = session.get_one(Conversation, session.get_one(Call, call.state.call_sid).conversation_id)
        assert conversation.state == "closed"
    record.close()


def test_star_repeats_what_was_said(line: RunningLine) -> None:
    call = line.dial()
    answer = say(call, "暖气不热该找谁")
    assert press(call, "*") == answer


def test_what_is_spoken_can_be_spoken(line: RunningLine) -> None:
    call = line.dial()
    for question in ("居住证怎么办理", "拖欠工资怎么办", "公积金怎么提取"):
        assert not re.search(r"https?:|《|（|\d{5}", say(call, question))


def test_the_word_for_a_person_brings_a_person_in_the_middle_of_a_report(line: RunningLine) -> None:
    call = line.dial()
    say(call, "我要反映问题")
    assert "工作人员" in say(call, "转人工")


@pytest.mark.parametrize(
    ("answers", "note"), [(lambda call: call.say("确认"), "是"), (lambda call: call.press("2"), "不是")]
)
def test_a_caller_is_told_how_many_neighbours_have_reported_it_and_says_whether_it_is_the_same(
    line: RunningLine, answers: Callable[[Caller], str], note: str
) -> None:
    record = Database(line.database_url)
    with record.write() as session:
        for last in range(3):
            water = Filing("小区停水两天了，没有人来修", "安宁小区5号楼", contact=f"+861370000010{last}")
            file_case(session, Knowledge(), water, Actor("bot"), datetime.now(UTC), "shandong")
    caller = Caller(line.base_url, SECRETS["TWILIO_AUTH_TOKEN"], number=f"+861360000010{len(note)}").dial()
    for words in ("我要反映问题", "小区停水两天了，一直没有人来修", "安宁小区8号楼", "两天了"):
        caller.say(words)
    told = caller.press("1")
    assert re.search(r"已有.{1,2}位市民反映过同样的问题，是同一件事请说确认，不是请说单独登记", told)
    assert find_case_number(answers(caller).split("再说一遍")[0])
    caller.hang_up()
    with record.read() as session:
        case = session.scalars(select(Case).where(Case.contact_hash == lookup_hash(caller.number))).one()
        assert case.channel == "phone"
        notes = " ".join(event.details.get("note", "") for event in case.history)
        assert f"市民说明与邻居反映的{note}同一件事" in notes
    record.close()
