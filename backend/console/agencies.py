"""Agencies on the supervisors' screens: the list, export, import with a report row by row; and what routing has learned."""

from typing import Final

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext
from sqlalchemy import ColumnElement, func, or_, select

from backend.cases.learning import LEAST_HELD_OUT
from backend.cases.models import RoutingModel
from backend.city import city
from backend.clock import local
from backend.console.log_in import allowed
from backend.directory.importing import READERS, TABLE, WRITERS, Checked, import_agencies, row_of
from backend.directory.models import Agency
from backend.errors import SENTENCES, Refused
from backend.jobs.queue import jobs
from backend.locale import current_locale
from backend.parts import parts
from backend.spreadsheet import FILE_LIMIT

PAGE: Final = 100
VERSIONS: Final = 30
LEVELS: Final = {1: lazy_gettext("市级"), 2: lazy_gettext("区县"), 3: lazy_gettext("街道乡镇")}
ACTS: Final = {
    "new": lazy_gettext("新增"),
    "changed": lazy_gettext("修改"),
    "renamed": lazy_gettext("更名"),
    "merged": lazy_gettext("并入"),
    "same": lazy_gettext("没有变化"),
}
AGENCY_COLUMNS: Final = {
    "code": lazy_gettext("编码"),
    "name": lazy_gettext("名称"),
    "level": lazy_gettext("层级"),
    "parent": lazy_gettext("上级编码"),
    "district": lazy_gettext("区域"),
    "duties": lazy_gettext("职责"),
    "contact": lazy_gettext("联系人"),
    "telephone": lazy_gettext("电话"),
    "hours": lazy_gettext("工作时间"),
    "substitute": lazy_gettext("代管单位编码"),
    "successor": lazy_gettext("并入单位编码"),
    "valid_until": lazy_gettext("截止日期"),
}
"""column of a file of agencies -> what people call it."""
MODEL_STATES: Final = {
    "in_use": lazy_gettext("使用中"),
    "replaced": lazy_gettext("已替换"),
    "refused": lazy_gettext("不比现用的好，没有采用"),
}


def wanted() -> list[ColumnElement[bool]]:
    """What the address filters by: a part of code, name, former name or duties; a level; a district."""
    found: list[ColumnElement[bool]] = []
    for word in request.args.get("q", "")[:100].replace("\0", "").split():
        columns = (Agency.code, Agency.name, Agency.former_names, Agency.duties)
        found.append(or_(*(column.contains(word, autoescape=True) for column in columns)))
    level = request.args.get("level", "")
    if level in ("1", "2", "3"):
        found.append(Agency.level == int(level))
    district = request.args.get("district", "")
    if district in city()["districts"]:
        found.append(Agency.district == district)
    return found


@allowed("directory")
def list_agencies() -> ResponseReturnValue:
    """The agencies that the filters of the address leave over, a page at a time."""
    filters = wanted()
    with parts().database.read() as session:
        total = session.scalar(select(func.count()).select_from(Agency).where(*filters)) or 0
        pages = max(1, -(-total // PAGE))
        page = min(max(1, request.args.get("page", default=1, type=int)), pages)
        query = select(Agency).where(*filters).order_by(Agency.level, Agency.code)
        found = list(session.scalars(query.offset((page - 1) * PAGE).limit(PAGE)))
    return render_template(
        "console/agencies/list.html",
        agencies=found,
        total=total,
        page=page,
        pages=pages,
        levels=LEVELS,
        districts=list(city()["districts"]),
        today=local(parts().clock()).date(),
    )


@allowed("directory")
def export_agencies() -> ResponseReturnValue:
    """The agencies that the list shows, as a file of the format asked for."""
    kind = request.args.get("format", "xlsx")
    if kind not in WRITERS:
        raise Refused("file_kind_unknown", kinds=", ".join(WRITERS))
    with parts().database.read() as session:
        query = select(Agency).where(*wanted()).order_by(Agency.level, Agency.code)
        rows = [row_of(agency) for agency in session.scalars(query)]
    write, media_type = WRITERS[kind]
    name = f"agencies-{local(parts().clock()):%Y%m%d-%H%M}.{kind}"
    return Response(
        write(rows), content_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


@allowed("directory")
def import_file() -> ResponseReturnValue:
    """The page that takes a file of agencies, and what became of the one that was sent."""
    if request.method == "GET":
        return import_page()
    upload = request.files.get("file")
    if upload is None or not upload.filename:
        return import_page(Refused("file_missing"))
    try:
        with parts().database.write() as session:
            rows = import_agencies(session, upload.filename, upload.read())
    except Refused as refused:
        return import_page(refused)
    return import_page(rows=rows, name=upload.filename)


def import_page(
    refused: Refused | None = None, rows: list[Checked] | None = None, name: str = ""
) -> ResponseReturnValue:
    """The page, with the report of a file or why it couldn't be read."""
    refused_rows = [row for row in rows or [] if row.problems]
    html = render_template(
        "console/agencies/import.html",
        columns=TABLE.columns,
        names=AGENCY_COLUMNS,
        kinds=list(READERS),
        megabytes=FILE_LIMIT // 1_000_000,
        most=TABLE.limit,
        rows=rows,
        name=name,
        refused_rows=refused_rows,
        counts=[(words, sum(row.act == act for row in rows or [])) for act, words in ACTS.items()],
        tell=lambda problem: SENTENCES.say(problem.code, current_locale(), **problem.facts).text,
        refusal=refused.sentence(current_locale()) if refused else None,
        here=url_for("console.import_agencies"),
    )
    return html, refused.status if refused else 422 if refused_rows else 200


@allowed("directory")
def show_learning() -> ResponseReturnValue:
    """The versions of what routing has learned, and how they did on cases held out."""
    columns = (
        RoutingModel.id,
        RoutingModel.made_at,
        RoutingModel.state,
        RoutingModel.texts,
        RoutingModel.cases,
        RoutingModel.figures,
    )
    with parts().database.read() as session:
        versions = session.execute(select(*columns).order_by(RoutingModel.id.desc()).limit(VERSIONS)).all()
    return render_template(
        "console/agencies/learning.html",
        versions=versions,
        states=MODEL_STATES,
        least=LEAST_HELD_OUT,
        asked_for="asked" in request.args,
        is_worked=jobs().is_worked(),
        here=url_for("console.learning"),
    )


@allowed("directory")
def learn_now() -> ResponseReturnValue:
    """Put a learning into the queue."""
    jobs().learn_routing()
    return redirect(url_for("console.learning", asked="yes"))
