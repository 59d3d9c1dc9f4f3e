"""Root issues as people and the clock work them, on SQLite and PostgreSQL: grouping, one reply to all, undoing; and what
neighbours are told."""

from contextlib import suppress
from datetime import date
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select

from backend.cases import neighbours, roots, service
from backend.cases.models import Case
from backend.cases.places import Place
from backend.cases.root_models import KeptApart, RootIssue, RootMember
from backend.cases.root_rules import TO_THE_ANSWER, Member, contradiction, fitting
from backend.cases.roots import Step
from backend.cases.rules import FINAL_STATES, RULES
from backend.cases.service import Actor, Filing
from backend.cases.sweep import sweep
from backend.database import Database
from backend.errors import Refused
from backend.knowledge.service import Knowledge
from backend.outbox import OutgoingMessage
from tests.conftest import StandingClock

DESK = Actor("dispatcher")
OWNER = Actor("agency", agency_code="C-WATER")
CONTENT = {"contacted": "yes", "solved": "yes", "satisfied": "yes"}
WATER = "小区停水两天了，一直没有人来修"


class Line:
    """A record with neighbours who report, and people who group what they have reported."""

    citizens = count(1)  # nobody files twice, in no test

    def __init__(self, database: Database, clock: StandingClock) -> None:
        self.database, self.clock = database, clock

    def file(self, what: str = WATER, place: str = "阳光花园3号楼", contact: str = "") -> str:
        filing = Filing(what=what, place=place, contact=contact or f"+86138{next(self.citizens):08d}")
        with self.database.write() as session:
            return service.file_case(session, Knowledge(), filing, Actor("bot"), self.clock(), "shandong").number

    def several(self, many: int = 3, **of: Any) -> list[str]:
        return [self.file(**of) for _ in range(many)]

    def do(self, verb: Any, *given: Any, actor: Actor = DESK, **more: Any) -> int:
        with self.database.write() as session:
            root: RootIssue = verb(session, *given, actor=actor, now=self.clock(), **more)
            return root.id

    def opened(self, numbers: list[str], **more: Any) -> int:
        return self.do(roots.open_root_issue, "阳光花园停水", numbers, **more)

    def refused(self, verb: Any, *given: Any, **more: Any) -> str:
        with pytest.raises(Refused) as refusal:
            self.do(verb, *given, **more)
        refusal.value.sentence("zh"), refusal.value.sentence("en")
        return refusal.value.code

    def act(self, number: str, act: str, actor: Actor, **details: Any) -> None:
        with self.database.write() as session:
            service.act_on(session, number, act, actor, details, self.clock())

    def members(self, root_id: int) -> list[str]:
        with self.database.read() as session:
            return [case.number for case in roots.current(session, roots.get_root(session, root_id))]

    def root(self, root_id: int) -> RootIssue:
        with self.database.read() as session:
            root = roots.get_root(session, root_id)
            assert [event.number for event in root.history] == list(range(1, root.acts + 1))
            return root

    def root_steps(self, root_id: int) -> list[int]:
        with self.database.read() as session:
            return [step.id for step in roots.get_root(session, root_id).steps]

    def states(self, numbers: list[str]) -> list[str]:
        with self.database.read() as session:
            return [service.get_case(session, number).state for number in numbers]

    def texts(self, number: str) -> list[str]:
        with self.database.read() as session:
            rows = session.scalars(select(OutgoingMessage).order_by(OutgoingMessage.id))
            return [row.body["text"] for row in rows if number in row.body["text"]]

    def sweep(self) -> None:
        sweep(self.database, self.clock, "k" * 32, "https://line.example")


@pytest.fixture
def line(database: Database, clock: StandingClock) -> Line:
    return Line(database, clock)


# --- the rules ------------------------------------------------------------------------------------------------------


def test_every_way_to_the_one_answer_is_a_row_of_acts_of_the_table() -> None:
    for by_owner, ways in TO_THE_ANSWER.items():
        for state, acts in ways.items():
            for act in acts:
                assert ("agency" if by_owner else "dispatcher") in RULES[state, act].roles
                state = RULES[state, act].target
            assert state == "replied"


