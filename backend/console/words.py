"""What the console calls roles, channels, states and acts, and how times are shown."""

from datetime import datetime, timedelta

from flask_babel import gettext, lazy_gettext

from backend.cases.rules import ACTS, STATES
from backend.clock import local
from backend.conversations.rules import DANGER, REPEATED
from backend.knowledge.lifecycle import Rule
from backend.locale import current_locale

ROLES = {
    "operator": lazy_gettext("坐席"),
    "dispatcher": lazy_gettext("派单员"),
    "agency": lazy_gettext("承办单位"),
    "supervisor": lazy_gettext("值班长"),
    "editor": lazy_gettext("知识编辑"),
    "reviewer": lazy_gettext("回访审核"),
    "auditor": lazy_gettext("审计"),
    "analyst": lazy_gettext("分析员"),
    "admin": lazy_gettext("管理员"),
    "co_handler": lazy_gettext("协办单位"),
    "citizen": lazy_gettext("市民"),
    "bot": lazy_gettext("智能助手"),
    "line": lazy_gettext("热线系统"),
}
"""role of the staff, or of who else acts on a case -> what people call it."""

CHANNELS = {
    "chat": lazy_gettext("网上"),
    "phone": lazy_gettext("电话"),
    "wechat": lazy_gettext("微信"),
    "sms": lazy_gettext("短信"),
    "operator": lazy_gettext("坐席登记"),
    "api": lazy_gettext("接口"),
    "open311": "Open311",
}
"""channel of a conversation or case -> what people call it."""

ROOT_STATES = {
    "open": lazy_gettext("办理中"),
    "closed": lazy_gettext("已办结"),
    "merged": lazy_gettext("已并入其他问题"),
    "undone": lazy_gettext("已撤销"),
}
"""state of a root issue -> what people call it."""

ROOT_ACTS = {
    "open": lazy_gettext("立为共性问题"),
    "join": lazy_gettext("加入工单"),
    "split": lazy_gettext("拆出工单"),
    "absorb": lazy_gettext("并入另一共性问题"),
    "assign": lazy_gettext("指定牵头单位"),
    "send": lazy_gettext("转给牵头单位"),
    "plan": lazy_gettext("制定计划"),
    "step": lazy_gettext("完成一步"),
    "reply": lazy_gettext("统一答复"),
    "undo": lazy_gettext("撤销"),
    "close": lazy_gettext("办结"),
}
"""act on a root issue -> what people call it."""

LANGUAGES = {"zh": lazy_gettext("中文"), "yue": lazy_gettext("粤语"), "en": lazy_gettext("英文")}

PRIORITIES = {REPEATED: lazy_gettext("重复来电"), DANGER: lazy_gettext("有危险")}
"""priority in the queue (conversations/rules.py) -> its mark; a normal one has none."""

PARTIES = {
    "operator": lazy_gettext("坐席"),
    "agency": lazy_gettext("承办单位"),
    "listener": lazy_gettext("旁听"),
    "coach": lazy_gettext("耳语指导"),
    "barge": lazy_gettext("加入通话"),
}
"""Who a telephone in a call belongs to -> what people call them."""

LEG_STATES = {
    "wanted": lazy_gettext("正在呼叫"),
    "ringing": lazy_gettext("振铃中"),
    "talking": lazy_gettext("通话中"),
    "over": lazy_gettext("已离开"),
}

LEG_OUTCOMES = {
    "no-answer": lazy_gettext("无人接听"),
    "busy": lazy_gettext("忙线"),
    "failed": lazy_gettext("没有打通"),
    "canceled": lazy_gettext("已取消"),
}
"""How a telephone that never joined ended."""

CONVERSATION_STATES = {
    "bot": lazy_gettext("智能助手服务中"),
    "waiting": lazy_gettext("等待人工"),
    "operator": lazy_gettext("人工服务中"),
    "closed": lazy_gettext("已结束"),
}

PRESENCES = {
    "ready": lazy_gettext("就绪"),
    "busy": lazy_gettext("忙"),
    "wrap_up": lazy_gettext("话后整理"),
    "break": lazy_gettext("小休"),
    "away": lazy_gettext("离开"),
}
"""How somebody who talks to citizens is present; `busy`: ready, and with citizens."""

OUTCOMES = {
    "answered": lazy_gettext("当场答复"),
    "filed": lazy_gettext("已登记工单"),
    "followed_up": lazy_gettext("查询进度"),
    "passed_on": lazy_gettext("转其他热线或部门"),
    "out_of_remit": lazy_gettext("不属受理范围"),
    "dropped": lazy_gettext("市民中途离开"),
    "silent": lazy_gettext("无声或骚扰"),
    "other": lazy_gettext("其他"),
}
"""What came of a talk (conversations/wrap_up.py)."""

