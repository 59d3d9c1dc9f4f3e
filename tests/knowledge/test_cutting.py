"""Cutting and metadata: by the document's own structure, each piece citable, nothing lost, whatever strangers send."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.knowledge.cutting import CUT_ABOVE, Block, Heading, Paragraph, Piece, Row, cut
from backend.knowledge.metadata import Named, core, metadata_of, plain_number, repealed_by

LAW = """第一章 总则
第一条　为了规范停车管理，制定本办法。
第二条　本办法适用于本市。
第三条、第四条规定的停车场除外。
第二章 收费
第一节 标准
第三条　有下列情形之一的，免费：
（一）军车；
（二）救护车。
第四条之一　夜间不收费。"""


def lines(text: str) -> list[Block]:
    return [Paragraph(line) for line in text.splitlines()]


def clauses(found: list[Piece]) -> list[tuple[str, str]]:
    return [(piece.heading, piece.clause) for piece in found]


def test_articles_of_a_law_are_cited_under_chapter_and_section() -> None:
    assert clauses(cut(lines(LAW), "")) == [
        ("第一章 总则", "第一条"),
        ("第一章 总则", "第二条"),
        ("第二章 收费 › 第一节 标准", "第三条"),
        ("第二章 收费 › 第一节 标准", "第四条之一"),
    ]


def test_a_paragraph_that_names_another_article_does_not_begin_one() -> None:
    assert "第三条、第四条规定" in cut(lines(LAW), "")[1].text


def test_short_items_stay_with_their_article_and_long_ones_are_cited_alone() -> None:
    assert "（二）救护车" in cut(lines(LAW), "")[2].text
    long = [f"（{sign}）{'车辆在此停放的情形。' * 12}" for sign in "一二三四"]
    found = cut(lines("\n".join(["第三条　下列情形免费：", *long])), "")
    assert [piece.clause for piece in found] == ["第三条", "第三条（二）至（三）", "第三条（四）"]


def test_a_notice_is_cited_by_its_numbers() -> None:
    notice = "一、总体要求\n（一）目标。到明年底前建成。\n二、主要任务\n1.受理诉求\n热线二十四小时受理。"
    assert clauses(cut(lines(notice), "")) == [("一、总体要求", "一（一）"), ("二、主要任务 › 1.受理诉求", "二1")]


def test_a_row_carries_the_names_of_its_columns() -> None:
    rows = [("区域", "地址", "电话"), ("明湖区", "湖滨路一号", ""), ("云水区", "", "0000")]
    found = cut([Row(tuple(cells), 1) for cells in rows], "")
    assert [(piece.clause, piece.text) for piece in found] == [
        ("表 1 第 2 行", "区域：明湖区；地址：湖滨路一号"),
        ("表 1 第 3 行", "区域：云水区；电话：0000"),
    ]


def test_names_and_values_stay_together() -> None:
    found = cut([Row(("办理时限", "五个工作日"), 1), Row(("收费", "免费"), 1)], "")
    assert [piece.text for piece in found] == ["办理时限：五个工作日\n收费：免费"]


def test_headings_of_a_file_become_the_path() -> None:
    blocks: list[Block] = [
        Heading("办事指南", 1),
        Heading("材料", 2),
        Paragraph("身份证。"),
        Heading("时限", 2),
        Paragraph("五天。"),
    ]
    assert clauses(cut(blocks, "办事指南")) == [("材料", ""), ("时限", "")]


def test_a_very_long_clause_is_cut_at_its_sentences() -> None:
    found = cut(lines("第一条　" + "这是一句话。" * 200), "")
    assert len(found) > 2
    assert all(len(piece.text) <= CUT_ABOVE and piece.text.endswith("。") for piece in found)
    assert {piece.clause for piece in found} == {"第一条"}


MARKS = [
    "第一章 总则",
    "第二条 ",
    "第三节",
    "一、",
    "（二）",
    "1.",
    "（3）",
    "第四条",
    "短标题",
    "附件",
    "",
    "\n",
    "。",
    "，",
]
TEXTS = st.lists(st.sampled_from(MARKS) | st.text(max_size=30), max_size=6).map("".join)
BLOCKS = st.lists(
    st.builds(Paragraph, TEXTS)
    | st.builds(Heading, TEXTS, st.integers(0, 6))
    | st.builds(Row, st.lists(TEXTS, max_size=5).map(tuple), st.integers(1, 3)),
    max_size=20,
)


@given(BLOCKS, TEXTS)
def test_no_text_is_lost(blocks: list[Block], title: str) -> None:
    told = "".join("".join((piece.heading, piece.text)) for piece in cut(blocks, title)) + title
    squeezed = "".join(told.split())
    for block in blocks:
        for text in block.cells if isinstance(block, Row) else [block.text]:
            assert "".join(text.split()) in squeezed


@given(BLOCKS)
def test_every_passage_fits_the_record(blocks: list[Block]) -> None:
    for piece in cut(blocks, ""):
        assert piece.text.strip()
        assert len(piece.heading) <= 300
        assert len(piece.clause) <= 120
        assert len(piece.text) <= CUT_ABOVE


@given(BLOCKS, TEXTS, TEXTS)
def test_metadata_of_anything_is_found_or_empty(blocks: list[Block], named: str, file_name: str) -> None:
    found = metadata_of(blocks, named, file_name)
    assert len(found.title) <= 300
    repealed_by("\n".join(block.text for block in blocks if not isinstance(block, Row)))


# --- metadata -------------------------------------------------------------------------------------------------------

NOTICE = """云川市人民政府办公室
关于印发云川市停车收费管理办法的通知
云政办发[2021] 3号
各区人民政府：
第九条 停车许可有效期三年。
第十条 本办法自2021年3月1日起施行，有效期5年。根据《价格法》的规定，《停车收费暂行办法》（云政办发（2015）08号）同时废止。
云川市人民政府办公室
二〇二一年一月十五日"""


def test_a_notice_says_who_issued_it_when_and_for_how_long() -> None:
    found = metadata_of(lines(NOTICE), "", "a.txt")
    assert found.title == "云川市人民政府办公室关于印发云川市停车收费管理办法的通知"
    assert (found.number, found.issuer) == ("云政办发〔2021〕3号", "云川市人民政府办公室")
    assert (found.issued_on, found.valid_from) == (date(2021, 1, 15), date(2021, 3, 1))
    assert found.valid_until == date(2026, 2, 28)


def test_what_a_document_repeals_is_found_without_what_it_rests_on() -> None:
    assert repealed_by(NOTICE) == [Named("停车收费暂行办法", "云政办发〔2015〕8号")]


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("国办发〔2020〕53号", "国办发〔2020〕53号"),
        ("京政发[2021]3号", "京政发〔2021〕3号"),
        ("云政发（2021） 03 号", "云政发〔2021〕3号"),
        ("中华人民共和国主席令第四十五号", "主席令第45号"),
        ("主席令（第45号）", "主席令第45号"),
        ("国务院令 第一百零三号", "国务院令第103号"),
        ("没有文号", ""),
    ],
)
def test_numbers_are_written_in_one_way(written: str, plain: str) -> None:
    assert plain_number(written) == plain


def test_a_number_that_is_only_referred_to_is_not_the_own_one() -> None:
    assert metadata_of(lines("关于停车的通知\n根据《意见》（国办发〔2020〕53号），通知如下。"), "", "a").number == ""


def test_the_validity_of_a_licence_is_not_that_of_the_document() -> None:
    found = metadata_of(lines("居住证办理指南\n居住证有效期1年。\n2023-01-02"), "", "a")
    assert (found.issued_on, found.valid_until) == (date(2023, 1, 2), None)


def test_a_document_holds_until_the_day_that_it_names() -> None:
    found = metadata_of(lines("停车通知\n本通知自发布之日起施行，有效期至2025年12月31日。\n2023-01-02"), "", "a")
    assert (found.valid_from, found.valid_until) == (date(2023, 1, 2), date(2025, 12, 31))


def test_a_title_is_the_same_with_and_without_its_covering_notice() -> None:
    assert core("云川市人民政府关于印发《停车管理办法》的通知") == core("停车管理办法")
