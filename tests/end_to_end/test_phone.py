"""A citizen's call with the real bot, from the practice phone through the signed webhooks."""

import re

from backend.cases.models import Case
from backend.conversations.models import Conversation
from backend.database import Database
from bot.digits import find_case_number
from ivr.models import Call
from ivr.phone.call import PracticeCall, spoken
from tests.running_line import RunningLine


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