def member(number: int, community: str = "") -> Member:
    return Member(number, f"{number:05d}", Place("明湖区", "", community))


def test_a_like_b_and_b_like_c_do_not_make_a_and_c_one() -> None:
    a, b, c = member(1, "甲园"), member(2), member(3, "乙园")
    assert contradiction([a, b], set()) is None
    assert contradiction([b, c], set()) is None
    found = contradiction([a, b, c], set())
    assert found is not None
    assert (found.one.id, found.other.id, found.said) == (1, 3, False)
    said = contradiction([member(1), b, member(3)], {(1, 3)})
    assert said is not None
    assert said.said


@given(
    st.lists(st.sampled_from(["", "甲园", "乙园", "丙园"]), max_size=12),
    st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda pair: pair[0] < pair[1]), max_size=12),
)
def test_what_is_offered_together_never_contradicts_and_nothing_that_fits_is_left_out(
    places: list[str], apart: set[tuple[int, int]]
) -> None:
    candidates = [member(at, place) for at, place in enumerate(places)]
    taken = fitting([], candidates, apart)
    assert contradiction(taken, apart) is None
    for left in candidates:
        if left not in taken:
            assert contradiction([*taken, left], apart) is not None


# --- grouping -------------------------------------------------------------------------------------------------------


def test_cases_are_grouped_and_each_citizen_hears_it_without_a_word_of_the_others(line: Line) -> None:
    numbers = line.several()
    root = line.opened(numbers)
    assert (line.members(root), line.root(root).place) == (numbers, "阳光花园")
    for number in numbers:
        assert "与其他市民" in line.texts(number)[-1]
        assert not any(other in text for other in numbers if other != number for text in line.texts(number))


def test_a_case_is_in_one_root_issue_at_most_and_not_after_its_end(line: Line) -> None:
    one, two, three, four, gone = line.several(5)
    line.act(gone, "withdraw", Actor("citizen"))
    root = line.opened([one, two])
    other = line.opened([three, four])
    assert line.refused(roots.join, root, [three]) == "root_has_case_already"
    assert line.refused(roots.join, root, [gone]) == "root_case_has_ended"
    assert line.refused(roots.open_root_issue, "停水", [gone]) == "root_needs_two"
    assert line.refused(roots.absorb, root, root, note="x") == "root_into_itself"
    assert line.members(other) == [three, four]


def test_two_places_are_one_matter_only_for_a_reason(line: Line) -> None:
    here, nowhere, there = line.file(), line.file(place=""), line.file(place="望月社区")
    root = line.opened([here, nowhere])
    assert line.refused(roots.join, root, [there]) == "root_two_places"
    line.do(roots.join, root, [there], note="同一条供水主管")
    assert line.root(root).place == "云水区望月街道"


def test_what_was_split_off_never_comes_back_through_a_third(line: Line) -> None:
    one, two, three, four = line.several(4)
    root = line.opened([one, two, three])
    assert line.refused(roots.split, root, [three], note="") == "root_reason"
    line.do(roots.split, root, [three], note="是自家水管的事")
    assert "单独办理" in line.texts(three)[-1]
    other = line.opened([three, four])
    assert line.refused(roots.join, root, [three]) in ("root_has_case_already", "root_kept_apart")
    assert line.refused(roots.absorb, other, root, note="都是停水") == "root_kept_apart"
    assert line.refused(roots.undo, root, 2, note="看错了") == "root_not_undoable"  # it is elsewhere by now
    line.do(roots.undo, other, 1, note="看错了")
    line.do(roots.undo, root, 2, note="看错了")
    assert line.members(root) == [one, two, three]


