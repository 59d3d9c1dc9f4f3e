"""Bulk export and import of articles as xlsx, csv, json and md: the same columns everywhere, and nothing half-imported.

What is exported and imported again is the same, to the character.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.directory.models import Staff
from backend.errors import Refused
from backend.knowledge import editing
from backend.knowledge.content import SOURCE_FIELDS, Content, Known, Problem, comparable, content_of, problems, tidy
from backend.knowledge.models import Article, ArticleVersion
from backend.knowledge.speech import short_speech
from backend.spreadsheet import Row, Table, cell_text, decode

COLUMNS: dict[str, str] = {
    "id": "编号",
    "question": "问题",
    "question_en": "英文问题",
    "variants": "其他问法",
    "answer": "答复",
    "next_step": "下一步",
    "speech": "电话播报",
    "answer_en": "英文答复",
    "agency_code": "承办单位",
    "category_code": "类别",
    "region": "区域",
    "valid_from": "生效日期",
    "valid_until": "失效日期",
    "sources": "依据",
    "version": "版本",
}
"""field -> heading of its column. An import takes either; `version` is the one that was exported, so that an import can't
undo what was changed meanwhile."""

ROWS_LIMIT = 5000
ID = re.compile(r"[A-Za-z0-9][\w.-]{0,79}", re.ASCII)
TABLE = Table("articles", COLUMNS, ROWS_LIMIT)
"""One article a row. Ways of asking and sources stand one a line; a source is title|issuer|number|url."""


@dataclass(frozen=True)
class Checked:
    """What an import makes of one row: `number` as the file counts it, `act` new, changed or same, and its problems."""

    number: int
    article_id: str
    question: str
    content: Content
    act: str
    problems: list[Problem]

    @property
    def refused(self) -> bool:
        """Whether this row keeps the file from being imported."""
        return any(problem.weight != "warning" for problem in self.problems)


# ---- rows and articles


def row_of(version: ArticleVersion) -> Row:
    """The row of one article in its newest version."""
    content = content_of(version.content)
    return {
        **{name: value for name, value in asdict(content).items() if isinstance(value, str)},
        "id": version.article_id,
        "variants": "\n".join(content.variants),
        "sources": "\n".join(map(source_line, content.sources)),
        "version": str(version.number),
    }


def content_of_row(row: Mapping[str, str]) -> Content:
    """What a row says, tidied. Without a column for what the phone says, that is made from the answer."""
    lines = {"variants": row.get("variants", "").split("\n"), "sources": sources_of(row.get("sources", ""))}
    texts = {name: row.get(name, "") for name in COLUMNS if name not in ("id", "version", *lines)}
    if "speech" not in row:
        texts["speech"] = short_speech(texts["answer"])
    return tidy(Content(**cast(dict[str, Any], texts | lines)))


def source_line(source: Mapping[str, str]) -> str:
    """title|issuer|number|url, with quotes where a part has such a stroke in it."""
    written = io.StringIO()
    csv.writer(written, delimiter="|", lineterminator="").writerow([source[name] for name in SOURCE_FIELDS])
    return written.getvalue().rstrip("|")


def sources_of(lines: str) -> list[dict[str, str]]:
    """The sources of a cell, one a line."""
    try:
        rows = list(csv.reader(lines.split("\n"), delimiter="|"))
    except csv.Error:  # too long to be one; its length is what the editor is told of
        rows = [[lines]]
    return [dict(zip(SOURCE_FIELDS, [*row, "", "", "", ""], strict=False)) for row in rows]


# ---- writing files


def write_json(rows: Sequence[Row]) -> bytes:
    """A list of objects with the same cells."""
    ordered = [{name: row[name] for name in COLUMNS} for row in rows]
    return json.dumps(ordered, ensure_ascii=False, indent=2).encode()


def write_md(rows: Sequence[Row]) -> bytes:
    """One `# ` heading an article, and below it one `## ` heading a field. Lines that begin with # or \\ get a \\."""
    parts = []
    for row in rows:
        parts.append(f"# {row['question']}\n")
        for name, heading in COLUMNS.items():
            if name == "speech" or (name != "question" and row[name]):
                escaped = re.sub(r"(?m)^(?=[#\\])", r"\\", row[name])
                parts.append(f"## {heading}\n\n{escaped}\n")
    return "\n".join(parts).encode()


# ---- reading files


def read_json(data: bytes) -> list[tuple[int, Row]]:
    """The objects of a list; ways of asking and sources may be lists as well as lines. Raises Refused."""
    try:
        found = json.loads(decode(data))
    except (ValueError, RecursionError) as error:
        raise Refused("file_unreadable", kind="json") from error
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Refused("file_unreadable", kind="json")
    TABLE.check_headings({name for one in found[: ROWS_LIMIT + 1] for name in one})
    return [
        (number, {TABLE.field_of(name): json_cell(value) for name, value in one.items()})
        for number, one in enumerate(TABLE.first_rows(found), start=1)
    ]


