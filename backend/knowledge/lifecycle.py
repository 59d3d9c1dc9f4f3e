"""The life of a version of an article: a table of plain data that says which act leads where and who may do it. Pure.

No word reaches a citizen without a second pair of eyes: nobody reviews what they wrote themselves.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

STATES = ("draft", "submitted", "returned", "reviewed", "published", "replaced", "retired")
OPEN_STATES = frozenset({"draft", "submitted", "returned", "reviewed"})
"""States of a version that is still on its way to the citizen; only the newest version of an article can be in one."""


@dataclass(frozen=True)
class Rule:
    """One row of the table: in `state`, `act` leads to `target` when `who` does it, with a note if it needs one."""

    state: str
    act: str
    target: str
    who: Literal["author", "another", "anybody"]
    needs_note: bool = False


TABLE: tuple[Rule, ...] = (
    Rule("draft", "submit", "submitted", "author"),
    Rule("submitted", "approve", "reviewed", "another"),
    Rule("submitted", "send_back", "returned", "another", needs_note=True),
    Rule("reviewed", "publish", "published", "anybody"),
    *(
        Rule(state, "retire", "retired", "anybody", needs_note=True)
        for state in ("draft", "submitted", "returned", "reviewed", "published")
    ),
)

ACTS = tuple(dict.fromkeys(rule.act for rule in TABLE))


@dataclass(frozen=True)
class Refusal:
    """Why an act is not done: a code of errors.yml and its status."""

    code: str
    status: int


def decide(state: str, act: str, is_author: bool, note: str) -> str | Refusal:
    """The state that `act` leads a version to, or why it is refused."""
    rules = [rule for rule in TABLE if rule.state == state and rule.act == act]
    if not rules:
        return Refusal("version_moved", 409)
    rule = rules[0]
    if rule.who == "author" and not is_author:
        return Refusal("only_its_author", 403)
    if rule.who == "another" and is_author:
        return Refusal("second_pair_of_eyes", 403)
    if rule.needs_note and not note:
        return Refusal("reason_missing", 422)
    return rule.target


def possible_acts(state: str, is_author: bool) -> list[Rule]:
    """The acts that somebody may do to a version in `state`, in the order of the table."""
    others = "another" if is_author else "author"
    return [rule for rule in TABLE if rule.state == state and rule.who != others]


def standing(states: Mapping[int, str]) -> int:
    """Which version (number -> state) stands in the article: the published one, else the newest."""
    published = [number for number, state in states.items() if state == "published"]
    return published[0] if published else max(states)


def state_of_article(states: Iterable[str]) -> str:
    """What state an article with versions in these states, oldest first, is in: draft, reviewed, published or retired."""
    *_, newest = every = tuple(states)
    if "published" in every:
        return "published"
    return newest if newest in ("reviewed", "retired") else "draft"
