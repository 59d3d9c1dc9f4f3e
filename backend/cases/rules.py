"""The life of a case: a table of plain data that says for each state which act leads where, who may do it, what it needs and
when, and what the citizen hears. Everything else is refused with a reason. Pure; `python -m backend.cases.rules` draws it.

The loop (accept, dispatch, handle, reply, return visit, evaluate, close) is that of State Council Office 2020 No. 53; review
of disputed dispatches (派单异议), merging (并单) and the lawful routes of what is no matter for the line are 2025 No. 66's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

STATES: Final[dict[str, str]] = {
    "filed": "已登记",
    "accepted": "已受理",
    "dispatched": "已转办",
    "disputed": "派单异议",
    "signed": "已签收",
    "paused": "中止计时",
    "replied": "已答复",
    "visited": "已回访",
    "redo": "退回重办",
    "supervised": "督办中",
    "closed": "已办结",
    "declined": "不予受理",
    "withdrawn": "已撤回",
    "transferred": "已移交",
    "merged": "已并单",
}
"""state -> what people call it."""

FINAL_STATES: Final = frozenset({"closed", "declined", "withdrawn", "transferred", "merged"})

HOLDERS: Final[dict[str, str]] = {
    "filed": "operator",
    "accepted": "dispatcher",
    "dispatched": "agency",
    "disputed": "dispatcher",
    "signed": "agency",
    "paused": "agency",
    "replied": "line",
    "visited": "reviewer",
    "redo": "agency",
    "supervised": "agency",
}
"""open state -> the role whose turn it is; an agency is the case's own. See `holder`."""

ACTS: Final[dict[str, str]] = {
    "accept": "受理",
    "sort": "归类",
    "decline": "不予受理",
    "transfer": "移交",
    "merge": "并单",
    "dispatch": "转办",
    "sign": "签收",
    "send_back": "退单",
    "reject": "驳回退单",
    "designate": "指定承办",
    "co_handle": "增加协办",
    "contribute": "协办反馈",
    "ask_extension": "申请延期",
    "extend": "同意延期",
    "refuse_extension": "不同意延期",
    "pause": "中止计时",
    "resume": "恢复计时",
    "reply": "答复",
    "answer": "直接答复",
    "visit": "回访",
    "not_reached": "回访未接通",
    "redo": "退回重办",
    "reopen": "重新转办",
    "supervise": "立项督办",
    "order": "追加督办",
    "uphold": "复核办结",
    "conclude": "督办办结",
    "close": "办结",
    "close_unanswered": "未回应办结",
    "withdraw": "撤回",
    "add": "补充",
    "protect": "保密",
    "warn": "预警",
}
"""act -> what people call it."""

KINDS: Final[dict[str, str]] = {
    "consult": "咨询",
    "request": "求助",
    "complaint": "投诉",
    "report": "举报",
    "suggestion": "建议",
    "praise": "表扬",
}
URGENCIES: Final[dict[str, str]] = {"emergency": "紧急", "urgent": "加急", "normal": "一般", "complex": "疑难"}

PAUSE_REASONS: Final[dict[str, str]] = {
    "citizen": "等市民补充材料或到场配合",
    "procedure": "已进入诉讼、仲裁、复议程序",
    "appraisal": "等检测、鉴定、评估结论",
    "force_majeure": "不可抗力",
}
"""The only reasons that stop the clock."""

ROUTES: Final = ("110", "119", "120", "122", "court", "procuratorate", "arbitration", "petition", "discipline")
"""Where a matter belongs that is none of the line's: emergencies, and lawful routes of their own (2025 No. 66). What the
citizen is told of each is in messages.yml, as route_…"""

SEND_BACKS: Final = 2
"""After so many a supervisor designates the agency, and that is final."""
REDOS: Final = 1
"""What is still not right after so many is for electronic supervision."""


@dataclass(frozen=True)
class Rule:
    """One row of the table: in `state`, `act` leads to `target` when one of `roles` does it with all of `needs`, and every
    one of `conditions` holds. `tells` is what the citizen hears of it, a key of messages.yml."""

    state: str
    act: str
    target: str
    roles: frozenset[str]
    needs: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    tells: str = ""


