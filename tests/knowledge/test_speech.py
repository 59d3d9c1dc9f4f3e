"""What the phone says can be said."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.clock import utc_now
from backend.knowledge.speech import LONGEST_SECONDS, problems, seconds, short_speech, spoken
from backend.load_starter import article_rows

DOCUMENT = st.text(
    st.sampled_from("本市应当办理，。；、（）《》〔〕0123456789.-:%℃￥年月日号第条元个/ABab|\n-•"), max_size=300
)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("国办发〔2020〕53号", "国办发二零二零五十三号"),
        ("2025年3月15日", "二零二五年三月十五日"),
        ("2025-03-01", "二零二五年三月一日"),
        ("拨打12345", "拨打幺二三四五"),
        ("拨打120", "拨打幺二零"),
        ("120元", "一百二十元"),
        ("0551-12345678", "零五五幺，幺二三四五六七八"),
        ("400-123-4567", "四零零，幺二三，四五六七"),
        ("2024—2025年", "二零二四到二零二五年"),
        ("12000平方米", "一万两千平方米"),
        ("13800001234", "幺三八零零零零幺二三四"),
        ("26000-00017", "二六零零零，零零零幺七"),
        ("￥100", "一百元"),
        ("3.5%", "百分之三点五"),
        ("-5℃", "零下五摄氏度"),
        ("9:00-17:00", "九点到十七点"),
        ("3-5天", "三到五天"),
        ("2个月", "两个月"),
        ("12个", "十二个"),
        ("第2条", "第二条"),
        ("20000元", "两万元"),
        ("5元/月", "五元每月"),
        ("下载APP", "下载A P P"),
    ],
)
def test_numbers_are_said_as_people_say_them(written: str, said: str) -> None:
    assert spoken(written) == said
    assert problems(said) == []


@pytest.mark.parametrize(
    ("speech", "problem"),
    [
        ("请看https://example.cn", "address"),
        ("写信给hall@example.cn", "address"),
        ("材料|份数", "table"),
        ("- 身份证\n- 户口簿", "list"),
        ("请打12345", "number"),
        ("打开APP", "letters"),
        ("按《条例》办", "brackets"),
        ("请带身份证到窗口办理。" * 9, "long"),
    ],
)
def test_what_a_voice_cannot_say_is_named(speech: str, problem: str) -> None:
    assert problem in problems(speech)


@given(st.one_of(st.text(max_size=300), DOCUMENT))
def test_of_any_passage_only_what_can_be_said_is_said(text: str) -> None:
    assert problems(short_speech(text)) == []


def test_a_passage_is_said_in_whole_sentences() -> None:
    sentence = "申请人应当自收到通知之日起15日内提交材料。"
    speech = short_speech(sentence * 20)
    assert speech.endswith("。") and "十五日" in speech
    assert LONGEST_SECONDS / 2 < seconds(speech) <= LONGEST_SECONDS


@pytest.mark.parametrize("article", list(article_rows(utc_now())), ids=lambda article: article["id"])
def test_every_spoken_answer_of_the_starter_content_can_be_said(article: dict[str, Any]) -> None:
    assert problems(article["speech"]) == []
