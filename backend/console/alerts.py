"""Early warning on the analysts' and supervisors' screens: what is unusual just now, and one alert with all that is known of
it and what people do to it."""

from typing import Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext

from backend.console.forms import field
from backend.console.log_in import allowed, me
from backend.console.people import staff_names
from backend.errors import Refused
from backend.insight import warning
from backend.insight.models import Alert, HotGroup
from backend.insight.names import Names, names
from backend.insight.warning_rules import BUDGETS, GROUP_ALERTS, TOPIC_BUDGET, years_between
from backend.locale import current_locale
from backend.parts import parts

STATES: Final = {
    "": lazy_gettext("未关闭"),
    "open": lazy_gettext("待确认"),
    "acknowledged": lazy_gettext("已确认"),
    "closed": lazy_gettext("预警已关闭"),
}
KINDS: Final = {
    "burst": lazy_gettext("短时激增"),
    "rise": lazy_gettext("持续上升"),
    "topic": lazy_gettext("新话题"),
}
REASONS: Final = {
    "handled": lazy_gettext("已处置"),
    "known": lazy_gettext("已知事项（如计划停水）"),
    "false": lazy_gettext("误报"),
    "other": lazy_gettext("其他"),
}
ACTS: Final = {
    "acknowledged": lazy_gettext("确认"),
    "assigned": lazy_gettext("指派"),
    "closed": lazy_gettext("预警已关闭"),
}


@allowed("insight")
def list_alerts() -> ResponseReturnValue:
    """The alerts of a state, by ?state=."""
    state = request.args.get("state", "")
    state = state if state in STATES else ""
    with parts().database.read() as session:
        called, found = names(session, current_locale()), warning.alerts(session, state)
        return render_template(
            "console/insight/alerts.html",
            found=[(alert, subject(alert, called)) for alert in found],
            state=state,
            vain=warning.in_vain(warning.alerts(session, "closed")),
            staff=staff_names(session, {one.assigned_to_id for one in found}),
            stated={"series": sum(BUDGETS.values()), "topics": TOPIC_BUDGET, "groups": f"{GROUP_ALERTS:g}"},
            now=parts().clock(),
            STATES=STATES,
            KINDS=KINDS,
        )


@allowed("insight")
def show_alert(alert_id: int) -> ResponseReturnValue:
    """One alert."""
    return alert_page(alert_id)


@allowed("insight")
def act_on_alert(alert_id: int, act: str) -> ResponseReturnValue:
    """Acknowledge, assign or close."""
    now = parts().clock()
    try:
        with parts().database.write() as session:
            if act == "acknowledge":
                warning.acknowledge(session, alert_id, me().id, now)
            elif act == "assign":
                warning.assign(session, alert_id, request.form.get("staff", type=int), me().id, now)
            elif act == "close":
                warning.close(session, alert_id, field("reason"), field("note"), me().id, now)
            else:
                raise Refused("not_found", 404)
    except Refused as refused:
        if refused.status == 404:
            raise
        return alert_page(alert_id, refused), refused.status
    return redirect(url_for("console.alert", alert_id=alert_id))


def alert_page(alert_id: int, refused: Refused | None = None) -> str:
    """The page, with what was refused."""
    with parts().database.read() as session:
        alert = warning.find(session, alert_id)
        called, done = names(session, current_locale()), warning.history(session, alert)
        group = session.get(HotGroup, alert.group_id) if alert.group_id else None
        people = {one.staff_id for one in done} | {one.to_id for one in done} | {alert.assigned_to_id}
        return render_template(
            "console/insight/alert.html",
            alert=alert,
            subject=subject(alert, called, group),
            group=group,
            years=years_between(alert.p, alert.hours),
            cases=warning.cases_of(session, alert),
            history=done,
            staff=staff_names(session, people),
            assignees=warning.assignees(session),
            called=called,
            refusal=refused.sentence(current_locale()) if refused else None,
            note_limit=warning.NOTE_LIMIT,
            now=parts().clock(),
            here=url_for("console.alert", alert_id=alert_id),
            STATES=STATES,
            KINDS=KINDS,
            REASONS=REASONS,
            ACTS=ACTS,
        )


def subject(alert: Alert, called: Names, group: HotGroup | None = None) -> str:
    """What an alert is of and where, in a few words."""
    return warning.subject(alert, called, gettext("全市"), gettext("全部类别"), group.name if group else "")