@dataclass(frozen=True)
class Refusal:
    """Why an act is not done: a code of errors.yml and the facts of its sentence."""

    code: str
    facts: dict[str, str]


@dataclass(frozen=True)
class Situation:
    """What conditions look at: the case as it stands at `now`, and what was done before, oldest first, as (act, details)."""

    state: str
    past: tuple[tuple[str, Mapping[str, Any]], ...]
    agency: str
    now: datetime
    due_at: datetime
    send_back_until: datetime | None = None  # None: not with an agency that could send it back
    unanswered_from: datetime | None = None  # from when it may end without the citizen's word

    def times(self, act: str) -> int:
        """How often `act` was done."""
        return sum(done == act for done, _ in self.past)

    def last(self, *acts: str) -> tuple[str, Mapping[str, Any]] | None:
        """The last of these acts, or None."""
        return next(((done, details) for done, details in reversed(self.past) if done in acts), None)

    def visit(self) -> Mapping[str, Any]:
        """What the citizen said at the last return visit; empty when there was none."""
        found = self.last("visit")
        return found[1] if found else {}

    def had_agency(self) -> bool:
        """Whether an agency has ever answered for it: it signed, or was ordered to without having signed."""
        return self.times("sign") + self.times("supervise") > 0

    def extension(self) -> str:
        """Where the extension stands: nothing, or the last act about it."""
        found = self.last("ask_extension", "extend", "refuse_extension")
        return found[0] if found else ""


def settled(visit: Mapping[str, Any]) -> bool:
    """Whether by the citizen's own word it is solved, and they don't complain of how."""
    return visit.get("solved") == "yes" and visit.get("satisfied") != "no"


CONDITIONS: Final[dict[str, Callable[[Situation, Mapping[str, Any]], bool]]] = {
    "send_back_too_late": lambda case, _: case.send_back_until is not None and case.now <= case.send_back_until,
    "designation_is_final": lambda case, _: case.times("designate") == 0,
    "another_agency_wanted": lambda case, details: details.get("agency") != case.agency,
    "supervisor_designates": lambda case, _: case.times("send_back") < SEND_BACKS,
    "deadline_is_over": lambda case, _: case.now < case.due_at,
    "extended_once": lambda case, _: case.extension() == "",
    "no_extension_asked": lambda case, _: case.extension() == "ask_extension",
    "not_solved_yet": lambda case, _: settled(case.visit()),
    "not_solved_by_word": lambda case, _: case.visit().get("solved") == "yes",
    "citizen_not_asked": lambda case, _: bool(case.visit()),
    "still_being_asked": lambda case, _: case.unanswered_from is not None and case.now >= case.unanswered_from,
    "never_with_an_agency": lambda case, _: case.had_agency(),
    "was_with_an_agency": lambda case, _: not case.had_agency(),
    "redone_once": lambda case, _: case.times("redo") < REDOS,
    "not_under_supervision": lambda case, _: case.times("supervise") > 0,
}
"""What must hold, by the code of errors.yml that says so when it doesn't."""

DESK: Final = frozenset({"operator", "dispatcher", "supervisor"})
DISPATCHERS: Final = frozenset({"dispatcher", "supervisor"})
AGENCIES: Final = frozenset({"agency"})  # the case's own
CO_HANDLERS: Final = frozenset({"co_handler"})  # another agency that was asked to help
REVIEWERS: Final = frozenset({"reviewer", "supervisor"})
SUPERVISORS: Final = frozenset({"supervisor"})
LINE: Final = frozenset({"line"})
CITIZEN: Final = frozenset({"citizen", "operator"})
ANYBODY: Final = frozenset({"citizen", "bot", "line", "reviewer"}) | DESK

ANSWERS: Final = ("contacted", "solved", "satisfied")
"""The three questions of a return visit; yes or no. They make 响应率, 解决率, 满意率."""
BEFORE_REPLY: Final = ("filed", "accepted", "dispatched", "disputed", "signed", "paused", "redo", "supervised")
OPEN_STATES: Final = (*BEFORE_REPLY, "replied", "visited")