REASONS = {
    "rest": lazy_gettext("休息"),
    "meal": lazy_gettext("用餐"),
    "meeting": lazy_gettext("会议"),
    "training": lazy_gettext("培训"),
    "equipment": lazy_gettext("设备故障"),
    "other": lazy_gettext("其他"),
    "missed": lazy_gettext("没有应答分配"),
    "lost": lazy_gettext("浏览器断开"),
    "logged_out": lazy_gettext("已退出"),
}
"""Why somebody is on a break, or was set to away."""

NOTES = {
    **dict.fromkeys(("answer", "reply"), lazy_gettext("答复内容")),
    **dict.fromkeys(
        (
            "send_back",
            "ask_extension",
            "extend",
            "refuse_extension",
            "decline",
            "reject",
            "redo",
            "reopen",
            "supervise",
        ),
        lazy_gettext("理由"),
    ),
}
"""What is written beside an act, where that is more than a note."""

DETAILS = {
    "note": lazy_gettext("说明"),
    "agency": lazy_gettext("承办单位"),
    "for": lazy_gettext("代行单位"),
    "contacted": lazy_gettext("承办单位联系过市民"),
    "solved": lazy_gettext("问题已解决"),
    "satisfied": lazy_gettext("市民满意"),
    "proposal": lazy_gettext("建议承办单位"),
    "grade": lazy_gettext("满意程度"),
    "words": lazy_gettext("市民的话"),
    "days": lazy_gettext("延长天数"),
    "reason": lazy_gettext("原因"),
    "route": lazy_gettext("应走渠道"),
    "into": lazy_gettext("并入工单"),
    "category": lazy_gettext("类别"),
    "kind": lazy_gettext("诉求类型"),
    "urgency": lazy_gettext("紧急程度"),
    "mark": lazy_gettext("预警"),
}
"""What an act needs or keeps (cases/rules.py) -> what people call it."""

NAMED_AGENCIES = {"send_back": lazy_gettext("建议转给"), "co_handle": lazy_gettext("协办单位")}
"""act -> what people call the agency that it names, where that doesn't get the case by it."""

KINDS = {
    "consult": lazy_gettext("咨询"),
    "request": lazy_gettext("求助"),
    "complaint": lazy_gettext("投诉"),
    "report": lazy_gettext("举报"),
    "suggestion": lazy_gettext("建议"),
    "praise": lazy_gettext("表扬"),
}
URGENCIES = {
    "emergency": lazy_gettext("紧急"),
    "urgent": lazy_gettext("加急"),
    "normal": lazy_gettext("一般"),
    "complex": lazy_gettext("疑难"),
}
GRADES = {
    5: lazy_gettext("非常满意"),
    4: lazy_gettext("满意"),
    3: lazy_gettext("基本满意"),
    2: lazy_gettext("不满意"),
    1: lazy_gettext("非常不满意"),
}
MARKS = {"yellow": lazy_gettext("过半"), "red": lazy_gettext("将到期"), "overdue": lazy_gettext("超期")}
"""mark of a case whose time is going -> what people call it."""

PERIODS = {
    "accept": lazy_gettext("受理"),
    "dispatch": lazy_gettext("转办"),
    "sign": lazy_gettext("签收"),
    "send_back": lazy_gettext("可退单"),
    "rule": lazy_gettext("退单裁定"),
    "extension": lazy_gettext("延期最长"),
    "pause": lazy_gettext("中止最长"),
    "visit": lazy_gettext("回访"),
    "review": lazy_gettext("回访审核"),
    "redo": lazy_gettext("重办"),
    "supervision": lazy_gettext("督办反馈"),
    "supervise_after": lazy_gettext("超期多久自动督办"),
    "unanswered": lazy_gettext("联系不上多久后办结"),
}
"""period of a deadline profile -> what people call it."""
TOLD = {
    "handler": lazy_gettext("经办人"),
    "holder": lazy_gettext("承办方全体"),
    "above": lazy_gettext("上级单位"),
    "supervisor": lazy_gettext("督办人员"),
}
"""who a step of the escalation chain tells -> what people call them."""
UNITS = {
    "hours": lazy_gettext("小时"),
    "working_days": lazy_gettext("工作日"),
    "calendar_days": lazy_gettext("自然日"),
}

VERSION_STATES = {
    "draft": lazy_gettext("草稿"),
    "submitted": lazy_gettext("待审核"),
    "returned": lazy_gettext("已退回"),
    "reviewed": lazy_gettext("审核通过"),
    "published": lazy_gettext("已发布"),
    "replaced": lazy_gettext("已被替换"),
    "retired": lazy_gettext("已停用"),
}
"""state of an article or of one of its versions -> what editors call it."""

VERSION_ACTS = {
    "submit": lazy_gettext("提交审核"),
    "approve": lazy_gettext("审核通过"),
    "send_back": lazy_gettext("退回修改"),
    "publish": lazy_gettext("发布"),
    "retire": lazy_gettext("停用"),
}

