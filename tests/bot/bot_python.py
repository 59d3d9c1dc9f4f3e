"""Runs a module of the tests in the bot's own environment."""

import os
import subprocess

from backend.setup.environments import BOT, ROOT
from backend.setup.train import rasa_environment
from tests.conftest import missing_service


def run_in_bot(module: str, *arguments: str, **environment: str) -> str:
    """What the module prints; that it ends well is asserted."""
    python = BOT / "bin" / "python"
    if not python.exists():
        missing_service("the bot's environment (make bot)")
    done = subprocess.run(
        [python, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, **rasa_environment(), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
