"""Webhooks: who is told what, in the same transaction; signed requests that reach public addresses only."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend import webhooks
from backend.database import Database
from backend.errors import Refused
from backend.outbox import OutgoingMessage, Sender, deliver
from backend.webhooks import GuardedNetwork, is_reachable, make_sender, parse_networks, publish, subscribe
from tests.conftest import NOON, StandingClock

DATA = {"number": "26000-00015", "act": "reply"}


class Receiver:
    """A subscriber on this machine that keeps what it is sent."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/cases"
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A subscriber that is there."""
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def sender(database: Database, clock: StandingClock) -> Sender:
    """What sends, with this machine's network allowed."""
    return make_sender(database, clock, "127.0.0.0/8")


def tell(database: Database, url: str, events: tuple[str, ...] = (), agency: str | None = None) -> str:
    """Subscribe the address, publish one event, and return the secret."""
    with database.write() as session:
        secret = subscribe(session, "城管系统", url, events, agency, NOON).secret
    with database.write() as session:
        publish(session, "26000-00015:3", "case.reply", DATA, ["C-URBAN"], NOON)
    return secret


def waiting(database: Database) -> list[OutgoingMessage]:
    with database.read() as session:
        return list(session.query(OutgoingMessage).order_by(OutgoingMessage.id))


def test_a_subscriber_gets_what_happened_with_a_signature_of_standard_webhooks(
    database: Database, clock: StandingClock, receiver: Receiver, sender: Sender
) -> None:
    secret = tell(database, receiver.url)
    assert deliver(database, clock, {"webhook": sender}) == 1
    headers, body = receiver.got[0]
    assert json.loads(body) == {"type": "case.reply", "timestamp": NOON.isoformat(), "data": DATA}
    assert headers["webhook-timestamp"] == str(int(NOON.timestamp()))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_what_is_published_twice_is_told_once(database: Database) -> None:
    tell(database, "https://agency.example/hook")
    with database.write() as session:
        publish(session, "26000-00015:3", "case.reply", DATA, ["C-URBAN"], NOON)
    assert len(waiting(database)) == 1


def test_what_is_rolled_back_is_told_to_nobody(database: Database) -> None:
    with database.write() as session:
        subscribe(session, "系统", "https://agency.example/hook", (), None, NOON)
    with pytest.raises(RuntimeError), database.write() as session:
        publish(session, "26000-00015:3", "case.reply", DATA, ["C-URBAN"], NOON)
        raise RuntimeError
    assert waiting(database) == []


@pytest.mark.parametrize(
    ("events", "agency", "told"),
    [
        ((), None, 1),
        (("case.reply",), None, 1),
        (("case.file",), None, 0),
        ((), "C-URBAN", 1),
        ((), "C-WATER", 0),
    ],
)
def test_a_subscriber_is_told_what_it_asked_for(
    database: Database, events: tuple[str, ...], agency: str | None, told: int
) -> None:
    tell(database, "https://agency.example/hook", events, agency)
    assert len(waiting(database)) == told


@pytest.mark.parametrize("status", [500, 404, 302])
def test_what_was_not_taken_is_tried_again(
    database: Database, clock: StandingClock, receiver: Receiver, sender: Sender, status: int
) -> None:
    tell(database, receiver.url)
    receiver.status = status
    assert deliver(database, clock, {"webhook": sender}) == 0
    assert len(receiver.got) == 1  # a redirect is not followed
    receiver.status = 200
    clock.advance(hours=1)
    assert deliver(database, clock, {"webhook": sender}) == 1
    assert receiver.got[0][0]["webhook-id"] == receiver.got[1][0]["webhook-id"]


def test_a_receiver_that_is_gone_is_told_no_more(
    database: Database, clock: StandingClock, receiver: Receiver, sender: Sender
) -> None:
    tell(database, receiver.url)
    receiver.status = 410
    deliver(database, clock, {"webhook": sender})
    assert waiting(database)[0].state == "failed"
    with database.read() as session:
        assert webhooks.subscriptions(session) == []


def test_nothing_that_waits_is_sent_to_who_has_unsubscribed(
    database: Database, clock: StandingClock, receiver: Receiver, sender: Sender
) -> None:
    tell(database, receiver.url)
    with database.write() as session:
        webhooks.end(session, webhooks.subscriptions(session)[0].id, NOON)
    assert deliver(database, clock, {"webhook": sender}) == 0
    assert receiver.got == []


def test_without_leave_nothing_is_sent_to_this_machine(
    database: Database, clock: StandingClock, receiver: Receiver
) -> None:
    tell(database, receiver.url)
    tell(database, receiver.url.replace("http:", "https:"))
    assert deliver(database, clock, {"webhook": make_sender(database, clock, "")}) == 0
    assert receiver.got == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "64:ff9b:1::1",
    ],
)
def test_addresses_inside_are_not_reached(address: str) -> None:
    assert not is_reachable(address, ())


def test_public_addresses_and_the_citys_own_network_are_reached() -> None:
    assert is_reachable("1.1.1.1", ())
    assert is_reachable("2606:4700:4700::1111", ())
    assert is_reachable("10.20.3.4", parse_networks("10.20.0.0/16, fd00::/8"))
    assert not is_reachable("10.21.3.4", parse_networks("10.20.0.0/16"))


@given(st.ip_addresses())
def test_what_is_not_global_is_never_reached(address: Any) -> None:
    assert address.is_global or not is_reachable(str(address), ())


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["1.1.1.1", "10.0.0.1"], []])
def test_a_name_with_an_address_inside_is_not_connected_to(answers: list[str]) -> None:
    network = GuardedNetwork((), resolve=lambda host, port: answers)
    with pytest.raises(httpcore.ConnectError):
        network.connect_tcp("agency.example", 443, timeout=1)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "agency.example",
        "ftp://agency.example",
        "https://",
        "https://user:pass@agency.example/",
        "https://a b/",
        "https://agency.example:99999/",
        "https://agency.example/\n",
        "javascript:alert(1)",
    ],
)
def test_what_is_no_web_address_is_refused(database: Database, url: str) -> None:
    with pytest.raises(Refused), database.write() as session:
        subscribe(session, "系统", url, (), None, NOON)


@given(st.text(max_size=60))
def test_no_text_breaks_the_reading_of_an_address(text: str) -> None:
    webhooks.address_parts(text)
    webhooks.address_parts(f"https://{text}")
