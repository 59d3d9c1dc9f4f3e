"""What is published helps nobody to a small count, however they add and subtract; what needs no hiding is given."""

import csv
import io
from datetime import date

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, milp
from sqlalchemy import select, update

from backend.database import Database
from backend.insight.models import CaseCell, Mark, PublishedMonth
from backend.insight.open_data import ALL, DICTIONARY, SMALL, WIDTH, Table, publish_due, suppressed, with_sums
from backend.insight.rollups import keep_in_step
from backend.insight.sample_year import fill
from backend.parts import Parts
from tests.conftest import StandingClock

COUNTS = st.one_of(st.just(0), st.integers(1, SMALL - 1), st.integers(SMALL, 200))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Up to four districts with up to four categories."""
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    return {(f"d{row}", f"c{column}"): draw(COUNTS) for row in range(rows) for column in range(columns)}


@settings(max_examples=60, deadline=None)
@given(tables())
def test_nobody_can_work_out_a_small_count_from_what_is_published(counts: Table) -> None:
    table = with_sums(counts)
    hidden = suppressed(table)
    for cell, count in table.items():
        if 0 < count < SMALL:
            assert cell in hidden
            least, most = what_it_can_be(counts, table, hidden, cell)
            assert least <= count <= most and most - least + 1 >= WIDTH


def what_it_can_be(
    counts: Table, table: Table, hidden: set[tuple[str, str]], cell: tuple[str, str]
) -> tuple[float, float]:
    """The attacker, on another way than the code: whole numbers for all inner cells, of which every published one and every
    published sum is known, and of every hidden one that it is not nothing."""
    inner = sorted(counts)

    def parts(one: tuple[str, str]) -> list[int]:
        return [int(one[0] in (ALL, row) and one[1] in (ALL, column)) for row, column in inner]

    known = [
        (parts(one), table[one] if one not in hidden else 1, table[one] if one not in hidden else np.inf)
        for one in table
    ]
    held = LinearConstraint(*(np.array(column, dtype=float) for column in zip(*known, strict=True)))
    ends = []
    for sign in (1, -1):
        found = milp(sign * np.array(parts(cell)), constraints=held, integrality=np.ones(len(inner)), bounds=None)
        ends.append(sign * found.fun if found.status == 0 else np.inf)
    return ends[0], ends[1]


@settings(max_examples=40, deadline=None)
@given(tables())
def test_where_no_count_is_small_everything_is_published(counts: Table) -> None:
    assert not suppressed(with_sums({cell: count * SMALL for cell, count in counts.items()}))


def test_the_sum_of_a_row_does_not_give_its_only_small_count_away() -> None:
    table = with_sums({("a", "x"): 3, ("a", "y"): 50, ("b", "x"): 40, ("b", "y"): 60})
    hidden = suppressed(table)
    assert ("a", "x") in hidden and len(hidden) >= 3 and (ALL, ALL) not in hidden


def test_a_month_is_published_once_and_never_with_other_figures(database: Database, clock: StandingClock) -> None:
    fill(database, clock(), cases=400, days=60, seed=1)
    assert publish_due(database, clock) == 0  # not counted yet
    keep_in_step(database, clock)
    assert publish_due(database, clock) == 2  # September and October, not this month
    with database.read() as session:
        first = {one.month: one.rows for one in session.scalars(select(PublishedMonth))}
    assert set(first) == {date(2026, 9, 1), date(2026, 10, 1)}
    with database.write() as session:
        session.execute(update(CaseCell).values(filed=CaseCell.filed + 7))
    assert publish_due(database, clock) == 0
    clock.advance(days=10)
    with database.write() as session:
        session.get_one(Mark, "cases").at = clock()
    assert publish_due(database, clock) == 1
    with database.read() as session:
        assert {one.month: one.rows for one in session.scalars(select(PublishedMonth))}.items() >= first.items()


@pytest.fixture
def published(parts: Parts) -> None:
    fill(parts.database, parts.clock(), cases=400, days=60, seed=1)
    keep_in_step(parts.database, parts.clock)
    publish_due(parts.database, parts.clock)


@pytest.mark.usefixtures("published")
def test_anybody_reads_the_same_as_csv_and_as_json_with_a_dictionary(web: httpx.Client) -> None:
    lines = list(csv.DictReader(io.StringIO(web.get("/open-data/cases.csv").content.decode("utf-8-sig"))))
    body = web.get("/open-data/cases.json").json()
    assert body["dictionary"] == DICTIONARY == web.get("/open-data/dictionary.json").json()
    assert set(lines[0]) == set(DICTIONARY)
    assert [row["filed"] for row in lines] == [
        "" if row["filed"] is None else str(row["filed"]) for row in body["rows"]
    ]
    assert not any(row["filed"] is not None and 0 < row["filed"] < SMALL for row in body["rows"])
    assert any(row["suppressed"] for row in body["rows"]) and any(row["filed"] for row in body["rows"])
