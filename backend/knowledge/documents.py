"""Reads uploaded files into blocks: docx, pdf, html, md, txt, xlsx. What a file is, its content says, not its name.

Nothing in a file is run, and no outside address or entity is followed: macros are never looked at, python-docx and openpyxl
read XML without resolving entities. Sizes are checked before anything is unpacked.
"""

import io
import re
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import docx
import openpyxl
from bs4 import BeautifulSoup
from bs4.element import NavigableString, PageElement, PreformattedString, Tag
from docx.document import Document as WordDocument
from docx.table import Table, _Cell

from backend.errors import Refused
from backend.knowledge import pdf
from backend.knowledge.cutting import Block, Heading, Paragraph, Row, mark_of

FILE_BYTES = 20_000_000
UNPACKED_BYTES = 200_000_000
"""A file of 20 MB that unpacks to more is a bomb, or a table that is no document."""
ARCHIVE_BYTES = 300_000_000
ARCHIVE_FILES = 2000
CHARACTERS = pdf.CHARACTERS
SCANNED_BELOW = 10
"""Characters a page: a scan has none, or the numbers that a stamp program put on it."""

ZIP = b"PK\x03\x04"
WORD, EXCEL = "word/document.xml", "xl/workbook.xml"
OLE = bytes.fromhex("D0CF11E0A1B11AE1")
ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
"""The stream that holds an OOXML file with a password ([MS-OFFCRYPTO] 2.3.4.4)."""

LEFT_OUT = (
    "script",
    "style",
    "noscript",
    "template",
    "nav",
    "header",
    "footer",
    "aside",
    "iframe",
    "svg",
    "form",
    "button",
)
CONTENT = ("article", "main", "#UCAP-CONTENT", "#zoom", ".TRS_Editor", ".article-content", "[role=main]")
"""Where the text of a page is; the names in the middle are those of the systems that authorities publish with."""
TITLES = ("ArticleTitle", "og:title")
"""Metadata with the title; the first by the rules for government sites (国办发〔2017〕47号, 网页元数据)."""
INLINE = frozenset(
    (
        "a",
        "abbr",
        "b",
        "code",
        "em",
        "font",
        "i",
        "label",
        "mark",
        "q",
        "s",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "time",
        "u",
    )
)


@dataclass(frozen=True)
class Content:
    """What a file says: its own title, if it names one apart from its text, and its blocks in reading order."""

    title: str
    blocks: list[Block]


def read(name: str, data: bytes) -> Content:
    """The content of a file. Raises Refused with a plain reason."""
    if len(data) > FILE_BYTES:
        raise Refused("document_too_large")
    if not data.strip():
        raise Refused("document_empty")
    reader = reader_of(name, data)
    try:
        found = reader(data)
    except Refused:
        raise
    except Exception as error:  # whatever a broken file leads a library to
        raise Refused("document_broken") from error
    blocks = [clean for block in found.blocks if (clean := cleaned(block))]
    size = sum(len("".join(block.cells)) if isinstance(block, Row) else len(block.text) for block in blocks)
    if not blocks:
        raise Refused("document_empty")
    if size > CHARACTERS:
        raise Refused("document_too_large")
    return Content(one_line(found.title), blocks)


def reader_of(name: str, data: bytes) -> Callable[[bytes], Content]:
    """What can read this file. Raises Refused."""
    if data.startswith(OLE):
        raise Refused("document_password" if ENCRYPTED in data else "document_old_office")
    if b"%PDF-" in data[:1024]:
        return read_pdf
    if data.startswith(ZIP):
        sizes = sizes_in(data)
        if sum(sizes.values()) > UNPACKED_BYTES:
            raise Refused("document_too_large")
        if WORD in sizes or EXCEL in sizes:
            return read_docx if WORD in sizes else read_xlsx
        raise Refused("document_kind" if sizes else "document_broken")
    text = decoded(data)
    if re.search(r"<(!doctype html|html|head|body|article|table|div|p)\b", text[:5000], re.IGNORECASE):
        return read_html
    if name.lower().endswith((".md", ".markdown")) or re.search(r"^#{1,6} \S", text, re.MULTILINE):
        return read_markdown
    return read_text


