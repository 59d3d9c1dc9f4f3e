"""Open data: how many cases were filed in each month, by district and category, for everybody to use.

Small counts could tell who it was, so they are not given (primary suppression); nor are as many others as it takes that
nobody can work them out from the sums (complementary suppression). A month is published once, when it is over, and
never again with other figures: from the difference of two versions a small count would follow, too.
Method: Hundepool et al., Statistical Disclosure Control, 2012, chapter 4 (magnitude tables, interval audit).
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
from scipy.optimize import linprog
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.clock import Clock, local
from backend.database import Database
from backend.directory.models import Category
from backend.insight import figures
from backend.insight.models import CaseCell, PublishedMonth
from backend.insight.names import Names, names

SMALL: Final = 10
"""Counts from 1 up to below this are not given."""
WIDTH: Final = 5
"""Whoever works out from the sums what a small count can be is left with at least so many values."""
ALL: Final = "*"
"""In place of a district or category: all of them."""
MONTHS: Final = 24
"""How many months back one that was missed is published."""

Cell = tuple[str, str]
"""District and category; either may be ALL."""
Table = dict[Cell, int]
"""Counts of every district and category, with all their sums."""


def with_sums(counts: Table) -> Table:
    """The whole table of these counts: every district with every category, nothing as 0, and the sums."""
    districts, categories = ({cell[place] for cell in counts} for place in (0, 1))
    whole = dict.fromkeys(((one, other) for one in (*districts, ALL) for other in (*categories, ALL)), 0)
    for (district, category), count in counts.items():
        for cell in ((district, category), (district, ALL), (ALL, category), (ALL, ALL)):
            whole[cell] += count
    return whole


def suppressed(table: Table) -> set[Cell]:
    """The cells that must not be given. Zeros are: they are about nobody."""
    small = [cell for cell, count in sorted(table.items()) if 0 < count < SMALL]
    hidden = set(small)
    for cell in sorted(small, key=lambda one: (table[one], one)):
        while width(table, hidden, cell) < WIDTH:
            hidden.add(next_to_hide(table, hidden, cell))
    return hidden


def next_to_hide(table: Table, hidden: set[Cell], cell: Cell) -> Cell:
    """One more cell to leave out: the smallest that stands in a sum with a hidden one, beside this one if there is any."""
    given = sorted((count, one) for one, count in table.items() if count and one not in hidden)
    beside = [one for _, one in given if one[0] == cell[0] or one[1] == cell[1]]
    return beside[0] if beside else given[0][1]


def width(table: Table, hidden: set[Cell], cell: Cell) -> float:
    """How many values a hidden cell can have for who knows all others, that the sums are sums, and that a hidden count is 1
    or more. Such systems have whole solutions wherever they have any (their matrix is totally unimodular)."""
    unknown = sorted(hidden)
    places = {one: place for place, one in enumerate(unknown)}
    equations, sums = [], []
    for line in lines(table):
        equation, known = np.zeros(len(unknown)), 0
        for one, sign in line:
            if one in places:
                equation[places[one]] = sign
            else:
                known += sign * table[one]
        if equation.any():
            equations.append(equation)
            sums.append(-known)
    ends = []
    for sign in (1, -1):
        goal = np.zeros(len(unknown))
        goal[places[cell]] = sign
        found = linprog(goal, A_eq=np.array(equations), b_eq=np.array(sums), bounds=(1, None))
        if found.status == 3:  # without a bound: anything is possible
            return float("inf")
        if found.status != 0:
            raise ValueError(f"the table contradicts itself: {found.message}")
        ends.append(sign * found.fun)
    return float(round(ends[1] - ends[0]) + 1)


def lines(table: Table) -> Iterable[list[tuple[Cell, int]]]:
    """Every row and column: its cells with 1, and its sum with -1; together they are 0."""
    for place in (0, 1):
        for value in sorted({cell[place] for cell in table}):
            yield [(cell, -1 if cell[1 - place] == ALL else 1) for cell in sorted(table) if cell[place] == value]


# --- publishing -----------------------------------------------------------------------------------------------------


def publish_due(database: Database, clock: Clock) -> int:
    """Publish every month that is over and isn't published yet; returns how many. Waits while counts are not whole."""
    this_month = local(clock()).date().replace(day=1)
    with database.read() as session:
        counted = figures.up_to_date(session)
        if counted.rebuilding or counted.at is None or counted.at < figures.midnight(this_month):
            return 0
        there = set(session.scalars(select(PublishedMonth.month)))
        first = session.scalar(select(func.min(CaseCell.at)).where(CaseCell.grain == "m", CaseCell.filed > 0))
    due, month = [], this_month
    for _ in range(MONTHS):
        month = (month - timedelta(days=1)).replace(day=1)
        if first and month >= first and month not in there:
            due.append(month)
    return sum(publish(database, clock, month) for month in reversed(due))


