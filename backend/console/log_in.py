"""Logging in and out, who is logged in, and which pages they may open."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec
from urllib.parse import urlsplit

from flask import g, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user, login_user, logout_user

from backend.audit import Acting, set_acting
from backend.conversations import presence
from backend.directory import service, sessions
from backend.directory.models import Staff
from backend.directory.rules import AREAS, may_enter
from backend.errors import Refused
from backend.locale import current_locale
from backend.parts import parts

P = ParamSpec("P")
log = logging.getLogger(__name__)
FIELD_LIMIT = 200
OPEN_BEFORE_CHANGE = frozenset({"console.account", "console.change_password", "console.end_sessions"})
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
    session_id: int
    key: str
    is_authenticated = True
    is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        """What Flask-Login keeps in the browser's cookie."""
        return self.key

    def may_enter(self, area: str) -> bool:
        """Whether this person may open pages of `area`."""
        return may_enter(self.role, area)


def person_of(staff: Staff, session_id: int, key: str) -> Person:
    """The logged-in person for a row of the staff and a session of theirs."""
    must_change = staff.one_time_until is not None
    return Person(staff.id, staff.name, staff.role, staff.agency_code, staff.telephone, must_change, session_id, key)


def me() -> Person:
    """Who is logged in; only for views that `allowed` guards."""
    person: Person = current_user._get_current_object()
    return person


def note_who_acts() -> None:
    """Tell the audit log who does what this request changes, and that their session is used."""
    who = me() if current_user.is_authenticated else None
    clock, address = parts().clock, request.remote_addr or ""
    set_acting(Acting(who.name, who.role, address, clock, who.id) if who else None)
    if who and is_done_by_person() and clock() - g.session_used_at >= sessions.TOUCH_EVERY:
        with parts().database.write() as record:
            sessions.touch(record, who.session_id, clock())


def is_done_by_person() -> bool:
    """Whether somebody did what this request is for. What pages ask for by themselves doesn't keep a session, but while an
    operator is ready, whoever waits for citizens at night is there without touching anything."""
    if request.endpoint == "console.beat":
        return bool(g.is_ready)
    return request.endpoint != "console.static" and not (request.method == "GET" and "HX-Request" in request.headers)


def set_up_log_in(logins: LoginManager) -> None:
    """Tell Flask-Login how to find the person of a session, and where to send who has none."""
    logins.user_loader(load_person)
    logins.unauthorized_handler(go_to_log_in)


def load_person(key: str) -> Person | None:
    """The person whose session has this key, unless it has ended."""
    with parts().database.read() as record:
        found = sessions.find(record, key, parts().clock())
    if found is None:
        return None
    g.session_used_at, g.is_ready = found[0].used_at, found[1].ready
    return person_of(found[1], found[0].id, key)


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
        key = check_password(username, request.form.get("password", "")[:FIELD_LIMIT])
    except Refused as refused:
        refusal = refused.sentence(current_locale())
        return render_template("console/log_in.html", wanted=wanted, username=username, refusal=refusal), refused.status
    session.clear()  # nothing that was set before the log-in, by whomever, is carried into it
    login_user(load_person(key))
    return redirect(wanted or url_for("console.desk"))


def check_password(username: str, password: str) -> str:
    """The key of a new session for whoever has this name and password. Raises Refused; after too many wrong ones without
    looking at it."""
    shared, address = parts(), request.remote_addr or ""
    now = shared.clock()
    set_acting(Acting("", "", address, shared.clock))  # nobody yet
    with shared.database.write() as record:
        sessions.begin_attempt(record, username, address, now)
    try:
        with shared.database.read() as record:
            staff = service.log_in(record, username, password, now)
    except Refused:
        with shared.database.write() as record:
            lock = sessions.fail_attempt(record, username, address, now)
        if lock:
            log.warning("log-ins from %s are locked after too many wrong ones", lock.of)
            raise sessions.locked_out(lock, now) from None
        raise
    set_acting(Acting(staff.name, staff.role, address, shared.clock, staff.id))
    with shared.database.write() as record:
        sessions.forgive(record, username)
        return sessions.begin(record, staff, address, request.user_agent.string, now)


def log_out() -> ResponseReturnValue:
    """Log out; nobody waits for an operator who has gone."""
    if current_user.is_authenticated:
        with parts().database.write() as record:
            presence.set_presence(record, record.get_one(Staff, me().id), "away", parts().clock(), "logged_out")
            sessions.end(record, me().id, parts().clock(), only=me().session_id)
        logout_user()
    session.clear()
    return redirect(url_for("console.log_in"))
