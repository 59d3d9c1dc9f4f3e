"""What supervisors see and set: lists by deadline, agency and repetition, the register of orders, the city's deadlines."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext

from backend.cases import city_deadlines, supervision
from backend.cases.deadlines import MARKS, PERIODS, TOLD, UNITS
from backend.cases.rules import KINDS, URGENCIES
from backend.console import words
from backend.console.cases import due_mark
from backend.console.forms import field
from backend.console.log_in import allowed, me
from backend.console.people import staff_names
from backend.directory import categories
from backend.directory.models import Staff
from backend.errors import Refused
from backend.locale import current_locale
from backend.parts import parts

LISTS: Final = {
    "deadline": lazy_gettext("按期限"),
    "agency": lazy_gettext("按单位"),
    "repetition": lazy_gettext("按重复"),
    "register": lazy_gettext("督办台账"),
}
CLOSINGS: Final = {
    "new_order": lazy_gettext("另有新的督办要求"),
    "designated": lazy_gettext("已指定承办单位"),
    "closed": lazy_gettext("工单已结束"),
}
"""How an order ended where nobody has said it in words (effects.close_orders)."""
EMPTY_ROWS: Final = 2
"""Empty rows at the beginning of the table of reply periods, to fill in."""
STEPS: Final = 6
"""Rows of the escalation chain, the empty ones at its end included."""


@allowed("supervision")
def show_lists() -> ResponseReturnValue:
    """One of the lists, by ?by=."""
    wanted = request.args.get("by", "deadline")
    wanted = wanted if wanted in LISTS else "deadline"
    now = parts().clock()
    with parts().database.read() as session:
        watched: dict[str, Callable[[], Sequence[Any]]] = {
            "deadline": lambda: supervision.by_deadline(session),
            "agency": lambda: supervision.by_agency(session, now),
            "repetition": lambda: supervision.by_repetition(session),
            "register": lambda: supervision.register(session),
        }
        rows = watched[wanted]()
        return render_template(
            "console/supervision.html",
            rows=rows,
            wanted=wanted,
            lists=LISTS,
            people=staff_names(session, (one.ordered_by_id for one in rows)) if wanted == "register" else {},
            closings=CLOSINGS,
            now=now,
            due_mark=due_mark,
        )


@allowed("audit")
def show_accesses() -> ResponseReturnValue:
    """Who looked at who a citizen is."""
    with parts().database.read() as session:
        return render_template("console/identity.html", rows=supervision.accesses(session), now=parts().clock())


@allowed("deadlines")
def edit_deadlines() -> ResponseReturnValue:
    """The deadlines of the city's jurisdiction, and saving them."""
    shared = parts()
    if request.method == "GET":
        return deadlines_page()
    try:
        with shared.database.write() as session:
            name = shared.settings.jurisdiction
            old = city_deadlines.deadlines(session, name).profile.model_dump(mode="json")
            staff = session.get_one(Staff, me().id)
            city_deadlines.save_profile(session, name, old | content_of_form(), staff, shared.clock())
    except Refused as refused:
        return deadlines_page(refused)
    return redirect(url_for("console.deadlines"))


@allowed("deadlines")
def edit_days() -> ResponseReturnValue:
    """Set a day to working or not, or leave it to the calendars again."""
    try:
        day = date.fromisoformat(field("day"))
    except ValueError:
        return deadlines_page(Refused("date_unreadable", value=field("day")))
    with parts().database.write() as session:
        if field("working") in ("yes", "no"):
            staff = session.get_one(Staff, me().id)
            city_deadlines.set_day(session, day, field("working") == "yes", field("name")[:60], staff)
        else:
            city_deadlines.unset_day(session, day)
    return redirect(url_for("console.deadlines", _anchor="days"))


def deadlines_page(refused: Refused | None = None) -> ResponseReturnValue:
    """The page of the deadlines, after a refusal with its sentence."""
    shared = parts()
    with shared.database.read() as session:
        name = shared.settings.jurisdiction
        saved = city_deadlines.last_saved(session, name)
        html = render_template(
            "console/deadlines.html",
            profile=city_deadlines.deadlines(session, name).profile,
            periods={period: words.PERIODS[period] for period in PERIODS},
            units={unit: words.UNITS[unit] for unit in UNITS},
            kinds={kind: words.KINDS[kind] for kind in KINDS},
            urgencies={urgency: words.URGENCIES[urgency] for urgency in URGENCIES},
            categories=categories.grouped(session),
            empty_rows=EMPTY_ROWS,
            steps=STEPS,
            marks={mark: words.MARKS[mark] for mark in MARKS},
            told={one: words.TOLD[one] for one in TOLD},
            saved=saved,
            saved_by=staff_names(session, [saved.saved_by_id if saved else None]),
            days=city_deadlines.own_days(session),
            refusal=refused.sentence(current_locale()) if refused else None,
            now=shared.clock(),
            here=url_for("console.deadlines"),
        )
    return html, refused.status if refused else 200


def content_of_form() -> dict[str, Any]:
    """What the form says, in the form of a profile; a row without a number is left out."""
    columns = [request.form.getlist(f"reply_{name}") for name in ("urgency", "kind", "category", "count", "unit")]
    return {
        "reply": [
            {"urgency": urgency, "kind": kind, "category": category.strip(), "period": {"count": count, "unit": unit}}
            for urgency, kind, category, count, unit in zip(*columns, strict=False)
            if count.strip()
        ],
        "warnings": [
            {"mark": field(f"step_{row}_mark"), "at": share(at), "tells": request.form.getlist(f"step_{row}_tells")}
            for row in range(STEPS)
            if (at := field(f"step_{row}_at"))
        ],
        "visit_tries": field("visit_tries"),
        **{name: {"count": field(f"{name}_count"), "unit": field(f"{name}_unit")} for name in PERIODS},
    }


def share(percent: str) -> float | str:
    """A part of the time from its percentage; what is no number stays as it is, for the profile to refuse."""
    try:
        return float(percent.rstrip("%％")) / 100
    except ValueError:
        return percent
