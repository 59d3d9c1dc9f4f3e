"""The analyst's page: any slice of the record, beside another period, down to its cases; views saved and shared, files."""

import secrets
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import date, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.console import words
from backend.console.forms import field
from backend.console.log_in import allowed, me
from backend.errors import Refused
from backend.insight import figures
from backend.insight.figures import Counts, Slice
from backend.insight.models import SavedView
from backend.insight.names import Names, names
from backend.insight.rollups import DIMENSIONS
from backend.knowledge.masking import mask
from backend.locale import current_locale
from backend.parts import parts
from backend.spreadsheet import Cells, Table

DAYS: Final = 30
"""What is shown when the address names no period."""
LONGEST: Final = 3660
"""Days that a slice has at most."""
QUERY_LIMIT: Final = 500
"""Characters of a saved view's address, as the table has them."""
WORDS: Final = {
    "district": lazy_gettext("区县"),
    "category": lazy_gettext("类别"),
    "agency": lazy_gettext("承办单位"),
    "channel": lazy_gettext("渠道"),
    "urgency": lazy_gettext("紧急程度"),
}
COMPARED: Final = {
    "before": lazy_gettext("与前一时段比"),
    "year": lazy_gettext("与上年同期比"),
    "": lazy_gettext("不比较"),
}
MEASURES: Final = {
    "filed": lazy_gettext("登记量"),
    "settled": lazy_gettext("答复量"),
    "late": lazy_gettext("逾期答复"),
    "lapsed": lazy_gettext("新增超期"),
    "ended": lazy_gettext("办结量"),
    "visited": lazy_gettext("回访"),
    "contacted": lazy_gettext("已联系"),
    "solved": lazy_gettext("已解决"),
    "satisfied": lazy_gettext("满意"),
    "send_backs": lazy_gettext("退单"),
    "redos": lazy_gettext("重办"),
    "open": lazy_gettext("在办"),
    "overdue": lazy_gettext("超期未办"),
}
"""Figures that can be opened down to their cases."""
RATES: Final = {
    "on_time_rate": lazy_gettext("按时率"),
    "contacted_rate": lazy_gettext("响应率"),
    "solved_rate": lazy_gettext("解决率"),
    "satisfied_rate": lazy_gettext("满意率"),
}


@allowed("insight")
def show_figures() -> ResponseReturnValue:
    """The slice that the address asks for."""
    now = parts().clock()
    wanted, compared, dimension = wanted_slice(), wanted_comparison(), wanted_dimension()

    def narrowed(value: str) -> str:
        part = wanted.narrowed(dimension, value or figures.UNKNOWN)
        return url_for("console.insight", **address_of(part, compared, dimension))

    def behind(measure: str, value: str | None = None) -> str:
        part = wanted if value is None else wanted.narrowed(dimension, value or figures.UNKNOWN)
        return url_for("console.insight_cases", measure=measure, **address_of(part, compared, dimension))

    with parts().database.read() as session:
        called = names(session, current_locale())
        other = compared_slice(wanted, compared)
        rows = rows_of(session, wanted, other, dimension)
        series = figures.over_time(session, wanted)
        series_before = figures.over_time(session, other, figures.fitting_step(wanted)) if other else []
        whole = not any(getattr(wanted, name) for name in DIMENSIONS)  # a conversation has none of these
        period = figures.midnight(wanted.since), figures.midnight(wanted.until)
        html = render_template(
            "console/insight/figures.html",
            wanted=wanted,
            last_day=wanted.until - timedelta(days=1),
            other=other,
            compared=compared,
            dimension=dimension,
            totals=sum((one for _, one in series), Counts()),
            totals_before=sum((one for _, one in series_before), Counts()) if other else None,
            stock=figures.stock(session, wanted, now),
            talks=figures.talks(session, *period) if whole else None,
            calls=figures.talks(session, *period, "phone") if whole else None,
            rows=rows,
            series=series,
            series_before=series_before,
            step=figures.fitting_step(wanted),
            counted=figures.up_to_date(session),
            called=called,
            choices=choices(called),
            views=list(session.scalars(select(SavedView).order_by(SavedView.saved_at.desc()).limit(20))),
            address=address_of(wanted, compared, dimension),
            periods=usual_periods(figures.today(now)),
            narrowed=narrowed,
            behind=behind,
            DIMENSIONS=WORDS,
            COMPARED=COMPARED,
            MEASURES=MEASURES,
            RATES=RATES,
            now=now,
        )
    return html


