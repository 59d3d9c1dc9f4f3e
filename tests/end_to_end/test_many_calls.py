"""Calls of all kinds, to the real processes, by a caller that shares no code with the line: none ends in nothing.

The calls are in calls.yml. Each is made as it stands, and again with what goes wrong on a telephone: silence and bad
recognition before every answer, every webhook sent twice, and the receiver put down after each step.
"""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import select

from backend.cases.models import Case, Repeat
from backend.conversations.models import Conversation, Turn
from backend.database import Database
from ivr.models import Call
from tests.caller import Caller
from tests.end_to_end.conftest import need_bot
from tests.running_line import SECRETS, RunningLine

SCRIPTS: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("calls.yml").read_text(encoding="utf-8"))
TOLD = frozenset({"answer", "clarify", "solved", "unsolved"})
AT_ONCE = 4
NUMBERS = itertools.count(1)
"""Everybody calls from a telephone of their own; the same complaint from the same number would be the same case."""

Act = str | dict[str, Any]


def play(line: RunningLine, acts: Sequence[Act], twice: bool = False) -> Caller:
    """Make one call. Acts that are left when the line has ended it are not done."""
    number = f"+86139{next(NUMBERS):08d}"
    caller = Caller(line.base_url, SECRETS["TWILIO_AUTH_TOKEN"], number=number).dial()
    for act in acts:
        if caller.state == "over":
            break
        do(caller, act)
        if twice and caller.state != "over":
            assert caller.send_again() == caller.send_again()
    if caller.state != "over":
        caller.hang_up()
    return caller


def do(caller: Caller, act: Act) -> None:
    """One thing that a caller does; a message is spoken only where there was a tone, and what else is said there is one."""
    if act == "hang_up":
        caller.hang_up()
    elif caller.state == "recording":
        caller.keep_silent() if act == "silence" else caller.speak_message()
    elif act == "silence" or (isinstance(act, dict) and "message" in act):
        caller.keep_silent()
    elif isinstance(act, dict) and "key" in act:
        caller.press(act["key"])
    elif isinstance(act, dict):
        caller.say(act["unclear"], confidence=0.1)
    else:
        caller.say(act)


def ends(line: RunningLine, caller: Caller) -> set[str]:
    """What came of the call, from the record: an answer was told, a case filed, a message recorded, a person promised (an
    operator, a call back, or the emergency service's number)."""
    record = Database(line.database_url)
    with record.read() as session:
        call = session.get_one(Call, caller.sid)
        turns = session.scalars(select(Turn).where(Turn.conversation_id == call.conversation_id)).all()
        cases = session.scalars(select(Case).where(Case.conversation_id == call.conversation_id)).all()
        joined = session.scalars(select(Repeat).where(Repeat.conversation_id == call.conversation_id)).all()
        found = {"case"} if cases or joined else set()
        found |= {"recording"} if any(case.recording_url for case in cases) else set()
        found |= {"answer"} if any(turn.act in TOLD for turn in turns) else set()
        found |= {"person"} if any(turn.act in ("danger", "handoff") for turn in turns) else set()
        conversation = session.get_one(Conversation, call.conversation_id)
        found |= {"person"} if conversation.state == "waiting" and conversation.callback_at else set()
        found |= {"nothing_said"} if not any(turn.speaker == "citizen" for turn in turns) else set()
        found |= {"declined"} if any("不登记" in turn.text for turn in turns) else set()
        found |= {"farewell"} if any(turn.act == "end" for turn in turns) else set()
    record.close()
    return found


def each(line: RunningLine, calls: Sequence[tuple[str, Sequence[Act], bool]]) -> Iterator[tuple[str, set[str], Caller]]:
    """Make the calls, several at once, and tell what came of each."""
    with ThreadPoolExecutor(AT_ONCE) as callers:
        made = [(who, callers.submit(play, line, acts, twice)) for who, acts, twice in calls]
        for who, call in made:
            yield who, ends(line, call.result()), call.result()


def told(what: str, script: dict[str, Any]) -> str:
    return f"{what}: {script['who']}: {script['does']}"


@pytest.mark.parametrize("twice", [False, True], ids=["once", "every-webhook-twice"])
def test_every_call_ends_in_what_its_caller_needed(line: RunningLine, twice: bool) -> None:
    calls = [(told("as it stands", script), script["does"], twice) for script in SCRIPTS]
    wanted = {told("as it stands", script): set(script["ends"]) for script in SCRIPTS}
    missed = [(who, found) for who, found, _ in each(line, calls) if not found & wanted[who]]
    assert not missed, "\n".join(f"{who} -> {found}" for who, found in missed)


def test_every_call_over_a_stream_ends_as_it_does_without(tmp_path_factory: pytest.TempPathFactory) -> None:
    need_bot()
    scripts = [script for script in SCRIPTS if not QUIET & {word_of(act) for act in script["does"]}]
    with RunningLine(tmp_path_factory.mktemp("streams"), settings={"CONVERSATION_MODE": "relay"}) as line:
        calls = [(told("over a stream", script), script["does"], False) for script in scripts]
        wanted = {told("over a stream", script): set(script["ends"]) for script in scripts}
        missed = [(who, found) for who, found, _ in each(line, calls) if not found & wanted[who]]
    assert not missed, "\n".join(f"{who} -> {found}" for who, found in missed)


QUIET = {"silence", "unclear"}
"""What takes real seconds on a stream, where the line waits for the caller itself, or has no counterpart there
(tests/ivr/test_relay.py has both)."""


def word_of(act: Act) -> str:
    return act if isinstance(act, str) else next(iter(act))


def test_a_call_disturbed_before_every_answer_still_ends_in_something(line: RunningLine) -> None:
    calls: list[tuple[str, Sequence[Act], bool]] = []
    for script in SCRIPTS:
        for disturbance in ("silence", {"unclear": "沙沙"}):
            disturbed = [act for wanted in script["does"] for act in (disturbance, wanted)]
            calls.append((told(f"disturbed by {disturbance}", script), disturbed, False))
    missed = [(who, found) for who, found, _ in each(line, calls) if not found]
    assert missed == []


def test_a_receiver_put_down_after_any_step_leaves_nothing_open_and_nothing_lost(line: RunningLine) -> None:
    calls: list[tuple[str, Sequence[Act], bool]] = []
    for script in SCRIPTS:
        for left in range(1, len(script["does"])):
            calls.append((told(f"put down after {left}", script), [*script["does"][:left], "hang_up"], False))
    lost = [who for who, found, _ in each(line, calls) if not found]
    assert lost == []
