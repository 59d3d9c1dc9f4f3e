"""Export and import: loss-free in every format, refused row by row, and nothing half-imported."""

import csv
import io
import json
import zipfile
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook
from sqlalchemy import func, select

from backend.database import Database
from backend.directory.models import Staff
from backend.errors import Refused
from backend.knowledge import editing, exchange
from backend.knowledge.content import Content, content_of, tidy
from backend.knowledge.exchange import COLUMNS, READERS, WRITERS, Checked, content_of_row, row_of
from backend.knowledge.models import Article, ArticleVersion
from tests.conftest import NOON
from tests.knowledge.test_editing import ELEPHANT

KINDS = sorted(WRITERS)
NASTY = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["=1+1", "'=1", "@x", "-2", "# 一", "\\# 二", "## 答复", "a|b", '"引"', "甲,乙\t丙", "- 丁", "+86", "'"]
    ),
)
TEXTS = st.lists(NASTY, max_size=3).map("\n".join)
CONTENTS = st.builds(
    Content,
    question=NASTY.map(lambda text: f"问{text}"),
    **dict.fromkeys(("answer", "next_step", "speech", "answer_en"), TEXTS),
    **dict.fromkeys(("question_en", "agency_code", "category_code", "region", "valid_from", "valid_until"), NASTY),
    variants=st.lists(NASTY, max_size=3),
    sources=st.lists(st.fixed_dictionaries(dict.fromkeys(("title", "issuer", "number", "url"), NASTY)), max_size=2),
).map(tidy)


def version(content: Content, number: int = 1) -> ArticleVersion:
    return ArticleVersion(article_id=f"article-{number}", number=number, content=dict(vars(content)))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(contents=st.lists(CONTENTS, min_size=1, max_size=3))
def test_what_is_exported_and_imported_again_is_the_same(kind: str, contents: list[Content]) -> None:
    versions = [version(content, number) for number, content in enumerate(contents, start=1)]
    rows = READERS[kind](WRITERS[kind][0]([row_of(one) for one in versions]))
    assert [content_of_row(row) for _, row in rows] == contents
    assert [(row["id"], row["version"]) for _, row in rows] == [(one.article_id, str(one.number)) for one in versions]


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from(KINDS), data=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_whatever_is_uploaded_is_read_or_refused(kind: str, data: bytes) -> None:
    try:
        for _, row in exchange.read_file(f"articles.{kind}", data):
            content_of_row(row)
    except Refused as refused:
        assert refused.sentence("zh") and refused.sentence("en")


def import_rows(database: Database, name: str, data: bytes) -> list[Checked]:
    """Import a file in the name of editor1."""
    with database.write() as session:
        author = session.scalars(select(Staff).where(Staff.username == "editor1")).one()
        return exchange.import_articles(session, name, data, author, NOON, "导入")


