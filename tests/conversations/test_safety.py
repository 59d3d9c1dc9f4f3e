"""Danger is recognised without the bot, and not where it is denied."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.conversations.safety import asks_for_person, find_danger


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("楼下着火了", "fire"),
        ("我家厨房 着火 了 快来人", "fire"),
        ("电动车在楼道里冒烟了", "fire"),
        ("there is a fire in my building", "fire"),
        ("煤气泄漏了怎么办", "gas"),
        ("家里有股煤气味", "gas"),
        ("闻到很浓的燃气味", "gas"),
        ("有人受伤了，流了好多血", "injury"),
        ("老人晕倒了", "injury"),
        ("正在打人", "crime"),
        ("他拿着刀", "crime"),
        ("我不想活了", "self_harm"),
        ("不是着火，是煤气泄漏", "gas"),
        ("以前着火过，现在又着火了", "fire"),
    ],
)
def test_danger_is_recognised(said: str, kind: str) -> None:
    danger = find_danger(said)
    assert danger is not None
    assert danger.kind == kind


@pytest.mark.parametrize(
    "said",
    [
        "不是着火",
        "没有着火，就是想问问",
        "楼道堆放杂物怕引起火灾",
        "电动车在楼道充电容易着火怎么举报",
        "去年着火烧坏的墙谁来修",
        "怎么预防煤气中毒",
        "燃气报警器在哪里买，燃气泄漏报警器要钱吗",
        "上班时受伤了怎么申请工伤认定",
        "没有人受伤",
        "你们怎么不打我电话",
        "跳楼价是不是虚假宣传",
        "暖气不热该找谁",
        "消防通道被占了找谁",
    ],
)
def test_a_denied_or_merely_feared_danger_is_no_danger(said: str) -> None:
    assert find_danger(said) is None


@pytest.mark.parametrize(
    "said", ["人工", "转人工", "嗯，转人工吧。", "请转人工", "人工服务", "Operator", "a real person please"]
)
def test_the_wish_for_a_person_is_understood_without_the_bot(said: str) -> None:
    assert asks_for_person(said)


@pytest.mark.parametrize("said", ["人工费怎么算", "人工增雨是什么", "暖气不热", ""])
def test_other_sentences_are_no_wish_for_a_person(said: str) -> None:
    assert not asks_for_person(said)


@given(st.text(max_size=2000))
def test_no_text_breaks_the_recognition(said: str) -> None:
    find_danger(said)
    asks_for_person(said)
