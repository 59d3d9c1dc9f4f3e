"""Logging in and out, who is logged in, and which pages they may open."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec
from urllib.parse import urlsplit

from flask import make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user, login_user, logout_user

from backend.audit import Acting, set_acting
from backend.conversations import presence
from backend.directory import service
from backend.directory.models import Staff
from backend.directory.rules import AREAS, may_enter
from backend.errors import Refused
from backend.locale import current_locale
from backend.parts import parts

P = ParamSpec("P")
FIELD_LIMIT = 200
OPEN_BEFORE_CHANGE = frozenset({"console.account", "console.change_password"})
"""What somebody with a one-time password may open before they have chosen their own."""


@dataclass(frozen=True)
class Person:
    """Who of the staff is logged in, as it stands in the record at this request."""

    id: int
    name: str
    role: str
    agency_code: str | None
    telephone: str | None
    must_change: bool
    is_authenticated = True
    is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        """What Flask-Login keeps in the session."""
        return str(self.id)

    def may_enter(self, area: str) -> bool:
        """Whether this person may open pages of `area`."""
        return may_enter(self.role, area)


def person_of(staff: Staff) -> Person:
    """The logged-in person for a row of the staff."""
    return Person(
        staff.id, staff.name, staff.role, staff.agency_code, staff.telephone, staff.one_time_until is not None
    )


def me() -> Person:
    """Who is logged in; only for views that `allowed` guards."""
    person: Person = current_user._get_current_object()
    return person


def note_who_acts() -> None:
    """Tell the audit log who does what this request changes."""
    who = me() if current_user.is_authenticated else None
    clock, address = parts().clock, request.remote_addr or ""
    set_acting(Acting(who.name, who.role, address, clock, who.id) if who else None)


def set_up_log_in(logins: LoginManager) -> None:
    """Tell Flask-Login how to find the person of a session, and where to send who has none."""
    logins.user_loader(load_person)
    logins.unauthorized_handler(go_to_log_in)


def load_person(staff_id: str) -> Person | None:
    """The person whose id the session holds, unless they have left the staff."""
    if not staff_id.isdigit():
        return None
    with parts().database.read() as record:
        staff = record.get(Staff, int(staff_id))
        return person_of(staff) if staff and staff.left_at is None else None


def allowed(*areas: str) -> Callable[[Callable[P, ResponseReturnValue]], Callable[P, ResponseReturnValue]]:
    """A view only for people who are logged in and whose role may enter one of `areas`, keys of directory/rules.py AREAS.

    Raises KeyError while the application is put together for an area that isn't there.
    """
    for area in areas:
        AREAS[area]

    def guard(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            if not current_user.is_authenticated:
                return go_to_log_in()
            if not any(map(me().may_enter, areas)):
                raise Refused("not_allowed", 403)
            if me().must_change and request.endpoint not in OPEN_BEFORE_CHANGE:
                return go_to("console.account")
            return view(*args, **kwargs)

        guarded.areas = areas  # type: ignore[attr-defined]  # tests/console/test_rights.py opens every page as every role
        return guarded

    return guard


def go_to_log_in() -> ResponseReturnValue:
    """Send the browser to the log-in page, whole even when htmx asked only for a part of a page."""
    if request.headers.get("HX-Request"):
        page = urlsplit(request.headers.get("HX-Current-URL", "")).path
        response = make_response("", 401)
        response.headers["HX-Redirect"] = url_for("console.log_in", next=safe_next(page))
        return response
    wanted = request.full_path.rstrip("?") if request.method == "GET" else ""
    return redirect(url_for("console.log_in", next=safe_next(wanted) or None))


def go_to(endpoint: str) -> ResponseReturnValue:
    """Send the browser to a page, whole even when htmx asked only for a part of one."""
    if not request.headers.get("HX-Request"):
        return redirect(url_for(endpoint))
    response = make_response("", 204)
    response.headers["HX-Redirect"] = url_for(endpoint)
    return response


def safe_next(address: str | None) -> str:
    """`address` if it is a path of the console on this site, else nothing."""
    return address if address and re.fullmatch(r"/console(?:[/?][^\s\\]*)?", address) else ""


def log_in() -> ResponseReturnValue:
    """The log-in page, and logging in."""
    wanted = safe_next(request.values.get("next"))
    if request.method == "GET":
        if current_user.is_authenticated:
            return redirect(wanted or url_for("console.desk"))
        return render_template("console/log_in.html", wanted=wanted, username="", refusal=None)
    username = request.form.get("username", "").strip()[:FIELD_LIMIT]
    try:
        with parts().database.read() as record:
            staff = service.log_in(record, username, request.form.get("password", "")[:FIELD_LIMIT], parts().clock())
    except Refused as refused:
        refusal = refused.sentence(current_locale())
        return render_template("console/log_in.html", wanted=wanted, username=username, refusal=refusal), refused.status
    session.clear()  # nothing that was set before the log-in, by whomever, is carried into it
    login_user(person_of(staff))
    return redirect(wanted or url_for("console.desk"))


def log_out() -> ResponseReturnValue:
    """Log out; nobody waits for an operator who has gone."""
    if current_user.is_authenticated:
        with parts().database.write() as record:
            presence.set_presence(record, record.get_one(Staff, me().id), "away", parts().clock(), "logged_out")
        logout_user()
    session.clear()
    return redirect(url_for("console.log_in"))