def read_md(data: bytes) -> list[tuple[int, Row]]:
    """The articles of a text as `write_md` writes it. Raises Refused."""
    rows: list[Row] = []
    name = ""
    for line in decode(data).replace("\r\n", "\n").split("\n"):
        if line.startswith("# "):
            rows.append({"question": line[2:]})
            name = ""
        elif line.startswith("## ") and rows:
            TABLE.check_headings([line[3:]])
            name = TABLE.field_of(line[3:])
            rows[-1][name] = ""
        elif name:
            rows[-1][name] += line.removeprefix("\\") + "\n"
        elif line.strip():
            raise Refused("file_unreadable", kind="md")
    return [
        (number, {name: cell.strip() for name, cell in row.items()})
        for number, row in enumerate(TABLE.first_rows(rows), 1)
    ]


def json_cell(value: object) -> str:
    """A value of a JSON object as the text of a cell."""
    if isinstance(value, list):
        return "\n".join(
            source_line({name: str(one.get(name) or "") for name in SOURCE_FIELDS})
            if isinstance(one, dict)
            else str(one)
            for one in value
        )
    return cell_text(value)


WRITERS: dict[str, tuple[Callable[[Sequence[Row]], bytes], str]] = {
    "xlsx": (TABLE.write_xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "csv": (TABLE.write_csv, "text/csv"),
    "json": (write_json, "application/json"),
    "md": (write_md, "text/markdown"),
}
"""format -> how it is written, and its media type."""

READERS: dict[str, Callable[[bytes], list[tuple[int, Row]]]] = {
    "xlsx": TABLE.read_xlsx,
    "csv": TABLE.read_csv,
    "json": read_json,
    "md": read_md,
}


# ---- importing


def read_file(name: str, data: bytes) -> list[tuple[int, Row]]:
    """The rows of a file, by the end of its name, each with its number. Raises Refused for a file that can't be read."""
    kind = PurePath(name.lower()).suffix.removeprefix(".")
    if kind not in READERS:
        raise Refused("file_kind_unknown", kinds=", ".join(READERS))
    rows = READERS[kind](data)
    if not rows:
        raise Refused("file_empty")
    return rows


def import_articles(session: Session, name: str, data: bytes, author: Staff, now: datetime, note: str) -> list[Checked]:
    """Make drafts of all rows of a file, if all are good; if one is refused, nothing is changed.

    Returns what became of each row. Raises Refused for a file that can't be read at all.
    """
    checked = check_rows(session, read_file(name, data))
    if any(row.refused for row in checked):
        return checked
    for row in checked:
        if row.act == "new":
            editing.create(session, row.content, author, now, note, row.article_id or None)
        elif row.act == "changed":
            newest = editing.lock(session, row.article_id).versions[-1]
            editing.save(session, row.article_id, row.content, author, now, editing.stamp(newest), note)
    return checked


def check_rows(session: Session, rows: Sequence[tuple[int, Row]]) -> list[Checked]:
    """What an import would make of these rows."""
    known = editing.known(session)
    newest = newest_versions(session)
    owners = {comparable(content_of(version.content).question): article_id for article_id, version in newest.items()}
    seen: dict[str, int] = {}
    checked = []
    for number, row in rows:
        content, article_id = content_of_row(row), row.get("id", "").strip()
        standing = newest.get(article_id)
        found = problems(content, without(known, standing))
        found += id_problems(row, article_id, standing)
        for field, key in (("id", article_id), ("question", comparable(content.question))):
            place = f"{field} {key}"
            if key and place in seen:
                found.append(Problem(field, "row_twice", "refused", {"row": seen[place]}))
            seen.setdefault(place, number)
        owner = owners.get(comparable(content.question))
        if owner and owner != article_id and content.question:
            found.append(Problem("question", "article_exists", "refused", {"id": owner}))
        same = standing is not None and content_of(standing.content) == content
        act = "same" if same else "changed" if standing else "new"
        checked.append(Checked(number, article_id, content.question, content, act, found))
    return checked


def id_problems(row: Row, article_id: str, standing: ArticleVersion | None) -> list[Problem]:
    """What is wrong with a row's id and version."""
    if article_id and not ID.fullmatch(article_id):
        return [Problem("id", "id_malformed", "refused")]
    version = row.get("version", "").strip()
    if version and not (version.isascii() and version.isdigit()):
        return [Problem("version", "version_malformed", "refused")]
    if version and standing and int(version) != standing.number:
        return [Problem("version", "version_overtaken", "refused", {"version": version, "newest": standing.number})]
    return []


def without(known: Known, standing: ArticleVersion | None) -> Known:
    """What a row is checked against: an article's own ways of asking are not another's."""
    if standing is None:
        return known
    own = content_of(standing.content)
    ways = {comparable(way) for way in (own.question, *own.variants)}
    asked = {way: question for way, question in known.asked.items() if way not in ways}
    return Known(known.agencies, known.categories, known.regions, asked)


def newest_versions(session: Session, ids: Iterable[str] | None = None) -> dict[str, ArticleVersion]:
    """The newest version of each article, or of those with these ids, in the order of the ids."""
    query = select(ArticleVersion).join(Article).order_by(ArticleVersion.article_id, ArticleVersion.number)
    if ids is not None:
        query = query.where(Article.id.in_(ids))
    return {version.article_id: version for version in session.scalars(query)}
