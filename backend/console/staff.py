"""The staff on the administrators' screens: who they are, what they may do, one-time passwords, leaving."""

from typing import Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session, selectinload

from backend.audit import put_down
from backend.console import words
from backend.console.forms import field
from backend.console.knowledge import choices
from backend.console.log_in import allowed, me
from backend.conversations import presence
from backend.directory import people, second_factor, sessions
from backend.directory.categories import first_level
from backend.directory.models import Staff
from backend.directory.passwords import ONE_TIME_LASTS
from backend.directory.people import LANGUAGES, LONGEST_NAME, MOST_CHATS, PersonContent
from backend.directory.rules import RIGHTS
from backend.errors import Refused
from backend.locale import current_locale
from backend.parts import parts

PAGE: Final = 50
STATES: Final = {"active": lazy_gettext("在职"), "left": lazy_gettext("已停用")}


def wanted_people() -> list[ColumnElement[bool]]:
    """What the address filters by: a part of a name, a role, whether they have left (at first: who has not)."""
    found: list[ColumnElement[bool]] = []
    for word in request.args.get("q", "")[:100].replace("\0", "").split():
        columns = (Staff.username, Staff.name, Staff.agency_code)
        found.append(or_(*(column.contains(word, autoescape=True) for column in columns)))
    if request.args.get("role") in RIGHTS:
        found.append(Staff.role == request.args["role"])
    if request.args.get("state", "active") in STATES:
        left = request.args.get("state") == "left"
        found.append(Staff.left_at.is_not(None) if left else Staff.left_at.is_(None))
    return found


@allowed("people")
def list_people() -> ResponseReturnValue:
    """The staff that the filters of the address leave over, a page at a time."""
    filters = wanted_people()
    with parts().database.read() as session:
        total = session.scalar(select(func.count()).select_from(Staff).where(*filters)) or 0
        pages = max(1, -(-total // PAGE))
        page = min(max(1, request.args.get("page", default=1, type=int)), pages)
        query = select(Staff).where(*filters).options(selectinload(Staff.agency)).order_by(Staff.username)
        found = list(session.scalars(query.offset((page - 1) * PAGE).limit(PAGE)))
    return render_template(
        "console/people/list.html",
        people=found,
        total=total,
        page=page,
        pages=pages,
        roles=list(RIGHTS),
        states=STATES,
        now=parts().clock(),
        here=url_for("console.people"),
    )


@allowed("people")
def add_person() -> ResponseReturnValue:
    """The empty form, and adding whom it names; the page that follows shows their one-time password, this once."""
    if request.method == "GET":
        return form_page(PersonContent("", "", "operator"))
    content = content_of_form(field("username"))
    try:
        with parts().database.write() as session:
            staff, password = people.add(session, content, parts().clock())
    except Refused as refused:
        return form_page(content, refused=refused)
    return form_page(people.content_of(staff), staff, password=password)


@allowed("people")
def edit_person(staff_id: int) -> ResponseReturnValue:
    """The form of one person, and keeping what was written in it. Nothing typed is lost on a refusal."""
    with parts().database.read() as session:
        staff = find(session, staff_id)
    if request.method == "GET":
        return form_page(people.content_of(staff), staff)
    content = content_of_form(staff.username)
    try:
        with parts().database.write() as session:
            people.change(session, find(session, staff_id), content)
    except Refused as refused:
        return form_page(content, staff, refused)
    return redirect(url_for("console.people"))


@allowed("people")
def reset_password(staff_id: int) -> ResponseReturnValue:
    """A new one-time password, shown this once."""
    with parts().database.write() as session:
        staff = find(session, staff_id)
        password = people.reset_password(session, staff, parts().clock())
    return form_page(people.content_of(staff), staff, password=password)


@allowed("people")
def end_second_factor(staff_id: int) -> ResponseReturnValue:
    """For somebody whose telephone and recovery codes are gone: they log in by password alone, and set it up anew."""
    with parts().database.write() as session:
        second_factor.turn_off(session, find(session, staff_id))
    return redirect(url_for("console.person", staff_id=staff_id))


@allowed("people")
def unlock_person(staff_id: int) -> ResponseReturnValue:
    """Let somebody try again who has typed a wrong password too often."""
    with parts().database.write() as session:
        staff = find(session, staff_id)
        sessions.forgive(session, staff.username)
        put_down(session, "log_in", str(staff.id), "unlocked")
    return redirect(url_for("console.person", staff_id=staff_id))


@allowed("people")
def deactivate_person(staff_id: int) -> ResponseReturnValue:
    """Shut the line to somebody."""
    try:
        with parts().database.write() as session:
            staff, now = find(session, staff_id), parts().clock()
            people.deactivate(session, staff, me().id, now)
            presence.set_presence(session, staff, "away", now, "logged_out")
    except Refused as refused:
        if refused.status != 409:
            raise
        with parts().database.read() as session:
            staff = find(session, staff_id)
        return form_page(people.content_of(staff), staff, refused)
    return redirect(url_for("console.person", staff_id=staff_id))


@allowed("people")
def activate_person(staff_id: int) -> ResponseReturnValue:
    """Open the line to somebody again."""
    with parts().database.write() as session:
        people.activate(find(session, staff_id))
    return redirect(url_for("console.person", staff_id=staff_id))


def find(session: Session, staff_id: int) -> Staff:
    """The person with this id. Raises Refused."""
    staff = session.get(Staff, staff_id)
    if staff is None:
        raise Refused("not_found", 404)
    return staff


def content_of_form(username: str) -> PersonContent:
    """What the form says."""
    return PersonContent(
        username,
        field("name"),
        field("role"),
        field("agency"),
        field("telephone"),
        languages=tuple(code for code in LANGUAGES if code in request.form.getlist("languages")),
        skills=tuple(sorted(set(request.form.getlist("skills")))),
        chat_limit=request.form.get("chat_limit", type=int),
    )


def form_page(
    content: PersonContent, staff: Staff | None = None, refused: Refused | None = None, password: str = ""
) -> ResponseReturnValue:
    """The form with this content in it; `password` is a one-time password to be told now."""
    with parts().database.read() as session:
        html = render_template(
            "console/people/person.html",
            content=content,
            staff=staff,
            password=password,
            lock=sessions.lock_of(session, staff.username, "", parts().clock()) if staff else None,
            sessions=sessions.of_person(session, staff.id, parts().clock()) if staff else [],
            days=ONE_TIME_LASTS.days,
            roles=list(RIGHTS),
            spoken={code: words.LANGUAGES[code] for code in LANGUAGES},
            subjects=first_level(session),
            name_limit=LONGEST_NAME,
            most_chats=MOST_CHATS,
            agency_groups=choices(session)["agency_groups"],
            refusal=refused.sentence(current_locale()) if refused else None,
            now=parts().clock(),
            here=url_for("console.person", staff_id=staff.id) if staff else url_for("console.new_person"),
        )
    return html, refused.status if refused else 200
