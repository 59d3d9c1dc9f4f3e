"""What the bot reads out of words, without Rasa: numbers and corrections."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.corrections import Correction, corrected, read_correction
from bot.digits import digit_runs, find_case_number, find_last_digits, find_phone


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("13800000000", "+8613800000000"),
        ("我的电话是 138-0000-0000", "+8613800000000"),
        ("幺三八 零零零零 零零零零", "+8613800000000"),
        ("一三八，零零零零，一二三四", "+8613800001234"),
        ("+86 13800000000", "+8613800000000"),
        ("one three eight oh oh oh oh oh oh oh oh", "+8613800000000"),
        ("010-62345678", "+861062345678"),
        ("12345", None),
        ("138000000001", None),
        ("和平路38号", None),
        ("没有电话", None),
    ],
)
def test_telephone_numbers_are_found_as_people_say_them(said: str, number: str | None) -> None:
    assert find_phone(said) == number


@pytest.mark.parametrize(
    ("said", "digits"),
    [
        ("尾号一二三四", "1234"),
        ("5678", "5678"),
        ("12 34", "1234"),
        ("13800001234", None),
        ("三号楼", None),
        ("查一下工单26000-00023，手机后四位0000", "0000"),
        ("二六零零零零零零二三，后四位是幺二三四", "1234"),
        ("26000-00023，1234", "1234"),
        ("case 26000-00023, last four 1234", "1234"),
        ("26000-00024，1234", None),
        ("26000-00023", None),
    ],
)
def test_last_digits_are_found(said: str, digits: str | None) -> None:
    assert find_last_digits(said) == digits


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("查一下工单26000-00023，手机后四位0000", "26000-00023"),
        ("二六零零零，零零零二三，后四位一二三四", "26000-00023"),
        ("26000-00023，1234", "26000-00023"),
        ("26000-00024", None),
        ("26000-00024，1234", None),
        ("13800000000", None),
    ],
)
def test_a_case_number_is_found_also_with_the_last_digits_in_the_same_breath(said: str, number: str | None) -> None:
    assert find_case_number(said) == number


@given(st.text())
def test_no_text_breaks_the_reading_of_digits(text: str) -> None:
    assert all(run.lstrip("+").isdigit() for run in digit_runs(text))
    find_phone(text)


@pytest.mark.parametrize(
    ("said", "item", "value"),
    [
        ("不对，是三号楼", "where", "三号楼"),
        ("地点改成和平路十八号", "where", "和平路十八号"),
        ("地址不是五栋是六栋", "where", "六栋"),
        ("不是昨天是前天开始的", "since", "前天开始"),
        ("电话改成13800000000", "contact", "+8613800000000"),
        ("电话错了", "contact", None),
        ("时间不对", "since", None),
        ("内容写错了", "what", None),
        ("不对", None, None),
        ("no, it is building 3", "where", "building 3"),
    ],
)
def test_a_correction_names_its_item_or_is_guessed_from_its_value(
    said: str, item: str | None, value: str | None
) -> None:
    assert read_correction(said) == Correction(item, value)


@pytest.mark.parametrize(
    ("old", "new", "result"),
    [
        ("明湖区软件园三号楼门口", "五号楼", "明湖区软件园五号楼门口"),
        ("锦绣花园五栋二单元", "六栋", "锦绣花园六栋二单元"),
        ("和平路3号", "人民路", "人民路"),
        ("", "三号楼", "三号楼"),
    ],
)
def test_a_corrected_part_keeps_the_rest_of_the_place(old: str, new: str, result: str) -> None:
    assert corrected(old, new) == result


@given(st.text(), st.text())
def test_no_text_breaks_a_correction(old: str, new: str) -> None:
    read_correction(new)
    corrected(old, new)
