"""Case numbers."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.cases.numbers import SERIALS_A_YEAR, NumberRefused, make_number, parse_number, spoken
from bot.digits import find_case_number

years = st.integers(2024, 2099)
serials = st.integers(1, SERIALS_A_YEAR - 1)


@given(years, serials)
def test_a_number_is_two_groups_of_five_digits_and_reads_back(year: int, serial: int) -> None:
    number = make_number(year, serial)
    assert [len(group) for group in number.split("-")] == [5, 5]
    assert parse_number(number) == number


@given(years, serials, st.integers(0, 9), st.integers(1, 9))
def test_one_misheard_digit_is_always_noticed(year: int, serial: int, place: int, shift: int) -> None:
    digits = make_number(year, serial).replace("-", "")
    wrong = digits[:place] + str((int(digits[place]) + shift) % 10) + digits[place + 1 :]
    with pytest.raises(NumberRefused):
        parse_number(wrong)


@given(years, serials, st.integers(0, 8))
def test_two_neighbours_swapped_are_always_noticed(year: int, serial: int, place: int) -> None:
    digits = make_number(year, serial).replace("-", "")
    swapped = digits[:place] + digits[place + 1] + digits[place] + digits[place + 2 :]
    if swapped != digits:
        with pytest.raises(NumberRefused):
            parse_number(swapped)


@given(years, serials, st.sampled_from(["zh", "en"]))
def test_what_the_phone_says_is_understood_when_it_is_said_back(year: int, serial: int, locale: str) -> None:
    number = make_number(year, serial)
    assert find_case_number(spoken(number, locale)) == number


@given(st.text())
def test_no_text_does_anything_but_read_or_be_refused(text: str) -> None:
    with contextlib.suppress(NumberRefused):
        assert parse_number(text)


@given(years, serials)
def test_the_bot_and_the_backend_agree_on_the_check_digit(year: int, serial: int) -> None:
    number = make_number(year, serial)
    assert find_case_number(f"我的工单号是{number}") == number
    broken = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert find_case_number(broken) is None
