"""How a case is told: numbers as they are said."""

import cn2an
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.cases.words import number_zh


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "零"),
        (2, "二"),
        (10, "十"),
        (19, "十九"),
        (20, "二十"),
        (99, "九十九"),
        (100, "一百"),
        (105, "一百零五"),
        (110, "一百一十"),
        (1010, "一千零一十"),
        (2000, "两千"),
        (9999, "九千九百九十九"),
    ],
)
def test_a_number_is_said_as_people_count(number: int, said: str) -> None:
    assert number_zh(number) == said


@given(st.integers(0, 9999))
def test_every_number_up_to_9999_is_understood_as_itself(number: int) -> None:
    assert cn2an.cn2an(number_zh(number).replace("两", "二"), "normal") == number
