"""An agency's own desk: what lies with it by deadline, what colleagues did, and the texts that its replies begin with."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext

from backend.cases import inbox
from backend.cases.inbox import BLANKS, NAME_LIMIT, TEXT_LIMIT
from backend.console.cases import due_mark, is_hidden
from backend.console.forms import field
from backend.console.log_in import allowed, me
from backend.directory.models import Agency, Staff
from backend.errors import Refused
from backend.knowledge.masking import mask
from backend.locale import current_locale
from backend.parts import parts

LISTS = {
    "sign": lazy_gettext("待签收"),
    "hand": lazy_gettext("办理中"),
    "help": lazy_gettext("协办"),
    "others": lazy_gettext("等其他环节"),
}


@allowed("inbox")
def show_inbox() -> ResponseReturnValue:
    """The open cases of the agency, with ?mark= only those of one mark."""
    now, person, agency_code = parts().clock(), me(), own_agency()
    with parts().database.read() as session:
        lists = inbox.lists(session, agency_code)
        mine = [case for name in ("sign", "hand", "help") for case in lists[name]]
        marks = {mark: sum(due_mark(case, now) == mark for case in mine) for mark in ("overdue", "red", "yellow")}
        wanted = request.args.get("mark") if request.args.get("mark") in marks else None
        if wanted:
            lists = {name: [case for case in some if due_mark(case, now) == wanted] for name, some in lists.items()}
        return render_template(
            "console/inbox.html",
            lists=lists,
            names=LISTS,
            marks=marks,
            wanted=wanted,
            what={
                case.id: mask(case.what) if is_hidden(person, case) else case.what for case in mine + lists["others"]
            },
            contributed=inbox.contributed(session, lists["help"], agency_code),
            deeds=inbox.deeds(session, agency_code),
            agency=session.get_one(Agency, agency_code),
            now=now,
            due_mark=due_mark,
            here=url_for("console.inbox"),
        )


@allowed("inbox")
def show_templates() -> ResponseReturnValue:
    """The agency's texts."""
    return templates_page()


@allowed("inbox")
def save_template() -> ResponseReturnValue:
    """Add a text, or change the one whose number the form has."""
    number = request.form.get("template", type=int)
    try:
        with parts().database.write() as session:
            staff = session.get_one(Staff, me().id)
            inbox.save_template(session, own_agency(), number, field("name"), field("text"), staff, parts().clock())
    except Refused as refused:
        if refused.status == 404:
            raise
        return templates_page(refused)
    return redirect(url_for("console.templates"))


@allowed("inbox")
def remove_template(template_id: int) -> ResponseReturnValue:
    """Take a text out."""
    with parts().database.write() as session:
        session.delete(inbox.find_template(session, own_agency(), template_id))
    return redirect(url_for("console.templates"))


def own_agency() -> str:
    """The agency of whoever is logged in. Raises Refused for somebody who has none."""
    code = me().agency_code
    if code is None:
        raise Refused("not_allowed", 403)
    return code


def templates_page(refused: Refused | None = None) -> ResponseReturnValue:
    """The page, after a refusal with its sentence and what was typed."""
    with parts().database.read() as session:
        html = render_template(
            "console/templates.html",
            templates=inbox.templates(session, own_agency()),
            blanks=BLANKS[current_locale()],
            name_limit=NAME_LIMIT,
            text_limit=TEXT_LIMIT,
            typed=request.form,
            refusal=refused.sentence(current_locale()) if refused else None,
            here=url_for("console.templates"),
        )
    return html, refused.status if refused else 200
