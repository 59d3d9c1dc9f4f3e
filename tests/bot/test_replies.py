"""What the bot says when the line behind it doesn't answer."""

import json

from tests.bot.bot_python import run_in_bot


def test_a_line_too_busy_to_tell_of_neighbours_costs_nobody_their_report() -> None:
    act, text = json.loads(run_in_bot("tests.bot.busy_line").splitlines()[-1])
    assert act == "confirm"
    assert "路灯不亮" in text
    assert "和平路" in text