def sizes_in(data: bytes) -> dict[str, int]:
    """The names in a zip file with their sizes when unpacked; none when it is broken. zipfile unpacks no more than that."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            return {part.filename: part.file_size for part in packed.infolist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return {}


def is_archive(data: bytes) -> bool:
    """Whether this is a zip file of documents, and no docx or xlsx itself."""
    names = sizes_in(data) if data.startswith(ZIP) else {}
    return bool(names) and not names.keys() & {WORD, EXCEL}


def unpack(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The files of a zip file, one after the other. Raises Refused for an archive that can't be taken at all."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            parts = [part for part in packed.infolist() if not part.is_dir() and not is_rubbish(part.filename)]
            if not parts:
                raise Refused("document_empty")
            if len(parts) > ARCHIVE_FILES or sum(part.file_size for part in parts) > ARCHIVE_BYTES:
                raise Refused("archive_too_large", limit=ARCHIVE_FILES)
            for part in parts:
                if part.flag_bits & 1:
                    raise Refused("document_password")
                with packed.open(part) as file:
                    # One byte more than is allowed: `read` refuses it, whatever size the archive claims.
                    yield name_of(part), file.read(FILE_BYTES + 1)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError) as error:
        raise Refused("document_broken") from error


def is_rubbish(name: str) -> bool:
    """Whether a file in an archive was put there by an operating system."""
    return name.startswith("__MACOSX/") or name.rsplit("/", 1)[-1].startswith((".", "~$", "Thumbs.db"))


def name_of(part: zipfile.ZipInfo) -> str:
    """The name of a file in an archive. Chinese Windows writes GBK without saying so, and zipfile reads that as cp437."""
    name = part.filename
    if not part.flag_bits & 0x800:
        try:
            name = name.encode("cp437").decode("gb18030")
        except UnicodeError:
            name = part.filename
    return name.rsplit("/", 1)[-1]


# --- the kinds ------------------------------------------------------------------------------------------------------


def read_docx(data: bytes) -> Content:
    """Word: headings by their styles, paragraphs, tables."""
    document: WordDocument = docx.Document(io.BytesIO(data))
    styles = {style.style_id: style.name or "" for style in document.styles}  # paragraph.style searches them every time
    blocks: list[Block] = []
    tables = 0
    for item in document.iter_inner_content():
        if isinstance(item, Table):
            tables += 1
            blocks += [Row(tuple(cell.text for cell in own_cells(row.cells)), tables) for row in item.rows]
            continue
        level = heading_level(styles.get(item._p.style or "", ""))
        blocks.append(Paragraph(item.text) if level is None else Heading(item.text, level))
    return Content("", blocks)


def own_cells(cells: tuple[_Cell, ...]) -> list[_Cell]:
    """The cells of a row, one that spans several columns only once."""
    return [cell for place, cell in enumerate(cells) if place == 0 or cell._tc is not cells[place - 1]._tc]


def heading_level(style: str) -> int | None:
    """The level of a heading by its style's name, 0 for the title; None for other paragraphs."""
    if style in ("Title", "标题"):
        return 0
    found = re.fullmatch(r"(?:heading|标题)\s*([1-6])", style, re.IGNORECASE)
    return int(found[1]) if found else None


def read_xlsx(data: bytes) -> Content:
    """Excel: each sheet is a table under its name, with the values that were last computed."""
    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    blocks: list[Block] = []
    size = 0
    for table, sheet in enumerate(book.worksheets, 1):
        sheet.reset_dimensions()  # a sheet may claim a million columns
        rows: list[Block] = []
        for values in sheet.iter_rows(values_only=True):
            cells = tuple("" if value is None else str(value) for value in values)
            size += len("".join(cells))
            if size > CHARACTERS:
                raise Refused("document_too_large")
            if any(cells):
                rows.append(Row(cells, table))
        if rows:
            blocks += [Heading(sheet.title, 1), *rows]
    book.close()
    return Content("", blocks)


def read_pdf(data: bytes) -> Content:
    """PDF: the lines of its pages, put together to paragraphs again."""
    pages = pdf.pages_of(data)
    lines = [line for page in pages for line in page if not is_page_number(line)]
    if sum(len("".join(line.split())) for line in lines) < SCANNED_BELOW * len(pages):
        raise Refused("document_scanned")
    return Content("", [Paragraph(text) for text in joined(lines)])


def is_page_number(line: str) -> bool:
    """Whether a line is only the number of its page: 3, - 3 -, 第 3 页."""
    return (
        re.fullmatch(r"\s*[-—–－·]*\s*(?:第\s*)?\d{1,4}(?:\s*页)?(?:\s*(?:/|共)\s*\d{1,4}\s*页?)?\s*[-—–－·]*\s*", line)
        is not None
    )


