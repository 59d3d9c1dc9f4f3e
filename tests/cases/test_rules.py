"""The table of a case's life."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.cases.rules import ACTS, FINAL_STATES, STATES, TABLE, Refusal, decide, possible_acts

ROLES = sorted({role for rule in TABLE for role in rule.roles})
FULL: dict[str, Any] = {
    "note": "看过了", "agency": "C-URBAN", "contacted": "yes", "solved": "yes", "satisfied": "yes",
}  # fmt: skip
SOLVED = (("visit", {"contacted": "yes", "solved": "yes"}),)


@pytest.mark.parametrize(("state", "act", "role"), list(itertools.product(STATES, ACTS, ROLES)))
def test_every_state_act_and_role_is_allowed_or_refused_as_the_table_says(state: str, act: str, role: str) -> None:
    rows = [rule for rule in TABLE if (rule.state, rule.act) == (state, act)]
    outcome = decide(state, act, role, FULL, SOLVED)
    if rows and role in rows[0].roles:
        assert outcome == rows[0].target
    else:
        assert isinstance(outcome, Refusal)


def test_no_row_is_there_twice() -> None:
    keys = [(rule.state, rule.act) for rule in TABLE]
    assert len(keys) == len(set(keys))


def test_every_row_speaks_of_known_states_and_acts() -> None:
    for rule in TABLE:
        assert {rule.state, rule.target} <= set(STATES)
        assert rule.act in ACTS


@pytest.mark.parametrize("rule", [rule for rule in TABLE if rule.needs], ids=lambda rule: f"{rule.state}-{rule.act}")
def test_an_act_without_what_it_needs_is_refused_and_says_what_is_missing(rule: Any) -> None:
    for need in rule.needs:
        outcome = decide(rule.state, rule.act, sorted(rule.roles)[0], {**FULL, need: ""}, SOLVED)
        assert isinstance(outcome, Refusal)
        assert need in outcome.facts["missing"]


def test_a_case_can_not_be_closed_before_the_citizen_was_asked() -> None:
    assert isinstance(decide("replied", "close", "supervisor", FULL), Refusal)
    assert isinstance(decide("visited", "close", "supervisor", FULL), Refusal)


def test_a_case_can_not_be_closed_against_the_citizens_word() -> None:
    unsolved = (("visit", {"contacted": "yes", "solved": "no"}),)
    assert decide("visited", "close", "supervisor", FULL, unsolved) == Refusal("not_solved_yet", {})


def test_a_case_can_be_closed_when_nobody_could_be_reached() -> None:
    assert decide("visited", "close", "supervisor", FULL, (("visit", {"contacted": "no", "solved": "no"}),)) == "closed"


@given(st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.sampled_from(ROLES)), max_size=40))
def test_any_row_of_acts_leaves_a_case_in_a_known_state_and_never_leaves_a_final_one(
    acts: list[tuple[str, str]],
) -> None:
    state = "filed"
    history: list[tuple[str, Any]] = []
    for act, role in acts:
        outcome = decide(state, act, role, FULL, tuple(history))
        if isinstance(outcome, Refusal):
            continue
        assert state not in FINAL_STATES
        history.append((act, FULL))
        state = outcome
        assert state in STATES
    if state == "closed":
        assert "visit" in [act for act, _ in history]


def test_from_every_open_state_somebody_can_do_something() -> None:
    for state in set(STATES) - FINAL_STATES:
        assert any(rule.act != "add" for role in ROLES for rule in possible_acts(state, role))
