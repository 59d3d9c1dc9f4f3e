"""Assessment (考核) on the screen: standings by agency, district or category, the ratings behind them with what is left out
and why, an agency's appeals and the rulings on them, and the frozen ranking of a month with its corrections. An agency sees
its own."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from sqlalchemy.orm import Session

from backend.console import words
from backend.console.forms import field
from backend.console.log_in import allowed, me
from backend.console.people import staff_names
from backend.directory.models import Staff
from backend.errors import Refused
from backend.insight import assessment, figures
from backend.insight.assessment_rules import city_settings, ranked
from backend.insight.models import AssessmentMonth
from backend.insight.names import names
from backend.knowledge.masking import mask
from backend.locale import current_locale
from backend.parts import parts
from backend.spreadsheet import Cells, Table

NO_AGENCY: Final = "-"
"""Whose cases somebody of an agency sees who has been given none: nobody's."""
BY: Final = {
    "agency": lazy_gettext("承办单位"),
    "district": lazy_gettext("区县"),
    "category": lazy_gettext("类别"),
}
SPANS: Final = {1: lazy_gettext("当月"), 3: lazy_gettext("三个月"), 12: lazy_gettext("十二个月")}
"""Months up to and with the chosen one -> what that is called."""
COLUMNS: Final = {
    "score": lazy_gettext("综合得分"),
    "rated": lazy_gettext("计入评价"),
    "contacted": lazy_gettext("响应率"),
    "solved": lazy_gettext("解决率"),
    "satisfied": lazy_gettext("满意率"),
    "graded": lazy_gettext("五级折算满意度"),
    "on_time": lazy_gettext("按时率"),
    "late": lazy_gettext("逾期答复"),
    "redos": lazy_gettext("重办"),
    "send_backs": lazy_gettext("退单"),
    "unreached": lazy_gettext("未联系上"),
}
SHARES: Final = frozenset({"contacted", "solved", "satisfied", "graded", "on_time"})
LEFT_OUT: Final = {
    "appeal": lazy_gettext("申诉成立"),
    "out_of_remit": lazy_gettext("不在职责范围或已并单"),
    "withdrawn": lazy_gettext("市民已撤回"),
    "line": lazy_gettext("热线直接答复"),
}
ONLY: Final = {"": lazy_gettext("全部"), "bad": lazy_gettext("有失分"), "left_out": lazy_gettext("已剔除")}
APPEAL_STATES: Final = {
    "open": lazy_gettext("待裁定"),
    "upheld": lazy_gettext("成立，已剔除"),
    "refused": lazy_gettext("不成立"),
}


@dataclass(frozen=True)
class Asked:
    """What the address asks for: a month with those before it, by what, and whose."""

    month: date
    span: int
    by: str
    agency: str

    @property
    def since(self) -> date:
        """The first day."""
        return assessment.months(self.month, self.span)[-1]

    @property
    def until(self) -> date:
        """The day after the last."""
        return figures.month_after(self.month)

    def address(self, **changed: Any) -> dict[str, Any]:
        """The query of this view, or one that differs from it."""
        found = {"month": f"{self.month:%Y-%m}", "span": self.span, "by": self.by, "agency": self.agency}
        return {name: value for name, value in (found | changed).items() if value}


def asked() -> Asked:
    """What the address asks for; what can't be read is this month by agency. An agency has only its own."""
    today = figures.today(parts().clock())
    try:
        month = date.fromisoformat(f"{request.args.get('month', '')[:7]}-01")
    except ValueError:
        month = today.replace(day=1)
    month = month if 2000 <= month.year <= today.year else today.replace(day=1)
    span = request.args.get("span", default=1, type=int)
    by = request.args.get("by", "agency")
    agency = request.args.get("agency", "").replace("\x00", "")[:40]
    return Asked(month, span if span in SPANS else 1, by if by in BY else "agency", own_agency() or agency)


def own_agency() -> str:
    """The agency to which this person's view is confined; empty: to none."""
    return (me().agency_code or NO_AGENCY) if me().role == "agency" else ""


@allowed("insight", "appeals", "inbox")
def show_standings() -> ResponseReturnValue:
    """The standings; of a month that is frozen the ranking as it was frozen, with what has been corrected since."""
    wanted, settings, now = asked(), city_settings(), parts().clock()
    with parts().database.read() as session:
        frozen = frozen_of(session, wanted)
        corrections = assessment.corrections(session, frozen) if frozen else []
        rows = rows_of(session, wanted, frozen)
        return render_template(
            "console/assessment/standings.html",
            wanted=wanted,
            rows=rows,
            frozen=frozen,
            corrections=[one for one in corrections if wanted.agency in ("", one.agency)],
            settings=settings,
            months=assessment.months(figures.today(now)),
            called=names(session, current_locale()),
            own=own_agency(),
            counted=figures.up_to_date(session),
            shown=shown,
            BY=BY,
            SPANS=SPANS,
            COLUMNS=COLUMNS,
            LEFT_OUT=LEFT_OUT,
            now=now,
        )


