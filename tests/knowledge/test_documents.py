"""Reading files: every kind into the same blocks, told by its content; what can't be read is refused with its reason."""

import io
import zipfile
from collections.abc import Callable

import docx
import openpyxl
import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import Refused
from backend.knowledge import documents, pdf
from backend.knowledge.cutting import Heading, Paragraph, Row
from backend.knowledge.documents import is_archive, joined, read, unpack

HTML = """<!doctype html><html><head><meta name="ArticleTitle" content="养犬办法"><title>门户网站</title>
<script>alert("不要")</script></head><body><nav>首页 导航</nav><div id="zoom"><h1>养犬<b>办法</b></h1>
<p>第一条 养犬<a href="/x">要登记</a>。<!-- 注释 --></p>散句<br>另一句
<table><tr><th>区域</th><th>电话</th></tr><tr><td>明湖区</td><td>0000</td></tr></table>
<table><tr><td><p>版式里的话</p></td></tr></table></div><footer>版权</footer></body></html>"""


def docx_file() -> bytes:
    document = docx.Document()
    document.add_heading("养犬办法", 0)
    document.add_heading("总则", 1)
    document.add_paragraph("第一条 养犬要登记。")
    table = document.add_table(2, 2)
    for cell, text in zip([*table.row_cells(0), *table.row_cells(1)], ("区域", "电话", "明湖区", "0000"), strict=True):
        cell.text = text
    return saved(document.save)


def xlsx_file() -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet
    sheet.title = "窗口"
    sheet.append(["区域", "电话"])
    sheet.append(["明湖区", 1234])
    return saved(book.save)


def pdf_file(*lines: str, password: str = "", pages: int = 1, algorithm: str = "RC4-128") -> bytes:
    """A pdf with lines of Latin letters, for which it needs no font of its own."""
    text = " ".join(f"BT /F1 12 Tf 72 {700 - 20 * place} Td ({line}) Tj ET" for place, line in enumerate(lines))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {pages} /Kids [{' '.join(['3 0 R'] * pages)}] >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(text)} >>\nstream\n{text}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    body = "%PDF-1.4\n" + "".join(f"{place} 0 obj\n{one}\nendobj\n" for place, one in enumerate(objects, 1))
    plain = f"{body}trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n0\n%%EOF".encode()
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(plain))
    if password:
        writer.encrypt(password, algorithm=algorithm)
    return saved(writer.write)


