"""Erasure: what ends the keeping of citizens' data. A citizen's own request, for supervisors; the periods; the reports."""

from typing import Final

from flask import render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext

from backend import retention
from backend.cases.service import contact_number
from backend.console.forms import field
from backend.console.log_in import allowed, me
from backend.directory.models import Staff
from backend.errors import Refused
from backend.locale import current_locale
from backend.parts import parts

REPORTS: Final = 60
BASIS_WORDS: Final = {
    "purpose": lazy_gettext("目的已经实现或不再需要"),
    "consent": lazy_gettext("本人撤回同意"),
    "unlawful": lazy_gettext("处理违反法律、法规或约定"),
    "law": lazy_gettext("法律、行政法规规定的其他情形"),
}
COUNT_WORDS: Final = {
    "talks": lazy_gettext("会话"),
    "cases": lazy_gettext("已结束的工单"),
    "open_cases": lazy_gettext("仍在办理、保留的工单"),
    "recordings": lazy_gettext("录音"),
    "files": lazy_gettext("照片和文件"),
    "messages": lazy_gettext("发出的消息"),
    "webhook_answers": lazy_gettext("电话平台应答"),
}


@allowed("erasure")
def show_erasure() -> ResponseReturnValue:
    """The form of a request, the periods and the newest reports."""
    return page()


@allowed("erasure")
def erase() -> ResponseReturnValue:
    """Look up what is kept of a number; once that was confirmed, erase it."""
    shared = parts()
    try:
        number = contact_number(field("number"))
        if number is None:
            raise Refused("bad_contact")
        if field("confirmed") != "yes":
            with shared.database.read() as session:
                return page(number=number, kept=retention.kept_of(session, number).counts)
        with shared.database.write() as session:
            staff = session.get_one(Staff, me().id)
            done = retention.erase_citizen(session, number, field("basis"), staff, shared.clock()).counts
            shared.telephone.forget(session, number)
        return page(done=done)
    except Refused as refused:
        return page(refused=refused)


def page(
    number: str = "",
    kept: dict[str, int] | None = None,
    done: dict[str, int] | None = None,
    refused: Refused | None = None,
) -> ResponseReturnValue:
    """The page; after a look-up with what was found (`kept`), after an erasure with what was `done`."""
    with parts().database.read() as session:
        found = retention.reports(session, REPORTS)
        names = {
            staff.id: staff.name for staff in session.query(Staff).where(Staff.id.in_([one.staff_id for one in found]))
        }
    html = render_template(
        "console/admin/erasure.html",
        number=number,
        kept=kept,
        done=done,
        reports=found,
        names=names,
        periods=retention.periods(),
        language="en" if current_locale() == "en" else "zh",
        bases=BASIS_WORDS,
        counted=COUNT_WORDS,
        refusal=refused.sentence(current_locale()) if refused else None,
        here=url_for("console.erasure"),
    )
    return html, refused.status if refused else 200