def test_only_who_may_do_it_does_it(line: Line) -> None:
    numbers = line.several()
    root = line.opened(numbers[:2])
    for actor in (Actor("reviewer"), OWNER, Actor("operator")):
        assert line.refused(roots.split, root, numbers[:1], note="x", actor=actor) == "not_allowed"
        assert line.refused(roots.reply, root, note="x", actor=actor) == "not_allowed"
    line.do(roots.assign, root, "C-WATER")
    line.do(roots.plan, root, [Step("换管", date(2026, 12, 1))], actor=OWNER)
    assert line.refused(roots.assign, root, "C-URBAN", actor=OWNER) == "not_allowed"
    assert line.refused(roots.assign, root, "C-NONE") == "unknown_agency"
    assert line.refused(roots.join, 4711, numbers[2:]) == "root_not_found"


# --- owner, plan, one reply -----------------------------------------------------------------------------------------


def test_one_reply_reaches_all_each_is_asked_alone_and_the_last_ends_the_issue(line: Line) -> None:
    numbers = line.several()
    root = line.opened(numbers)
    assert line.refused(roots.send, root) == "root_without_owner"
    line.do(roots.assign, root, "C-WATER")
    line.do(roots.send, root)
    assert line.states(numbers) == ["dispatched"] * 3
    line.do(roots.plan, root, [Step("查漏", date(2026, 11, 25)), Step("换主管", date(2026, 12, 2))], actor=OWNER)
    assert "2026年12月2日前完成“换主管”" in line.texts(numbers[0])[-1]
    line.do(roots.finish_step, root, line.root_steps(root)[0], actor=OWNER)
    line.act(numbers[0], "sign", OWNER)
    line.do(roots.reply, root, note="主管已更换，恢复供水", actor=OWNER)
    assert line.states(numbers) == ["replied"] * 3
    for number in numbers:
        assert sum("主管已更换" in text for text in line.texts(number)) == 1
    for number in numbers[:2]:
        line.act(number, "visit", Actor("citizen"), **CONTENT)
        line.sweep()
    assert line.refused(roots.close, root) == "root_has_open_cases"
    assert line.root(root).state == "open"
    line.act(numbers[2], "visit", Actor("citizen"), **CONTENT)
    line.sweep()
    assert (line.states(numbers), line.root(root).state) == (["closed"] * 3, "closed")
    assert line.refused(roots.undo, root, 1, note="x") == "root_has_ended"


def test_who_is_with_another_agency_is_told_and_goes_on_there(line: Line) -> None:
    mine, elsewhere, answered = line.several()
    root = line.opened([mine, elsewhere, answered])
    for number, agency in ((mine, "C-WATER"), (elsewhere, "C-URBAN"), (answered, "C-WATER")):
        line.act(number, "accept", DESK)
        line.act(number, "dispatch", DESK, agency=agency)
    line.act(answered, "sign", OWNER)
    line.act(answered, "reply", OWNER, note="已派人")
    line.do(roots.assign, root, "C-WATER")
    line.do(roots.reply, root, note="已恢复供水", actor=OWNER)
    assert line.states([mine, elsewhere, answered]) == ["replied", "dispatched", "replied"]
    assert "统一答复：已恢复供水" in line.texts(elsewhere)[-1]
    assert line.root(root).history[-1].details == {"replied": [mine], "told": [elsewhere, answered]}


def test_the_desk_answers_what_no_agency_has_and_nothing_else(line: Line) -> None:
    numbers = line.several(2)
    root = line.opened(numbers)
    line.do(roots.reply, root, note="计划检修，今晚八点来水")
    assert line.states(numbers) == ["replied"] * 2
    assert line.refused(roots.reply, root, note="再说一次") == "root_nobody_to_reply"
    assert not [text for text in line.texts(numbers[0]) if "再说一次" in text]


def test_a_refused_act_changes_nothing(line: Line) -> None:
    one, two, there = line.file(), line.file(), line.file(place="望月社区")
    root = line.opened([one, two])
    before = len(line.texts(there))
    line.refused(roots.join, root, [there])
    assert (line.members(root), len(line.texts(there)), line.root(root).acts) == ([one, two], before, 1)


# --- undoing --------------------------------------------------------------------------------------------------------


