"""The categories on the administrators' screens: the list in its two levels, the form of one, and taking a change back."""

from dataclasses import dataclass
from typing import Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from sqlalchemy.orm import Session

from backend.audit import AuditEvent
from backend.console.forms import field
from backend.console.knowledge import choices
from backend.console.log_in import allowed
from backend.console.versions import names_of_codes
from backend.directory import categories
from backend.directory.categories import LONGEST_NAME, CategoryContent
from backend.directory.models import Category
from backend.errors import Refused
from backend.locale import current_locale
from backend.parts import parts

COLUMN_WORDS: Final = {
    "name": lazy_gettext("中文"),
    "name_en": lazy_gettext("英文"),
    "agency_code": lazy_gettext("承办单位"),
}


@dataclass(frozen=True)
class Told:
    """A change as it is told: the row of the audit log, what the category is called, and what was done."""

    event: AuditEvent
    name: str
    what: str


@allowed("directory")
def list_categories() -> ResponseReturnValue:
    """All categories, with the agency that answers for each, and what was changed last."""
    return list_page()


def list_page(refused: Refused | None = None) -> ResponseReturnValue:
    """The list, with why something could not be done."""
    with parts().database.read() as session:
        html = render_template(
            "console/categories/list.html",
            groups=categories.grouped(session),
            names=names_of_codes(session),
            last=told(session, categories.last_change(session)),
            now=parts().clock(),
            refusal=refused.sentence(current_locale()) if refused else None,
            here=url_for("console.categories"),
        )
    return html, refused.status if refused else 200


def told(session: Session, event: AuditEvent | None) -> Told | None:
    """The change in the reader's language."""
    if event is None:
        return None
    names = names_of_codes(session)

    def shown(column: str, value: str | None) -> str:
        return names.get(value or "", value or "—") if column == "agency_code" else value or "—"

    if event.act == "added":
        what = gettext("已新增")
    elif "active" in event.after:
        what = gettext("已恢复使用") if event.after["active"] else gettext("已停用")
    else:
        changed = (
            f"{COLUMN_WORDS[column]} {shown(column, event.before[column])} → {shown(column, event.after[column])}"
            for column in COLUMN_WORDS
            if column in event.after
        )
        what = " · ".join(changed)
    return Told(event, names.get(event.subject, event.subject), what)


@allowed("directory")
def create_category() -> ResponseReturnValue:
    """The empty form, and keeping what was written in it."""
    if request.method == "GET":
        return form_page(None, CategoryContent("", ""))
    content = content_of_form()
    try:
        with parts().database.write() as session:
            categories.add(session, field("parent"), field("code").upper(), content, parts().clock())
    except Refused as refused:
        return form_page(None, content, refused)
    return redirect(url_for("console.categories"))


@allowed("directory")
def edit_category(code: str) -> ResponseReturnValue:
    """The form of one category, and keeping what was written in it. Nothing typed is lost on a refusal."""
    with parts().database.read() as session:
        category = categories.find(session, code)
    if request.method == "GET":
        return form_page(category, categories.content_of(category))
    content = content_of_form()
    try:
        with parts().database.write() as session:
            categories.change(session, categories.find(session, code), content, parts().clock())
    except Refused as refused:
        return form_page(category, content, refused)
    return redirect(url_for("console.categories"))


@allowed("directory")
def retire_category(code: str) -> ResponseReturnValue:
    """No new cases get it."""
    try:
        with parts().database.write() as session:
            categories.retire(session, categories.find(session, code), parts().clock())
    except Refused as refused:
        with parts().database.read() as session:
            category = categories.find(session, code)
        return form_page(category, categories.content_of(category), refused)
    return redirect(url_for("console.categories"))


@allowed("directory")
def bring_back_category(code: str) -> ResponseReturnValue:
    """New cases get it again."""
    with parts().database.write() as session:
        categories.bring_back(categories.find(session, code), parts().clock())
    return redirect(url_for("console.categories"))


@allowed("directory")
def undo_change(number: int) -> ResponseReturnValue:
    """Take back the change with this number."""
    try:
        with parts().database.write() as session:
            categories.undo(session, number, parts().clock())
    except Refused as refused:
        return list_page(refused)
    return redirect(url_for("console.categories"))


def content_of_form() -> CategoryContent:
    """What was written in the form."""
    return CategoryContent(field("name"), field("name_en"), field("agency"))


def form_page(
    category: Category | None, content: CategoryContent, refused: Refused | None = None
) -> ResponseReturnValue:
    """The form with this content in it; without a category that of a new one."""
    with parts().database.read() as session:
        html = render_template(
            "console/categories/category.html",
            category=category,
            content=content,
            parents=[top for top, _ in categories.grouped(session)],
            parent=request.values.get("parent", ""),
            code=field("code"),
            agency_groups=choices(session)["agency_groups"],
            last=told(session, categories.last_change(session, category.code)) if category else None,
            now=parts().clock(),
            limit=LONGEST_NAME,
            refusal=refused.sentence(current_locale()) if refused else None,
            here=url_for("console.category", code=category.code) if category else url_for("console.new_category"),
        )
    return html, refused.status if refused else 200
