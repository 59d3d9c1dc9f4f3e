"""The bot's own policy decides as Rasa's does."""

import pytest

from backend.setup.train import MODEL
from tests.bot.bot_python import run_in_bot
from tests.conftest import missing_service


@pytest.mark.timeout(300)
def test_the_policy_decides_as_rasas_own_with_the_same_rules_also_when_the_tracker_forgets() -> None:
    if not MODEL.exists():
        missing_service("the trained bot (make train)")
    assert "decisions" in run_in_bot("tests.bot.same_decisions", str(MODEL))