def csv_of(rows: Sequence[dict[str, str]], encoding: str = "utf-8") -> bytes:
    """A table as a person would write it."""
    written = io.StringIO()
    writer = csv.DictWriter(written, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue().encode(encoding)


def elephant(**changed: str) -> dict[str, str]:
    """A good row, under its Chinese headings."""
    row = row_of(version(ELEPHANT)) | {"id": "", "version": ""} | changed
    return {COLUMNS[name]: cell for name, cell in row.items()}


def count(database: Database) -> tuple[int | None, int | None]:
    with database.read() as session:
        return session.scalar(select(func.count(Article.id))), session.scalar(select(func.count(ArticleVersion.id)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_knowledge_goes_out_and_in_again_unchanged(database: Database, kind: str) -> None:
    with database.read() as session:
        rows = [row_of(one) for one in exchange.newest_versions(session).values()]
    before = count(database)
    report = import_rows(database, f"all.{kind}", WRITERS[kind][0](rows))
    assert len(report) == before[0]
    assert {row.act for row in report} == {"same"}
    assert count(database) == before


def test_good_rows_become_drafts_that_citizens_do_not_get(database: Database) -> None:
    report = import_rows(database, "new.csv", csv_of([elephant()]))
    assert [(row.act, row.number) for row in report] == [("new", 2)]
    with database.read() as session:
        article = session.scalars(select(Article).where(Article.question == ELEPHANT.question)).one()
        assert (article.state, content_of(article.versions[0].content)) == ("draft", ELEPHANT)


def test_one_bad_row_and_nothing_is_imported_and_each_refusal_names_row_and_field(database: Database) -> None:
    before = count(database)
    rows = [
        elephant(),
        elephant(question="河马呢？", agency_code="NOBODY", valid_until="明年"),
        elephant(question="动物园的大象几点洗澡"),
        elephant(question="长颈鹿呢？", answer=""),
    ]
    report = import_rows(database, "mixed.csv", csv_of(rows))
    told = {(row.number, problem.field) for row in report for problem in row.problems if problem.weight != "warning"}
    assert told == {(3, "agency_code"), (3, "valid_until"), (4, "question"), (5, "answer")}
    assert count(database) == before


def test_an_export_that_was_overtaken_cant_undo_what_came_after(database: Database) -> None:
    with database.write() as session:
        people = {one.username: one for one in session.scalars(select(Staff))}
        editing.create(session, ELEPHANT, people["editor1"], NOON, article_id="elephant")
        stamp = editing.stamp(editing.get_version(session, "elephant", 1))
        changed = Content(**(vars(ELEPHANT) | {"answer": "下午四点。"}))
        editing.save(session, "elephant", changed, people["editor2"], NOON, stamp)
    report = import_rows(database, "old.csv", csv_of([elephant(id="elephant", version="1", answer="下午五点。")]))
    assert [problem.code for problem in report[0].problems] == ["version_overtaken"]
    report = import_rows(database, "new.csv", csv_of([elephant(id="elephant", version="2", answer="下午五点。")]))
    assert [row.act for row in report] == ["changed"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_tables_as_chinese_excel_writes_them_are_read(encoding: str) -> None:
    rows = exchange.read_file("表.csv", csv_of([elephant()], encoding))
    assert content_of_row(rows[0][1]) == ELEPHANT


def test_english_headings_do_as_well_as_chinese_ones() -> None:
    row = {name: cell for name, cell in row_of(version(ELEPHANT)).items() if name not in ("id", "version")}
    assert content_of_row(exchange.read_file("t.csv", csv_of([row]))[0][1]) == ELEPHANT
    ways = json.dumps([vars(ELEPHANT)]).encode()
    assert content_of_row(exchange.read_file("t.json", ways)[0][1]) == ELEPHANT


@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_no_cell_of_an_export_is_run_as_a_formula(kind: str) -> None:
    for start in "=+-@＝":
        data = WRITERS[kind][0]([row_of(version(Content(question=f'{start}HYPERLINK("http://x")')))])
        if kind == "csv":
            cells = next(iter(list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))[1:]))
        else:
            sheet = load_workbook(io.BytesIO(data)).worksheets[0]
            cells = [str(cell.value) for cell in sheet[2]]
            assert all(cell.data_type != "f" for cell in sheet[2])
        assert cells[1].startswith(f"'{start}")


def test_dates_and_numbers_of_a_workbook_are_read_as_they_are_meant() -> None:
    book = Workbook()
    book.worksheets[0].append(["问题", "生效日期", "英文问题"])
    book.worksheets[0].append(["几点", NOON.replace(tzinfo=None), 12345])
    written = io.BytesIO()
    book.save(written)
    content = content_of_row(exchange.read_file("表.XLSX", written.getvalue())[0][1])
    assert (content.valid_from, content.question_en) == ("2026-11-23", "12345")


def bomb() -> bytes:
    """A small zip that unpacks to more than anybody needs."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("xl/a.xml", "w") as part:
        for _ in range(201):
            part.write(bytes(1_000_000))
    return written.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.exe", b"x", "file_kind_unknown"),
        ("a.xlsx", b"PK no zip", "file_unreadable"),
        ("a.json", b'{"a": 1}', "file_unreadable"),
        ("a.json", b"[]", "file_empty"),
        ("a.csv", "问题,颜色\n一,红".encode(), "column_unknown"),
        ("a.csv", b"\xff\xfe\x00", "encoding_unknown"),
        ("a.csv", b"", "column_missing"),
        ("a.md", "没有标题".encode(), "file_unreadable"),
        ("a.csv", ("问题\n" + "一\n" * 5001).encode(), "too_many_lines"),
    ],
)
def test_a_file_that_cant_be_read_is_refused_plainly(name: str, data: bytes, code: str) -> None:
    with pytest.raises(Refused) as refused:
        exchange.read_file(name, data)
    assert refused.value.code == code
    assert refused.value.sentence("en")


def test_a_zip_bomb_is_not_unpacked() -> None:
    with pytest.raises(Refused) as refused:
        exchange.read_file("a.xlsx", bomb())
    assert refused.value.code == "file_unpacks_to_too_much"
