"""Webhooks: other systems are told at once what happens to cases, in requests signed with a secret of their own.

`publish` is called in the transaction of what happened and puts a message for each subscriber into the outbox; so nothing
is told that was not committed, and nothing committed goes untold. The signature is that of Standard Webhooks
(https://www.standardwebhooks.com): HMAC-SHA256 over `id.timestamp.body`, for which there are libraries in most languages.
"""

import base64
import hashlib
import hmac
import ipaddress
import json
import secrets
import socket
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore
from sqlalchemy import JSON, ForeignKey, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from backend.audit import audited
from backend.clock import Clock
from backend.database import Base, Database, UtcDateTime
from backend.errors import Refused
from backend.outbox import NotSent, OutgoingMessage, Sender, put

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Iterable[str]]
"""Host and port -> the addresses behind the name."""

SECRET_PREFIX: Final = "whsec_"
"""How Standard Webhooks marks a secret; the rest is base64."""
TIMEOUT: Final = 10.0
"""Seconds for the other side to accept the connection, and for each read."""
URL_LIMIT: Final = 500
TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/32")
"""Addresses that a gateway translates to IPv4 (RFC 6052, RFC 8215), where they may lead inside."""
GONE: Final = 410
"""The status with which a receiver says that it wants no more."""


@audited("webhook", hidden=("secret",))
class WebhookSubscription(Base):
    """Who is told what. A subscription is never deleted, it ends: the outbox may still hold messages for it."""

    __tablename__ = "webhook_subscriptions"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(60))
    url: Mapped[str] = mapped_column(String(URL_LIMIT))
    events: Mapped[list[str]] = mapped_column(JSON)  # empty: all
    agency_code: Mapped[str | None] = mapped_column(ForeignKey("agencies.code"))  # only cases with it; None: all
    secret: Mapped[str] = mapped_column(String(80))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


def subscribe(
    session: Session, name: str, url: str, events: Sequence[str], agency_code: str | None, now: datetime
) -> WebhookSubscription:
    """Subscribe. Raises Refused for a name that is missing or an address that is none."""
    if not name.strip():
        raise Refused("name_missing")
    parts = address_parts(url)
    if parts is None or len(url) > URL_LIMIT:
        raise Refused("webhook_address")
    subscription = WebhookSubscription(
        name=name.strip()[:60],
        url=url,
        events=sorted(set(events)),
        agency_code=agency_code,
        secret=SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode(),
        made_at=now,
    )
    session.add(subscription)
    session.flush()
    return subscription


def end(session: Session, subscription_id: int, now: datetime) -> None:
    """Tell this subscriber nothing any more, not even what waits in the outbox."""
    subscription = session.get(WebhookSubscription, subscription_id)
    if subscription is None:
        raise Refused("not_found", 404)
    subscription.ended_at = subscription.ended_at or now


def subscriptions(session: Session) -> list[WebhookSubscription]:
    """All that have not ended, in the order in which they were made."""
    query = select(WebhookSubscription).where(WebhookSubscription.ended_at.is_(None)).order_by(WebhookSubscription.id)
    return list(session.scalars(query))


def publish(
    session: Session, key: str, event: str, data: dict[str, Any], agencies: Iterable[str], now: datetime
) -> None:
    """Tell every subscriber of `event`, and of one of the `agencies` that it concerns, once for each `key`.

    What is told names the case and says nothing of its citizen; whoever may know more asks the API.
    """
    concerned = set(agencies)
    for subscription in subscriptions(session):
        if subscription.agency_code not in {None, *concerned} or (
            subscription.events and event not in subscription.events
        ):
            continue
        body = {"event": event, "data": data, "at": now.isoformat(), "subscription": subscription.id}
        put(session, f"webhook:{subscription.id}:{key}", "webhook", subscription.url, body, now)


