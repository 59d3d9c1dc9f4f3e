"""Who is next, and how long a caller will wait: pure decisions."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from backend.conversations.rules import (
    DANGER,
    ENOUGH_HANDLED,
    NORMAL,
    REPEATED,
    expected_wait,
    in_order,
    listed,
    may_record,
)

START = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
LANGUAGES, SKILLS = ("zh", "yue", "en"), ("", "URBAN", "HOUSING")


@dataclass(frozen=True)
class Caller:
    """Somebody in the queue."""

    id: str
    language: str = "zh"
    skill: str = ""
    priority: int = NORMAL
    waiting_since: datetime | None = START


callers = st.lists(
    st.builds(
        Caller,
        id=st.uuids().map(str),
        language=st.sampled_from(LANGUAGES),
        skill=st.sampled_from(SKILLS),
        priority=st.sampled_from([NORMAL, REPEATED, DANGER]),
        waiting_since=st.none() | st.integers(0, 600).map(lambda seconds: START + timedelta(seconds=seconds)),
    ),
    unique_by=lambda caller: caller.id,
    max_size=12,
)
tongues = st.lists(st.sampled_from(LANGUAGES), unique=True)
skills = st.lists(st.sampled_from(SKILLS[1:]), unique=True)


@given(callers, tongues, skills)
def test_nobody_is_lost_and_the_order_does_not_depend_on_how_they_are_listed(
    waiting: list[Caller], languages: list[str], known: list[str]
) -> None:
    ordered = in_order(waiting, languages, known)
    assert sorted(ordered, key=lambda one: one.id) == sorted(waiting, key=lambda one: one.id)
    assert in_order(reversed(waiting), languages, known) == ordered


@given(callers, tongues, skills)
def test_a_language_that_the_operator_speaks_comes_first_then_danger_then_the_operators_matters(
    waiting: list[Caller], languages: list[str], known: list[str]
) -> None:
    def rank(one: Caller) -> tuple[bool, bool, bool]:
        foreign = bool(languages) and one.language not in languages
        return foreign, one.priority != DANGER, bool(known and one.skill) and one.skill not in known

    ordered = in_order(waiting, languages, known)
    assert [rank(one) for one in ordered] == sorted(rank(one) for one in ordered)


@given(callers)
def test_of_two_alike_who_has_waited_longer_is_next(waiting: list[Caller]) -> None:
    alike = [Caller(one.id, waiting_since=one.waiting_since or START) for one in waiting]
    since = [one.waiting_since for one in in_order(alike)]
    assert since == sorted(since)  # type: ignore[type-var]  # all are set


def test_who_was_not_helped_lately_is_before_others_who_wait_longer() -> None:
    again = Caller("b", priority=REPEATED, waiting_since=START + timedelta(minutes=2))
    assert in_order([Caller("a"), again]) == [again, Caller("a")]


def test_languages_and_skills_are_read_with_any_comma() -> None:
    assert listed("zh, yue，en") == ("zh", "yue", "en")
    assert listed("") == ()


@given(st.integers(1, 50), st.integers(1, 20), st.lists(st.integers(1, 3600), min_size=ENOUGH_HANDLED, max_size=30))
def test_the_wait_grows_with_the_place_and_shrinks_with_operators(
    place: int, operators: int, handled: list[int]
) -> None:
    spans = [timedelta(seconds=seconds) for seconds in handled]
    minutes = expected_wait(place, operators, spans)
    assert minutes is not None and minutes >= 1
    further, fewer = expected_wait(place + 1, operators, spans), expected_wait(place, operators + 1, spans)
    assert further is not None and further >= minutes
    assert fewer is not None and fewer <= minutes


def test_three_operators_with_six_minutes_a_talk_free_the_second_in_four_minutes() -> None:
    assert expected_wait(2, 3, [timedelta(minutes=6)] * ENOUGH_HANDLED) == 4


def test_without_operators_or_without_enough_talks_nothing_is_foretold() -> None:
    assert expected_wait(1, 0, [timedelta(minutes=6)] * ENOUGH_HANDLED) is None
    assert expected_wait(1, 3, [timedelta(minutes=6)] * (ENOUGH_HANDLED - 1)) is None


def test_a_talk_is_recorded_with_notice_or_with_consent_and_never_without() -> None:
    assert [may_record("off", consent) for consent in (None, False, True)] == [False, False, False]
    assert [may_record("notice", consent) for consent in (None, False, True)] == [True, True, True]
    assert [may_record("consent", consent) for consent in (None, False, True)] == [False, False, True]