@allowed("insight", "appeals", "inbox")
def export_standings() -> ResponseReturnValue:
    """The table of the page as xlsx: for a frozen month the frozen one."""
    wanted = asked()
    with parts().database.read() as session:
        called = names(session, current_locale())
        rows = rows_of(session, wanted, frozen_of(session, wanted))
    columns = {"place": gettext("名次"), "value": str(BY[wanted.by])}
    columns |= {name: f"{word} (%)" if name in SHARES else str(word) for name, word in COLUMNS.items()}
    columns |= {reason: f"{gettext('剔除')}: {word}" for reason, word in LEFT_OUT.items()}
    lines: list[Cells] = [
        {name: number(row, name) for name in COLUMNS}
        | {"place": row["place"], "value": called.of(wanted.by, row["value"])}
        | {reason: row["left_out"].get(reason, 0) for reason in LEFT_OUT}
        for row in rows
    ]
    name = f"assessment-{wanted.since:%Y%m}-{wanted.month:%Y%m}-{wanted.by}.xlsx"
    return Response(
        Table(gettext("考核结果"), columns, limit=10_000).write_xlsx(lines),
        mimetype="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def frozen_of(session: Session, wanted: Asked) -> AssessmentMonth | None:
    """The month as it was frozen, where it is one month by agency and has been."""
    return session.get(AssessmentMonth, wanted.month) if wanted.span == 1 and wanted.by == "agency" else None


def rows_of(session: Session, wanted: Asked, frozen: AssessmentMonth | None) -> list[dict[str, Any]]:
    """The lines of the table (assessment.row_of), on the page and in the file: of a frozen month as they were frozen. Of one
    agency alone there is no place unless its month is frozen."""
    if frozen:
        return [row for row in frozen.content["rows"] if wanted.agency in ("", row["value"])]
    settings = city_settings()
    found = assessment.assess(session, wanted.since, wanted.until, wanted.by, wanted.agency)
    rows = [assessment.row_of(place, one, settings) for place, one in ranked(found, settings)]
    alone = wanted.agency and wanted.by == "agency"
    return [row | {"place": None} for row in rows] if alone else rows


def number(row: dict[str, Any], name: str) -> float | int | None:
    """A cell of the file: a number that can be added up, shares in percent; None for a share of nothing."""
    value: float | int | None = row[name]
    if value is None or not (name in SHARES or name == "score"):
        return value
    return round(value * 100 if name in SHARES else value, 1)


def shown(row: dict[str, Any], name: str) -> str:
    """A cell of the table as people read it; a dash for a share of nothing."""
    value = row[name]
    if value is None:
        return "—"
    return f"{value:.1%}" if name in SHARES else f"{value:.1f}" if name == "score" else str(value)


@allowed("insight", "appeals", "inbox")
def show_ratings() -> ResponseReturnValue:
    """The ratings behind the figures, one by one."""
    return ratings_page()


def ratings_page(refused: Refused | None = None) -> ResponseReturnValue:
    """The page of ratings, after a refusal with its sentence."""
    wanted, now = asked(), parts().clock()
    only = request.args.get("only", "")
    only = only if only in ONLY else ""
    page = min(max(0, request.args.get("page", default=0, type=int)), 10_000)
    with parts().database.read() as session:
        found = assessment.rated_cases(session, wanted.since, wanted.until, wanted.agency, now, only, page)
        html = render_template(
            "console/assessment/ratings.html",
            wanted=wanted,
            last_day=wanted.until - timedelta(days=1),
            found=found[: assessment.PAGE],
            more=len(found) > assessment.PAGE,
            page=page,
            only=only,
            masked=mask,
            called=names(session, current_locale()),
            may_appeal=bool(own_agency()),
            refusal=refused.sentence(current_locale()) if refused else None,
            note_limit=assessment.NOTE_LIMIT,
            GRADES=words.GRADES,
            LEFT_OUT=LEFT_OUT,
            ONLY=ONLY,
            APPEAL_STATES=APPEAL_STATES,
            now=now,
            here=url_for("console.ratings", **wanted.address(only=only)),
        )
    return html, refused.status if refused else 200


@allowed("inbox")
def make_appeal(visit_id: int) -> ResponseReturnValue:
    """Appeal against a rating of one's own agency."""
    shared = parts()
    try:
        with shared.database.write() as session:
            staff = session.get_one(Staff, me().id)
            assessment.appeal(session, visit_id, staff, field("reason"), shared.clock())
    except Refused as refused:
        if refused.status == 404:
            raise
        return ratings_page(refused)
    return redirect(url_for("console.appeals"))


@allowed("appeals", "inbox")
def show_appeals() -> ResponseReturnValue:
    """The appeals and what became of them."""
    return appeals_page()


def appeals_page(refused: Refused | None = None) -> ResponseReturnValue:
    """The page of appeals, after a refusal with its sentence."""
    with parts().database.read() as session:
        found = assessment.appeals(session, own_agency())
        html = render_template(
            "console/assessment/appeals.html",
            found=found,
            masked=mask,
            called=names(session, current_locale()),
            people=staff_names(session, (who for one, _, _ in found for who in (one.asked_by_id, one.ruled_by_id))),
            may_rule=me().may_enter("appeals"),
            refusal=refused.sentence(current_locale()) if refused else None,
            note_limit=assessment.NOTE_LIMIT,
            GRADES=words.GRADES,
            APPEAL_STATES=APPEAL_STATES,
            now=parts().clock(),
            here=url_for("console.appeals"),
        )
    return html, refused.status if refused else 200


@allowed("appeals")
def rule_on_appeal(appeal_id: int) -> ResponseReturnValue:
    """Uphold or refuse an appeal."""
    shared = parts()
    try:
        with shared.database.write() as session:
            staff = session.get_one(Staff, me().id)
            upheld = field("upheld") == "yes"
            assessment.rule_on(session, appeal_id, staff, upheld, field("ruling"), shared.clock())
    except Refused as refused:
        if refused.status == 404:
            raise
        return appeals_page(refused)
    return redirect(url_for("console.appeals"))
