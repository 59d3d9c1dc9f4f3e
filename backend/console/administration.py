"""管理: everything that is set up rather than worked on, on one page of links."""

from dataclasses import dataclass
from typing import Final

from flask import render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString, lazy_gettext

from backend.console.log_in import allowed, me


@dataclass(frozen=True)
class Entry:
    """A page of the administration: its endpoint, the area that it belongs to, its name, what it is for."""

    endpoint: str
    area: str
    words: LazyString
    about: LazyString


PAGES: Final = (
    Entry("people", "people", lazy_gettext("人员"), lazy_gettext("谁在这条热线上工作、什么角色，密码和停用")),
    Entry("agencies", "directory", lazy_gettext("单位"), lazy_gettext("承办单位的名录、导入导出，以及派单学到了什么")),
    Entry("categories", "directory", lazy_gettext("工单类别"), lazy_gettext("工单分哪些类、叫什么、归哪个单位")),
    Entry("announcements", "line", lazy_gettext("公告"), lazy_gettext("来电者和网上市民最先听到、看到的通知")),
    Entry("numbers", "line", lazy_gettext("原热线号码"), lazy_gettext("并入 12345 的号码、问候语和来电量")),
    Entry("prompts", "line", lazy_gettext("话术"), lazy_gettext("热线自己说的话：电话里、短信里、会话里")),
    Entry("line_settings", "line", lazy_gettext("运行设置"), lazy_gettext("排队、回访时段、录音，等多久标红")),
    Entry("phrases", "line", lazy_gettext("常用语"), lazy_gettext("坐席一键插入的话")),
    Entry("deadlines", "deadlines", lazy_gettext("时限和工作日"), lazy_gettext("各环节多久算到期，哪天上班哪天休息")),
    Entry("integrations", "integrations", lazy_gettext("外部系统"), lazy_gettext("接口密钥、推送和公开查询")),
    Entry(
        "erasure",
        "erasure",
        lazy_gettext("保存与删除"),
        lazy_gettext("市民要求删除个人信息，各类内容保存多久，删除了多少"),
    ),
    Entry("audit_log", "audit", lazy_gettext("审计日志"), lazy_gettext("谁在什么时候改了什么，谁看过市民的身份")),
)
AREAS: Final = tuple(dict.fromkeys(page.area for page in PAGES))


@allowed(*AREAS)
def show_overview() -> ResponseReturnValue:
    """The pages that this person may open."""
    pages = [page for page in PAGES if me().may_enter(page.area)]
    return render_template("console/admin/overview.html", pages=pages, here=url_for("console.administration"))
