"""Short answers choose what was offered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.conversations.rules import MOVES, chosen_message, without_commands
from bot.client import Choice, Reply

OFFER = Reply("?", "?", choices=(Choice("登记工单", "/report", ("登记", "好的")), Choice("转人工", "/human")))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("登记工单", "/report"),
        ("好的。", "/report"),
        ("嗯好的吧", "/report"),
        ("1", "/report"),
        ("第一个", "/report"),
        ("转人工", "/human"),
        ("第二个", "/human"),
        ("2", "/human"),
        ("the second one", "/human"),
        ("3", None),
        ("第三个", None),
        ("我再想想", None),
        ("/human", None),
    ],
)
def test_a_short_answer_chooses_what_was_offered(said: str, message: str | None) -> None:
    assert chosen_message(said, OFFER) == message


def test_nothing_is_chosen_where_nothing_was_offered() -> None:
    assert chosen_message("好的", None) is None
    assert chosen_message("好的", Reply("说吧", "说吧")) is None


@given(st.text(max_size=200))
def test_no_citizen_can_give_the_bot_a_command(said: str) -> None:
    assert not without_commands(said).startswith("/")
    assert without_commands(said)


def test_nothing_leads_out_of_a_closed_conversation() -> None:
    assert "closed" not in {state for state, _ in MOVES}
