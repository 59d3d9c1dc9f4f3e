"""Documents on the editors' screens: the list, uploading, how an import goes, one document with its passages."""

import io
from datetime import date
from typing import Final

from flask import redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, undefer

from backend.city import city
from backend.clock import local
from backend.console.forms import field
from backend.console.log_in import allowed, me
from backend.console.people import staff_names
from backend.errors import Refused
from backend.jobs.queue import jobs
from backend.knowledge import importing
from backend.knowledge.documents import ARCHIVE_BYTES, ARCHIVE_FILES, is_archive, unpack
from backend.knowledge.models import Document, Import, ImportFile, Passage
from backend.knowledge.service import changed
from backend.locale import current_locale
from backend.parts import parts

PAGE_LENGTH: Final = 50
IMPORTS_SHOWN: Final = 5
LENGTHS: Final = {"title": 300, "number": 120, "issuer": 200, "region": 40, "url": 500}
DATES: Final = ("issued_on", "valid_from", "valid_until")


@allowed("knowledge")
def list_documents() -> ResponseReturnValue:
    """The documents, newest first, found by words of title, number or issuer and by state; and the latest imports."""
    return list_page()


def list_page(refused: Refused | None = None) -> ResponseReturnValue:
    """The list, after a refused upload with its sentence."""
    wanted, state = request.args.get("q", "").strip()[:100], request.args.get("state", "")
    page = max(1, request.args.get("page", default=1, type=int))
    found = select(Document)
    for word in wanted.replace("\x00", "").split():
        columns = (Document.title, Document.number, Document.issuer, Document.file_name)
        found = found.where(or_(*(column.icontains(word, autoescape=True) for column in columns)))
    if state in ("published", "retired"):
        found = found.where(Document.state == state)
    with parts().database.read() as session:
        total = session.scalar(select(func.count()).select_from(found.subquery())) or 0
        shown = found.order_by(Document.id.desc()).limit(PAGE_LENGTH).offset((page - 1) * PAGE_LENGTH)
        latest = session.scalars(select(Import).order_by(Import.id.desc()).limit(IMPORTS_SHOWN)).all()
        html = render_template(
            "console/documents/list.html",
            documents=session.scalars(shown).all(),
            imports=[(one, importing.counts(session, one.id)) for one in latest],
            total=total,
            page=page,
            pages=max(1, -(-total // PAGE_LENGTH)),
            wanted=wanted,
            state=state,
            today=local(parts().clock()).date(),
            refusal=refused.sentence(current_locale()) if refused else None,
            now=parts().clock(),
            here=url_for("console.documents"),
        )
    return html, refused.status if refused else 200


@allowed("knowledge")
def add_documents() -> ResponseReturnValue:
    """Begin an import of the uploaded files; a zip file is taken for the files in it."""
    try:
        files = uploaded()
    except Refused as refused:
        return list_page(refused)
    with parts().database.write() as session:
        import_id = importing.start_import(session, files, me().id, parts().clock).id
    jobs().see_to_import(import_id)
    return redirect(url_for("console.document_import", import_id=import_id))


def uploaded() -> list[tuple[str, bytes]]:
    """Name and bytes of each uploaded file. Raises Refused."""
    files: list[tuple[str, bytes]] = []
    for upload in request.files.getlist("files"):
        name, data = (upload.filename or "").replace("\x00", "").rsplit("/", 1)[-1], upload.read()
        if name:
            files += unpack(data) if is_archive(data) else [(name, data)]
        if len(files) > ARCHIVE_FILES or sum(len(data) for _, data in files) > ARCHIVE_BYTES:
            raise Refused("archive_too_large", limit=ARCHIVE_FILES)
    if not files:
        raise Refused("file_missing")
    return files


# --- an import ------------------------------------------------------------------------------------------------------


@allowed("knowledge")
def show_import(import_id: int) -> ResponseReturnValue:
    """How an import goes, file by file; htmx asks for it again and again while it runs."""
    whole = "console/documents/import.html"
    template = "console/documents/_progress.html" if request.headers.get("HX-Request") else whole
    with parts().database.read() as session:
        found = session.get(Import, import_id)
        if found is None:
            raise Refused("not_found", 404)
        counted = importing.counts(session, import_id)
        told = select(ImportFile).where(ImportFile.import_id == import_id, ImportFile.state != "waiting")
        return render_template(
            template,
            one=found,
            counts=counted,
            total=sum(counted.values()),
            files=session.scalars(told.order_by(ImportFile.state.desc(), ImportFile.id.desc())).all(),
            reason=lambda code: Refused(code).sentence(current_locale()),
            worked=jobs().is_worked(),
            now=parts().clock(),
            here=url_for("console.document_import", import_id=import_id),
        )


@allowed("knowledge")
def stop_import(import_id: int) -> ResponseReturnValue:
    """Let an import rest."""
    with parts().database.write() as session:
        importing.stop(session, import_id)
    return redirect(url_for("console.document_import", import_id=import_id))


@allowed("knowledge")
def resume_import(import_id: int) -> ResponseReturnValue:
    """Let a stopped import go on."""
    with parts().database.write() as session:
        importing.resume(session, import_id)
    jobs().see_to_import(import_id)
    return redirect(url_for("console.document_import", import_id=import_id))


# --- a document -----------------------------------------------------------------------------------------------------


@allowed("knowledge")
def show_document(document_id: int) -> ResponseReturnValue:
    """A document: what it says about itself, to be corrected, and its passages."""
    return document_page(document_id)


def document_page(document_id: int, refused: Refused | None = None) -> ResponseReturnValue:
    """The page, after a refusal with its sentence and the form as it was filled in."""
    with parts().database.read() as session:
        found = find(session, document_id)
        others = select(Document).where(Document.id != document_id, Document.state == "published")
        html = render_template(
            "console/documents/document.html",
            document=found,
            passages=session.scalars(
                select(Passage).where(Passage.document_id == document_id).order_by(Passage.place)
            ).all(),
            values={name: request.form.get(name, getattr(found, name) or "") for name in (*LENGTHS, *DATES)},
            lengths=LENGTHS,
            districts=city()["districts"],
            others=session.scalars(others.order_by(Document.title)).all(),
            replaced_by=session.get(Document, found.replaced_by_id) if found.replaced_by_id else None,
            replaced=session.scalars(select(Document).where(Document.replaced_by_id == document_id)).all(),
            names=staff_names(session, [found.added_by_id]),
            refusal=refused.sentence(current_locale()) if refused else None,
            today=local(parts().clock()).date(),
            here=url_for("console.document", document_id=document_id),
        )
    return html, refused.status if refused else 200


@allowed("knowledge")
def correct_document(document_id: int) -> ResponseReturnValue:
    """Keep what an editor says about a document."""
    try:
        texts = {name: field(name) for name in LENGTHS}
        days = {name: day_of(field(name)) for name in DATES}
        for name, limit in LENGTHS.items():
            if len(texts[name]) > limit:
                raise Refused("field_too_long", limit=limit, length=len(texts[name]))
        if not texts["title"]:
            raise Refused("document_title_missing")
        if texts["url"] and not texts["url"].startswith(("https://", "http://")):
            raise Refused("source_address", value=texts["url"])
        if days["valid_from"] and days["valid_until"] and days["valid_until"] < days["valid_from"]:
            raise Refused("dates_reversed")
    except Refused as refused:
        return document_page(document_id, refused)
    with parts().database.write() as session:
        alter(session, find(session, document_id), **texts, **days)
    return redirect(url_for("console.document", document_id=document_id))


@allowed("knowledge")
def set_document_state(document_id: int) -> ResponseReturnValue:
    """Retire a document, or let it be given again."""
    state = field("state")
    if state not in ("published", "retired"):
        raise Refused("bad_request", 400)
    with parts().database.write() as session:
        found = find(session, document_id)
        alter(session, found, state=state, replaced_by_id=found.replaced_by_id if state == "retired" else None)
    return redirect(url_for("console.document", document_id=document_id))


@allowed("knowledge")
def replace_document(document_id: int) -> ResponseReturnValue:
    """Let this document replace the one that was chosen."""
    old_id = request.form.get("old", default=0, type=int)
    if old_id == document_id:
        return document_page(document_id, Refused("document_itself"))
    with parts().database.write() as session:
        old = find(session, old_id)
        importing.replace(old, find(session, document_id), local(parts().clock()).date())
        alter(session, old)
    return redirect(url_for("console.document", document_id=document_id))


@allowed("knowledge")
def download_document(document_id: int) -> ResponseReturnValue:
    """The file as it was uploaded. Always a download: nobody's HTML is shown as a page of this site."""
    with parts().database.read() as session:
        found = session.get(Document, document_id, options=[undefer(Document.file)])
        if found is None:
            raise Refused("not_found", 404)
        return send_file(
            io.BytesIO(found.file), "application/octet-stream", as_attachment=True, download_name=found.file_name
        )


def find(session: Session, document_id: int) -> Document:
    """The document. Raises Refused when there is none."""
    found = session.get(Document, document_id)
    if found is None:
        raise Refused("not_found", 404)
    return found


def alter(session: Session, document: Document, **values: object) -> None:
    """Change a document and let every process know."""
    for name, value in values.items():
        setattr(document, name, value)
    document.changed_at = parts().clock()
    changed(session)


def day_of(text: str) -> date | None:
    """A date from a form; None for an empty field. Raises Refused."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Refused("date_unreadable", value=text) from None