TABLE: Final[tuple[Rule, ...]] = (
    Rule("filed", "accept", "accepted", DESK | LINE),
    Rule("accepted", "dispatch", "dispatched", DISPATCHERS, ("agency",), tells="dispatched"),
    Rule("accepted", "answer", "replied", DESK, ("note",), tells="replied"),
    *(
        rule
        for state in ("filed", "accepted")
        for rule in (
            Rule(state, "sort", state, DESK, ("category", "kind", "urgency")),
            Rule(state, "decline", "declined", DISPATCHERS, ("note",), tells="declined"),
            Rule(state, "transfer", "transferred", DESK, ("route",), tells="transferred"),
        )
    ),
    *(
        Rule(state, "merge", "merged", DISPATCHERS, ("into",), tells="merged")
        for state in ("filed", "accepted", "dispatched", "signed")
    ),
    Rule("dispatched", "sign", "signed", AGENCIES),
    Rule(
        "dispatched", "send_back", "disputed", AGENCIES, ("note", "agency"),
        ("another_agency_wanted", "designation_is_final", "send_back_too_late"),
    ),
    Rule("disputed", "dispatch", "dispatched", DISPATCHERS, ("agency",), ("supervisor_designates",), "dispatched"),
    Rule("disputed", "reject", "dispatched", DISPATCHERS, ("note",), ("supervisor_designates",)),
    Rule("disputed", "designate", "dispatched", SUPERVISORS, ("agency", "note"), tells="dispatched"),
    Rule("disputed", "decline", "declined", DISPATCHERS, ("note",), tells="declined"),
    Rule("signed", "reply", "replied", AGENCIES, ("note",), tells="replied"),
    Rule("signed", "ask_extension", "signed", AGENCIES, ("note", "days"), ("deadline_is_over", "extended_once")),
    Rule("signed", "extend", "signed", DISPATCHERS, ("note", "days"), ("no_extension_asked",), "extended"),
    Rule("signed", "refuse_extension", "signed", DISPATCHERS, ("note",), ("no_extension_asked",)),
    Rule("signed", "pause", "paused", DISPATCHERS, ("reason", "note"), ("deadline_is_over",), "paused"),
    Rule("paused", "resume", "signed", AGENCIES | DISPATCHERS | LINE, tells="resumed"),
    Rule("redo", "reply", "replied", AGENCIES, ("note",), tells="replied"),
    Rule("supervised", "reply", "replied", AGENCIES, ("note",), tells="replied"),
    *(
        rule
        for state in ("signed", "redo", "supervised")
        for rule in (
            Rule(state, "co_handle", state, AGENCIES | DISPATCHERS, ("agency",), ("another_agency_wanted",)),
            Rule(state, "contribute", state, CO_HANDLERS, ("note",)),
        )
    ),
    Rule("replied", "visit", "visited", DESK | {"reviewer", "citizen", "line"}, ANSWERS),
    Rule("replied", "not_reached", "replied", DESK | LINE),
    Rule("replied", "close_unanswered", "closed", SUPERVISORS | LINE, (), ("still_being_asked",), "closed_unanswered"),
    Rule("visited", "close", "closed", DESK | {"reviewer", "line"}, (), ("not_solved_yet",), "closed"),
    Rule("visited", "uphold", "closed", REVIEWERS, ("note",), ("not_solved_by_word",), "closed"),
    Rule(
        "visited", "redo", "redo", DISPATCHERS | REVIEWERS, ("note",), ("never_with_an_agency", "redone_once"), "redone"
    ),
    Rule("visited", "reopen", "accepted", DISPATCHERS | REVIEWERS, ("note",), ("was_with_an_agency",), "redone"),
    *(
        Rule(state, "supervise", "supervised", REVIEWERS | LINE, ("note",), tells="supervised")
        for state in ("dispatched", "signed", "redo")
    ),
    Rule("visited", "supervise", "supervised", REVIEWERS | LINE, ("note",), ("never_with_an_agency",), "supervised"),
    Rule("supervised", "order", "supervised", SUPERVISORS, ("note",)),
    Rule("supervised", "redo", "redo", SUPERVISORS, ("note",), tells="redone"),
    Rule("supervised", "designate", "dispatched", SUPERVISORS, ("agency", "note"), tells="dispatched"),
    Rule("supervised", "conclude", "closed", SUPERVISORS, ("note",), ("citizen_not_asked",), "concluded"),
    Rule("visited", "conclude", "closed", SUPERVISORS, ("note",), ("not_under_supervision",), "concluded"),
    *(Rule(state, "withdraw", "withdrawn", CITIZEN, tells="withdrawn") for state in BEFORE_REPLY),
    *(Rule(state, "add", state, ANYBODY, ("note",)) for state in OPEN_STATES),
    *(Rule(state, "protect", state, DESK | {"citizen", "bot"}) for state in OPEN_STATES),
    *(Rule(state, "warn", state, LINE, ("mark",)) for state in OPEN_STATES),
)  # fmt: skip
"""The whole life. There is one row at most for a state and an act, so the acts of a history tell the state."""

