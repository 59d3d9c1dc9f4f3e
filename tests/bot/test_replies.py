"""What the bot says when the line behind it doesn't answer."""

import json
import os
import subprocess

from backend.setup.environments import BOT, ROOT
from backend.setup.train import rasa_environment
from tests.conftest import missing_service


def test_a_line_too_busy_to_tell_of_neighbours_costs_nobody_their_report() -> None:
    if not (BOT / "bin" / "python").exists():
        missing_service("the bot's environment (make bot)")
    done = subprocess.run(
        [BOT / "bin" / "python", "-m", "tests.bot.busy_line"],
        cwd=ROOT,
        env={**os.environ, **rasa_environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    act, text = json.loads(done.stdout.splitlines()[-1])
    assert act == "confirm"
    assert "路灯不亮" in text
    assert "和平路" in text
