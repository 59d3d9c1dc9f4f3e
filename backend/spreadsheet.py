"""Tables as people exchange them: xlsx and csv with one line of headings, read with care and written so that no spreadsheet
runs a cell. What the columns mean is the caller's business."""

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from openpyxl import Workbook, load_workbook
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter

from backend.errors import Refused

FILE_LIMIT = 20_000_000
"""Bytes of an uploaded file."""
UNPACKED_LIMIT = 200_000_000
"""Bytes of all that an xlsx file unpacks to: 800 documents with a million characters are 3 MB, a zip bomb is more."""
FORMULA = re.compile(r"'*[=+\-@\t\r＝＋－＠]")
"""How a cell begins that a spreadsheet would run (https://owasp.org/www-community/attacks/CSV_Injection)."""

TEXT_WIDTH, NUMBER_WIDTH = 28, 14
"""Of a column of a workbook, in characters."""

Row = dict[str, str]
"""One line of a table as text, field -> cell."""
Cells = Mapping[str, str | int | float | None]
"""One line of a table to write: text, numbers that a spreadsheet can add up, None for an empty cell."""


@dataclass(frozen=True)
class Table:
    """A kind of table: its name, its columns (field -> heading; a file may have either) and how many rows a file may
    have."""

    name: str
    columns: Mapping[str, str]
    limit: int

    def write_xlsx(self, rows: Iterable[Cells]) -> bytes:
        """A workbook with one sheet."""
        book = Workbook()
        sheet = book.worksheets[0]
        sheet.title = self.name
        sheet.append(list(self.columns.values()))
        for row in rows:
            sheet.append([guard(row[name]) for name in self.columns])
        for cell in sheet[1]:
            cell.font, cell.alignment = Font(bold=True), Alignment(wrap_text=True, vertical="top")
        for cells in sheet.iter_rows(min_row=2):
            for cell in cells:
                cell.alignment = Alignment(wrap_text=True, vertical="top")
        for number, column in enumerate(sheet.iter_cols(min_row=2, values_only=True), start=1):
            has_text = any(isinstance(value, str) for value in column)
            sheet.column_dimensions[get_column_letter(number)].width = TEXT_WIDTH if has_text else NUMBER_WIDTH
        sheet.freeze_panes = "C2"
        written = io.BytesIO()
        book.save(written)
        return written.getvalue()

    def write_csv(self, rows: Iterable[Cells]) -> bytes:
        """UTF-8 with a byte order mark, by which Excel knows it."""
        written = io.StringIO()
        writer = csv.writer(written)
        writer.writerow(self.columns.values())
        writer.writerows([guard(row[name]) for name in self.columns] for row in rows)
        return written.getvalue().encode("utf-8-sig")

    def read_xlsx(self, data: bytes) -> list[tuple[int, Row]]:
        """The rows of the first sheet, each with its number in the file. Raises Refused when this is no workbook, or
        unpacks to too much."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as packed:
                if sum(part.file_size for part in packed.infolist()) > UNPACKED_LIMIT:
                    raise Refused("file_unpacks_to_too_much")
            book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
            lines = self.first_rows(book.worksheets[0].iter_rows(values_only=True))
            cells = [[cell_text(cell) for cell in row] for row in lines]
        except Refused:
            raise
        except Exception as error:  # a broken workbook fails in many ways, none of them documented
            raise Refused("file_unreadable", kind="xlsx") from error
        return self._rows(list(enumerate(cells, start=1)))

    def read_csv(self, data: bytes) -> list[tuple[int, Row]]:
        """The rows of a table as Excel or any other program writes it, each with its number in the file. Raises Refused."""
        text = decode(data)
        first = text.split("\n", 1)[0]
        delimiter = max(",;\t", key=first.count)
        try:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
            lines = list(enumerate(self.first_rows(reader), start=1))
        except csv.Error as error:
            raise Refused("file_unreadable", kind="csv") from error
        return self._rows(lines)

    def _rows(self, lines: Sequence[tuple[int, Sequence[str]]]) -> list[tuple[int, Row]]:
        """The rows below the line of headings, without empty ones."""
        if not lines:
            raise Refused("column_missing", column=self.columns[next(iter(self.columns))])
        headings = [heading.strip() for heading in lines[0][1]]
        self.check_headings(filter(None, headings))
        names = [self.field_of(heading) for heading in headings]
        return [
            (number, {name: unguard(cell) for name, cell in zip(names, cells, strict=False) if name})
            for number, cells in lines[1:]
            if any(cell.strip() for cell in cells)
        ]

    def check_headings(self, headings: Iterable[str]) -> None:
        """Raises Refused for a column that means nothing here, so that nothing is lost unsaid."""
        for heading in headings:
            if self.field_of(heading) not in self.columns:
                raise Refused("column_unknown", column=heading[:40])

    def field_of(self, heading: str) -> str:
        """The field that a column is for; an unknown heading as it is."""
        fields = {shown: name for name, shown in self.columns.items()}
        return fields.get(heading.strip(), heading.strip())

    def first_rows(self, rows: Iterable[Any]) -> list[Any]:
        """The rows as a list. Raises Refused when there are more than one import takes."""
        taken = []
        for row in rows:
            taken.append(row)
            if len(taken) > self.limit + 1:
                raise Refused("too_many_lines", limit=self.limit)
        return taken


def guard(cell: str | int | float | None) -> str | int | float | None:
    """A cell that no spreadsheet takes for a formula; a number stays one."""
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell


def unguard(cell: str) -> str:
    """The cell as it was before `guard`."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def decode(data: bytes) -> str:
    """The text of a file in UTF-8, or in GB 18030 as Excel on Chinese Windows writes it. Raises Refused."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text
    raise Refused("encoding_unknown")


def cell_text(cell: object) -> str:
    """What stands in a cell of a workbook, as text."""
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None else str(cell)