def test_a_merge_of_two_issues_is_undone_and_both_are_as_before(line: Line) -> None:
    numbers = line.several(4)
    one, two = line.opened(numbers[:2]), line.opened(numbers[2:])
    line.do(roots.absorb, two, one, note="同一处")
    assert (line.members(one), line.members(two), line.root(two).state) == (numbers, [], "merged")
    line.do(roots.undo, one, 2, note="两栋楼各有水表")
    assert (line.members(one), line.members(two), line.root(two).state) == (numbers[:2], numbers[2:], "open")
    assert line.refused(roots.undo, one, 2, note="再来") == "root_not_undoable"
    assert line.root(one).history[-1].note == "两栋楼各有水表"


def test_owner_and_plan_go_back_to_what_they_were(line: Line) -> None:
    root = line.opened(line.several(2))
    line.do(roots.assign, root, "C-URBAN")
    line.do(roots.assign, root, "C-WATER")
    line.do(roots.plan, root, [Step("甲", date(2026, 12, 1))])
    line.do(roots.plan, root, [Step("乙", date(2026, 12, 2))])
    assert line.refused(roots.undo, root, 2, note="x") == "root_not_undoable"  # a later owner stands on it
    line.do(roots.undo, root, 3, note="水务局说不归他们")
    line.do(roots.undo, root, 5, note="太晚")
    with line.database.read() as session:
        found = roots.get_root(session, root)
        assert (found.owner_code, [step.what for step in found.steps]) == ("C-URBAN", ["甲"])


def test_an_answer_is_not_taken_back_nor_the_opening_after_it(line: Line) -> None:
    root = line.opened(line.several(2))
    line.do(roots.reply, root, note="今晚来水")
    for number in (1, 2):
        assert line.refused(roots.undo, root, number, note="x") == "root_not_undoable"


# --- neighbours -----------------------------------------------------------------------------------------------------


def offered(line: Line, what: str, place: str, contact: str | None = None) -> Any:
    with line.database.read() as session:
        return neighbours.offer(session, what, place, contact, line.clock())


def test_who_files_is_told_how_many_and_where_from_three_citizens_on(line: Line) -> None:
    line.file(contact="+8613900000001")
    line.file(contact="+8613900000002")
    assert offered(line, "停水两天，没有人来修", "阳光花园8号楼") is None
    line.file(contact="+8613900000003")
    found = offered(line, "停水两天，没有人来修", "阳光花园8号楼")
    assert (found.citizens, found.place) == (3, "阳光花园")
    assert offered(line, "停水两天，没有人来修", "阳光花园", "+8613900000003") is None  # their own is no neighbour's
    assert offered(line, "停水两天，没有人来修", "望月社区") is None
    assert offered(line, "停水两天，没有人来修", "云水区") is None
    assert offered(line, "楼道灯坏了没人换", "阳光花园8号楼") is None


def test_an_old_or_ended_matter_is_offered_to_nobody(line: Line, clock: StandingClock) -> None:
    numbers = line.several(4)
    line.act(numbers[0], "withdraw", Actor("citizen"))
    line.act(numbers[1], "withdraw", Actor("citizen"))
    assert offered(line, WATER, "阳光花园") is None
    line.several(2)
    assert offered(line, WATER, "阳光花园").citizens == 4
    clock.advance(days=31)
    assert offered(line, WATER, "阳光花园") is None


@pytest.mark.parametrize("together", [True, False])
def test_yes_files_an_own_case_in_the_issue_and_no_files_it_alone(line: Line, together: bool) -> None:
    root = line.opened(line.several())
    filing = Filing(what=WATER, place="阳光花园8号楼", contact="+8613911111111", key="k1")
    for _ in range(2):  # a filing repeated is one case, and joins once
        with line.database.write() as session:
            case = neighbours.file_with_answer(
                session, Knowledge(), filing, together, Actor("bot"), line.clock(), "shandong"
            )
    assert (case.number in line.members(root)) == together
    assert len(line.members(root)) == 3 + together
    with line.database.read() as session:
        notes = [event.details.get("note") for event in service.get_case(session, case.number).history]
    assert notes[1] == f"市民说明与邻居反映的{'是' if together else '不是'}同一件事（3人，阳光花园）"