def saved(save: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def zipped(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return file.getvalue()


def test_word_keeps_headings_paragraphs_and_tables_in_order() -> None:
    assert read("a.docx", docx_file()).blocks == [
        Heading("养犬办法", 0),
        Heading("总则", 1),
        Paragraph("第一条 养犬要登记。"),
        Row(("区域", "电话"), 1),
        Row(("明湖区", "0000"), 1),
    ]


def test_each_sheet_of_a_workbook_is_a_table() -> None:
    assert read("a.xlsx", xlsx_file()).blocks == [
        Heading("窗口", 1),
        Row(("区域", "电话"), 1),
        Row(("明湖区", "1234"), 1),
    ]


def test_a_web_page_gives_its_article_without_menus_and_scripts() -> None:
    found = read("a.html", HTML.encode())
    assert found.title == "养犬办法"
    assert found.blocks == [
        Heading("养犬办法", 1),
        Paragraph("第一条 养犬要登记。"),
        Paragraph("散句"),
        Paragraph("另一句"),
        Row(("区域", "电话"), 1),
        Row(("明湖区", "0000"), 1),
        Paragraph("版式里的话"),
    ]


def test_markdown_keeps_its_headings_and_tables() -> None:
    text = (
        "# 养犬办法\n\n养犬**要**[登记](https://example.org)。\n\n| 区域 | 电话 |\n|---|---|\n| 明湖区 | 0000 |\n- 牵绳"
    )
    assert read("a.md", text.encode()).blocks == [
        Heading("养犬办法", 1),
        Paragraph("养犬要登记。"),
        Row(("区域", "电话"), 1),
        Row(("明湖区", "0000"), 1),
        Paragraph("牵绳"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_text_is_read_in_every_usual_encoding(encoding: str) -> None:
    assert read("a.txt", "第一条 养犬要登记。".encode(encoding)).blocks == [Paragraph("第一条 养犬要登记。")]


def test_the_text_of_a_pdf_is_read() -> None:
    assert read("a.pdf", pdf_file("Dogs must be registered here.")).blocks == [
        Paragraph("Dogs must be registered here.")
    ]


def test_lines_of_a_page_become_paragraphs_again() -> None:
    lines = [
        "第一条 为了规范养犬行为，保障公民人身安",
        "全，制定本办法。",
        "第二条 遛犬应当使用牵引绳，并及时清理犬",
        "只粪便。",
    ]
    assert list(joined(lines)) == [
        "第一条 为了规范养犬行为，保障公民人身安全，制定本办法。",
        "第二条 遛犬应当使用牵引绳，并及时清理犬只粪便。",
    ]


def test_a_file_is_told_by_its_content_not_by_its_name() -> None:
    assert read("a.txt", docx_file()).blocks[0] == Heading("养犬办法", 0)


BOMB = zipped(**{"word/document.xml": bytes(1_000_000)})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "document_empty"),
        (b" \n", "document_empty"),
        (saved(docx.Document().save), "document_empty"),
        (pdf_file("Dogs must be registered here.", password="secret"), "document_password"),
        (pdf_file("Dogs must be registered here.", password="secret", algorithm="AES-256"), "document_password"),
        (documents.OLE + bytes(600) + documents.ENCRYPTED, "document_password"),
        (documents.OLE + bytes(600), "document_old_office"),
        (pdf_file(), "document_scanned"),
        (b"%PDF-1.7\nbroken", "document_broken"),
        (docx_file()[:500], "document_broken"),
        (zipped(**{"word/document.xml": b"<broken", "[Content_Types].xml": b"<broken"}), "document_broken"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "document_kind"),
        (zipped(**{"a.txt": b"text"}), "document_kind"),
        (b"x" * (documents.FILE_BYTES + 1), "document_too_large"),
        (("一" * 1000 + "\n").encode() * 2001, "document_too_large"),
        (pdf_file("Dogs must be registered here.", pages=2001), "document_too_large"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        read("a.bin", data)
    assert refused.value.code == reason
    assert refused.value.sentence("zh")


def test_a_pdf_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(Refused, match="document_slow"):
        pdf.pages_of(pdf_file("Dogs must be registered here."), seconds=0.001)


def test_what_would_unpack_to_too_much_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "UNPACKED_BYTES", 500_000)
    with pytest.raises(Refused, match="document_too_large"):
        read("a.docx", BOMB)


def test_entities_are_never_looked_up() -> None:
    evil = b'<?xml version="1.0"?><!DOCTYPE w [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(docx_file())) as good, zipfile.ZipFile(file, "w") as bad:
        for name in good.namelist():
            data = good.read(name)
            if name == "word/document.xml":
                data = evil + data.split(b"?>", 1)[1].replace("养犬要登记".encode(), b"&x;")
            bad.writestr(name, data)
    told = [block.text for block in read("a.docx", file.getvalue()).blocks if isinstance(block, Paragraph)]
    assert told == ["第一条"]  # neither the entity nor a file in its place


def test_an_archive_gives_its_files_with_chinese_names_from_windows() -> None:
    data = zipped(**{"文件/甲.txt": b"1", "__MACOSX/甲.txt": b"2"})
    assert is_archive(data)
    assert list(unpack(data)) == [("甲.txt", b"1")]
    assert not is_archive(docx_file())
    part = zipfile.ZipInfo("办法.txt".encode("gb18030").decode("cp437"))
    assert documents.name_of(part) == "办法.txt"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300).filter(lambda data: b"%PDF-" not in data) | st.text(max_size=200).map(str.encode))
def test_whatever_strangers_send_is_read_or_refused(data: bytes) -> None:
    try:
        read("a", data)
    except Refused as refused:
        assert refused.code.startswith("document_")
