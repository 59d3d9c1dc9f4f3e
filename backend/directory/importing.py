"""The agencies of a city as xlsx or csv: exported as they stand; imported with a report row by row, nothing half-imported.

A file may hold all agencies or only those that change; a column that isn't there changes nothing. An agency is known by its
code: another name for the same code is a renaming, and the old name is kept. Agencies are never deleted: one that has been
merged gets its last day and its successor, and its old cases stay its own.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import PurePath
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.directory.hours import read_hours
from backend.directory.models import Agency
from backend.errors import Refused
from backend.spreadsheet import Row, Table

COLUMNS: Final = {
    "code": "编码",
    "name": "名称",
    "level": "层级",
    "parent": "上级编码",
    "district": "区域",
    "duties": "职责",
    "contact": "联系人",
    "telephone": "电话",
    "hours": "工作时间",
    "substitute": "代管单位编码",
    "successor": "并入单位编码",
    "valid_until": "截止日期",
}
"""field -> heading of its column. 层级 is 1 for the city, 2 for a district, 3 for a street or town."""
ATTRIBUTES: Final = {"parent": "parent_code", "substitute": "substitute_code", "successor": "successor_code"}
"""field -> the attribute of Agency, where it has another name."""
REFERENCES: Final = ("parent", "substitute", "successor")
TABLE: Final = Table("agencies", COLUMNS, limit=5000)
WRITERS: Final[dict[str, tuple[Callable[[Iterable[Row]], bytes], str]]] = {
    "xlsx": (TABLE.write_xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "csv": (TABLE.write_csv, "text/csv"),
}
READERS: Final[dict[str, Callable[[bytes], list[tuple[int, Row]]]]] = {
    "xlsx": TABLE.read_xlsx,
    "csv": TABLE.read_csv,
}
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Characters that no cell of a workbook may have, and NUL and half surrogates, which no database takes."""
CODE: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,39}", re.ASCII)
TELEPHONE: Final = re.compile(r"[+\d][\d ()转-]{2,39}", re.ASCII)
LIMITS: Final = {"name": 100, "district": 40, "duties": 500, "contact": 100, "telephone": 40, "hours": 200}
FORMER_LIMIT: Final = 400


@dataclass(frozen=True)
class Problem:
    """Why a row is refused: the column, a code of errors.yml and the facts of its sentence."""

    column: str
    code: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """What an import makes of one row: `number` as the file counts it, `act` new, changed, renamed, merged or same, and why
    it is refused."""

    number: int
    code: str
    name: str
    act: str
    wanted: dict[str, Any]
    problems: list[Problem]


def row_of(agency: Agency) -> Row:
    """The row of one agency."""
    row = {name: getattr(agency, ATTRIBUTES.get(name, name)) for name in COLUMNS}
    return {name: "" if value is None else str(value) for name, value in row.items()}


def read_file(name: str, data: bytes) -> list[tuple[int, Row]]:
    """The rows of a file, by the end of its name, each with its number. Raises Refused for a file that can't be read."""
    kind = PurePath(name.lower()).suffix.removeprefix(".")
    if kind not in READERS:
        raise Refused("file_kind_unknown", kinds=", ".join(READERS))
    rows = [
        (number, {name: CONTROL.sub(" ", cell).strip() for name, cell in row.items()})
        for number, row in READERS[kind](data)
    ]
    if not rows:
        raise Refused("file_empty")
    return rows


def import_agencies(session: Session, name: str, data: bytes) -> list[Checked]:
    """Add and change agencies as the rows of a file say, if all are good; if one is refused, nothing is changed.

    Returns what became of each row. Raises Refused for a file that can't be read at all.
    """
    standing = {agency.code: agency for agency in session.scalars(select(Agency))}
    checked = check_rows(standing, read_file(name, data))
    if any(row.problems for row in checked):
        return checked
    references = {ATTRIBUTES[name] for name in REFERENCES}
    for row in sorted(checked, key=lambda row: row.wanted["level"]):
        if row.act == "new":
            standing[row.code] = Agency(code=row.code, former_names="")
        agency = standing[row.code]
        if row.act == "renamed":
            former = "；".join(filter(None, (agency.name, agency.former_names)))
            agency.former_names = former[:FORMER_LIMIT]
        for attribute, value in row.wanted.items():
            if attribute not in references - {"parent_code"}:
                setattr(agency, attribute, value)
        if row.act == "new":
            session.add(agency)
            session.flush()  # parents are there before their children
    for row in checked:  # everybody is there now
        for attribute in references & row.wanted.keys():
            setattr(standing[row.code], attribute, row.wanted[attribute])
    session.flush()
    return checked