ARTICLE_FIELDS = {
    "id": lazy_gettext("编号"),
    "question": lazy_gettext("问题"),
    "question_en": lazy_gettext("英文问题"),
    "variants": lazy_gettext("其他问法"),
    "answer": lazy_gettext("答复"),
    "next_step": lazy_gettext("下一步"),
    "speech": lazy_gettext("电话播报"),
    "answer_en": lazy_gettext("英文答复"),
    "agency_code": lazy_gettext("承办单位"),
    "category_code": lazy_gettext("类别"),
    "region": lazy_gettext("区域"),
    "valid_from": lazy_gettext("生效日期"),
    "valid_until": lazy_gettext("失效日期"),
    "sources": lazy_gettext("依据"),
    "version": lazy_gettext("版本"),
}
"""field of an article's content, or column of an export -> what editors call it."""

STATES_EN = {
    "filed": "Filed",
    "accepted": "Accepted",
    "dispatched": "Sent to agency",
    "disputed": "Sent back, to be ruled on",
    "signed": "Signed for",
    "paused": "Clock stopped",
    "redo": "To be redone",
    "supervised": "Under supervision",
    "transferred": "Transferred",
    "merged": "Merged",
    "replied": "Replied",
    "visited": "Visited",
    "closed": "Closed",
    "declined": "Declined",
    "withdrawn": "Withdrawn",
}
"""state -> what the staff call it; citizens are told in the words of cases/words.py."""

ACTS_EN = {
    "file": "File",
    "accept": "Accept",
    "decline": "Decline",
    "dispatch": "Send to agency",
    "sign": "Sign for",
    "send_back": "Send back",
    "reply": "Reply",
    "answer": "Answer directly",
    "visit": "Return visit",
    "redo": "Send back to redo",
    "close": "Close",
    "withdraw": "Withdraw",
    "add": "Add a note",
    "sort": "Sort",
    "transfer": "Transfer",
    "merge": "Merge",
    "reject": "Refuse the send-back",
    "designate": "Designate agency",
    "co_handle": "Add a co-handler",
    "contribute": "Co-handler's report",
    "ask_extension": "Ask for more time",
    "extend": "Grant more time",
    "refuse_extension": "Refuse more time",
    "pause": "Stop the clock",
    "resume": "Start the clock",
    "not_reached": "Citizen not reached",
    "reopen": "Send to an agency after all",
    "supervise": "Put under supervision",
    "order": "Another order",
    "uphold": "Close after review",
    "conclude": "End supervision and close",
    "close_unanswered": "Close without an answer",
    "protect": "Keep confidential",
    "warn": "Deadline warning",
}


def act_words(act: str) -> str:
    """What an act is called, on its button and in the history."""
    if current_locale() == "en":
        return ACTS_EN.get(act, act)
    return "登记" if act == "file" else ACTS.get(act, act)


def version_act_words(rule: Rule) -> str:
    """What an act on a version of an article is called. To retire one that isn't published takes nothing from citizens."""
    if rule.act == "retire" and rule.state != "published":
        return str(gettext("放弃这一版"))
    return str(VERSION_ACTS[rule.act])


def state_name(state: str) -> str:
    """What the state of a case is called, for the staff."""
    return STATES_EN[state] if current_locale() == "en" else STATES[state]


def short_time(moment: datetime, now: datetime) -> str:
    """A moment by China's clock, as short as it stays clear: 14:05, 11-23 14:05, 2025-11-23 14:05."""
    then, today = local(moment), local(now)
    if then.date() == today.date():
        return f"{then:%H:%M}"
    return f"{then:%m-%d %H:%M}" if then.year == today.year else f"{then:%Y-%m-%d %H:%M}"


def full_time(moment: datetime) -> str:
    """A moment by China's clock with its date."""
    return f"{local(moment):%Y-%m-%d %H:%M}"


def waited(span: timedelta) -> str:
    """How long somebody has waited: 0:07, 12:30, 1:02:30."""
    minutes, seconds = divmod(max(0, int(span.total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def telephone(number: str) -> str:
    """A number as it is read in China: without +86, a mobile in groups of 3, 4 and 4."""
    digits = number.removeprefix("+86")
    return f"{digits[:3]} {digits[3:7]} {digits[7:]}" if len(digits) == 11 and digits[0] == "1" else digits


def masked(number: str) -> str:
    """A number of which only the last four digits are shown."""
    return f"•••• {number[-4:]}"


def browser_name(agent: str) -> str:
    """A browser as people know it, from what it calls itself; Edge says Chrome, and Chrome Safari."""
    names = {"Edg/": "Edge", "OPR/": "Opera", "MicroMessenger/": "WeChat", "Firefox/": "Firefox", "Chrome/": "Chrome"}
    systems = {"Windows": "Windows", "Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Mac OS": "macOS"}
    browser = next((name for sign, name in names.items() if sign in agent), "Safari" if "Safari/" in agent else "")
    system = next((name for sign, name in systems.items() if sign in agent), "Linux" if "Linux" in agent else "")
    return " · ".join(filter(None, (browser, system))) or agent[:40] or "—"