RULES: Final = {(rule.state, rule.act): rule for rule in TABLE}


def decide(case: Situation, act: str, role: str, details: Mapping[str, Any]) -> Rule | Refusal:
    """The rule by which `role` may do `act` with these details, or why it is refused."""
    rule = RULES.get((case.state, act))
    if rule is None:
        return Refusal("act_not_possible", {})
    if role not in rule.roles:
        return Refusal("act_not_yours", {})
    missing = [need for need in rule.needs if details.get(need) in (None, "")]
    if missing:
        return Refusal("act_needs", {"missing": ", ".join(missing)})
    failed = next((code for code in rule.conditions if not CONDITIONS[code](case, details)), None)
    return Refusal(failed, {}) if failed else rule


def possible_acts(case: Situation, role: str) -> list[Rule]:
    """The acts that somebody with `role` may do to the case, in the order of the table: those that only
    what they need could be missing for."""
    return [
        rule
        for rule in TABLE
        if rule.state == case.state
        and role in rule.roles
        and all(CONDITIONS[code](case, {}) for code in rule.conditions)
    ]


def holder(state: str, send_backs: int) -> str | None:
    """The role whose turn it is, None when the case has ended. What was sent back twice is the supervisor's."""
    if state == "disputed" and send_backs >= SEND_BACKS:
        return "supervisor"
    return HOLDERS.get(state)


def replay(acts: tuple[str, ...]) -> str:
    """The state to which these acts lead from the filing on. Raises KeyError for what can't have happened."""
    state = "filed"
    for act in acts:
        state = RULES[state, act].target
    return state


def draw() -> str:
    """The table as a state diagram in Mermaid's words; what leaves a state as it is isn't drawn but listed."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for rule in TABLE:
        if rule.state != rule.target:
            arrows.setdefault((rule.state, rule.target), []).append(rule.act)
    lines = ["stateDiagram-v2", "    [*] --> filed: file"]
    lines += [f"    {state} --> {target}: {' / '.join(acts)}" for (state, target), acts in arrows.items()]
    lines += [f"    {state} --> [*]" for state in STATES if state in FINAL_STATES]
    return "\n".join(lines)


def document() -> str:
    """docs/case-states.md: the diagram, and every row of the table."""
    rows = [
        f"| {rule.state} | {rule.act} {ACTS[rule.act]} | {rule.target} | {', '.join(sorted(rule.roles))} "
        f"| {', '.join(rule.needs)} | {', '.join(rule.conditions)} | {rule.tells} |"
        for rule in TABLE
    ]
    states = [f"| {state} | {name} | {HOLDERS.get(state, '')} |" for state, name in STATES.items()]
    return "\n".join(
        [
            "# The life of a case",
            "",
            "Drawn from the table in `backend/cases/rules.py` by `python -m backend.cases.rules > docs/case-states.md`.",
            "",
            "```mermaid",
            draw(),
            "```",
            "",
            "| state | called | whose turn |",
            "|---|---|---|",
            *states,
            "",
            "`dispatcher` is the supervisor once a case was sent back twice. Conditions are the refusals of"
            " `backend/errors.yml` when they don't hold; what the citizen hears is in `backend/cases/messages.yml`.",
            "",
            "| in | act | leads to | who | needs | refused as | the citizen hears |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    print(document(), end="")