@allowed("insight")
def show_cases() -> ResponseReturnValue:
    """The cases behind a figure; opened only by who may see cases, and without what is personal for all others."""
    now, wanted = parts().clock(), wanted_slice()
    measure = request.args.get("measure", "filed")
    if measure not in MEASURES:
        raise Refused("not_found", 404)
    page = min(max(0, request.args.get("page", default=0, type=int)), 10_000)
    with parts().database.read() as session:
        return render_template(
            "console/insight/cases.html",
            found=[
                (fact, case, gettext("（要求保密）") if case.confidential else mask(case.what))
                for fact, case in figures.cases_behind(session, wanted, measure, now, page)
            ],
            wanted=wanted,
            last_day=wanted.until - timedelta(days=1),
            measure=measure,
            page=page,
            page_size=figures.PAGE,
            called=names(session, current_locale()),
            address=address_of(wanted, wanted_comparison(), wanted_dimension()),
            MEASURES=MEASURES,
            DIMENSIONS=WORDS,
            URGENCIES=words.URGENCIES,
            now=now,
        )


@allowed("insight")
def export_figures() -> ResponseReturnValue:
    """The table of the page, as xlsx or csv."""
    wanted, dimension = wanted_slice(), wanted_dimension()
    with parts().database.read() as session:
        called = names(session, current_locale())
        rows = rows_of(session, wanted, compared_slice(wanted, wanted_comparison()), dimension)
    columns = {"name": str(WORDS[dimension])}
    columns |= {name: str(MEASURES[name]) for name in ("filed", "settled", "late", "lapsed", "ended", "visited")}
    columns |= {name: f"{shown} (%)" for name, shown in RATES.items()} | {"before": gettext("对比时段登记")}
    table = Table(gettext("分析"), columns, limit=10_000)
    counted = [one.name for one in fields(Counts) if one.name in columns]
    lines: list[Cells] = [
        {"name": called.of(dimension, value), "before": before.filed if before else None}
        | {name: getattr(counts, name) for name in counted}
        | {name: percent(getattr(counts, name)) for name in RATES}
        for value, counts, before in rows
    ]
    name = f"{wanted.since:%Y%m%d}-{wanted.until - timedelta(days=1):%Y%m%d}-{dimension}"
    if request.args.get("format") == "csv":
        return attached(table.write_csv(lines), f"{name}.csv", "text/csv")
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return attached(table.write_xlsx(lines), f"{name}.xlsx", kind)


@allowed("insight")
def save_view() -> ResponseReturnValue:
    """Keep the view of the form under a name."""
    named = field("name")[:80]
    if not named:
        raise Refused("name_missing")
    address = address_of(wanted_slice(request.form), wanted_comparison(request.form), wanted_dimension(request.form))
    slug, query = secrets.token_urlsafe(6), urlencode(address)
    if len(query) > QUERY_LIMIT:  # only of values that nothing is called
        raise Refused("bad_request")
    with parts().database.write() as session:
        session.add(SavedView(slug=slug, name=named, query=query, saved_by_id=me().id, saved_at=parts().clock()))
    return redirect(url_for("console.insight_view", slug=slug))


@allowed("insight")
def open_view(slug: str) -> ResponseReturnValue:
    """A saved view by its short link."""
    with parts().database.read() as session:
        view = session.get(SavedView, slug)
    if view is None:
        raise Refused("not_found", 404)
    return redirect(f"{url_for('console.insight')}?{view.query}")


