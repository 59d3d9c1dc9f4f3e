"""After a talk: what came of it must be said before the next one."""

import pytest

from backend.conversations import offers, presence, service, wrap_up
from backend.conversations.models import Conversation, Offer
from backend.directory.models import Staff
from backend.errors import Refused
from tests.conversations.test_offers import Town, town  # noqa: F401  # a fixture


def talk_over(town: Town, by_citizen: bool = False) -> str:  # noqa: F811
    """`first` has had a chat, which is over."""
    conversation_id = town.citizen()
    with town.database.write() as session:
        found, staff = session.get_one(Conversation, conversation_id), town.staff(session, "first")
        service.take(session, found, staff, town.clock())
        service.close(session, found, town.clock(), None if by_citizen else staff)
    return conversation_id


@pytest.mark.parametrize("by_citizen", [True, False])
def test_after_a_talk_nothing_is_offered_or_taken_until_its_outcome_is_known(
    town: Town,  # noqa: F811
    by_citizen: bool,
) -> None:
    town.ready("first")
    over = talk_over(town, by_citizen)
    assert town.presence("first") == ("wrap_up", "")
    waits = town.citizen()
    town.deal()
    assert town.offered() == []
    with town.database.write() as session, pytest.raises(Refused, match="wrap_up_first"):
        service.take(session, session.get_one(Conversation, waits), town.staff(session, "first"), town.clock())
    with town.database.write() as session:
        found, staff = session.get_one(Conversation, over), town.staff(session, "first")
        with pytest.raises(Refused, match="outcome_missing"):
            wrap_up.finish(session, found, staff, "sunshine", town.clock())
        wrap_up.finish(session, found, staff, "answered", town.clock())
    assert town.presence("first") == ("ready", "")
    town.deal()
    assert town.offered() == [("first", "open")]


def test_at_after_call_work_somebody_is_at_work_but_is_offered_nothing(town: Town) -> None:  # noqa: F811
    town.ready("first")
    with town.database.write() as session:
        presence.set_presence(session, town.staff(session, "first"), "wrap_up", town.clock())
    town.citizen()
    town.deal()
    with town.database.read() as session:
        assert session.query(Offer).count() == 0
        assert service.operators_for(session, "zh", town.clock())
        assert offers.ready_operators(session, town.clock()) == []


def test_who_still_talks_with_others_goes_on_and_who_was_on_a_break_stays_there(town: Town) -> None:  # noqa: F811
    town.ready("first")
    other = town.citizen()
    with town.database.write() as session:
        service.take(session, session.get_one(Conversation, other), town.staff(session, "first"), town.clock())
    over = talk_over(town)
    assert town.presence("first") == ("ready", "")
    with town.database.write() as session:
        staff = town.staff(session, "first")
        presence.set_presence(session, staff, "break", town.clock(), "rest")
        wrap_up.finish(session, session.get_one(Conversation, over), staff, "filed", town.clock())
    assert town.presence("first") == ("break", "rest")


def test_only_who_had_the_talk_says_what_came_of_it(town: Town) -> None:  # noqa: F811
    over = talk_over(town)
    with town.database.write() as session, pytest.raises(Refused, match="conversation_moved"):
        staff: Staff = town.staff(session, "second")
        wrap_up.finish(session, session.get_one(Conversation, over), staff, "answered", town.clock())


@pytest.mark.parametrize(("text", "refusal"), [(" ", "empty_message"), ("x" * 1001, "long_message")])
def test_an_empty_and_an_overlong_note_are_refused(town: Town, text: str, refusal: str) -> None:  # noqa: F811
    over = talk_over(town)
    with town.database.write() as session, pytest.raises(Refused, match=refusal):
        found = session.get_one(Conversation, over)
        wrap_up.add_note(session, found, town.staff(session, "first"), text, town.clock())
