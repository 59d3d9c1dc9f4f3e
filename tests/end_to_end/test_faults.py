"""Parts that die, in the middle of a call and of a chat: nothing that was said is lost, and the line recovers."""

import re
import signal
from collections.abc import Callable

import pytest

from backend.cases.models import Case
from backend.database import Database
from bot.client import RasaBot, Reply
from ivr.phone.call import spoken
from tests.running_line import SECRETS, RunningLine, until

Filed = Callable[[], list[Case]]


def all_cases(line: RunningLine) -> list[Case]:
    record = Database(line.database_url)
    with record.read() as session:
        found = session.query(Case).order_by(Case.id).all()
    record.close()
    return found


@pytest.fixture
def filed(own_line: RunningLine) -> Filed:
    """The cases that were filed since the test began."""
    before = len(all_cases(own_line))
    return lambda: all_cases(own_line)[before:]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hung"])
def test_rasa_lost_in_mid_call_the_caller_is_told_and_a_case_with_the_recording_exists(
    own_line: RunningLine, filed: Filed, how: signal.Signals
) -> None:
    call = own_line.dial()
    call.speak("暖气不热该找谁")
    pid = own_line.processes["bot"]
    if how is signal.SIGSTOP:
        pid.send_signal(how)
    else:
        own_line.stop("bot")
    told = spoken(call.speak("我们小区路灯不亮三天了"))
    assert "智能服务暂时不能回答" in told
    assert call.status == "recording"
    assert "工单号" in spoken(call.finish_recording(20))
    (case,) = filed()
    assert case.recording_url
    assert "路灯不亮" in case.what


def test_rasa_lost_in_mid_chat_the_text_is_filed_and_more_is_added_to_the_same_case(
    own_line: RunningLine, filed: Filed
) -> None:
    chat = own_line.chat()
    chat.say("暖气不热该找谁")
    own_line.stop("bot")
    first = str(chat.say("我们小区路灯不亮三天了")[-1]["text"])
    number = re.search(r"\d{5}-\d{5}", first)
    assert number
    assert number[0] in str(chat.say("在明湖区软件园")[-1]["text"])
    (case,) = filed()
    assert "路灯不亮" in case.what
    assert own_line.health()[0] == 503

    own_line.start("bot")
    until(own_line.is_healthy, "recovery")
    assert chat.say("暖气不热该找谁")[-1]["act"] == "answer"


def test_a_report_half_told_goes_on_after_rasa_was_killed_and_started_again(own_line: RunningLine) -> None:
    call = own_line.dial()
    call.speak("我要反映问题")
    call.speak("小区路灯不亮")
    call.speak("明湖区软件园三号楼")
    own_line.stop("bot")
    own_line.start("bot")
    until(own_line.is_healthy, "recovery")
    assert "电话" in spoken(call.speak("有三天了"))
    assert "软件园三号楼" in spoken(call.press("1"))


def test_the_web_process_killed_in_mid_call_the_next_webhook_picks_the_call_up(own_line: RunningLine) -> None:
    call = own_line.dial()
    call.speak("我要反映问题")
    own_line.stop("web")
    own_line.start("web")
    until(own_line.is_healthy, "recovery")
    assert "什么地方" in spoken(call.speak("小区路灯不亮"))


def test_the_record_out_of_the_bots_reach_while_filing_nothing_is_lost(own_line: RunningLine, filed: Filed) -> None:
    chat = own_line.chat()
    for text in ("我要反映问题", "小区路灯不亮", "明湖区软件园三号楼", "三天了", "13800000000"):
        chat.say(text)
    own_line.stop("api")
    assert re.search(r"\d{5}-\d{5}", str(chat.say("确认")[-1]["text"]))
    (case,) = filed()
    assert "小区路灯不亮" in case.what


def test_a_message_whose_answer_was_lost_gets_it_again_and_is_not_the_answer_to_the_next_question(
    line: RunningLine,
) -> None:
    bot = RasaBot(f"http://127.0.0.1:{line.bot_port}", SECRETS["BOT_TOKEN"], timeout=30)

    def say(text: str, key: str) -> list[Reply]:
        return bot.send("lost-answers", text, "chat", "zh", {"caller_known": False, "filing_key": key})

    say("我要反映问题", "1")
    where = say("小区路灯不亮", "2")
    assert say("小区路灯不亮", "2") == where
    assert "什么地方" in where[-1].text
    assert "什么时候" in say("明湖区软件园三号楼", "3")[-1].text


def test_a_webhook_repeated_while_the_bot_answers_changes_nothing_twice(own_line: RunningLine, filed: Filed) -> None:
    call = own_line.dial(from_="+8613800138009")
    for text in ("我要反映问题", "人行道上的井盖丢了", "明湖区长江路八号", "三天了", "就这个电话"):
        call.speak(text)
    call.speak("确认")
    answered = call.repeat_last_webhook()
    assert "工单号" in answered
    assert call.repeat_last_webhook() == answered
    assert len(filed()) == 1
