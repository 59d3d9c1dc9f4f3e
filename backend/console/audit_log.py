"""The audit log on the auditors' screens: what was changed, by whom, from where; filtered, a page at a time, as a file."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from flask import Response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from sqlalchemy import ColumnElement, func, or_, select

from backend.audit import AuditEvent, kinds
from backend.clock import CHINA, local
from backend.console.log_in import allowed
from backend.parts import parts
from backend.spreadsheet import Table

PAGE: Final = 50
EXPORT_LIMIT: Final = 50_000
"""Rows of one file; a longer span is exported in parts."""
KIND_WORDS: Final = {
    "agency": lazy_gettext("单位"),
    "announcement": lazy_gettext("公告"),
    "api_key": lazy_gettext("接口密钥"),
    "appeal": lazy_gettext("考核申诉"),
    "article": lazy_gettext("知识"),
    "calendar": lazy_gettext("工作日"),
    "canned_phrase": lazy_gettext("常用语"),
    "category": lazy_gettext("类别"),
    "deadlines": lazy_gettext("时限"),
    "document": lazy_gettext("文件"),
    "erasure": lazy_gettext("删除市民信息"),
    "identity": lazy_gettext("市民身份"),
    "legacy_number": lazy_gettext("原热线号码"),
    "log_in": lazy_gettext("登录"),
    "prompt": lazy_gettext("话术"),
    "report_recipient": lazy_gettext("报告接收人"),
    "setting": lazy_gettext("运行设置"),
    "screen": lazy_gettext("大屏"),
    "reply_template": lazy_gettext("答复模板"),
    "staff": lazy_gettext("人员"),
    "webhook": lazy_gettext("推送"),
}
ACT_WORDS: Final = {
    "added": lazy_gettext("新增"),
    "changed": lazy_gettext("修改"),
    "removed": lazy_gettext("删除"),
    "erased": lazy_gettext("按要求删除"),
    "looked_at": lazy_gettext("查看"),
    "logged_in": lazy_gettext("登录"),
    "failed": lazy_gettext("密码不对"),
    "locked": lazy_gettext("锁定"),
    "recovery_code": lazy_gettext("用了备用码"),
    "unlocked": lazy_gettext("解锁"),
}


@allowed("audit")
def list_events() -> ResponseReturnValue:
    """The newest rows that the filters of the address leave over."""
    filters = wanted()
    with parts().database.read() as session:
        total = session.scalar(select(func.count()).select_from(AuditEvent).where(*filters)) or 0
        pages = max(1, -(-total // PAGE))
        page = min(max(1, request.args.get("page", default=1, type=int)), pages)
        query = select(AuditEvent).where(*filters).order_by(AuditEvent.number.desc())
        found = list(session.scalars(query.offset((page - 1) * PAGE).limit(PAGE)))
    return render_template(
        "console/admin/audit.html",
        events=found,
        total=total,
        page=page,
        pages=pages,
        kinds={kind: KIND_WORDS[kind] for kind in kinds()},
        acts=ACT_WORDS,
        here=url_for("console.audit_log"),
    )


@allowed("audit")
def export_events() -> ResponseReturnValue:
    """The same rows as a file, newest first, at most EXPORT_LIMIT."""
    columns = {
        "number": gettext("序号"),
        "at": gettext("时间"),
        "name": gettext("姓名"),
        "role": gettext("角色"),
        "address": gettext("地址"),
        "kind": gettext("对象"),
        "subject": gettext("哪一个"),
        "act": gettext("动作"),
        "before": gettext("之前"),
        "after": gettext("之后"),
        "hash": gettext("校验值"),
    }
    with parts().database.read() as session:
        query = select(AuditEvent).where(*wanted()).order_by(AuditEvent.number.desc()).limit(EXPORT_LIMIT)
        rows = [
            {name: str(getattr(row, name)) for name in columns} | {"at": f"{local(row.at):%Y-%m-%d %H:%M:%S}"}
            for row in session.scalars(query)
        ]
    name = f"audit-{local(parts().clock()):%Y%m%d-%H%M}.csv"
    return Response(
        Table(gettext("审计日志"), columns, len(rows)).write_csv(rows),
        content_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def wanted() -> list[ColumnElement[bool]]:
    """What the address filters by: kind, a part of who or which, first and last day by China's clock."""
    found: list[ColumnElement[bool]] = []
    if request.args.get("kind") in KIND_WORDS:
        found.append(AuditEvent.kind == request.args["kind"])
    words = request.args.get("q", "")[:100].replace("\0", "").strip()
    if words:
        columns = (AuditEvent.name, AuditEvent.subject, AuditEvent.address)
        found.append(or_(*(column.contains(words, autoescape=True) for column in columns)))
    first, last = day("from"), day("until")
    if first:
        found.append(AuditEvent.at >= first)
    if last:
        found.append(AuditEvent.at < last + timedelta(days=1))
    return found


def day(name: str) -> datetime | None:
    """The beginning of a day of the address; None for nothing, or what is none."""
    try:
        return datetime.combine(date.fromisoformat(request.args.get(name, "")), time(), CHINA).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
