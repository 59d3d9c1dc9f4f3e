"""Citizens, operators, agencies and supervisors in one call: the line with the practice exchange in this process, which
refuses what Twilio refuses. Jobs are done when a test says so (`Town.settle`)."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from flask import Flask
from sqlalchemy import select

from backend.app import create_app
from backend.cases.models import Case
from backend.conversations import service, telephone
from backend.conversations.models import Conversation, Leg, Recording
from backend.conversations.rules import SUPERVISING
from backend.directory.models import Agency, Staff
from backend.encryption import lookup_hash
from backend.errors import Refused
from backend.parts import Parts
from ivr.bridge import Switchboard
from ivr.phone.call import HttpTransport, PracticeCall
from ivr.phone.exchange import make_exchange
from ivr.phone.switch import Switch
from ivr.provider import Provider
from tests.conftest import StandingClock, make_settings

CITIZEN, OTHER, AGENCY = "+8613800138000", "+8613900139000", "+8655112340000"
ONE, TWO, BOSS = "client:operator1", "client:operator2", "client:supervisor1"


class Town:
    """The line and all telephones of the town."""

    def __init__(self, app: Flask, clock: StandingClock) -> None:
        self.parts: Parts = app.extensions["parts"]
        self.clock = clock
        settings = self.parts.settings
        self.switch = Switch(
            settings.base_url,
            auth_token=settings.twilio_auth_token,
            transport=HttpTransport(httpx.Client(transport=httpx.WSGITransport(app))),
            clock=lambda: clock().timestamp(),
            randomness=random.Random(7),
        )
        exchange = httpx.Client(transport=httpx.WSGITransport(make_exchange(self.switch)))
        assert isinstance(self.parts.telephone, Switchboard)
        self.board = self.parts.telephone
        self.board.provider = Provider(settings, http=exchange)
        for username in ("operator1", "operator2", "supervisor1"):
            self.come(username)

    def come(self, username: str, ready: bool = True) -> None:
        """Somebody comes to work, or takes a break."""
        with self.parts.database.write() as session:
            staff = session.query(Staff).filter_by(username=username).one()
            staff.ready, staff.seen_at = ready, self.clock()

    def staff(self, username: str) -> Staff:
        with self.parts.database.read() as session:
            return session.query(Staff).filter_by(username=username).one()

    def settle(self) -> None:
        """Let the worker and the exchange do what there is to do."""
        for _ in range(8):
            with self.parts.database.read() as session:
                busy = set(session.scalars(select(Leg.conversation_id).where(Leg.state != "over")))
            for conversation_id in busy:
                self.board.work(conversation_id)
            self.switch.tick()

    def ask_for_person(self, number: str = CITIZEN, says: str = "") -> str:
        """Somebody calls, says something perhaps, and presses 0; returns their conversation."""
        self.switch.dial(number)
        if says:
            self.switch.speak(number, says)
        self.switch.press(number, "0")
        with self.parts.database.read() as session:
            newest = select(Conversation.id).order_by(Conversation.started_at.desc(), Conversation.waiting_since.desc())
            return session.scalars(newest.where(Conversation.caller_hash == lookup_hash(number))).first() or ""

    def do(self, conversation_id: str, username: str, act: Callable[..., Any], *more: Any) -> None:
        """What a click in the console does: a verb of conversations/telephone.py."""
        with self.parts.database.write() as session:
            found = service.get_conversation(session, conversation_id)
            staff = session.query(Staff).filter_by(username=username).one()
            act(session, found, staff, *more, self.clock())
        self.settle()

    def take(self, conversation_id: str, username: str = "operator1") -> None:
        def click(session: Any, found: Conversation, staff: Staff, now: Any) -> None:
            service.take(session, found, staff, now)
            telephone.connect(session, found, staff, now)

        self.do(conversation_id, username, click)

    def answer(self, address: str) -> None:
        self.switch.answer(address)
        self.settle()

    def hang_up(self, address: str) -> None:
        self.switch.act(address, PracticeCall.hang_up)
        self.settle()

    def talk(self, username: str = "operator1", number: str = CITIZEN) -> str:
        """A citizen and an operator talk; returns the conversation."""
        conversation_id = self.ask_for_person(number)
        self.take(conversation_id, username)
        self.answer(f"client:{username}")
        return conversation_id

    def say(self, address: str, text: str) -> None:
        self.switch.speak(address, text)

    def heard(self, address: str) -> str:
        """All words that came to a telephone, and refusals of documents, which there must not be."""
        events = self.switch.logs.get(address, [])
        assert not [event for event in events if event["type"] == "error"]
        return "".join(event.get("text") or "" for event in events)

    def rings(self, address: str) -> bool:
        leg = self.switch.leg_of(address)
        return leg is not None and leg.ringing_until is not None

    def in_call(self, address: str) -> bool:
        return self.switch.leg_of(address) is not None

    def hears(self, speaker: str, hearer: str) -> bool:
        """Whether what one says comes to the other."""
        words = f"{speaker}{random.random()}"
        self.say(speaker, words)
        return words in self.heard(hearer)

    def state(self, conversation_id: str) -> str:
        with self.parts.database.read() as session:
            return service.get_conversation(session, conversation_id).state


@pytest.fixture
def town(database_url: str, clock: StandingClock) -> Iterator[Town]:
    app = create_app(make_settings(database_url), clock=clock)
    yield Town(app, clock)
    app.extensions["parts"].database.close()


@pytest.fixture
def sqlite_town(sqlite_url: str, clock: StandingClock) -> Callable[..., Town]:
    """A town whose line has other settings."""
    return lambda **changed: Town(create_app(make_settings(sqlite_url, **changed), clock=clock), clock)


def test_who_is_taken_talks_with_the_operator_who_has_heard_what_it_is_about(town: Town) -> None:
    conversation_id = town.ask_for_person(says="望月街道五号楼着火了")
    town.clock.advance(minutes=2)
    town.come("operator1")
    town.take(conversation_id)
    assert town.rings(ONE)
    town.answer(ONE)
    assert "提到危险" in town.heard(ONE)
    assert "望月街道五号楼着火了" in town.heard(ONE)
    assert "工作人员已接听" in town.heard(CITIZEN)
    assert town.hears(ONE, CITIZEN) and town.hears(CITIZEN, ONE)


def test_when_the_operator_hangs_up_the_caller_hears_goodbye_and_it_is_over(town: Town) -> None:
    conversation_id = town.talk()
    town.hang_up(ONE)
    assert "人工服务已结束" in town.heard(CITIZEN)
    assert not town.in_call(CITIZEN)
    assert town.state(conversation_id) == "closed"


def test_ending_it_in_the_console_hangs_up_for_both(town: Town) -> None:
    conversation_id = town.talk()
    town.do(conversation_id, "operator1", lambda session, found, staff, now: telephone.end_all(session, found, now))
    assert not town.in_call(ONE) and not town.in_call(CITIZEN)
    assert town.state(conversation_id) == "closed"


@pytest.mark.parametrize("how", ["rings out", "declines"])
def test_when_the_operator_does_not_answer_the_next_one_has_the_caller_at_the_old_place(town: Town, how: str) -> None:
    first = town.ask_for_person(CITIZEN)
    town.clock.advance(seconds=10)
    second = town.ask_for_person(OTHER)
    town.take(first)
    if how == "declines":
        town.switch.decline(ONE)
    else:
        town.clock.advance(seconds=26)
    town.settle()
    assert town.state(first) == "waiting"
    with town.parts.database.read() as session:
        assert [one.id for one in service.queue(session)] == [first, second]
    assert not town.staff("operator1").ready
    town.take(first, "operator2")
    town.answer(TWO)
    assert town.hears(TWO, CITIZEN)


def test_a_caller_who_hangs_up_while_the_operator_is_rung_stops_the_ringing(town: Town) -> None:
    conversation_id = town.ask_for_person()
    town.take(conversation_id)
    assert town.rings(ONE)
    town.hang_up(CITIZEN)
    assert not town.rings(ONE)
    assert town.state(conversation_id) == "closed"
    assert town.staff("operator1").ready


def test_an_operator_who_answers_after_the_caller_has_gone_is_told_so(town: Town) -> None:
    conversation_id = town.ask_for_person()
    town.take(conversation_id)
    town.switch.act(CITIZEN, PracticeCall.hang_up)  # the worker has not seen it yet
    town.switch.answer(ONE)
    assert "来电人已经挂机" in town.heard(ONE)
    town.settle()
    assert not town.in_call(ONE)


def test_two_who_take_at_once_ring_one_telephone(town: Town) -> None:
    conversation_id = town.ask_for_person()
    town.take(conversation_id)
    with pytest.raises(Refused, match="already_taken"):
        town.take(conversation_id, "operator2")
    assert town.rings(ONE) and not town.rings(TWO)


def test_one_who_is_to_be_called_back_keeps_the_place_and_is_rung_before_the_operator(town: Town) -> None:
    first = town.ask_for_person(CITIZEN)
    town.switch.press(CITIZEN, "2")
    assert "幺三八" in town.heard(CITIZEN)
    town.switch.press(CITIZEN, "1")
    assert "位置已经保留" in town.heard(CITIZEN)
    assert not town.in_call(CITIZEN)
    town.clock.advance(seconds=20)
    second = town.ask_for_person(OTHER)
    with town.parts.database.read() as session:
        assert [one.id for one in service.queue(session)] == [first, second]
    town.take(first)
    assert town.rings(CITIZEN) and not town.rings(ONE)
    town.answer(CITIZEN)
    assert "您要求我们回电" in town.heard(CITIZEN)
    assert town.rings(ONE)
    town.answer(ONE)
    assert town.hears(CITIZEN, ONE) and town.hears(ONE, CITIZEN)
    town.hang_up(ONE)
    assert town.state(first) == "closed"


def test_another_number_can_be_keyed_for_the_call_back(town: Town) -> None:
    conversation_id = town.ask_for_person(CITIZEN)
    town.switch.press(CITIZEN, "2")
    town.switch.press(CITIZEN, "2")
    town.switch.press(CITIZEN, "12#")
    assert "好像不对" in town.heard(CITIZEN)
    town.switch.press(CITIZEN, "13900139000#")
    town.switch.press(CITIZEN, "1")
    town.take(conversation_id)
    assert town.rings(OTHER)


def test_a_call_back_that_nobody_answers_three_times_becomes_a_case(town: Town) -> None:
    conversation_id = town.ask_for_person(CITIZEN)
    town.switch.press(CITIZEN, "2")
    town.switch.press(CITIZEN, "1")
    for tried in range(1, 4):
        assert town.state(conversation_id) == "waiting"
        town.take(conversation_id)
        town.clock.advance(seconds=26)
        town.settle()
        assert not town.rings(ONE), tried
    assert town.state(conversation_id) == "closed"
    with town.parts.database.read() as session:
        assert session.query(Case).one().contact == CITIZEN


def test_when_the_operator_is_not_there_one_who_was_called_back_waits_in_the_queue(town: Town) -> None:
    conversation_id = town.ask_for_person(CITIZEN)
    town.switch.press(CITIZEN, "2")
    town.switch.press(CITIZEN, "1")
    town.take(conversation_id)
    town.answer(CITIZEN)
    town.switch.decline(ONE)
    town.settle()
    assert town.state(conversation_id) == "waiting"
    assert "另一位工作人员" in town.heard(CITIZEN)
    town.take(conversation_id, "operator2")
    town.answer(TWO)
    assert town.hears(TWO, CITIZEN)


def test_a_call_is_transferred_when_the_other_operator_answers_and_not_before(town: Town) -> None:
    conversation_id = town.talk()
    town.do(conversation_id, "operator1", telephone.transfer, town.staff("operator2"))
    assert town.rings(TWO) and town.hears(ONE, CITIZEN)
    town.answer(TWO)
    assert not town.in_call(ONE)
    assert town.hears(TWO, CITIZEN) and town.hears(CITIZEN, TWO)
    with town.parts.database.read() as session:
        assert service.get_conversation(session, conversation_id).operator_id == town.staff("operator2").id
    town.hang_up(TWO)
    assert town.state(conversation_id) == "closed"


def test_a_transfer_that_is_not_answered_leaves_the_call_where_it_is(town: Town) -> None:
    conversation_id = town.talk()
    town.do(conversation_id, "operator1", telephone.transfer, town.staff("operator2"))
    town.switch.decline(TWO)
    town.settle()
    assert town.hears(ONE, CITIZEN)
    assert town.state(conversation_id) == "operator"


def test_nobody_transfers_to_who_is_not_at_work_nor_a_call_of_somebody_else(town: Town) -> None:
    conversation_id = town.talk()
    town.come("operator2", ready=False)
    with pytest.raises(Refused, match="operator_not_there"):
        town.do(conversation_id, "operator1", telephone.transfer, town.staff("operator2"))
    town.come("operator2")
    with pytest.raises(Refused, match="already_taken"):
        town.do(conversation_id, "operator2", telephone.transfer, town.staff("supervisor1"))


def test_a_call_sent_back_to_the_queue_waits_at_its_old_place_for_those_who_know_the_matter(town: Town) -> None:
    conversation_id = town.talk()
    town.clock.advance(seconds=30)
    second = town.ask_for_person(OTHER)
    town.do(conversation_id, "operator1", telephone.send_to_queue, "HOUSING")
    assert not town.in_call(ONE)
    assert town.in_call(CITIZEN)
    with town.parts.database.read() as session:
        waiting = service.queue(session)
        assert [one.id for one in waiting] == [conversation_id, second]
        assert waiting[0].skill == "HOUSING"
    town.take(conversation_id, "operator2")
    town.answer(TWO)
    assert town.hears(TWO, CITIZEN)


def test_an_agency_joins_the_talk_and_leaves_without_ending_it(town: Town) -> None:
    conversation_id = town.talk()
    with town.parts.database.read() as session:
        agency = session.query(Agency).first()
    town.do(conversation_id, "operator1", telephone.add_agency, agency, AGENCY)
    town.answer(AGENCY)
    assert "请您一起接听" in town.heard(AGENCY)
    assert town.hears(AGENCY, CITIZEN) and town.hears(CITIZEN, AGENCY) and town.hears(ONE, AGENCY)
    town.hang_up(AGENCY)
    assert town.hears(ONE, CITIZEN)


def test_an_agency_is_let_go_by_the_operator(town: Town) -> None:
    conversation_id = town.talk()
    with town.parts.database.read() as session:
        agency = session.query(Agency).first()
    town.do(conversation_id, "operator1", telephone.add_agency, agency, AGENCY)
    town.answer(AGENCY)
    with town.parts.database.read() as session:
        leg_id = session.query(Leg).filter_by(party="agency").one().id
    town.do(conversation_id, "operator1", telephone.drop, leg_id)
    assert not town.in_call(AGENCY)
    assert town.hears(ONE, CITIZEN)


def test_a_supervisor_listens_unheard_and_a_coach_is_heard_by_the_operator_alone(town: Town) -> None:
    conversation_id = town.talk()
    town.do(conversation_id, "supervisor1", telephone.supervise, "listener")
    town.answer(BOSS)
    assert town.hears(CITIZEN, BOSS) and town.hears(ONE, BOSS)
    assert not town.hears(BOSS, CITIZEN) and not town.hears(BOSS, ONE)
    town.hang_up(BOSS)
    town.do(conversation_id, "supervisor1", telephone.supervise, "coach")
    town.answer(BOSS)
    assert town.hears(BOSS, ONE) and not town.hears(BOSS, CITIZEN)
    assert town.state(conversation_id) == "operator"


@pytest.mark.parametrize("first", SUPERVISING)
def test_a_supervisor_goes_from_listening_to_coaching_to_speaking_with_both_and_back(town: Town, first: str) -> None:
    conversation_id = town.talk()
    town.do(conversation_id, "supervisor1", telephone.supervise, first)
    town.answer(BOSS)
    heard = {"listener": (False, False), "coach": (True, False), "barge": (True, True)}
    assert (town.hears(BOSS, ONE), town.hears(BOSS, CITIZEN)) == heard[first]
    for how in ("barge", "coach", "listener", "barge"):
        town.do(conversation_id, "supervisor1", telephone.supervise, how)
        assert (town.hears(BOSS, ONE), town.hears(BOSS, CITIZEN)) == heard[how]
        assert town.hears(CITIZEN, BOSS) and town.hears(ONE, BOSS)
    town.hang_up(BOSS)
    assert town.hears(ONE, CITIZEN)


def test_a_coach_is_heard_by_whom_the_call_was_transferred_to(town: Town) -> None:
    conversation_id = town.talk()
    town.do(conversation_id, "supervisor1", telephone.supervise, "coach")
    town.answer(BOSS)
    town.do(conversation_id, "operator1", telephone.transfer, town.staff("operator2"))
    town.answer(TWO)
    assert town.hears(BOSS, TWO) and not town.hears(BOSS, CITIZEN)


def test_only_supervisors_listen_and_only_to_a_talk(town: Town) -> None:
    conversation_id = town.ask_for_person()
    with pytest.raises(Refused, match="nobody_talks"):
        town.do(conversation_id, "supervisor1", telephone.supervise, "listener")
    town.take(conversation_id)
    with pytest.raises(Refused, match="not_allowed"):
        town.do(conversation_id, "operator2", telephone.supervise, "listener")


def test_on_hold_the_citizen_hears_nothing_of_the_others(town: Town) -> None:
    conversation_id = town.talk()
    town.do(conversation_id, "operator1", telephone.hold, True)
    assert not town.hears(ONE, CITIZEN)
    town.do(conversation_id, "operator1", telephone.hold, False)
    assert town.hears(ONE, CITIZEN)


def test_without_the_service_the_operators_telephone_is_dialled_from_the_callers_side(town: Town) -> None:
    def unreachable(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("down")

    exchange = httpx.Client(transport=httpx.MockTransport(unreachable))
    town.board.provider = Provider(town.parts.settings, http=exchange)
    conversation_id = town.ask_for_person()
    town.take(conversation_id)
    town.switch.wait(CITIZEN)
    assert town.rings(ONE)
    town.switch.answer(ONE)
    assert "一二三四五来电" in town.heard(ONE)
    assert town.hears(ONE, CITIZEN)


def test_without_a_worker_the_caller_is_connected_all_the_same(town: Town) -> None:
    conversation_id = town.ask_for_person()
    with town.parts.database.write() as session:
        found, staff = service.get_conversation(session, conversation_id), town.staff("operator1")
        service.take(session, found, session.get_one(Staff, staff.id), town.clock())
        telephone.connect(session, found, staff, town.clock())
    town.clock.advance(seconds=6)
    town.switch.wait(CITIZEN)
    assert town.rings(ONE)


def test_a_status_that_comes_twice_or_late_changes_nothing(town: Town) -> None:
    conversation_id = town.talk()
    with town.parts.database.read() as session:
        leg = session.query(Leg).filter_by(party="operator").one()
    town.hang_up(ONE)
    with town.parts.database.write() as session:
        telephone.ended(session, session.get_one(Leg, leg.id), "no-answer", town.clock())
    assert town.state(conversation_id) == "closed"
    assert town.staff("operator1").ready


def test_a_desk_telephone_is_connected_only_when_a_key_is_pressed(town: Town) -> None:
    with town.parts.database.write() as session:
        session.query(Staff).filter_by(username="operator1").one().telephone = AGENCY
    conversation_id = town.ask_for_person()
    town.take(conversation_id)
    town.answer(AGENCY)
    assert "请按任意键接听" in town.heard(AGENCY)
    assert "工作人员已接听" not in town.heard(CITIZEN)
    town.switch.press(AGENCY, "5")
    town.settle()
    assert town.hears(AGENCY, CITIZEN)


def test_a_talk_is_recorded_with_notice(sqlite_town: Callable[..., Town]) -> None:
    town = sqlite_town(call_recording="notice")
    town.talk()
    assert "通话将被录音" in town.heard(CITIZEN)
    town.clock.advance(seconds=30)
    town.hang_up(ONE)
    town.settle()
    with town.parts.database.read() as session:
        assert session.query(Recording).count() == 1


@pytest.mark.parametrize("consents", [True, False])
def test_where_consent_is_asked_for_only_those_who_give_it_are_recorded(
    sqlite_town: Callable[..., Town], consents: bool
) -> None:
    town = sqlite_town(call_recording="consent")
    conversation_id = town.ask_for_person()
    assert "同意录音请按三" in town.heard(CITIZEN)
    if consents:
        town.switch.press(CITIZEN, "3")
    town.take(conversation_id)
    town.answer(ONE)
    town.clock.advance(seconds=30)
    town.hang_up(ONE)
    town.settle()
    with town.parts.database.read() as session:
        assert session.query(Recording).count() == consents
