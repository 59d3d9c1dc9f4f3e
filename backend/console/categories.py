"""The categories on the administrators' screens: the list in its two levels, and the form of one."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from backend.console.forms import field
from backend.console.knowledge import choices
from backend.console.log_in import allowed
from backend.directory import categories
from backend.directory.categories import LONGEST_NAME, CategoryContent
from backend.directory.models import Category
from backend.errors import Refused
from backend.locale import current_locale
from backend.parts import parts


@allowed("directory")
def list_categories() -> ResponseReturnValue:
    """All categories, with the agency that answers for each."""
    with parts().database.read() as session:
        return render_template(
            "console/categories/list.html", groups=categories.grouped(session), names=choices(session)["names"]
        )


@allowed("directory")
def edit_category(code: str) -> ResponseReturnValue:
    """The form of one category, and keeping what was written in it. Nothing typed is lost on a refusal."""
    with parts().database.read() as session:
        category = categories.find(session, code)
    if request.method == "GET":
        return form_page(category, categories.content_of(category))
    content = CategoryContent(field("name"), field("name_en"), field("agency"))
    try:
        with parts().database.write() as session:
            categories.change(session, categories.find(session, code), content)
    except Refused as refused:
        return form_page(category, content, refused)
    return redirect(url_for("console.categories"))


def form_page(category: Category, content: CategoryContent, refused: Refused | None = None) -> ResponseReturnValue:
    """The form with this content in it."""
    with parts().database.read() as session:
        html = render_template(
            "console/categories/category.html",
            category=category,
            content=content,
            agency_groups=choices(session)["agency_groups"],
            limit=LONGEST_NAME,
            refusal=refused.sentence(current_locale()) if refused else None,
            here=request.path,
        )
    return html, refused.status if refused else 200
