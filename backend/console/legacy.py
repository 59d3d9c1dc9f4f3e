"""Old numbers on the supervisors' screens: what still comes in by each, and what its callers hear."""

from datetime import timedelta
from typing import Final

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from backend.console.forms import field
from backend.console.gaps import PERIODS, period
from backend.console.knowledge import choices
from backend.console.log_in import allowed, me
from backend.directory import legacy
from backend.directory.legacy import GREETING_LIMIT, NAME_LIMIT, LegacyContent
from backend.directory.models import LegacyNumber, Staff
from backend.errors import Refused
from backend.insight.by_number import NumberCounts, by_number
from backend.knowledge.speech import LONGEST_SECONDS, problems
from backend.locale import current_locale
from backend.parts import parts
from backend.spreadsheet import Table

COUNTS: Final = ("calls", "cases", "answered", "handed_over")


@allowed("line")
def list_numbers() -> ResponseReturnValue:
    """Calls by the number dialled, and all old numbers, also those that nobody called."""
    counts, known, days = counted()
    return render_template(
        "console/line/numbers.html",
        counts=counts,
        known=known,
        days=days,
        periods=PERIODS,
    )


@allowed("line")
def export_numbers() -> ResponseReturnValue:
    """The same as a file."""
    counts, known, days = counted()
    headings = {
        "number": gettext("号码"),
        "name": gettext("原热线"),
        "calls": gettext("来电"),
        "cases": gettext("工单"),
        "answered": gettext("智能助手答复"),
        "handed_over": gettext("转了人工"),
    }
    rows = [
        {"number": one.number, "name": known[one.number].name if one.number in known else ""}
        | {name: str(getattr(one, name)) for name in COUNTS}
        for one in counts
    ]
    return Response(
        Table(gettext("按号码"), headings, len(rows)).write_csv(rows),
        content_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="numbers-{days}-days.csv"'},
    )


def counted() -> tuple[list[NumberCounts], dict[str, LegacyNumber], int]:
    """The counts of the period that the address asks for, with a row of noughts for an old number that nobody called; the
    old numbers by number; and the days of the period."""
    now, days = parts().clock(), period()
    with parts().database.read() as session:
        found = by_number(session, now - timedelta(days=days), now)
        known = {one.number: one for one in legacy.legacy_numbers(session)}
    called = {one.number for one in found}
    return [*found, *(NumberCounts(number, 0, 0, 0, 0) for number in known if number not in called)], known, days


@allowed("line")
def create_number() -> ResponseReturnValue:
    """The empty form, and keeping what was written in it."""
    if request.method == "GET":
        return form_page(LegacyContent("", "", "", "", ""))
    return keep(field("number"))


@allowed("line")
def edit_number(number: str) -> ResponseReturnValue:
    """The form of one old number, and keeping what was written in it."""
    with parts().database.read() as session:
        row = session.get(LegacyNumber, number)
        if row is None:
            raise Refused("not_found", 404)
    if request.method == "POST":
        return keep(number)
    return form_page(
        LegacyContent(
            row.number,
            row.name,
            row.greeting_zh,
            row.greeting_yue,
            row.greeting_en,
            row.category_code or "",
            row.agency_code or "",
            row.basis,
            row.active,
        )
    )


def keep(number: str) -> ResponseReturnValue:
    """Save the form. Nothing typed is lost on a refusal."""
    content = LegacyContent(
        number,
        **{name: field(name) for name in ("name", "greeting_zh", "greeting_yue", "greeting_en")},
        category=field("category"),
        agency=field("agency"),
        basis=field("basis"),
        active="active" in request.form,
    )
    try:
        refuse_unspeakable(content)
        with parts().database.write() as session:
            legacy.save(session, content, session.get_one(Staff, me().id), parts().clock())
    except Refused as refused:
        return form_page(content, refused)
    return redirect(url_for("console.numbers"))


def refuse_unspeakable(content: LegacyContent) -> None:
    """Raise Refused when a voice can't say a greeting."""
    for language in ("zh", "yue", "en"):
        for problem in problems(getattr(content, f"greeting_{language}"), language):
            raise Refused(f"speech_{problem}", seconds=round(LONGEST_SECONDS))


def form_page(content: LegacyContent, refused: Refused | None = None) -> ResponseReturnValue:
    """The form with this content in it."""
    with parts().database.read() as session:
        html = render_template(
            "console/line/number.html",
            content=content,
            is_new=request.endpoint == "console.new_number",
            name_limit=NAME_LIMIT,
            greeting_limit=GREETING_LIMIT,
            refusal=refused.sentence(current_locale()) if refused else None,
            **choices(session),
            here=request.path,
        )
    return html, refused.status if refused else 200
