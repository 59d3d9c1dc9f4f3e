"""Exporting the articles of the list, and importing articles with a report row by row."""

from flask import Response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from backend.clock import local
from backend.console.knowledge import find, wanted_of_address
from backend.console.log_in import allowed, me
from backend.console.versions import sentences
from backend.directory.models import Staff
from backend.errors import Refused
from backend.knowledge.exchange import (
    COLUMNS,
    READERS,
    ROWS_LIMIT,
    WRITERS,
    Checked,
    import_articles,
    newest_versions,
    row_of,
)
from backend.locale import current_locale
from backend.parts import parts
from backend.spreadsheet import FILE_LIMIT


@allowed("knowledge")
def export() -> ResponseReturnValue:
    """The articles that the list shows, in their newest versions, as a file of the format asked for."""
    kind = request.args.get("format", "xlsx")
    if kind not in WRITERS:
        raise Refused("file_kind_unknown", kinds=", ".join(WRITERS))
    with parts().database.read() as session:
        chosen = set(find(session, wanted_of_address())[0])
        rows = [row_of(version) for article_id, version in newest_versions(session).items() if article_id in chosen]
    write, media_type = WRITERS[kind]
    name = f"articles-{local(parts().clock()):%Y%m%d-%H%M}.{kind}"
    return Response(
        write(rows), content_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


@allowed("knowledge")
def import_file() -> ResponseReturnValue:
    """The page that takes a file, and what became of the one that was sent."""
    if request.method == "GET":
        return page()
    upload = request.files.get("file")
    if upload is None or not upload.filename:
        return page(Refused("file_missing"))
    note = gettext("导入自 %(name)s", name=upload.filename[:200])
    try:
        with parts().database.write() as session:
            author = session.get_one(Staff, me().id)
            rows = import_articles(session, upload.filename, upload.read(), author, parts().clock(), note)
    except Refused as refused:
        return page(refused)
    return page(rows=rows, name=upload.filename)


def page(refused: Refused | None = None, rows: list[Checked] | None = None, name: str = "") -> ResponseReturnValue:
    """The page, with the report of a file or why it couldn't be read."""
    refused_rows = [row for row in rows or [] if row.refused]
    html = render_template(
        "console/knowledge/import.html",
        columns=COLUMNS,
        kinds=list(READERS),
        megabytes=FILE_LIMIT // 1_000_000,
        most=ROWS_LIMIT,
        rows=rows,
        name=name,
        refused_rows=refused_rows,
        counts={act: sum(row.act == act for row in rows or []) for act in ("new", "changed", "same")},
        told=[(row, sentences(row.problems)) for row in rows or [] if row.problems],
        refusal=refused.sentence(current_locale()) if refused else None,
        here=url_for("console.import_articles"),
    )
    return html, refused.status if refused else 422 if refused_rows else 200