def publish(database: Database, clock: Clock, month: date) -> bool:
    """Publish one month; False if another worker was faster."""
    with database.read() as session:
        table = with_sums(counts_of(session, month))
    hidden = suppressed(table)
    rows = [[*cell, None if cell in hidden else count] for cell, count in sorted(table.items())]
    try:
        with database.write() as session:
            session.add(PublishedMonth(month=month, rows=rows, published_at=clock()))
    except IntegrityError:  # the same month: its table has it once
        return False
    return True


def counts_of(session: Session, month: date) -> Table:
    """The cases filed in a month by district (empty: not known) and first-level category."""
    parents = {code: parent or code for code, parent in session.execute(select(Category.code, Category.parent_code))}
    query = select(CaseCell.district, CaseCell.category, func.sum(CaseCell.filed))
    query = query.where(CaseCell.grain == "m", CaseCell.at == month).group_by(CaseCell.district, CaseCell.category)
    counts: Table = {}
    for district, category, filed in session.execute(query):
        cell = (district, parents.get(category, category))
        counts[cell] = counts.get(cell, 0) + int(filed)
    return counts


def rows(session: Session) -> list[dict[str, Any]]:
    """Everything that is published, the newest month first: the columns of DICTIONARY."""
    chinese, english = names(session, "zh"), names(session, "en")
    found = []
    for month in session.scalars(select(PublishedMonth).order_by(PublishedMonth.month.desc())):
        for district, category, filed in month.rows:
            found.append(
                {
                    "month": f"{month.month:%Y-%m}",
                    "district": called(chinese, "district", district),
                    "district_en": called(english, "district", district),
                    "category_code": category,
                    "category": called(chinese, "category", category),
                    "category_en": called(english, "category", category),
                    "filed": filed,
                    "suppressed": filed is None,
                }
            )
    return found


def called(of: Names, dimension: str, value: str) -> str:
    """What a value is called; ALL as it is."""
    return value if value == ALL else of.of(dimension, value)


DICTIONARY: Final[dict[str, dict[str, str]]] = {
    "month": {"type": "string", "zh": "月份，YYYY-MM，中国时间", "en": "Month, YYYY-MM, China's time"},
    "district": {"type": "string", "zh": "区县；* 为全市", "en": "District, Chinese name; * is the whole city"},
    "district_en": {"type": "string", "zh": "区县英文名", "en": "District, English name"},
    "category_code": {"type": "string", "zh": "一级类别代码；* 为全部", "en": "First-level category's code; * is all"},
    "category": {"type": "string", "zh": "一级类别", "en": "First-level category, Chinese name"},
    "category_en": {"type": "string", "zh": "一级类别英文名", "en": "First-level category, English name"},
    "filed": {
        "type": "integer",
        "zh": "当月登记的工单数，一经发布不再更改；隐去时为空",
        "en": "Cases filed in the month, never changed once published; empty where suppressed",
    },
    "suppressed": {
        "type": "boolean",
        "zh": f"是否隐去：1 到 {SMALL - 1} 件的数，以及为防止推算而一并隐去的数",
        "en": f"Whether it is not given: counts from 1 to {SMALL - 1}, and others from which these could be computed",
    },
}
"""Column -> its type and meaning: the data dictionary."""
