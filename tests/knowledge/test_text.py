"""How search compares texts: dressed differently, written differently, misheard."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.knowledge.text import normalise, sounds

SPEECH = st.text(
    st.sampled_from("喂那个就是嗯啊请问一二两三十百千万零幺年月日号元天第条个岁周统万 ，。%2居住證hi"), max_size=30
)


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("居住證辦理", "居住证办理"),
        ("ＡＢＣ　１２３", "abc 123"),
        ("二零二五年三月十五号", "2025年3月15号"),
        ("百分之三十", "30%"),
        ("三万块钱", "30000块钱"),
        ("一千零五元", "1005元"),
        ("两个月", "2个月"),
        ("十分钟", "10分钟"),
        ("第十二条", "第12条"),
        ("幺三八零零零零一二三四", "13800001234"),
        ("一二三四五热线", "12345热线"),
        ("那个三啊月", "3月"),
    ],
)
def test_what_is_said_and_what_is_written_are_the_same_text(said: str, written: str) -> None:
    assert normalise(said) == normalise(written)


@pytest.mark.parametrize(
    "words",
    [
        "一般",
        "一下",
        "统一",
        "万一",
        "三轮车",
        "同一天",
        "一年到头",
        "周一",
        "星期三天气",
        "三四天",
        "几十块",
        "五一放假",
        "万一人没了",
        "千万元",
        "百姓",
        "十字路口",
        "四川",
        "唯一一块",
        "一块儿",
        "一天到晚",
    ],
)
def test_number_words_that_are_no_numbers_stay_words(words: str) -> None:
    assert normalise(words) == words


@given(st.one_of(st.text(max_size=200), SPEECH))
def test_what_is_normalised_stays_as_it_is(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(st.one_of(st.text(max_size=200), SPEECH))
def test_a_question_with_a_word_in_it_is_never_emptied(text: str) -> None:
    assert normalise(text) or not re.search(r"\w", text)


@pytest.mark.parametrize(
    ("heard", "meant"), [("居住正", "居住证"), ("设保卡", "社保卡"), ("暖汽", "暖气"), ("星情", "心情")]
)
def test_what_is_misheard_sounds_like_what_was_meant(heard: str, meant: str) -> None:
    assert sounds(heard) == sounds(meant)


@given(st.text(max_size=200))
def test_every_text_has_sounds(text: str) -> None:
    assert all(sound and not sound.isspace() for sound in sounds(normalise(text)))
