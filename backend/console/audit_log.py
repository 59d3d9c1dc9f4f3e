"""The audit log on the auditors' screens: what was changed, by whom, from where; filtered, a page at a time, as a file."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from flask import Response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from sqlalchemy import ColumnElement, func, or_, select

from backend.audit import AuditEvent, kinds
from backend.clock import CHINA, local
from backend.console.erasure import COUNT_WORDS
from backend.console.log_in import allowed
from backend.console.words import PERIODS, ROLES
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
    "removed": lazy_gettext("已删除"),
    "erased": lazy_gettext("按要求删除"),
    "looked_at": lazy_gettext("查看"),
    "logged_in": lazy_gettext("登录"),
    "failed": lazy_gettext("密码不对"),
    "locked": lazy_gettext("锁定"),
    "recovery_code": lazy_gettext("用了备用码"),
    "unlocked": lazy_gettext("解锁"),
}


COLUMN_WORDS: Final = {
    "active": lazy_gettext("启用"),
    "added_at": lazy_gettext("新增时间"),
    "address": lazy_gettext("地址"),
    "agency_code": lazy_gettext("承办单位"),
    "basis": lazy_gettext("依据"),
    "begins": lazy_gettext("开头"),
    "begins_at": lazy_gettext("开始时间"),
    "catalogue": lazy_gettext("所属"),
    "categories": lazy_gettext("类别"),
    "category_code": lazy_gettext("类别"),
    "chat_limit": lazy_gettext("同时会话数"),
    "code": lazy_gettext("编号"),
    "contact": lazy_gettext("联系人"),
    "day": lazy_gettext("日期"),
    "district": lazy_gettext("区县"),
    "duties": lazy_gettext("职责"),
    "ended_at": lazy_gettext("结束时间"),
    "ends_at": lazy_gettext("结束时间"),
    "events": lazy_gettext("推送内容"),
    "former_names": lazy_gettext("曾用名"),
    "greeting_en": lazy_gettext("英文问候语"),
    "greeting_yue": lazy_gettext("粤语问候语"),
    "greeting_zh": lazy_gettext("中文问候语"),
    "hours": lazy_gettext("工作时间"),
    "id": lazy_gettext("序号"),
    "key": lazy_gettext("哪一句"),
    "key_hash": lazy_gettext("密钥"),
    "kind": lazy_gettext("种类"),
    "language": lazy_gettext("语言"),
    "languages": lazy_gettext("语言"),
    "left_at": lazy_gettext("离职时间"),
    "level": lazy_gettext("级别"),
    "locale": lazy_gettext("语言"),
    "made_at": lazy_gettext("新建时间"),
    "name": lazy_gettext("名称"),
    "name_en": lazy_gettext("英文名称"),
    "number": lazy_gettext("号码"),
    "occasion": lazy_gettext("场合"),
    "of": lazy_gettext("锁定对象"),
    "on_chat": lazy_gettext("网上播出"),
    "on_phone": lazy_gettext("电话播出"),
    "one_time_until": lazy_gettext("初始密码有效至"),
    "parent_code": lazy_gettext("上级"),
    "password_hash": lazy_gettext("密码"),
    "position": lazy_gettext("顺序"),
    "question": lazy_gettext("问题"),
    "reason": lazy_gettext("原因"),
    "replaced_by_id": lazy_gettext("被哪一份替换"),
    "revoked_at": lazy_gettext("停用时间"),
    "role": lazy_gettext("角色"),
    "ruling": lazy_gettext("裁定理由"),
    "scopes": lazy_gettext("权限"),
    "secret": lazy_gettext("签名密钥"),
    "skills": lazy_gettext("技能"),
    "speech": lazy_gettext("电话播报"),
    "speech_en": lazy_gettext("英文播报"),
    "speech_yue": lazy_gettext("粤语播报"),
    "speech_zh": lazy_gettext("中文播报"),
    "state": lazy_gettext("状态"),
    "substitute_code": lazy_gettext("代管单位"),
    "successor_code": lazy_gettext("承接单位"),
    "telephone": lazy_gettext("电话"),
    "text": lazy_gettext("内容"),
    "text_en": lazy_gettext("英文"),
    "text_zh": lazy_gettext("中文"),
    "title": lazy_gettext("标题"),
    "totp_secret": lazy_gettext("动态码"),
    "until": lazy_gettext("锁定到"),
    "url": lazy_gettext("地址"),
    "username": lazy_gettext("用户名"),
    "valid_from": lazy_gettext("生效日期"),
    "valid_until": lazy_gettext("失效日期"),
    "value": lazy_gettext("值"),
    "version": lazy_gettext("版本"),
    "visit_id": lazy_gettext("回访"),
    "working": lazy_gettext("上班"),
    # of deadlines, and of what was erased
    **PERIODS,
    **COUNT_WORDS,
    "reply": lazy_gettext("答复期限"),
    "source": lazy_gettext("文件"),
    "visit_tries": lazy_gettext("回访次数"),
    "warnings": lazy_gettext("预警"),
}
"""What a row says of what was changed -> what people call it: columns of `@audited` models, and what is put down besides."""


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
        columns=COLUMN_WORDS,
        told=told,
        here=url_for("console.audit_log"),
    )


@allowed("audit")
def export_events() -> ResponseReturnValue:
    """The same rows as a file, newest first, at most EXPORT_LIMIT."""
    columns = {
        "number": gettext("序号"),
        "at": gettext("日期和时间"),
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
            {name: str(getattr(row, name)) for name in columns}
            | {
                "at": f"{local(row.at):%Y-%m-%d %H:%M:%S}",
                "role": str(ROLES.get(row.role, row.role)),
                "kind": str(KIND_WORDS.get(row.kind, row.kind)),
                "act": str(ACT_WORDS.get(row.act, row.act)),
                "before": in_words(row.before),
                "after": in_words(row.after),
            }
            for row in session.scalars(query)
        ]
    name = f"audit-{local(parts().clock()):%Y%m%d-%H%M}.csv"
    return Response(
        Table(gettext("审计日志"), columns, len(rows)).write_csv(rows),
        content_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def told(name: str, value: Any) -> str:
    """A value as people read it."""
    if value is None or value == "":
        return "—"
    if isinstance(value, bool):
        return str(gettext("是") if value else gettext("否"))
    return str(ROLES.get(value, value)) if name == "role" else str(value)


def in_words(values: Mapping[str, Any]) -> str:
    """What a row says of one side of a change, in one cell of the file."""
    return "; ".join(f"{COLUMN_WORDS.get(name, name)}: {told(name, value)}" for name, value in values.items())


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
