"""Cuts a document into passages by its own structure, so that each can be cited: 第十二条, 三（二）, 表 2 第 4 行. Pure.

A document comes as blocks in reading order, whatever file they were read from (documents.py). Chapters and headings become
the path above a passage, numbered clauses its label. Two clauses are never one passage, if short items of one clause may be.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

MERGE_UP_TO = 250
"""Characters up to which neighbours inside one clause become one passage: less is seldom understood alone."""
CUT_ABOVE = 400
"""Characters above which a passage is cut at its sentences. The dense model reads 512 tokens, about 500 Chinese characters,
and the title and headings come before the text."""
HEADING_LENGTH = 60
"""A longer line is a paragraph, whatever its file calls it."""
PATH_LENGTH = 300
PATH_JOINT = " › "

NUMERAL = "[〇零一二三四五六七八九十百千0-9]{1,7}"
DIVISIONS = (
    (10, re.compile(rf"第{NUMERAL}编(?!制)")),
    (11, re.compile(rf"第{NUMERAL}分编")),
    (12, re.compile(rf"第{NUMERAL}章")),
    (13, re.compile(rf"第{NUMERAL}节")),
)
"""What stands above clauses (Legislation Law of China: 编、章、节、条、款、项、目); rank, and how its line begins."""
CLAUSES = (
    (20, re.compile(rf"第{NUMERAL}条(?:之[一二三四五六七八九十]{{1,3}})?(?![、和至及与或第]|规定|所|的|中)")),
    (30, re.compile(r"[一二三四五六七八九十]{1,3}、")),
    (31, re.compile(r"[（(][一二三四五六七八九十]{1,3}[）)]")),
    (32, re.compile(r"\d{1,2}[.．、](?!\d)")),
    (33, re.compile(r"[（(]\d{1,2}[）)]")),
)
"""What a passage is cited by, also in notices, which count 一、（一）1.（1） (GB/T 9704-2012, 7.3.3)."""
ENDS_LIKE_A_SENTENCE = re.compile(r"[。；：，、！？;:,!?.]$")
SENTENCE_END = re.compile(r"(?<=[。！？；!?;\n])|(?<=\. )")


@dataclass(frozen=True)
class Heading:
    """A heading as its file marks it; level 0 is the title, 1 to 6 as in HTML."""

    text: str
    level: int


@dataclass(frozen=True)
class Paragraph:
    """A paragraph, an item of a list, a line."""

    text: str


@dataclass(frozen=True)
class Row:
    """One row of a table; `table` counts the tables of the document from 1."""

    cells: tuple[str, ...]
    table: int


Block = Heading | Paragraph | Row


@dataclass(frozen=True)
class Piece:
    """One passage: the headings above it, the clause that it is cited by, and its text."""

    heading: str
    clause: str
    text: str


@dataclass
class Level:
    """One open heading or clause above the place where reading is."""

    rank: int
    mark: str  # 第十二条, （三）; empty for a heading without a number
    heading: str  # empty for a clause whose words are text
    shown: bool = False  # whether a passage has it in its path


@dataclass(frozen=True)
class Unit:
    """The smallest thing that a passage is made of: a paragraph with the clause that it stands in."""

    heading: str
    marks: tuple[str, ...]
    text: str
    row: str = ""  # 表 2 第 4 行; neighbours with the same one may become one passage


@dataclass
class Reading:
    """Where reading is in a document, and what was read so far."""

    title: str
    levels: list[Level] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)

    def open(self, level: Level) -> None:
        """Begin a heading or clause: what is not above it ends."""
        while self.levels and self.levels[-1].rank >= level.rank:
            self.close()
        self.levels.append(level)

    def close(self) -> None:
        """End the innermost; a heading that stood above nothing is text itself."""
        ended = self.levels[-1]
        marks = self.marks()
        self.levels.pop()
        if ended.heading and not ended.shown:
            self.units.append(Unit(self.path(), marks, ended.heading))

    def add(self, text: str, row: str = "") -> None:
        """Note a text that stands here; `row` for one of a table."""
        self.units.append(Unit(self.path(), self.marks(), text, row))

    def marks(self) -> tuple[str, ...]:
        """The labels of the clauses that are open here."""
        return tuple(level.mark for level in self.levels if level.mark)

    def path(self) -> str:
        """The headings above this place, the innermost if all are too long together."""
        found = ""
        for level in reversed([level for level in self.levels if level.heading]):
            longer = f"{level.heading}{PATH_JOINT}{found}" if found else level.heading
            if len(longer) > PATH_LENGTH:
                break
            found, level.shown = longer, True
        return found


def cut(blocks: Sequence[Block], title: str) -> list[Piece]:
    """The passages of a document in reading order. `title` is left out of the headings, as every citation has it."""
    reading = Reading(title)
    for is_table, run in groupby(blocks, lambda block: isinstance(block, Row)):
        if is_table:
            read_rows(reading, [block for block in run if isinstance(block, Row)])
        else:
            read_lines(reading, [block for block in run if not isinstance(block, Row)])
    while reading.levels:
        reading.close()
    return list(pieces(reading.units))


def read_lines(reading: Reading, lines: Iterable[Heading | Paragraph]) -> None:
    """Read headings and paragraphs."""
    for line in lines:
        text = line.text.strip()
        if not text:
            continue
        rank, mark = mark_of(text)
        short = len(text) <= HEADING_LENGTH
        if isinstance(line, Heading) and short:
            reading.open(Level(line.level, mark, "" if text == reading.title else text))
        elif rank and short and not ENDS_LIKE_A_SENTENCE.search(text) and text != mark:
            reading.open(Level(rank, mark, text))
        else:
            if mark:
                reading.open(Level(rank, mark, ""))
            reading.add(text)


def mark_of(text: str) -> tuple[int, str]:
    """Rank and label of the chapter or clause that a line begins: (20, "第十二条"), (12, "") for a chapter, (0, "")."""
    for rank, pattern in DIVISIONS:
        if pattern.match(text):
            return rank, ""
    for rank, pattern in CLAUSES:
        if found := pattern.match(text):
            return rank, found[0].rstrip("、.．")
    return 0, ""


def read_rows(reading: Reading, rows: Iterable[Row]) -> None:
    """Read tables. Two columns are names and values and stay together; of more, each row is a passage of its own, in which
    every cell has the name of its column: 区域：明湖区；电话：…"""
    for table, group in groupby(rows, lambda row: row.table):
        filled = [[cell.strip() for cell in row.cells] for row in group]
        filled = [cells for cells in filled if any(cells)]
        if max((len(cells) for cells in filled), default=0) <= 2:
            for cells in filled:
                reading.add("：".join(cell for cell in cells if cell), f"表 {table}")
            continue
        head = next((place for place, cells in enumerate(filled) if sum(map(bool, cells)) > 1), len(filled))
        names = filled[head] if head + 1 < len(filled) else []
        unused = set(range(len(names)))
        for place, cells in enumerate(filled):
            if names and place == head:
                continue
            parts = []
            for column, cell in enumerate(cells):
                named = cell and place > head and column < len(names) and names[column]
                unused -= {column} if named else set()
                parts.append(f"{names[column]}：{cell}" if named else cell)
            reading.add("；".join(part for part in parts if part), f"表 {table} 第 {place + 1} 行")
        if left := "；".join(names[column] for column in sorted(unused) if names[column]):
            reading.add(left, f"表 {table} 第 {head + 1} 行")


def pieces(units: Iterable[Unit]) -> Iterator[Piece]:
    """Passages of the right size: short neighbours of one clause together, long ones cut."""
    for (heading, _, row), group in groupby(units, lambda unit: (unit.heading, unit.marks[:1], unit.row)):
        kept: list[Unit] = []
        for unit in group:
            if kept and sum(len(one.text) for one in kept) + len(unit.text) > MERGE_UP_TO:
                yield from finished(heading, row, kept)
                kept = []
            kept.append(unit)
        yield from finished(heading, row, kept)


def finished(heading: str, row: str, units: Sequence[Unit]) -> Iterator[Piece]:
    """The passage of these units, or several when it is too long."""
    clause = row or label(units[0].marks, units[-1].marks)
    for text in cut_at_sentences("\n".join(unit.text for unit in units)):
        yield Piece(heading, clause, text)


def label(first: Sequence[str], last: Sequence[str]) -> str:
    """What a passage from one clause to another is cited by: 第十条, 第十条（一）至（三）."""
    shared = next(
        (place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other),
        min(len(first), len(last)),
    )
    if shared == len(first) or shared == len(last):
        return "".join(first[:shared])
    return f"{''.join(first)}至{''.join(last[shared:])}"


def cut_at_sentences(text: str) -> Iterator[str]:
    """`text` in parts of at most CUT_ABOVE characters, at the ends of sentences where there are any."""
    part = ""
    for sentence in SENTENCE_END.split(text):
        if part.strip() and len(part) + len(sentence) > CUT_ABOVE:
            yield part.strip()
            part = ""
        part += sentence
        while len(part) > CUT_ABOVE:
            yield part[:CUT_ABOVE].strip()
            part = part[CUT_ABOVE:]
    if part.strip():
        yield part.strip()
