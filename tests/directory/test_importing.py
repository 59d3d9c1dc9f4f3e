"""Agencies by file: a whole city in seconds, refused row by row, nothing half-imported, and no history lost."""

import csv
import io
from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from backend.database import Database
from backend.directory import importing
from backend.directory.importing import COLUMNS, READERS, WRITERS, Checked, check_rows, import_agencies, row_of
from backend.directory.models import Agency
from backend.directory.service import in_charge
from backend.errors import Refused
from backend.spreadsheet import Row

CELLS = st.one_of(
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), max_size=12),
    st.sampled_from(
        ["1", "2", "3", "C-URBAN", "D-YS", "2026-01-31", "工作日 09:00-17:00", "=1+1", "'", "NEW-1", "NEW-2"]
    ),
)
AGENCIES = st.builds(
    Agency,
    **dict.fromkeys(("code", "name", "district", "duties", "contact", "telephone", "hours"), CELLS),
    level=st.integers(1, 3),
    **dict.fromkeys(("parent_code", "substitute_code", "successor_code"), st.one_of(st.none(), CELLS.filter(bool))),
    valid_until=st.one_of(st.none(), st.dates()),
)


def new(code: str, **cells: str) -> Row:
    """A row for a district's agency."""
    return {"code": code, "name": f"单位{code}", "level": "2", "parent": "C-URBAN", "district": "云水区"} | cells


def load(database: Database, rows: Sequence[Row]) -> list[Checked]:
    """Import these rows as a person's csv file."""
    written = io.StringIO()
    writer = csv.DictWriter(written, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    with database.write() as session:
        return import_agencies(session, "单位.csv", written.getvalue().encode())


@pytest.mark.parametrize("kind", WRITERS)
@settings(max_examples=60, deadline=None)
@given(agencies=st.lists(AGENCIES, min_size=1, max_size=4))
def test_what_is_exported_reads_the_same_again(kind: str, agencies: list[Agency]) -> None:
    rows = [row_of(agency) for agency in agencies]
    read = READERS[kind](WRITERS[kind][0](rows))
    assert [row for _, row in read] == [row for row in rows if any(cell.strip() for cell in row.values())]


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(st.dictionaries(st.sampled_from(list(COLUMNS)), CELLS.map(str.strip)), max_size=6))
def test_whatever_a_table_says_each_row_is_good_or_told_why_not(rows: list[Row]) -> None:
    standing = {
        "C-URBAN": Agency(code="C-URBAN", name="城管", level=1, district="全市", duties="", former_names=""),
        "D-YS": Agency(code="D-YS", name="云水区", level=2, parent_code="C-URBAN", district="云水区", duties=""),
    }
    for agency in standing.values():
        agency.contact = agency.telephone = agency.hours = ""
    for row in check_rows(standing, list(enumerate(rows, start=2))):
        for problem in row.problems:
            told = Refused(problem.code, **problem.facts)
            assert told.sentence("zh") and told.sentence("en")
        assert bool(row.wanted) != bool(row.problems)


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from(sorted(READERS)), data=st.one_of(st.binary(max_size=200), st.text(max_size=80).map(str.encode))
)
def test_whatever_is_uploaded_is_read_or_refused(kind: str, data: bytes) -> None:
    try:
        importing.read_file(f"单位.{kind}", data)
    except Refused as refused:
        assert refused.sentence("zh") and refused.sentence("en")


def test_a_whole_city_is_imported_children_before_parents_as_well(database: Database) -> None:
    streets = [new(f"S-{number}", level="3", parent=f"D-{number % 90}") for number in range(1071)]
    bureaus = [new(f"D-{number}") for number in range(90)]
    city = new("C-NEW", level="1", parent="", district="全市")
    rows = load(database, [*streets, *bureaus, city])
    assert [row.act for row in rows] == ["new"] * 1162
    with database.read() as session:
        assert session.get_one(Agency, "S-1070").parent_code == "D-80"


@pytest.mark.parametrize(
    ("cells", "column", "why"),
    [
        ({"parent": "C-NONE"}, "parent", "unknown_agency"),
        ({"parent": "D-YS"}, "parent", "parent_level"),
        ({"level": "4"}, "level", "level_unknown"),
        ({"name": ""}, "name", "field_empty"),
        ({"hours": "早九晚五"}, "hours", "hours_unreadable"),
        ({"telephone": "打总机"}, "telephone", "bad_contact"),
        ({"successor": "D-YS-URBAN"}, "valid_until", "merged_without_day"),
        ({"valid_until": "2026-02-30"}, "valid_until", "date_unreadable"),
        ({"substitute": "D-NEW"}, "substitute", "unknown_agency"),
        ({"code": "新 1"}, "code", "code_malformed"),
    ],
)
def test_one_bad_row_keeps_the_whole_file_out(database: Database, cells: Row, column: str, why: str) -> None:
    columns = {name: "" for name in COLUMNS}
    rows = load(database, [columns | new("D-GOOD"), columns | new("D-NEW") | cells])
    assert (column, why) in [(problem.column, problem.code) for problem in rows[1].problems]
    with database.read() as session:
        assert session.get(Agency, "D-GOOD") is None


def test_successors_that_lead_in_a_circle_are_refused(database: Database) -> None:
    rows = load(
        database,
        [
            new("D-A", successor="D-B", valid_until="2026-01-31"),
            new("D-B", successor="D-A", valid_until="2026-01-31"),
        ],
    )
    assert {problem.code for row in rows for problem in row.problems} == {"successor_circle"}


def test_what_a_file_does_not_say_stays_and_the_same_file_again_changes_nothing(database: Database) -> None:
    change = [{"code": "C-WATER", "telephone": "0551-1234567"}]
    assert [row.act for row in load(database, change)] == ["changed"]
    assert [row.act for row in load(database, change)] == ["same"]
    with database.read() as session:
        assert "停水" in session.get_one(Agency, "C-WATER").duties
        assert session.scalar(select(func.count()).select_from(Agency)) == 145


def test_a_renamed_agency_is_known_by_its_old_names_too(database: Database) -> None:
    for name in ("市供水集团", "市供水公司"):
        assert [row.act for row in load(database, [{"code": "C-WATER", "name": name}])] == ["renamed"]
    with database.read() as session:
        agency = session.get_one(Agency, "C-WATER")
        assert (agency.name, agency.former_names) == ("市供水公司", "市供水集团；市水务集团")


def test_a_merged_agency_takes_cases_until_its_last_day_and_then_its_successor_does(database: Database) -> None:
    load(database, [{"code": "D-YS-HOUSE", "successor": "D-YS-URBAN", "valid_until": "2026-12-31"}])
    load(database, [{"code": "D-YS-URBAN", "successor": "C-URBAN", "valid_until": "2027-06-30"}])
    with database.read() as session:
        known = {agency.code: agency for agency in session.scalars(select(Agency))}
    on = [date(2026, 12, 31), date(2027, 1, 1), date(2027, 7, 1)]
    assert [in_charge(known, "D-YS-HOUSE", day) for day in on] == ["D-YS-HOUSE", "D-YS-URBAN", "C-URBAN"]
