"""One's own account: who one is to the line, what the role may open, and one's password."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from backend.console.log_in import FIELD_LIMIT, allowed, confirm_password, me, needs_second_factor
from backend.console.sections import first_page
from backend.directory import second_factor, sessions
from backend.directory.models import Staff
from backend.directory.passwords import SHORTEST
from backend.directory.people import choose_password
from backend.errors import Refused
from backend.locale import current_locale
from backend.parts import parts


@allowed("self")
def show_account() -> ResponseReturnValue:
    """The page of whoever is logged in."""
    return page()


def page(refused: Refused | None = None) -> ResponseReturnValue:
    """The page, after a refusal with its sentence."""
    with parts().database.read() as session:
        staff = session.get_one(Staff, me().id)
        html = render_template(
            "console/account.html",
            staff=staff,
            agency=staff.agency,
            sessions=sessions.of_person(session, staff.id, parts().clock()),
            codes_left=second_factor.codes_left(session, staff),
            needs_second_factor=needs_second_factor(staff.role),
            idle=sessions.IDLE,
            lasts=sessions.LASTS,
            shortest=SHORTEST,
            now=parts().clock(),
            changed="changed" in request.args,
            refusal=refused.sentence(current_locale()) if refused else None,
            here=url_for("console.account"),
        )
    return html, refused.status if refused else 200


@allowed("self")
def change_password() -> ResponseReturnValue:
    """Choose a new password; who had to is then let on to their work."""
    old, new, again = (request.form.get(name, "")[:FIELD_LIMIT] for name in ("old", "new", "again"))
    try:
        confirm_password(old)
        with parts().database.write() as session:
            choose_password(session.get_one(Staff, me().id), old, new, again)
            sessions.end(session, me().id, parts().clock(), but=me().session_id)
    except Refused as refused:
        return page(refused)
    return redirect(first_page(me()) if me().must else url_for("console.account", changed="yes"))


@allowed("self")
def end_sessions() -> ResponseReturnValue:
    """End one of one's sessions, or without a number all but this one."""
    number = request.form.get("session", type=int)
    with parts().database.write() as session:
        sessions.end(session, me().id, parts().clock(), only=number, but=me().session_id)
    return redirect(url_for("console.account", _anchor="sessions"))
