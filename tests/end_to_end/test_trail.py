"""One id from the webhook through the bot to the case, in the logs of the real processes; and nobody's words among it."""

import json
from typing import Any

from ivr.phone.call import spoken
from tests.running_line import RunningLine


def logged(line: RunningLine, process: str) -> list[dict[str, Any]]:
    lines = (line.folder / f"{process}.log").read_text(encoding="utf-8").splitlines()
    return [json.loads(one) for one in lines if one.startswith("{")]


def test_a_case_is_found_by_the_trail_of_the_webhook_that_confirmed_it(line: RunningLine) -> None:
    call = line.call("+8613900007777")
    call.start(f"{line.base_url}/ivr/voice")
    for text in ("我要反映问题", "小区路灯不亮", "青河区幸福路七号", "三天了", "就这个电话"):
        call.speak(text)
    heard = spoken(call.speak("确认"))
    assert "工单号" in heard
    filed = [one for one in logged(line, "api") if "is filed" in one["message"]][-1]
    webhooks = [one for one in logged(line, "web") if one["trail"] == filed["trail"]]
    assert any(one["message"].startswith("ivr.turn 200") for one in webhooks)
    assert any("a turn of conversation" in one["message"] for one in webhooks)


def test_no_log_holds_what_was_said_or_whose_telephone_it_was(line: RunningLine) -> None:
    call = line.call("+8613900006666")
    call.start(f"{line.base_url}/ivr/voice")
    for text in ("我要反映问题", "王小明家门口路灯不亮", "青河区幸福路九号", "三天了", "就这个电话", "确认"):
        call.speak(text)
    call.hang_up()
    for process in line.processes:
        log = (line.folder / f"{process}.log").read_text(encoding="utf-8", errors="replace")
        for secret in ("王小明", "幸福路", "13900006666", "t" * 32, "k" * 32):
            assert secret not in log, process