def joined(lines: list[str]) -> Iterator[str]:
    """Paragraphs from lines of a page. A line goes on in the next one when it is about as long as lines here are, ends no
    sentence, and the next one begins no clause."""
    full = sorted(len(line.strip()) for line in lines if line.strip())
    usual = full[len(full) * 9 // 10] * 0.8 if full else 0.0
    text, goes_on = "", False
    for line in map(str.strip, lines):
        if not line:
            continue
        if text and goes_on and not mark_of(line)[0]:
            text += line if not (text[-1].isascii() and line[0].isascii()) else f" {line}"
        else:
            if text:
                yield text
            text = line
        goes_on = len(line) >= usual and not line.endswith(("。", "；", "：", "！", "？"))
    if text:
        yield text


def read_html(data: bytes) -> Content:
    """A web page: what is in its body, or in the part that holds the article, without menus and scripts."""
    soup = BeautifulSoup(decoded(data), "lxml")
    title = next((tag.get("content") for name in TITLES if (tag := soup.find("meta", attrs={"name": name}))), None)
    named = str(title or (soup.title.get_text() if soup.title else ""))
    for tag in soup(LEFT_OUT):
        tag.decompose()
    for tag in soup.select("[hidden], [role=navigation], [role=banner], [role=contentinfo]"):
        tag.decompose()
    body = next((tag for place in CONTENT if (tag := soup.select_one(place))), soup.body or soup)
    return Content(named, list(html_blocks(body)))


def html_blocks(body: Tag) -> Iterator[Block]:
    """The blocks of a part of a page, in order. A table that holds other tables or a single column is layout."""
    line, tables = "", 0
    waiting: list[PageElement | None] = [*reversed(body.contents)]  # None: a block has ended here
    while waiting:
        item = waiting.pop()
        if isinstance(item, NavigableString):
            line += "" if isinstance(item, PreformattedString) else str(item)
            continue
        if isinstance(item, Tag) and item.name in INLINE:
            waiting += reversed(item.contents)
            continue
        if line.strip():
            yield Paragraph(line)
        line = ""
        if not isinstance(item, Tag):
            continue
        if level := re.fullmatch(r"h([1-6])", item.name):
            yield Heading(item.get_text(), int(level[1]))
        elif is_data(item):
            tables += 1
            yield from (Row(cell_texts(row), tables) for row in item.find_all("tr"))
        else:
            waiting += [None, *reversed(item.contents)]
    if line.strip():
        yield Paragraph(line)


def is_data(tag: Tag) -> bool:
    """Whether this is a table of data."""
    if tag.name != "table" or tag.find("table"):
        return False
    return any(len(row.find_all(("td", "th"))) > 1 for row in tag.find_all("tr"))


def cell_texts(row: Tag) -> tuple[str, ...]:
    """The texts of a row's cells."""
    return tuple(cell.get_text(" ") for cell in row.find_all(("td", "th")))


def read_markdown(data: bytes) -> Content:
    """Markdown: headings, tables, and lines; emphasis and addresses of links are left out."""
    blocks: list[Block] = []
    tables, in_table = 0, False
    for line in decoded(data).splitlines():
        plain = re.sub(r"!?\[([^\]]*)\]\([^)\s]*\)", r"\1", line).replace("**", "").replace("`", "").strip()
        is_row = plain.startswith("|") and plain.endswith("|") and len(plain) > 1
        tables += is_row and not in_table
        in_table = is_row
        if is_row:
            cells = tuple(cell.strip() for cell in plain[1:-1].split("|"))
            if not all(re.fullmatch(r":?-*:?", cell) for cell in cells):
                blocks.append(Row(cells, tables))
        elif heading := re.match(r"(#{1,6})\s+(.*?)\s*#*$", plain):
            blocks.append(Heading(heading[2], len(heading[1])))
        else:
            blocks.append(Paragraph(re.sub(r"^[-*+>]\s+", "", plain)))
    return Content("", blocks)


def read_text(data: bytes) -> Content:
    """Plain text: a line is a paragraph."""
    return Content("", [Paragraph(line) for line in decoded(data).splitlines()])


def decoded(data: bytes) -> str:
    """The text of a file in UTF-8, UTF-16 with its mark, or GB 18030 (and so GBK). Raises Refused for what is no text."""
    encodings = ["utf-16"] if data.startswith((b"\xff\xfe", b"\xfe\xff")) else ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeError:
            continue
        if not re.search(r"[\x00-\x08\x0e-\x1a]", text):
            return text
    raise Refused("document_kind")


# --- texts ----------------------------------------------------------------------------------------------------------


def one_line(text: str) -> str:
    """`text` without control characters and half surrogates, which the record refuses, and with single spaces."""
    kept = "".join(
        sign for sign in text if sign.isspace() or unicodedata.category(sign) not in ("Cc", "Cs", "Co", "Cf")
    )
    return " ".join(kept.split())


def cleaned(block: Block) -> Block | None:
    """The block with clean texts; None when nothing is left."""
    if isinstance(block, Row):
        cells = tuple(one_line(cell) for cell in block.cells)
        return Row(cells, block.table) if any(cells) else None
    text = one_line(block.text)
    if not text:
        return None
    return Heading(text, block.level) if isinstance(block, Heading) else Paragraph(text)
