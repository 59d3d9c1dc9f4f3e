"""Who waits is offered to who is ready, goes on to the next when nobody answers, and is never lost with a browser."""

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.conversations import offers, presence, service, telephone
from backend.conversations.models import Conversation, Leg, Offer, PresencePeriod
from backend.conversations.rules import DANGER, NORMAL, UNFAMILIAR_AFTER, Ready, offers_for
from backend.database import Database
from backend.directory.models import Staff
from backend.directory.service import add_staff
from backend.errors import Refused
from tests.conftest import NOON, StandingClock

# ---- the decision


def ready(number: int, **changed: Any) -> Ready:
    usual: dict[str, Any] = {
        **{"languages": ("zh",), "skills": (), "has_telephone": True, "calls": 0, "chats": 0, "chat_limit": 3},
        "idle_since": NOON,
    }
    return Ready(id=number, **(usual | changed))


def waits(name: str = "a", **changed: Any) -> Any:
    usual = {"channel": "chat", "language": "zh", "skill": "", "priority": NORMAL, "waiting_since": NOON}
    return SimpleNamespace(id=name, **(usual | changed))


def chosen(one: Any, *operators: Ready, passed: tuple[int, ...] = ()) -> int | None:
    pairs = offers_for([one], operators, {one.id: passed}, NOON)
    return pairs[0][1].id if pairs else None


def test_who_has_the_fewest_chats_and_has_been_idle_longest_comes_first() -> None:
    assert chosen(waits(), ready(1, chats=1), ready(2)) == 2
    assert chosen(waits(), ready(1), ready(2, idle_since=NOON - timedelta(minutes=1))) == 2


def test_a_language_waits_for_who_speaks_it_if_anybody_at_work_does() -> None:
    assert chosen(waits(language="yue"), ready(1), ready(2, languages=("zh", "yue"), chats=3)) is None
    assert chosen(waits(language="yue"), ready(1), ready(2, languages=("zh", "yue"), chats=2)) == 2
    assert chosen(waits(language="yue"), ready(1)) == 1


def test_a_matter_waits_for_who_knows_it_but_not_for_long_and_danger_not_at_all() -> None:
    other, expert = ready(1, skills=("traffic",)), ready(2, skills=("heating",), chats=3)
    assert chosen(waits(skill="heating"), other, expert) is None
    assert chosen(waits(skill="heating", waiting_since=NOON - UNFAMILIAR_AFTER), other, expert) == 1
    assert chosen(waits(skill="heating", priority=DANGER), other, expert) == 1


def test_several_chats_up_to_the_limit_a_call_alone() -> None:
    assert chosen(waits(), ready(1, chats=2)) == 1
    assert chosen(waits(), ready(1, chats=3)) is None
    assert chosen(waits(), ready(1, calls=1)) is None
    assert chosen(waits(channel="phone"), ready(1, chats=1)) is None
    assert chosen(waits(channel="phone"), ready(1, has_telephone=False)) is None
    assert chosen(waits(channel="phone"), ready(1)) == 1


def test_each_operator_is_offered_one_at_a_time_and_nobody_what_they_let_pass() -> None:
    pairs = offers_for([waits("a"), waits("b")], [ready(1)], {}, NOON)
    assert [(one.id, staff.id) for one, staff in pairs] == [("a", 1)]
    assert chosen(waits(), ready(1), passed=(1,)) is None


# ---- in the record


