"""Logging in and out, who is logged in, and which pages they may open."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import ParamSpec
from urllib.parse import urlsplit

from flask import g, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user, login_user, logout_user

from backend.audit import Acting, set_acting
from backend.conversations import presence
from backend.directory import second_factor, service, sessions
from backend.directory.models import Staff
from backend.directory.passwords import matches
from backend.directory.rules import AREAS, may_enter
from backend.errors import Refused
from backend.locale import current_locale
from backend.parts import parts

P = ParamSpec("P")
log = logging.getLogger(__name__)
FIELD_LIMIT = 200
OPEN_BEFORE_WORK = frozenset(
    {"console.account", "console.change_password", "console.end_sessions", "console.second_factor"}
)
"""What somebody may open who has yet to choose a password of their own, or to set up a second factor."""
CODE_WITHIN = 300
"""Seconds from the right password to the code of the second factor."""


@dataclass(frozen=True)
class Person:
    """Who of the staff is logged in, as it stands in the record at this request."""

    id: int
    name: str
    role: str
    agency_code: str | None
    telephone: str | None
    must: str  # what comes before any work: password, second_factor, or nothing
    session_id: int
    key: str
    seen_at: datetime | None
    is_authenticated = True
    is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        """What Flask-Login keeps in the browser's cookie."""
        return self.key

    def may_enter(self, area: str) -> bool:
        """Whether this person may open pages of `area`."""
        return may_enter(self.role, area)

    @property
    def hears_of_talks(self) -> bool:
        """Whether their pages ask by themselves for what goes on in conversations: not while something comes before work,
        for whatever is asked for then leads back to the page where it is done, and what is typed there would be gone."""
        return not self.must and self.may_enter("conversations")


def person_of(staff: Staff, session_id: int, key: str) -> Person:
    """The logged-in person for a row of the staff and a session of theirs."""
    must = ""
    if staff.one_time_until is not None and not session.get("by_provider"):
        must = "password"
    elif staff.totp_secret is None and needs_second_factor(staff.role):
        must = "second_factor"
    name, code, telephone = staff.name, staff.agency_code, staff.telephone
    return Person(staff.id, name, staff.role, code, telephone, must, session_id, key, staff.seen_at)


def needs_second_factor(role: str) -> bool:
    """Whether the settings ask it of this role."""
    return role in parts().settings.second_factor_roles.replace(",", " ").split()


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
            if me().must and request.endpoint not in OPEN_BEFORE_WORK:
                return go_to("console.account" if me().must == "password" else "console.second_factor")
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
        staff = check_password(username, request.form.get("password", "")[:FIELD_LIMIT])
    except Refused as refused:
        refusal = refused.sentence(current_locale())
        return render_template("console/log_in.html", wanted=wanted, username=username, refusal=refusal), refused.status
    return go_on(staff, wanted)


def go_on(staff: Staff, wanted: str, by_provider: bool = False) -> ResponseReturnValue:
    """After the password, or `by_provider` the city's identity provider (sign_on.py): to the second factor of whoever has
    one, else to their work."""
    session.clear()  # nothing that was set before the log-in, by whomever, is carried into it
    if staff.totp_secret is not None:
        at = parts().clock().timestamp()
        session["half"] = {"staff": staff.id, "at": at, "wanted": wanted, "by_provider": by_provider}
        return redirect(url_for("console.log_in_code"))
    let_in(staff, by_provider)
    return redirect(wanted or url_for("console.desk"))


def check_password(username: str, password: str) -> Staff:
    """Whose name and password these are. Raises Refused; after too many wrong ones without looking at it."""
    with counted_try(username), parts().database.read() as record:
        return service.log_in(record, username, password, parts().clock())


def confirm_password(password: str) -> None:
    """Whoever is logged in shows that they know their present password. Raises Refused; a wrong one counts like a failed
    log-in, so that a browser that was left open is no way around the limit."""
    shared = parts()
    with shared.database.read() as record:
        staff = record.get_one(Staff, me().id)
    with counted_try(staff.username):
        if not matches(staff.password_hash, password):
            raise Refused("old_password_wrong")
    note_who_acts()
    with shared.database.write() as record:
        sessions.forgive(record, staff.username)


@contextmanager
def counted_try(username: str) -> Iterator[None]:
    """What is tried inside is counted as wrong until `let_in` forgets it. Raises Refused without trying when there were too
    many, and instead of what is raised inside when that was one too many."""
    shared, address = parts(), request.remote_addr or ""
    now = shared.clock()
    set_acting(Acting("", "", address, shared.clock))  # nobody yet
    with shared.database.write() as record:
        sessions.begin_attempt(record, username, address, now)
    try:
        yield
    except Refused:
        with shared.database.write() as record:
            lock = sessions.fail_attempt(record, username, address, now)
        if lock:
            log.warning("log-ins are locked after too many wrong ones of this %s", lock.of)
            raise sessions.locked_out(lock, now) from None
        raise


def let_in(staff: Staff, by_provider: bool = False) -> None:
    """Somebody has shown who they are: begin a session of theirs in this browser. Who came `by_provider` needs no
    password."""
    session["by_provider"] = by_provider
    shared, address = parts(), request.remote_addr or ""
    set_acting(Acting(staff.name, staff.role, address, shared.clock, staff.id))
    with shared.database.write() as record:
        sessions.forgive(record, staff.username)
        key = sessions.begin(record, staff, address, request.user_agent.string, shared.clock())
    login_user(load_person(key))


def log_in_code() -> ResponseReturnValue:
    """The page that asks for the code of the second factor, after the right password."""
    shared, half = parts(), session.get("half", {})
    if shared.clock().timestamp() - half.get("at", 0) > CODE_WITHIN:
        session.pop("half", None)
        return redirect(url_for("console.log_in"))
    if request.method == "GET":
        return render_template("console/log_in_code.html", refusal=None)
    with shared.database.read() as record:
        staff = record.get_one(Staff, half["staff"])
    try:
        with counted_try(staff.username), shared.database.write() as record:
            staff = record.get_one(Staff, half["staff"], with_for_update=True)  # one code is one log-in
            code = request.form.get("code", "")[:FIELD_LIMIT]
            if not second_factor.use_code(record, staff, shared.settings.second_factor_secret, code, shared.clock()):
                raise Refused("code_wrong", 401)
    except Refused as refused:
        refusal = refused.sentence(current_locale())
        return render_template("console/log_in_code.html", refusal=refusal), refused.status
    session.clear()
    let_in(staff, half["by_provider"])
    return redirect(half["wanted"] or url_for("console.desk"))


def log_out() -> ResponseReturnValue:
    """Log out; nobody waits for an operator who has gone."""
    if current_user.is_authenticated:
        with parts().database.write() as record:
            presence.set_presence(record, record.get_one(Staff, me().id), "away", parts().clock(), "logged_out")
            sessions.end(record, me().id, parts().clock(), only=me().session_id)
        logout_user()
    session.clear()
    return redirect(url_for("console.log_in"))