def test_what_was_joined_to_a_case_is_no_new_case_and_no_new_note_when_it_is_sent_again(line: Line) -> None:
    line.opened(line.several())
    citizen = "+8613911111111"
    number = line.file(place="阳光花园8号楼", contact=citizen)
    again = Filing(what=WATER, place="阳光花园8号楼", contact=citizen, key="k2")

    def file_again() -> tuple[str, int]:
        with line.database.write() as session:
            case = neighbours.file_with_answer(
                session, Knowledge(), again, True, Actor("bot"), line.clock(), "shandong"
            )
            return case.number, len(case.history)

    joined = file_again()
    assert joined[0] == number
    assert file_again() == joined
    line.act(number, "withdraw", Actor("citizen"))
    assert file_again() == (number, joined[1] + 1)


def test_a_reply_to_many_reaches_all_batch_by_batch_and_nothing_comes_between(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roots, "BATCH", 2)
    numbers = line.several(7)
    root = line.opened(numbers)
    line.do(roots.assign, root, "C-WATER")
    line.do(roots.send, root)
    assert line.states(numbers).count("dispatched") == 2
    assert line.refused(roots.reply, root, actor=OWNER, note="已修复") == "root_busy"
    line.sweep()
    assert line.states(numbers) == ["dispatched"] * 7
    line.do(roots.reply, root, actor=OWNER, note="已修复")
    assert line.states(numbers).count("replied") == 2
    for verb, what in ((roots.close, ()), (roots.assign, ("C-URBAN",)), (roots.undo, (1,))):
        assert line.refused(verb, root, *what, note="停水") == "root_busy"
    line.act(numbers[-1], "withdraw", Actor("citizen"))
    line.sweep()
    assert line.states(numbers) == ["replied"] * 6 + ["withdrawn"]
    assert [len([text for text in line.texts(number) if "已修复" in text]) for number in numbers] == [1] * 6 + [0]
    reply = line.root(root).history[-1]
    assert (reply.details, reply.waiting) == ({"replied": numbers[:-1], "told": []}, 0)
    line.sweep()
    assert line.root(root).state == "open"  # its citizens are asked first


def test_dispatchers_are_offered_only_what_can_be_together(line: Line) -> None:
    first, second, third, new = line.several(4)
    there = line.file(place="望月社区")
    root = line.opened([first, second])
    with line.database.read() as session:
        found = neighbours.propose(session, service.get_case(session, new), line.clock())
        assert [issue.id for issue, _ in found.issues] == [root]
        assert [near.case.number for near in found.cases] == [third]
    line.do(roots.join, root, [new])
    line.do(roots.split, root, [new], note="自家的事")
    with line.database.read() as session:
        found = neighbours.propose(session, service.get_case(session, new), line.clock())
        assert (found.issues, there in [near.case.number for near in found.cases]) == ([], False)


# --- any acts by anybody --------------------------------------------------------------------------------------------


