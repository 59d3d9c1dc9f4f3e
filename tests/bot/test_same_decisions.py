"""The bot's own policy decides as Rasa's does."""

import os
import subprocess

import pytest

from backend.setup.environments import BOT, ROOT
from backend.setup.train import MODEL, rasa_environment
from tests.conftest import missing_service


@pytest.mark.timeout(300)
def test_the_policy_decides_as_rasas_own_with_the_same_rules_also_when_the_tracker_forgets() -> None:
    if not MODEL.exists():
        missing_service("the trained bot (make train)")
    done = subprocess.run(
        [BOT / "bin" / "python", "-m", "tests.bot.same_decisions", str(MODEL)],
        cwd=ROOT,
        env={**os.environ, **rasa_environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-1000:]
    assert "decisions" in done.stdout
