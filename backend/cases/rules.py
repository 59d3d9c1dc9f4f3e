"""The life of a case: a table of plain data that says for each state which act leads where, who may do it, and what it
needs. Everything else is refused with a reason. Pure.

The loop (accept, dispatch, handle, reply, return visit, evaluate, close) is that of State Council Office 2020 No. 53.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STATES: dict[str, str] = {
    "filed": "已登记",
    "accepted": "已受理",
    "dispatched": "已转办",
    "signed": "已签收",
    "replied": "已答复",
    "visited": "已回访",
    "closed": "已办结",
    "declined": "不予受理",
    "withdrawn": "已撤回",
}
"""state -> what people call it."""

FINAL_STATES = frozenset({"closed", "declined", "withdrawn"})

ACTS: dict[str, str] = {
    "accept": "受理",
    "decline": "不予受理",
    "dispatch": "转办",
    "sign": "签收",
    "send_back": "退单",
    "reply": "答复",
    "answer": "直接答复",
    "visit": "回访",
    "redo": "退回重办",
    "close": "办结",
    "withdraw": "撤回",
    "add": "补充",
}
"""act -> what people call it."""


@dataclass(frozen=True)
class Rule:
    """One row of the table: in `state`, `act` leads to `target` when one of `roles` does it with all of `needs`."""

    state: str
    act: str
    target: str
    roles: frozenset[str]
    needs: tuple[str, ...] = ()


DESK = frozenset({"operator", "dispatcher", "supervisor"})
DISPATCHERS = frozenset({"dispatcher", "supervisor"})
AGENCIES = frozenset({"agency"})
CITIZEN = frozenset({"citizen", "operator"})
ANYBODY = frozenset({"citizen", "bot", "line"}) | DESK

TABLE: tuple[Rule, ...] = (
    Rule("filed", "accept", "accepted", DESK | {"line"}),
    Rule("filed", "decline", "declined", DISPATCHERS, ("note",)),
    Rule("filed", "withdraw", "withdrawn", CITIZEN),
    Rule("accepted", "dispatch", "dispatched", DISPATCHERS, ("agency",)),
    Rule("accepted", "answer", "replied", DESK, ("note",)),
    Rule("accepted", "decline", "declined", DISPATCHERS, ("note",)),
    Rule("accepted", "withdraw", "withdrawn", CITIZEN),
    Rule("dispatched", "sign", "signed", AGENCIES),
    Rule("dispatched", "send_back", "accepted", AGENCIES, ("note", "agency")),
    Rule("dispatched", "withdraw", "withdrawn", CITIZEN),
    Rule("signed", "reply", "replied", AGENCIES, ("note",)),
    Rule("replied", "visit", "visited", DESK, ("contacted", "solved", "satisfied")),
    Rule("visited", "close", "closed", DESK),
    Rule("visited", "redo", "dispatched", DISPATCHERS, ("note",)),
    *(
        Rule(state, "add", state, ANYBODY, ("note",))
        for state in ("filed", "accepted", "dispatched", "signed", "replied", "visited")
    ),
)


@dataclass(frozen=True)
class Refusal:
    """Why an act is not done: a code of errors.yml and the facts of its sentence."""

    code: str
    facts: dict[str, str]


def decide(
    state: str, act: str, role: str, details: Mapping[str, Any], history: tuple[tuple[str, Mapping[str, Any]], ...] = ()
) -> str | Refusal:
    """The state that `act` leads to, or why it is refused.

    `history` is what was done before, oldest first, as (act, details): a case is closed only when the citizen was asked
    and said that it is solved, or could not be reached.
    """
    rules = [rule for rule in TABLE if rule.state == state and rule.act == act]
    if not rules:
        return Refusal("act_not_possible", {})
    rule = rules[0]
    if role not in rule.roles:
        return Refusal("act_not_yours", {})
    missing = [need for need in rule.needs if details.get(need) in (None, "")]
    if missing:
        return Refusal("act_needs", {"missing": ", ".join(missing)})
    if act == "close" and not may_close(history):
        return Refusal("not_solved_yet", {})
    return rule.target


def may_close(history: tuple[tuple[str, Mapping[str, Any]], ...]) -> bool:
    """Whether the last return visit allows closing: solved by the citizen's own word, or nobody could be reached."""
    visits = [details for act, details in history if act == "visit"]
    return bool(visits) and (visits[-1].get("solved") == "yes" or visits[-1].get("contacted") == "no")


def possible_acts(state: str, role: str) -> list[Rule]:
    """The acts that somebody with `role` may do to a case in `state`, in the order of the table."""
    return [rule for rule in TABLE if rule.state == state and role in rule.roles]
