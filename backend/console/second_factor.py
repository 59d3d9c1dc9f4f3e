"""The second factor on one's own pages: turning it on with an app, its recovery codes, turning it off."""

from flask import redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from backend.city import city_name
from backend.console.log_in import FIELD_LIMIT, allowed, confirm_password, me, needs_second_factor
from backend.directory import second_factor
from backend.directory.models import Staff
from backend.errors import Refused
from backend.locale import current_locale
from backend.parts import parts


@allowed("self")
def set_up() -> ResponseReturnValue:
    """The picture to scan, and turning it on with the first code; the page that follows shows the recovery codes."""
    shared = parts()
    key = shared.settings.second_factor_secret
    secret = session.setdefault("new_secret", second_factor.new_secret(key))  # encrypted, also in the cookie
    if request.method == "GET":
        return page(secret)
    try:
        with shared.database.write() as record:
            staff, code = record.get_one(Staff, me().id), request.form.get("code", "")[:20]
            codes = second_factor.turn_on(record, staff, secret, key, code, shared.clock())
    except Refused as refused:
        return page(secret, refused)
    del session["new_secret"]
    return render_template("console/second_factor.html", codes=codes, here=url_for("console.account"))


def page(secret: str, refused: Refused | None = None) -> ResponseReturnValue:
    """The page with the picture of this secret."""
    key = parts().settings.second_factor_secret
    with parts().database.read() as record:
        username = record.get_one(Staff, me().id).username
    html = render_template(
        "console/second_factor.html",
        codes=[],
        picture=second_factor.picture(secret, key, username, f"{city_name(current_locale())}12345"),
        typed_in=second_factor.opened(secret, key),
        refusal=refused.sentence(current_locale()) if refused else None,
        here=url_for("console.second_factor"),
    )
    return html, refused.status if refused else 200


@allowed("self")
def end() -> ResponseReturnValue:
    """Turn it off; that takes the password, and a role that may go without."""
    if needs_second_factor(me().role):
        raise Refused("second_factor_needed", 409)
    confirm_password(request.form.get("password", "")[:FIELD_LIMIT])
    with parts().database.write() as record:
        staff = record.get_one(Staff, me().id)
        second_factor.turn_off(record, staff)
    return redirect(url_for("console.account"))
