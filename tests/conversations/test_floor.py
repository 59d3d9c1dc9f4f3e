"""The supervisor's floor: who is there, who waits, and the service level of GB/T 33358."""

from datetime import timedelta

from backend.conversations import floor, offers, presence, service, telephone
from backend.conversations.floor import Asked, level
from backend.conversations.models import Conversation, Leg
from tests.conftest import NOON
from tests.conversations.test_offers import Town, town  # noqa: F401  # a fixture


def asked(wait: float | None, gone: bool = True) -> Asked:
    return Asked(NOON, None if wait is None else NOON + timedelta(seconds=wait), gone)


def test_the_level_is_what_was_answered_in_time_of_all_that_were_answered_or_gave_up() -> None:
    found = level([asked(5), asked(15), asked(16), asked(None), asked(None, gone=False)])
    assert (found.answered, found.abandoned, found.share) == (3, 1, 0.5)
    assert found.median_wait == timedelta(seconds=15)


def test_where_nobody_asked_there_is_no_level() -> None:
    assert level([]) == floor.Level(0, 0, None, None)
    assert level([asked(None, gone=False)]).share is None


def look(town: Town) -> floor.Floor:  # noqa: F811
    with town.database.read() as session:
        return floor.look(session, town.clock(), NOON - timedelta(hours=12))


def test_the_floor_shows_who_talks_with_whom_and_the_longest_wait(town: Town) -> None:  # noqa: F811
    town.ready("first", "second")
    held, waits = town.citizen(), town.citizen()
    town.clock.advance(seconds=10)
    with town.database.write() as session:
        service.take(session, session.get_one(Conversation, held), town.staff(session, "first"), town.clock())
        presence.set_presence(session, town.staff(session, "second"), "break", town.clock(), "meal")
    found = look(town)
    shown = [(member.staff.username, member.state, [one.id for one in member.talks]) for member in found.members]
    assert shown[:2] == [("first", "busy", [held]), ("second", "break", [])]
    assert [one.id for one in found.waiting] == [waits]
    assert found.longest_wait == timedelta(seconds=10)
    assert found.levels["chat", "last"] == floor.Level(1, 0, 1.0, timedelta(seconds=10))


def test_a_call_counts_as_answered_when_somebody_speaks_and_not_while_it_rings(town: Town) -> None:  # noqa: F811
    town.ready("first")
    town.citizen("phone")
    town.deal()
    assert look(town).levels["phone", "last"].answered == 0
    town.clock.advance(seconds=20)
    with town.database.write() as session:
        leg = session.query(Leg).filter_by(party="operator").one()
        telephone.move_leg(session, leg, "ring", town.clock())
        telephone.joined(session, leg, town.clock())
    assert look(town).levels["phone", "last"] == floor.Level(1, 0, 0.0, timedelta(seconds=20))


def test_who_gives_up_is_counted_and_so_is_a_caller_who_leaves_a_message(town: Town) -> None:  # noqa: F811
    chat, call = town.citizen(), town.citizen("phone")
    with town.database.write() as session:
        service.close(session, session.get_one(Conversation, chat), town.clock())
        service.move(session, session.get_one(Conversation, call), "leave", town.clock())
    town.clock.advance(minutes=31)
    levels = look(town).levels
    assert (levels["chat", "day"].abandoned, levels["phone", "day"].abandoned) == (1, 1)
    assert (levels["chat", "last"].abandoned, levels["phone", "last"].abandoned) == (0, 0)


def test_a_supervisor_gives_who_waits_and_who_is_talked_with_to_another_operator(town: Town) -> None:  # noqa: F811
    town.ready("first", "second")
    waits = town.citizen()
    town.deal()
    with town.database.write() as session:
        second = town.staff(session, "second")
        offers.reassign(session, session.get_one(Conversation, waits), second, town.clock())
    assert town.offered() == [("first", "withdrawn"), ("second", "open")]
    with town.database.write() as session:
        found = session.get_one(Conversation, waits)
        service.take(session, found, town.staff(session, "second"), town.clock())
        offers.reassign(session, found, town.staff(session, "first"), town.clock())
    assert town.stands(waits) == ("operator", "first")


def test_a_call_that_is_reassigned_rings_first_and_stays_until_it_is_answered(town: Town) -> None:  # noqa: F811
    town.ready("first", "second")
    call = town.citizen("phone")
    town.deal()
    with town.database.write() as session:
        leg = session.query(Leg).filter_by(party="operator").one()
        telephone.move_leg(session, leg, "ring", town.clock())
        telephone.joined(session, leg, town.clock())
        offers.reassign(session, session.get_one(Conversation, call), town.staff(session, "second"), town.clock())
    assert town.stands(call) == ("operator", "first")
    with town.database.write() as session:
        leg = session.query(Leg).filter_by(party="operator", state="wanted").one()
        telephone.move_leg(session, leg, "ring", town.clock())
        telephone.joined(session, leg, town.clock())
    assert town.stands(call) == ("operator", "second")
