"""The table of a case's life."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.cases.rules import (
    ACTS,
    CONDITIONS,
    FINAL_STATES,
    HOLDERS,
    OPEN_STATES,
    STATES,
    TABLE,
    Refusal,
    Rule,
    Situation,
    decide,
    document,
    holder,
    possible_acts,
    replay,
)
from backend.cases.words import MESSAGES, STATES_EN
from backend.errors import SENTENCES
from backend.settings import ROOT

ROLES = sorted({role for rule in TABLE for role in rule.roles} | {"editor", "auditor"})
FULL: dict[str, Any] = {
    "note": "看过了", "agency": "C-URBAN", "contacted": "yes", "solved": "yes", "satisfied": "yes", "days": "3",
    "reason": "citizen", "route": "court", "into": "26000-00015", "category": "UT", "kind": "report",
    "urgency": "normal", "mark": "red",
}  # fmt: skip
NOW = datetime(2026, 11, 23, 4, tzinfo=UTC)
DAY = timedelta(days=1)


def situation(state: str, *past: tuple[str, dict[str, Any]], **changed: Any) -> Situation:
    """A case in this state for which every condition about time holds, after these acts."""
    usual: dict[str, Any] = {
        "agency": "C-WATER",
        "now": NOW,
        "due_at": NOW + DAY,
        "send_back_until": NOW,
        "unanswered_from": NOW,
    }
    return Situation(state=state, past=past, **(usual | changed))


FITTING: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "no_extension_asked": (("ask_extension", {}),),
    "not_solved_yet": (("visit", {"solved": "yes", "satisfied": "yes"}),),
    "not_solved_by_word": (("visit", {"solved": "yes", "satisfied": "no"}),),
    "citizen_not_asked": (("visit", {"solved": "no"}),),
    "never_with_an_agency": (("sign", {}),),
    "not_under_supervision": (("supervise", {}),),
}
"""For conditions that want something to have happened, what that is."""
BREAKING: dict[str, tuple[tuple[tuple[str, dict[str, Any]], ...], dict[str, Any]]] = {
    "send_back_too_late": ((), {"send_back_until": NOW - DAY}),
    "designation_is_final": ((("designate", {}),), {}),
    "another_agency_wanted": ((), {"agency": "C-URBAN"}),
    "supervisor_designates": ((("send_back", {}), ("send_back", {})), {}),
    "deadline_is_over": ((), {"due_at": NOW}),
    "extended_once": ((("ask_extension", {}), ("refuse_extension", {})), {}),
    "no_extension_asked": ((("ask_extension", {}), ("extend", {})), {}),
    "not_solved_yet": ((("visit", {"solved": "yes", "satisfied": "no"}),), {}),
    "not_solved_by_word": ((("visit", {"solved": "no", "satisfied": "no"}),), {}),
    "citizen_not_asked": ((), {}),
    "still_being_asked": ((), {"unanswered_from": NOW + DAY}),
    "never_with_an_agency": ((), {}),
    "was_with_an_agency": ((("sign", {}),), {}),
    "redone_once": ((("sign", {}), ("redo", {})), {}),
    "not_under_supervision": ((), {}),
}
"""For every condition a past or a fact by which it fails."""


def ready_for(rule: Rule) -> Situation:
    """A case for which all conditions of the row hold."""
    past = tuple(act for condition in rule.conditions for act in FITTING.get(condition, ()))
    return situation(rule.state, *past)


@pytest.mark.parametrize("state", STATES)
def test_every_state_act_and_role_is_allowed_or_refused_as_the_table_says(state: str) -> None:
    for act, role in itertools.product(ACTS, ROLES):
        rows = [rule for rule in TABLE if (rule.state, rule.act) == (state, act)]
        outcome = decide(ready_for(rows[0]) if rows else situation(state), act, role, FULL)
        if rows and role in rows[0].roles:
            assert outcome == rows[0]
        else:
            assert outcome == Refusal("act_not_yours" if rows else "act_not_possible", {})


def test_no_row_is_there_twice() -> None:
    keys = [(rule.state, rule.act) for rule in TABLE]
    assert len(keys) == len(set(keys))


def test_every_row_speaks_of_known_states_acts_conditions_and_messages() -> None:
    for rule in TABLE:
        assert {rule.state, rule.target} <= set(STATES)
        assert rule.act in ACTS
        assert set(rule.conditions) <= set(CONDITIONS)
        assert rule.tells in ("", *MESSAGES.entries)
    assert {rule.act for rule in TABLE} == set(ACTS)
    assert set(CONDITIONS) <= set(SENTENCES.entries)
    assert set(STATES_EN) == set(STATES)


def test_an_act_without_what_it_needs_is_refused_and_says_what_is_missing() -> None:
    for rule in TABLE:
        for need in rule.needs:
            outcome = decide(ready_for(rule), rule.act, sorted(rule.roles)[0], {**FULL, need: ""})
            assert isinstance(outcome, Refusal)
            assert need in outcome.facts["missing"]


@pytest.mark.parametrize(
    ("rule", "condition"),
    [(rule, condition) for rule in TABLE for condition in rule.conditions],
    ids=lambda part: part if isinstance(part, str) else f"{part.state}-{part.act}",
)
def test_each_condition_alone_stops_its_act(rule: Rule, condition: str) -> None:
    others = tuple(act for one in rule.conditions if one != condition for act in FITTING.get(one, ()))
    past, changed = BREAKING[condition]
    case = situation(rule.state, *others, *past, **changed)
    assert decide(case, rule.act, sorted(rule.roles)[0], FULL) == Refusal(condition, {})


def test_who_is_out_of_order_sees_no_button_for_it() -> None:
    asked = situation("visited", ("sign", {}), ("visit", {"solved": "no", "satisfied": "no"}))
    acts = {rule.act for rule in possible_acts(asked, "supervisor")}
    assert "close" not in acts
    assert {"redo", "supervise"} <= acts


def test_every_open_state_has_one_holder_who_can_lead_the_case_on() -> None:
    assert set(HOLDERS) == set(OPEN_STATES) == set(STATES) - FINAL_STATES
    for state, send_backs in itertools.product(OPEN_STATES, range(4)):
        role = holder(state, send_backs)
        assert any(rule.target != state and role in rule.roles for rule in TABLE if rule.state == state)


def test_nothing_leads_out_of_a_final_state() -> None:
    assert not [rule for rule in TABLE if rule.state in FINAL_STATES]


def test_from_every_open_state_every_end_of_the_loop_can_be_reached() -> None:
    for start in OPEN_STATES:
        seen = {start}
        while more := {rule.target for rule in TABLE if rule.state in seen} - seen:
            seen |= more
        assert "closed" in seen or "withdrawn" in seen
        assert "closed" in seen


@given(st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.sampled_from(ROLES)), max_size=60))
def test_any_row_of_acts_leaves_a_state_that_its_history_tells_and_no_closing_without_the_citizen(
    acts: list[tuple[str, str]],
) -> None:
    state = "filed"
    past: list[tuple[str, Any]] = []
    for act, role in acts:
        outcome = decide(situation(state, *past, unanswered_from=None), act, role, FULL)
        if isinstance(outcome, Refusal):
            continue
        assert state not in FINAL_STATES
        past.append((act, FULL))
        state = outcome.target
    assert replay(tuple(act for act, _ in past)) == state
    if state == "closed":
        assert "visit" in [act for act, _ in past]


def test_the_drawing_in_the_documents_is_the_tables_own() -> None:
    assert (ROOT / "docs" / "case-states.md").read_text(encoding="utf-8") == document()