class AnyGrouping(RuleBasedStateMachine):
    """Whatever dispatchers, agencies, citizens and the clock do, in any order: a case is in one issue at most; no issue ends
    before its cases; nobody who was kept apart comes together; and undoing the last act gives back what was before it."""

    line: Line

    @initialize()
    def begin(self) -> None:
        self.cases = [self.line.file(place=place) for place in ("阳光花园1号楼", "阳光花园", "", "望月社区", "", "")]
        self.roots = [self.line.opened(self.cases[:2])]

    def tried(self, verb: Any, *given: Any, **more: Any) -> bool:
        try:
            found = self.line.do(verb, *given, **more)
        except Refused as refusal:
            assert refusal.sentence("zh")
            return False
        if found not in self.roots:
            self.roots.append(found)
        return True

    chosen = st.lists(st.integers(0, 5), min_size=1, max_size=4)
    which = st.integers(0, 3)

    def at(self, number: int) -> int:
        return self.roots[number % len(self.roots)]

    def numbers(self, chosen: list[int]) -> list[str]:
        return [self.cases[at] for at in chosen]

    def snapshot(self, root_id: int) -> Any:
        with self.line.database.read() as session:
            members = session.execute(
                select(RootMember.root_id, RootMember.case_id).where(RootMember.left_at.is_(None))
            ).all()
            apart = session.execute(select(KeptApart.one_id, KeptApart.other_id)).all()
            steps = [(step.what, step.due_on) for step in roots.get_root(session, root_id).steps]
            states = session.execute(select(RootIssue.id, RootIssue.state, RootIssue.owner_code)).all()
            return sorted(map(tuple, members)), sorted(map(tuple, apart)), steps, sorted(map(tuple, states))

    @rule(chosen=chosen, why=st.sampled_from(["", "同一主管"]))
    def open(self, chosen: list[int], why: str) -> None:
        self.tried(roots.open_root_issue, "停水", self.numbers(chosen), note=why)

    @rule(
        which=which,
        other=which,
        chosen=chosen,
        verb=st.sampled_from(["join", "split", "absorb", "assign", "plan"]),
        agency=st.sampled_from(["C-WATER", "C-URBAN"]),
        day=st.integers(1, 28),
        undo=st.booleans(),
    )
    def act(self, which: int, other: int, chosen: list[int], verb: str, agency: str, day: int, undo: bool) -> None:
        root, numbers = self.at(which), self.numbers(chosen)
        given: dict[str, tuple[Any, ...]] = {
            "join": (root, numbers),
            "split": (root, numbers),
            "absorb": (self.at(other), root),
            "assign": (root, agency),
            "plan": (root, [Step("换管", date(2026, 12, day))]),
        }
        before = self.snapshot(root)
        note = {} if verb == "plan" else {"note": "说明"}
        if self.tried(getattr(roots, verb), *given[verb], **note) and undo:
            assert self.tried(roots.undo, root, self.line.root(root).acts, note="撤销")
            assert self.snapshot(root) == before

    @rule(which=which, back=st.integers(0, 5))
    def undo(self, which: int, back: int) -> None:
        root = self.at(which)
        self.tried(roots.undo, root, self.line.root(root).acts - back, note="撤销")

    @rule(which=which, by=st.sampled_from([DESK, OWNER, Actor("agency", agency_code="C-URBAN")]))
    def reply(self, which: int, by: Actor) -> None:
        self.tried(roots.send, self.at(which))
        self.tried(roots.reply, self.at(which), note="已恢复", actor=by)

    @rule(which=which)
    def close(self, which: int) -> None:
        self.tried(roots.close, self.at(which))

    @rule(at=st.integers(0, 5), act=st.sampled_from(["visit", "withdraw"]))
    def citizen(self, at: int, act: str) -> None:
        with suppress(Refused):
            self.line.act(self.cases[at], act, Actor("citizen"), **CONTENT)

    @rule(hours=st.integers(0, 100))
    def time_passes(self, hours: int) -> None:
        self.line.clock.advance(hours=hours)
        self.line.sweep()

    @invariant()
    def grouping_holds(self) -> None:
        with self.line.database.read() as session:
            apart = {(one, other) for one, other in session.execute(select(KeptApart.one_id, KeptApart.other_id))}
            seen: set[int] = set()
            for root in session.scalars(select(RootIssue).where(RootIssue.id.in_(self.roots))):
                cases: list[Case] = roots.current(session, root)
                ids = {case.id for case in cases}
                assert not ids & seen
                seen |= ids
                assert not [pair for pair in apart if pair[0] in ids and pair[1] in ids]
                if root.state == "closed":
                    assert all(case.state in FINAL_STATES for case in cases)
                if root.state in ("merged", "undone"):
                    assert not cases


def test_any_grouping_by_anybody_keeps_what_it_promises(sqlite_url: str) -> None:
    database = Database(sqlite_url)

    class Machine(AnyGrouping):
        def __init__(self) -> None:
            super().__init__()
            self.line = Line(database, StandingClock())

    Machine.TestCase.settings = settings(
        max_examples=5, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
    )
    Machine.TestCase("runTest").runTest()
    database.close()
