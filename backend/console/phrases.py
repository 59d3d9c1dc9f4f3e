"""The city's canned phrases: the list, and the form of one."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from backend.console.forms import field
from backend.console.log_in import allowed
from backend.conversations import canned
from backend.conversations.canned import TEXT_LIMIT, PhraseContent
from backend.conversations.models import CannedPhrase
from backend.errors import Refused
from backend.locale import current_locale
from backend.parts import parts


@allowed("line")
def list_phrases() -> ResponseReturnValue:
    """All phrases, also those that are switched off."""
    with parts().database.read() as session:
        return render_template("console/line/phrases.html", phrases=canned.phrases(session, all_of_them=True))


@allowed("line")
def create_phrase() -> ResponseReturnValue:
    """The empty form, and keeping what was written in it."""
    if request.method == "POST":
        return keep(field("code"), new=True)
    with parts().database.read() as session:
        last = max((one.position for one in canned.phrases(session, all_of_them=True)), default=0)
    return form_page(PhraseContent("", last + 1, "", ""), new=True)


@allowed("line")
def edit_phrase(code: str) -> ResponseReturnValue:
    """The form of one phrase, and keeping what was written in it."""
    if request.method == "POST":
        return keep(code, new=False)
    with parts().database.read() as session:
        row = session.get(CannedPhrase, code)
        if row is None:
            raise Refused("not_found", 404)
    return form_page(PhraseContent(row.code, row.position, row.text_zh, row.text_en, row.active), new=False)


def keep(code: str, new: bool) -> ResponseReturnValue:
    """Save the form. Nothing typed is lost on a refusal."""
    position = field("position")
    content = PhraseContent(
        code,
        int(position) if position.isdecimal() and len(position) < 6 else 0,
        field("text_zh"),
        field("text_en"),
        "active" in request.form,
    )
    try:
        with parts().database.write() as session:
            canned.save(session, content, new)
    except Refused as refused:
        if refused.status == 404:
            raise
        return form_page(content, new, refused)
    return redirect(url_for("console.phrases"))


def form_page(content: PhraseContent, new: bool, refused: Refused | None = None) -> ResponseReturnValue:
    """The form with this content in it."""
    html = render_template(
        "console/line/phrase.html",
        content=content,
        is_new=new,
        limit=TEXT_LIMIT,
        refusal=refused.sentence(current_locale()) if refused else None,
        here=request.path,
    )
    return html, refused.status if refused else 200
