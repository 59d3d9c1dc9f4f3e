"""The machine's clock jumps, forwards or back, in the middle of a call and of a chat: nothing that was said is lost, and
nothing is filed twice."""

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import func, select

from backend.cases.models import Case
from backend.cases.sweep import sweep
from backend.parts import Parts
from ivr.phone.call import PracticeCall, spoken
from tests.conftest import StandingClock

JUMPS = pytest.mark.parametrize(
    "jump",
    [timedelta(hours=-9), timedelta(seconds=-30), timedelta(days=400)],
    ids=["hours-back", "a-bit-back", "a-year-on"],
)


def cases(parts: Parts) -> int:
    with parts.database.read() as session:
        return session.scalar(select(func.count()).select_from(Case)) or 0


@JUMPS
def test_in_a_call_its_message_is_one_case_and_a_repeated_webhook_changes_nothing(
    call: PracticeCall, parts: Parts, clock: StandingClock, jump: timedelta
) -> None:
    call.start("http://127.0.0.1:8000/ivr/voice")
    clock.now += jump
    call.speak("小区路灯不亮三天了")
    clock.now -= jump
    assert "工单号" in spoken(call.finish_recording(9))
    clock.now += jump
    answered = call.repeat_last_webhook()
    assert call.repeat_last_webhook() == answered
    assert cases(parts) == 1


@JUMPS
def test_in_a_chat_what_was_written_is_in_its_order_and_filed_once(
    web: httpx.Client, parts: Parts, clock: StandingClock, jump: timedelta
) -> None:
    chat = web.post("/api/v1/conversations", json={}).json()
    web.headers["X-Conversation-Token"] = chat["token"]
    for number, text in enumerate(("路灯不亮", "在软件园", "三天了")):
        message = {"text": text, "key": str(number)}
        for _ in range(2):
            assert web.post(f"/api/v1/conversations/{chat['id']}/messages", json=message).status_code == 200
            clock.now += jump if number == 1 else timedelta(seconds=1)
    turns = web.get(f"/api/v1/conversations/{chat['id']}/turns").json()["turns"]
    said = [turn["text"] for turn in turns if turn["speaker"] == "citizen"]
    assert said == ["路灯不亮", "在软件园", "三天了"]
    assert cases(parts) == 1


@JUMPS
def test_a_deadline_is_a_fact_of_its_case_and_the_clock_only_warns_early_or_late(
    api: httpx.Client, parts: Parts, clock: StandingClock, jump: timedelta
) -> None:
    number = api.post("/api/v1/cases", json={"what": "路灯不亮", "contact": "13800000000"}).json()["number"]
    with parts.database.read() as session:
        due = session.scalar(select(Case.due_at))
    for now in (jump, -jump):
        clock.now += now
        sweep(parts.database, clock, parts.settings.secret_key, parts.settings.base_url)
    with parts.database.read() as session:
        assert session.scalar(select(Case.due_at)) == due
    assert api.post(f"/api/v1/cases/{number}/acts/accept", json={}).json()["state"] == "accepted"
