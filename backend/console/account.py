"""One's own account: who one is to the line, and what the role may open."""

from flask import render_template, url_for
from flask.typing import ResponseReturnValue

from backend.console.log_in import allowed, me
from backend.directory.models import Staff
from backend.parts import parts


@allowed("self")
def show_account() -> ResponseReturnValue:
    """The page of whoever is logged in."""
    with parts().database.read() as session:
        staff = session.get_one(Staff, me().id)
        return render_template(
            "console/account.html", staff=staff, agency=staff.agency, here=url_for("console.account")
        )
