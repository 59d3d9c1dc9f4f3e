"""The screen in the hall. It opens for who may see figures, and for a screen with a link of its own, which opens
nothing else."""

from datetime import timedelta

from flask import jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from backend.console.forms import field
from backend.console.log_in import allowed, go_to_log_in, me
from backend.errors import Refused
from backend.insight import screens
from backend.insight.wall import snapshot
from backend.locale import current_locale
from backend.parts import parts

COOKIE = "wall"
NOTED_EVERY = timedelta(minutes=1)
LASTS = 400 * 24 * 3600
"""Seconds; a year and some, the most that browsers keep."""


def is_open() -> bool:
    """Whether whoever asks may see the wall; of a screen it is noted once a minute that it was there."""
    if current_user.is_authenticated:
        return me().may_enter("insight")
    key, now = request.cookies.get(COOKIE, ""), parts().clock()
    with parts().database.read() as session:
        screen = screens.screen_of(session, key)
    if screen and (screen.seen_at is None or now - screen.seen_at > NOTED_EVERY):
        with parts().database.write() as session:
            screens.note_seen(session, screen.id, now)
    return screen is not None


def show_wall() -> ResponseReturnValue:
    """The page; what it shows it fetches itself."""
    if is_open():
        return render_template("console/insight/wall.html")
    if current_user.is_authenticated:
        raise Refused("not_allowed", 403)
    return go_to_log_in()


def give_wall() -> ResponseReturnValue:
    """What the page shows, as JSON."""
    if not is_open():
        refused = Refused("log_in_first", 401)
        return jsonify({"code": refused.code, "message": refused.sentence(current_locale())}), refused.status
    with parts().database.read() as session:
        answer = jsonify(snapshot(session, parts().clock(), current_locale()))
    answer.headers["Cache-Control"] = "no-store"
    return answer


def open_screen(key: str) -> ResponseReturnValue:
    """A screen's link: its browser keeps the key, and the address shows it no more."""
    with parts().database.read() as session:
        if screens.screen_of(session, key) is None:
            raise Refused("not_found", 404)
    answer = redirect(url_for("console.wall"))
    secure = parts().settings.environment == "production"
    path = url_for("console.wall")
    answer.set_cookie(COOKIE, key, max_age=LASTS, path=path, httponly=True, samesite="Lax", secure=secure)
    return answer


@allowed("insight")
def list_screens() -> ResponseReturnValue:
    """The screens, and a form for one more."""
    return screens_page()


@allowed("insight")
def make_screen() -> ResponseReturnValue:
    """A link for one more screen; it is shown this once."""
    try:
        with parts().database.write() as session:
            key = screens.make_screen(session, field("name"), me().id, parts().clock())
    except Refused as refused:
        return screens_page(refused=refused), refused.status
    return screens_page(made=f"{parts().settings.base_url}{url_for('console.open_screen', key=key)}")


@allowed("insight")
def end_screen(screen_id: int) -> ResponseReturnValue:
    """A screen's link opens nothing from now on."""
    with parts().database.write() as session:
        screens.end_screen(session, screen_id, parts().clock())
    return redirect(url_for("console.screens"))


def screens_page(made: str = "", refused: Refused | None = None) -> str:
    """The page of the screens, with the link of one that was just made."""
    with parts().database.read() as session:
        return render_template(
            "console/insight/screens.html",
            screens=screens.screens(session),
            made=made,
            refusal=refused.sentence(current_locale()) if refused else None,
            now=parts().clock(),
            here=url_for("console.screens"),
        )
