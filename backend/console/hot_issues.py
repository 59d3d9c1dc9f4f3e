"""Pages of hot issues: the TOP of a slice, and one issue with all that is known of it."""

from datetime import timedelta

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from backend.cases.service import Actor
from backend.console.insight import wanted_slice
from backend.console.log_in import allowed, me
from backend.directory.models import Staff
from backend.errors import Refused
from backend.insight.hot_roots import open_root_of
from backend.insight.issues import detail, top
from backend.insight.names import names
from backend.locale import current_locale
from backend.parts import parts

SHOWN = 20


@allowed("insight")
def show_issues() -> ResponseReturnValue:
    """The largest issues of the period, district and category that the address asks for."""
    wanted = wanted_slice()
    with parts().database.read() as session:
        return render_template(
            "console/insight/issues.html",
            wanted=wanted,
            last_day=wanted.until - timedelta(days=1),
            found=top(session, wanted, SHOWN),
            called=names(session, current_locale()),
        )


@allowed("insight")
def show_issue(group_id: int) -> ResponseReturnValue:
    """One issue."""
    with parts().database.read() as session:
        found = detail(session, group_id)
        if found is None:
            raise Refused("not_found", 404)
        return render_template(
            "console/insight/issue.html",
            found=found,
            called=names(session, current_locale()),
            now=parts().clock(),
        )


@allowed("dispatch")
def make_root(group_id: int) -> ResponseReturnValue:
    """Make a root issue of it."""
    with parts().database.write() as session:
        actor = Actor(me().role, session.get_one(Staff, me().id))
        root_id = open_root_of(session, group_id, actor, parts().clock()).id
    return redirect(url_for("console.root", root_id=root_id))
