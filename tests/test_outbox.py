"""The outbox on both databases: what is put down is sent at least once, by one worker, and what can't be sent is seen."""

from collections.abc import Callable
from datetime import timedelta
from threading import Barrier, Thread

import pytest

from backend import outbox
from backend.database import Database
from backend.outbox import NotSent, OutgoingMessage
from tests.conftest import NOON, StandingClock


def put(database: Database, key: str = "case:1:filed", **wanted: object) -> None:
    with database.write() as session:
        outbox.put(session, key, "sms", "+8613800138000", {"text": key}, NOON, **wanted)  # type: ignore[arg-type]


def message(database: Database, key: str = "case:1:filed") -> OutgoingMessage:
    with database.read() as session:
        return session.query(OutgoingMessage).filter_by(key=key).one()


def failing(error: Exception) -> Callable[[OutgoingMessage], str | None]:
    def send(message: OutgoingMessage) -> str | None:
        raise error

    return send


def test_a_message_is_sent_once_with_its_recipient_and_body(database: Database, clock: StandingClock) -> None:
    put(database)
    got: list[tuple[str, object]] = []

    def send(message: OutgoingMessage) -> str:
        got.append((message.recipient, message.body))
        return "SM1"

    assert outbox.deliver(database, clock, {"sms": send}) == 1
    clock.advance(days=2)
    assert outbox.deliver(database, clock, {"sms": send}) == 0
    assert got == [("+8613800138000", {"text": "case:1:filed"})]
    assert (message(database).state, message(database).receipt) == ("sent", "SM1")


def test_the_same_reason_is_one_message(database: Database) -> None:
    put(database)
    put(database)
    with database.read() as session:
        assert session.query(OutgoingMessage).count() == 1


def test_what_is_rolled_back_is_not_sent(database: Database, clock: StandingClock) -> None:
    with pytest.raises(RuntimeError), database.write() as session:
        outbox.put(session, "gone", "sms", "+8613800138000", {"text": "gone"}, NOON)
        raise RuntimeError
    assert outbox.deliver(database, clock, {"sms": lambda message: None}) == 0


def test_a_message_waits_for_its_time_and_for_a_sender_of_its_channel(database: Database, clock: StandingClock) -> None:
    put(database, due_at=NOON + timedelta(hours=1))
    assert outbox.deliver(database, clock, {"sms": lambda message: None}) == 0
    clock.advance(hours=1)
    assert outbox.deliver(database, clock, {"webhook": lambda message: None}) == 0
    assert outbox.deliver(database, clock, {"sms": lambda message: None}) == 1


@pytest.mark.parametrize("error", [NotSent("busy"), ValueError("a mistake in the sender")])
def test_what_fails_is_tried_again_after_growing_gaps_until_it_has_failed_for_good(
    database: Database, clock: StandingClock, error: Exception
) -> None:
    put(database)
    put(database, "another")  # is not held up by the first
    gaps = []
    while message(database).state == "waiting":
        before = clock.now
        outbox.deliver(database, clock, {"sms": failing(error)})
        gaps.append(message(database).due_at - before)
        clock.now = message(database).due_at
    assert gaps[:-1] == sorted(gaps[:-1]) and len(gaps) == len(outbox.GAPS) + 1
    assert message(database, "another").tries == message(database).tries
    with database.read() as session:
        assert {message.key for message in outbox.failed(session)} == {"case:1:filed", "another"}


def test_what_the_other_side_will_never_take_is_not_tried_again(database: Database, clock: StandingClock) -> None:
    put(database)
    outbox.deliver(database, clock, {"sms": failing(NotSent("21610", final=True))})
    assert (message(database).state, message(database).tries, message(database).fault) == ("failed", 1, "21610")


def test_a_message_whose_worker_died_comes_again(database: Database, clock: StandingClock) -> None:
    put(database)
    assert outbox.take(database, clock(), ["sms"])
    assert outbox.deliver(database, clock, {"sms": lambda message: "SM1"}) == 0
    clock.advance(minutes=2)
    assert outbox.deliver(database, clock, {"sms": lambda message: "SM1"}) == 1


def test_of_workers_that_look_at_the_same_time_one_gets_each_message(database: Database, clock: StandingClock) -> None:
    for number in range(20):
        put(database, str(number))
    begin, sent = Barrier(3), []

    def work() -> None:
        begin.wait()
        outbox.deliver(database, clock, {"sms": lambda message: sent.append(message.key)})

    workers = [Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(sent, key=int) == [str(number) for number in range(20)]


def test_a_delivery_that_fails_later_is_seen(database: Database, clock: StandingClock) -> None:
    put(database)
    outbox.deliver(database, clock, {"sms": lambda message: "SM1"})
    with database.write() as session:
        outbox.delivery_failed(session, "SM1", "30003")
    assert (message(database).state, message(database).fault) == ("failed", "30003")