def make_sender(database: Database, clock: Clock, networks: str) -> Sender:
    """What sends the outbox's webhook messages. `networks` (CIDR, commas between them) are private networks that it may
    reach besides public addresses, and without TLS."""
    reachable = parse_networks(networks)
    client = httpcore.ConnectionPool(network_backend=GuardedNetwork(reachable))

    def send(message: OutgoingMessage) -> None:
        with database.read() as session:
            subscription = session.get(WebhookSubscription, message.body["subscription"])
        if subscription is None or subscription.ended_at is not None:
            raise NotSent("the subscription has ended", final=True)
        status = post(client, message, subscription.secret, clock(), bool(reachable))
        if status == GONE:
            with database.write() as session:
                end(session, subscription.id, clock())
            raise NotSent("the receiver wants no more (410)", final=True)
        if not 200 <= status < 300:  # a redirect too: where it leads to has not been looked at by anybody
            raise NotSent(f"HTTP {status}")

    return send


def post(
    client: httpcore.ConnectionPool, message: OutgoingMessage, secret: str, now: datetime, plain_allowed: bool
) -> int:
    """Send one message and return the status of the answer, whose body is not read. Raises NotSent."""
    parts = address_parts(message.recipient)
    if parts is None or (parts.scheme == "http" and not plain_allowed):
        raise NotSent("webhooks go to https addresses only", final=True)
    payload = json.dumps(
        {"type": message.body["event"], "timestamp": message.body["at"], "data": message.body["data"]},
        ensure_ascii=False,
    ).encode()
    headers = signed_headers(secret, message.key, now, payload) | {
        "Host": parts.netloc,
        "Content-Type": "application/json",
        "User-Agent": "civic-line-webhooks",
    }
    timeout = dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT)
    try:
        with client.stream(
            "POST",
            message.recipient,
            headers=list(headers.items()),
            content=payload,
            extensions={"timeout": timeout},
        ) as response:
            return response.status
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
        raise NotSent(f"{type(error).__name__}: {error}"[:200]) from error


def signed_headers(secret: str, message_id: str, now: datetime, payload: bytes) -> dict[str, str]:
    """The three headers of Standard Webhooks: id, seconds since 1970, and `v1,` with the signature in base64."""
    timestamp = str(int(now.timestamp()))
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signature = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + payload, hashlib.sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


def address_parts(url: str) -> Any:
    """The parts of a web address without credentials in it, or None for anything else."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no port
    except ValueError:
        return None
    well_formed = url.isascii() and not any(sign.isspace() or not sign.isprintable() for sign in url)
    if not well_formed or parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc:
        return None
    return parts


def parse_networks(text: str) -> tuple[Network, ...]:
    """Networks in CIDR, commas between them. Raises ValueError."""
    return tuple(ipaddress.ip_network(one.strip()) for one in text.split(",") if one.strip())


def is_reachable(address: str, networks: Sequence[Network]) -> bool:
    """Whether a webhook may go to this address: a public one, or one of the `networks`. Addresses of IPv4 that are written
    as IPv6 are judged as what they are."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or found
    if found in TRANSLATED:
        return False
    if any(found in network for network in networks if network.version == found.version):
        return True
    return found.is_global and not found.is_multicast


def resolve_name(host: str, port: int) -> list[str]:
    """The addresses behind a name, as the system knows them. Raises OSError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class GuardedNetwork(httpcore.NetworkBackend):
    """Connects to reachable addresses only. The address that is judged is the one that is connected to, so a name that
    answers differently the second time gains nothing; TLS still asks for a certificate of the name."""

    def __init__(self, networks: Sequence[Network], resolve: Resolve = resolve_name) -> None:
        self._networks, self._resolve = networks, resolve
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to `host`. Raises httpcore.ConnectError, also where one of its addresses must not be reached."""
        try:
            addresses = list(self._resolve(host, port))
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("no such host") from error
        if not addresses or not all(is_reachable(address, self._networks) for address in addresses):
            raise httpcore.ConnectError("the address is not a public one")
        return self._sockets.connect_tcp(addresses[0], port, timeout, local_address, socket_options)