def check_rows(standing: Mapping[str, Agency], rows: Sequence[tuple[int, Row]]) -> list[Checked]:
    """What an import would make of these rows. Pure."""
    first_row: dict[str, int] = {}
    for number, row in rows:
        first_row.setdefault(row.get("code", ""), number)
    after = {code: row_of(agency) for code, agency in standing.items()}
    for _, row in rows:
        after[row.get("code", "")] = after.get(row.get("code", ""), dict.fromkeys(COLUMNS, "")) | row
    return [check_row(standing, after, number, row, first_row) for number, row in rows]


def check_row(
    standing: Mapping[str, Agency],
    after: Mapping[str, Row],
    number: int,
    row: Row,
    first_row: Mapping[str, int],
) -> Checked:
    """What an import would make of one row; `after` is how all agencies would stand then."""
    code = row.get("code", "")
    whole = after[code]
    problems = own_problems(whole) + reference_problems(code, whole, after)
    if first_row[code] != number:
        problems.append(Problem("code", "row_twice", {"row": first_row[code]}))
    before = standing.get(code)
    if before is not None and whole["level"] != str(before.level):
        problems.append(Problem("level", "level_stays"))  # its children would hang in the air
    wanted = wanted_of(whole) if not problems else {}
    if before is None:
        act = "new"
    elif not any(getattr(before, attribute) != value for attribute, value in wanted.items()):
        act = "same"
    elif whole["successor"] and whole["successor"] != before.successor_code:
        act = "merged"
    else:
        act = "renamed" if whole["name"] != before.name else "changed"
    return Checked(number, code, whole["name"], act, wanted, problems)


def own_problems(row: Row) -> list[Problem]:
    """What is wrong with a row by itself."""
    found = []
    if not CODE.fullmatch(row["code"]):
        found.append(Problem("code", "code_malformed"))
    if not row["name"]:
        found.append(Problem("name", "field_empty"))
    if row["level"] not in ("1", "2", "3"):
        found.append(Problem("level", "level_unknown"))
    elif row["level"] != "1" and not row["district"]:
        found.append(Problem("district", "field_empty"))
    for name, limit in LIMITS.items():
        if len(row[name]) > limit:
            found.append(Problem(name, "field_too_long", {"limit": limit, "length": len(row[name])}))
    if row["telephone"] and not TELEPHONE.fullmatch(row["telephone"]):
        found.append(Problem("telephone", "bad_contact"))
    if read_hours(row["hours"]) is None:
        found.append(Problem("hours", "hours_unreadable"))
    if row["valid_until"] and day_of(row["valid_until"]) is None:
        found.append(Problem("valid_until", "date_unreadable", {"value": row["valid_until"][:40]}))
    if row["successor"] and not row["valid_until"]:
        found.append(Problem("valid_until", "merged_without_day"))
    return found


def reference_problems(code: str, row: Row, after: Mapping[str, Row]) -> list[Problem]:
    """What is wrong with the agencies that a row refers to."""
    found = []
    for name in REFERENCES:
        if row[name] and (row[name] not in after or row[name] == code):
            found.append(Problem(name, "unknown_agency", {"agency": row[name][:40]}))
    parent = after.get(row["parent"])
    if row["level"] == "1" and row["parent"]:
        found.append(Problem("parent", "parent_of_the_city"))
    elif row["level"] in ("2", "3") and (parent is None or parent["level"] != str(int(row["level"]) - 1)):
        found.append(Problem("parent", "parent_level"))
    seen, follows = {code}, row["successor"]
    while follows and follows in after:
        if follows in seen:
            found.append(Problem("successor", "successor_circle"))
            break
        seen.add(follows)
        follows = after[follows]["successor"]
    return found


def wanted_of(row: Row) -> dict[str, Any]:
    """The attributes of an agency that a row without problems asks for."""
    wanted: dict[str, Any] = {ATTRIBUTES.get(name, name): row[name] for name in COLUMNS if name != "code"}
    wanted |= {ATTRIBUTES[name]: row[name] or None for name in REFERENCES}
    return wanted | {"level": int(row["level"]), "valid_until": day_of(row["valid_until"])}


def day_of(text: str) -> date | None:
    """The day that is written as 2026-01-31, or None."""
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None
    except ValueError:
        return None
