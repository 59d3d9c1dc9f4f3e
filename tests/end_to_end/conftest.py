"""One running line for all end-to-end tests."""

from collections.abc import Iterator

import pytest

from tests.conftest import missing_service
from tests.running_line import BOT_PYTHON, RunningLine


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLine]:
    """The real line: web, Rasa with the trained model, action server."""
    need_bot()
    with RunningLine(tmp_path_factory.mktemp("line")) as running:
        yield running


@pytest.fixture
def own_line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLine]:
    """A line of this test's own, to break."""
    need_bot()
    with RunningLine(tmp_path_factory.mktemp("own-line")) as running:
        yield running


def need_bot() -> None:
    """Without the bot's environment there is nothing to start."""
    if not BOT_PYTHON.exists():
        missing_service("the bot's environment (make setup train)")
