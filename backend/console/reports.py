"""Reports on the analysts' screens: what was made, as files, and who gets them by e-mail."""

from typing import Final

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext
from sqlalchemy import select

from backend.console.forms import field
from backend.console.insight import attached
from backend.console.log_in import allowed
from backend.errors import Refused
from backend.insight import mailing
from backend.insight.models import Report
from backend.locale import current_locale
from backend.parts import parts

KINDS: Final = {
    "daily": lazy_gettext("日报"),
    "weekly": lazy_gettext("周报"),
    "monthly": lazy_gettext("月报"),
}
SENT: Final = KINDS | {"alert": lazy_gettext("预警")}
"""What somebody can get by e-mail."""
TYPES: Final = {"docx": "/".join(mailing.DOCX), "pdf": "application/pdf"}
LISTED: Final = 60
"""Reports on the page; older ones of a kind by choosing it."""


@allowed("insight")
def list_reports() -> ResponseReturnValue:
    """The newest reports in the reader's language."""
    return reports_page()


@allowed("insight")
def give_report(report_id: int, form: str) -> ResponseReturnValue:
    """A report's file, as it was made and sent."""
    if form not in TYPES:
        raise Refused("not_found", 404)
    with parts().database.read() as session:
        report = session.get(Report, report_id)
        if report is None:
            raise Refused("not_found", 404)
        data: bytes = getattr(report, form)
        answer: Response = attached(data, mailing.file_name(report, form), TYPES[form])
    return answer


@allowed("insight")
def add_recipient() -> ResponseReturnValue:
    """One more who gets a kind of report."""
    try:
        with parts().database.write() as session:
            address = field("address")
            mailing.add_recipient(session, field("kind"), field("locale"), address, parts().clock())
    except Refused as refused:
        return reports_page(refused), refused.status
    return redirect(url_for("console.reports"))


@allowed("insight")
def remove_recipient(recipient_id: int) -> ResponseReturnValue:
    """One less."""
    with parts().database.write() as session:
        mailing.remove_recipient(session, recipient_id)
    return redirect(url_for("console.reports"))


def reports_page(refused: Refused | None = None) -> str:
    """The page, with what was refused."""
    kind = request.args.get("kind", "")
    query = select(Report).where(Report.locale == current_locale())
    if kind in KINDS:
        query = query.where(Report.kind == kind)
    with parts().database.read() as session:
        return render_template(
            "console/insight/reports.html",
            reports=list(session.scalars(query.order_by(Report.until.desc(), Report.id.desc()).limit(LISTED))),
            recipients=mailing.recipients(session),
            kind=kind,
            KINDS=KINDS,
            SENT=SENT,
            sends=bool(parts().settings.smtp_host),
            refusal=refused.sentence(current_locale()) if refused else None,
            now=parts().clock(),
            here=url_for("console.reports"),
        )