class Ringing:
    """What the telephone service is asked to see to."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def see_to(self, conversation_id: str) -> None:
        self.seen.append(conversation_id)

    def forget(self, session: Session, number: str) -> None:
        raise NotImplementedError


class Town:
    """Operators, citizens, and the clock that deals them out."""

    def __init__(self, database: Database, clock: StandingClock) -> None:
        self.database, self.clock, self.phone = database, clock, Ringing()
        with database.write() as session:
            for name in ("first", "second"):
                add_staff(session, name, "-", "operator", name, telephone=f"client:{name}")

    def staff(self, session: Session, name: str) -> Staff:
        return session.scalars(select(Staff).where(Staff.username == name)).one()

    def alive(self, *names: str) -> None:
        with self.database.write() as session:
            for name in names:
                self.staff(session, name).seen_at = self.clock()

    def ready(self, *names: str) -> None:
        for name in names:  # one after the other, so that the first has been idle the longest
            with self.database.write() as session:
                presence.set_presence(session, self.staff(session, name), "ready", self.clock())
            self.alive(name)
            self.clock.advance(seconds=1)

    def citizen(self, channel: str = "chat") -> str:
        with self.database.write() as session:
            found, _ = service.open_conversation(session, channel, "zh", self.clock(), "+8613800138000")
            service.record(session, found, "citizen", "路灯不亮", self.clock())
            service.request_operator(session, found, self.clock())
            if channel == "phone":
                telephone.enter_queue(session, found, "CA" + "1" * 32, 1, self.clock())
            return found.id

    def deal(self, release: bool = True) -> None:
        offers.deal(self.database, self.clock, self.phone, release)

    def offered(self) -> list[tuple[str, str]]:
        with self.database.read() as session:
            return [(offer.staff.username, offer.state) for offer in session.scalars(select(Offer).order_by(Offer.id))]

    def presence(self, name: str) -> tuple[str, str]:
        with self.database.read() as session:
            period = presence.current(session, self.staff(session, name).id)
            return (period.state, period.reason) if period else ("", "")

    def stands(self, conversation_id: str) -> tuple[str, str | None]:
        with self.database.read() as session:
            found = session.get_one(Conversation, conversation_id)
            return found.state, found.operator.username if found.operator else None


@pytest.fixture
def town(database: Database, clock: StandingClock) -> Town:
    return Town(database, clock)


def test_a_missed_offer_goes_on_to_the_next_operator_and_the_first_is_set_to_away(town: Town) -> None:
    town.ready("first", "second")
    conversation_id = town.citizen()
    town.deal()
    town.deal()
    assert town.offered() == [("first", "open")]
    town.clock.advance(seconds=20)
    town.alive("first", "second")
    town.deal()
    assert town.offered() == [("first", "missed"), ("second", "open")]
    assert town.presence("first") == ("away", "missed")
    assert town.stands(conversation_id) == ("waiting", None)


def test_who_accepts_has_it_and_who_is_too_late_is_told_so(town: Town) -> None:
    town.ready("first", "second")
    conversation_id = town.citizen()
    town.deal()
    with town.database.write() as session:
        offer = session.scalars(select(Offer)).one()
        with pytest.raises(Refused, match="not_found"):
            offers.accept(session, offer.id, town.staff(session, "second"), town.clock())
        offers.accept(session, offer.id, town.staff(session, "first"), town.clock())
    assert town.stands(conversation_id) == ("operator", "first")
    with town.database.write() as session, pytest.raises(Refused, match="offer_over"):
        offers.decline(session, offer.id, town.staff(session, "first"), town.clock())


def test_who_declines_stays_ready_and_is_asked_again_only_after_a_while(town: Town) -> None:
    town.ready("first")
    town.citizen()
    town.deal()
    with town.database.write() as session:
        offers.decline(session, session.scalars(select(Offer.id)).one(), town.staff(session, "first"), town.clock())
    town.deal()
    assert town.offered() == [("first", "declined")]
    assert town.presence("first") == ("ready", "")
    town.clock.advance(seconds=61)
    town.alive("first")
    town.deal()
    assert town.offered() == [("first", "declined"), ("first", "open")]


def test_what_a_colleague_takes_meanwhile_is_no_longer_offered(town: Town) -> None:
    town.ready("first", "second")
    conversation_id = town.citizen()
    town.deal()
    with town.database.write() as session:
        found = session.get_one(Conversation, conversation_id)
        service.take(session, found, town.staff(session, "second"), town.clock())
    with town.database.read() as session:
        assert offers.offers_to(session, town.staff(session, "first").id) == []
    town.deal()
    assert town.offered() == [("first", "withdrawn")]
    assert town.presence("first") == ("ready", "")


def test_a_call_rings_the_operators_telephone_and_goes_on_when_nobody_answers(town: Town) -> None:
    town.ready("first", "second")
    conversation_id = town.citizen("phone")
    town.deal()
    assert town.stands(conversation_id) == ("operator", "first")
    assert town.phone.seen == [conversation_id]
    with town.database.write() as session:
        leg = session.scalars(select(Leg).where(Leg.party == "operator")).one()
        telephone.move_leg(session, leg, "ring", town.clock())
        telephone.ended(session, leg, "no-answer", town.clock())
    town.deal()
    assert town.offered() == [("first", "missed"), ("second", "open")]
    assert town.presence("first") == ("away", "missed")
    assert town.stands(conversation_id) == ("operator", "second")
    with town.database.write() as session:
        leg = session.scalars(select(Leg).where(Leg.party == "operator").order_by(Leg.id.desc()).limit(1)).one()
        telephone.move_leg(session, leg, "ring", town.clock())
        telephone.joined(session, leg, town.clock())
    town.deal()
    assert town.offered()[-1] == ("second", "accepted")


def test_a_caller_who_hangs_up_while_it_rings_is_nobodys_fault(town: Town) -> None:
    town.ready("first")
    town.citizen("phone")
    town.deal()
    with town.database.write() as session:
        telephone.ended(session, session.scalars(select(Leg).where(Leg.party == "citizen")).one(), "completed", NOON)
    town.deal()
    assert town.offered() == [("first", "withdrawn")]
    assert town.presence("first") == ("ready", "")


def test_a_browser_that_dies_returns_its_chats_within_half_a_minute_with_nothing_lost(town: Town) -> None:
    town.ready("first")
    conversation_id = town.citizen()
    with town.database.write() as session:
        found = session.get_one(Conversation, conversation_id)
        first_in_line = found.waiting_since
        service.take(session, found, town.staff(session, "first"), town.clock())
        service.operator_says(session, found, town.staff(session, "first"), "您好", town.clock())
    town.alive("first")
    town.clock.advance(seconds=24)
    town.deal()
    assert town.stands(conversation_id) == ("operator", "first")
    town.clock.advance(seconds=1)
    town.deal(release=False)
    assert town.stands(conversation_id) == ("operator", "first")
    town.deal()
    assert town.stands(conversation_id) == ("waiting", None)
    assert town.presence("first") == ("away", "lost")
    with town.database.read() as session:
        found = session.get_one(Conversation, conversation_id)
        assert found.waiting_since == first_in_line
        assert [turn.text for turn in found.turns][:1] + [turn.text for turn in found.turns][-1:] == [
            "路灯不亮",
            "工作人员的连接断了，正在为您转接另一位，之前说过的内容都还在。",
        ]


def test_a_call_goes_on_when_only_the_browser_dies(town: Town) -> None:
    town.ready("first")
    conversation_id = town.citizen("phone")
    town.deal()
    with town.database.write() as session:
        leg = session.scalars(select(Leg).where(Leg.party == "operator")).one()
        telephone.move_leg(session, leg, "ring", town.clock())
        telephone.joined(session, leg, town.clock())
    town.clock.advance(seconds=60)
    town.deal()
    assert town.stands(conversation_id) == ("operator", "first")
    assert town.presence("first") == ("away", "lost")


def test_two_processes_cannot_offer_the_same_conversation_twice(town: Town) -> None:
    town.ready("first", "second")
    conversation_id = town.citizen()
    town.deal()
    with pytest.raises(IntegrityError), town.database.write() as session:
        other = town.staff(session, "second").id
        session.add(Offer(conversation_id=conversation_id, staff_id=other, state="open", offered_at=NOON, ends_at=NOON))


@pytest.mark.parametrize("wrong", [Refused("offer_over", 409), RuntimeError("a fault")])
def test_one_that_cannot_be_dealt_with_holds_up_nobody_else(
    town: Town, monkeypatch: pytest.MonkeyPatch, wrong: Exception
) -> None:
    town.ready("first", "second")
    stuck, other = town.citizen(), town.citizen()
    as_ever = offers.offer_to

    def offer_to(session: Session, conversation: Conversation, staff: Staff, now: datetime) -> None:
        as_ever(session, conversation, staff, now)
        if conversation.id == stuck:
            raise wrong

    monkeypatch.setattr(offers, "offer_to", offer_to)
    town.deal()
    with town.database.read() as session:
        assert session.scalars(select(Offer.conversation_id)).all() == [other]


def test_presence_is_kept_with_its_times_and_reasons(town: Town) -> None:
    began = town.clock()
    with town.database.write() as session:
        staff = town.staff(session, "first")
        for state, reason, minutes in (("ready", "", 50), ("break", "meal", 30), ("ready", "", 10)):
            presence.set_presence(session, staff, state, town.clock(), reason)
            town.clock.advance(minutes=minutes)
        presence.set_presence(session, staff, "ready", town.clock())
        with pytest.raises(ValueError, match="no such state"):
            presence.set_presence(session, staff, "asleep", town.clock())
    with town.database.read() as session:
        staff = town.staff(session, "first")
        assert presence.times(session, staff.id, began, town.clock()) == {
            "ready": timedelta(minutes=60),
            "break": timedelta(minutes=30),
        }
        kept = session.scalars(select(PresencePeriod).where(PresencePeriod.staff_id == staff.id)).all()
        assert [(period.state, period.reason) for period in kept] == [("ready", ""), ("break", "meal"), ("ready", "")]