@allowed("insight")
def remove_view(slug: str) -> ResponseReturnValue:
    """Whoever has saved a view takes it away again."""
    with parts().database.write() as session:
        view = session.get(SavedView, slug)
        if view is None or view.saved_by_id != me().id:
            raise Refused("not_found", 404)
        session.delete(view)
    return redirect(f"{url_for('console.insight')}?{view.query}")


# --- what the address asks for --------------------------------------------------------------------------------------


def wanted_slice(asked: Mapping[str, str] | None = None) -> Slice:
    """The slice of the address or form; what can't be read is taken as the last DAYS and everything."""
    given = request.args if asked is None else asked
    today = figures.today(parts().clock())
    last = day_of(given.get("until", "")) or today
    since = day_of(given.get("since", "")) or last - timedelta(days=DAYS - 1)
    since = max(since, last - timedelta(days=LONGEST)) if since <= last else last
    values: dict[str, Any] = {name: given.get(name, "").replace("\x00", "")[:40] for name in DIMENSIONS}
    return replace(Slice(since, last + timedelta(days=1)), **values)


def usual_periods(today: date) -> list[tuple[str, str, str]]:
    """What a period is called, its first and its last day, for those that people want most."""
    month = today.replace(day=1)
    last_month = month - timedelta(days=1)
    found = (
        (gettext("今日"), today, today),
        (gettext("昨天"), today - timedelta(days=1), today - timedelta(days=1)),
        (gettext("本周"), figures.step_of(today, "week"), today),
        (gettext("本月"), month, today),
        (gettext("上月"), last_month.replace(day=1), last_month),
        (gettext("今年"), today.replace(month=1, day=1), today),
    )
    return [(shown, since.isoformat(), until.isoformat()) for shown, since, until in found]


def day_of(text: str) -> date | None:
    """A day of the address, None for one that isn't a day of this or the last century."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 2000 <= day.year <= 2200 else None


def wanted_comparison(asked: Mapping[str, str] | None = None) -> str:
    """With what the slice is compared."""
    given = (request.args if asked is None else asked).get("compare", "before")
    return given if given in COMPARED else "before"


def compared_slice(wanted: Slice, compared: str) -> Slice | None:
    """The other slice, if one is wanted."""
    return {"before": wanted.before(), "year": wanted.year_before()}.get(compared)


def wanted_dimension(asked: Mapping[str, str] | None = None) -> str:
    """By what the slice is taken apart."""
    given = (request.args if asked is None else asked).get("by", "category")
    return given if given in DIMENSIONS else "category"


def address_of(wanted: Slice, compared: str, dimension: str) -> dict[str, Any]:
    """The address of a view of the page, without what is empty."""
    days = {"since": wanted.since.isoformat(), "until": (wanted.until - timedelta(days=1)).isoformat()}
    values = {name: getattr(wanted, name) for name in DIMENSIONS if getattr(wanted, name)}
    return days | values | {"compare": compared, "by": dimension}


def rows_of(
    session: Session, wanted: Slice, other: Slice | None, dimension: str
) -> list[tuple[str, Counts, Counts | None]]:
    """Value, counts, counts of the other slice; categories by first level until one is chosen."""
    by, before = figures.by(session, wanted, dimension), figures.by(session, other, dimension) if other else {}
    if dimension == "category" and not wanted.category:
        by, before = figures.by_first_level(session, by), figures.by_first_level(session, before)
    return [(value, one, before.get(value, Counts()) if other else None) for value, one in by.items()]


def choices(called: Names) -> dict[str, dict[str, str]]:
    """What each filter offers."""
    return {name: called.of_dimension[name] for name in DIMENSIONS}


def percent(share: float | None) -> float | None:
    """A rate in percent, to one place; nothing for a rate of nothing."""
    return None if share is None else round(share * 100, 1)


def attached(data: bytes, name: str, kind: str) -> Response:
    """A file to download."""
    return Response(data, mimetype=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
