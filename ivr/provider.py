"""The one adapter to the telephone service: its REST API and the signatures of its webhooks. Nothing else knows more of a
service than TwiML and these verbs.

Twilio is the model. Services that speak the same, by another base URL, another way to log in and another signature, are
rows of SERVICES (docs/telephone-providers.md). In development without an account the practice exchange
(ivr/phone/exchange.py) stands in for the service.
"""

import base64
import binascii
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from werkzeug.datastructures import Headers

from backend.settings import Settings
from backend.trusted import trusted

TWILIO_URL = "https://api.twilio.com"
PRACTICE_ACCOUNT, PRACTICE_NUMBER = "AC" + "0" * 32, "+8612345"
"""The account and the line's number at the practice exchange."""
PATIENCE = 10.0
"""Seconds to wait for the service; only jobs wait."""
STALE_AFTER = 300
"""Seconds after which a signature with a time in it is refused, as Telnyx advises."""
BIGGEST_RECORDING = 20_000_000
"""Bytes; three minutes of WAV are about 3 MB."""

logging.getLogger("twilio.http_client").setLevel(logging.WARNING)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Service:
    """What one service does otherwise than Twilio."""

    base_url: str  # empty: it has none that holds for everybody, so TWILIO_API_URL must be set
    api_path: str = "/2010-04-01"  # what stands before /Accounts in the paths of its REST API
    log_in: Literal["basic", "bearer"] = "basic"
    signed_by: Literal["hmac", "ed25519"] = "hmac"
    signature_header: str = "X-Twilio-Signature"


SERVICES: Mapping[str, Service] = {
    "twilio": Service(TWILIO_URL),
    "telnyx": Service("https://api.telnyx.com", "/v2/texml", "bearer", "ed25519", "telnyx-signature-ed25519"),
    "signalwire": Service("", "/api/laml/2010-04-01", signature_header="X-SignalWire-Signature"),
    "somleng": Service("https://api.somleng.org"),
}


CALL_OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
"""CallStatus of a call that is over (voice/api/call-resource)."""


class ProviderFailed(Exception):
    """The service did not do it: `code` is its own name for the error (api/errors), or 0 when it could not be reached."""

    def __init__(self, code: int, status: int = 0) -> None:
        super().__init__(f"error {code}, HTTP {status}" if status else "not reached")
        self.code, self.status = code, status

    @property
    def final(self) -> bool:
        """Whether it is no use to ask again: a refusal that is not about asking too often (429)."""
        return 400 <= self.status < 500 and self.status != 429


@dataclass(frozen=True)
class FoundRecording:
    """A message that the service has recorded."""

    sid: str
    call_sid: str
    seconds: int
    recorded_at: datetime
    url: str


class Provider:
    """The telephone service of the settings. Every verb may raise ProviderFailed, and is for jobs: a webhook doesn't wait
    for the service that waits for its answer."""

    def __init__(self, settings: Settings, http: httpx.Client | None = None) -> None:
        service = SERVICES[settings.telephone_provider]
        account = settings.twilio_account_sid
        practice = not account and settings.environment == "development"
        exchange = f"http://127.0.0.1:{settings.exchange_port}"
        self.base_url = settings.twilio_api_url or (exchange if practice else service.base_url)
        self.line_number = settings.line_number or (PRACTICE_NUMBER if practice else "")
        self.configured = bool(self.base_url and self.line_number and (account or practice))
        """Whether there is a service to ask."""
        self._connection = Connection(service, self.base_url, http or httpx.Client(timeout=PATIENCE, verify=trusted()))
        self._client = Client(
            settings.twilio_api_key or account or PRACTICE_ACCOUNT,
            settings.twilio_api_secret or settings.twilio_auth_token,
            account or PRACTICE_ACCOUNT,
            http_client=self._connection,
        )

    def call(self, to: str, url: str, status_url: str, machine_detection: bool = False, ring_for: int = 30) -> str:
        """Ring `to` (E.164, client:name), and ask `url` for TwiML when it answers; returns the call's SID. How it goes is
        told to `status_url` (voice/api/call-resource). With `machine_detection` `url` is asked when it is known who or
        what has answered, in AnsweredBy (voice/answering-machine-detection)."""
        detection = {"machine_detection": "Enable"} if machine_detection else {}
        with told_plainly():
            call = self._client.calls.create(
                to=to,
                from_=self.line_number,
                url=url,
                status_callback=status_url,
                status_callback_event=["initiated", "ringing", "answered", "completed"],
                timeout=ring_for,
                **detection,
            )
        return str(call.sid)

    def redirect(self, call_sid: str, url: str) -> None:
        """Let the call go on with the TwiML at `url` (voice/tutorials/how-to-modify-calls-in-progress)."""
        with told_plainly():
            self._client.calls(call_sid).update(url=url, method="POST")

    def hang_up(self, call_sid: str) -> None:
        """End the call, also while it rings."""
        with told_plainly():
            self._client.calls(call_sid).update(status="completed")

    def parties_of(self, call_sid: str) -> tuple[str, str]:
        """The numbers that the call came from and that it was made to."""
        with told_plainly():
            call = self._client.calls(call_sid).fetch()
        return str(call._from or ""), str(call.to or "")  # `_from` is the package's own name for it

    def add_participant(self, conference: str, to: str, **options: Any) -> str:
        """Ring somebody into the conference of this name; returns the SID of their call. Options as of the twilio package
        (voice/api/conference-participant-resource): label, muted, coaching, call_sid_to_coach, early_media …"""
        with told_plainly():
            joined = self._client.conferences(conference).participants.create(from_=self.line_number, to=to, **options)
        return str(joined.call_sid)

    def update_participant(self, conference: str, call_sid: str, **changes: Any) -> None:
        """Change what somebody in the conference may do: hold, muted, coaching, announce_url …"""
        sid = self._conference_sid(conference)
        with told_plainly():
            self._client.conferences(sid).participants(call_sid).update(**changes)

    def remove_participant(self, conference: str, call_sid: str) -> None:
        """Take somebody out of the conference."""
        sid = self._conference_sid(conference)
        with told_plainly():
            self._client.conferences(sid).participants(call_sid).delete()

    def _conference_sid(self, name: str) -> str:
        """The SID of the conference of this name that is under way. Raises ProviderFailed (20404) when there is none."""
        with told_plainly():
            found = self._client.conferences.list(friendly_name=name, status="in-progress", limit=1)
        if not found:
            raise ProviderFailed(20404, 404)
        return str(found[0].sid)

    def send_sms(self, to: str, text: str, status_url: str) -> str:
        """Send a text message (messaging/api/message-resource: at most 1600 characters); returns its SID."""
        with told_plainly():
            message = self._client.messages.create(to=to, from_=self.line_number, body=text, status_callback=status_url)
        return str(message.sid)

    def recordings_since(self, moment: datetime) -> list[FoundRecording]:
        """The messages that <Record> has recorded since `moment`, oldest first (voice/api/recording); not the recordings of
        talks, which have another source."""
        with told_plainly():
            found = self._client.recordings.list(date_created_after=moment.astimezone(UTC), page_size=200)
        messages = [
            FoundRecording(
                sid=str(recording.sid),
                call_sid=str(recording.call_sid),
                seconds=int(recording.duration or 0),
                recorded_at=recording.date_created,
                url=f"{self.base_url}{str(recording.uri).removesuffix('.json')}",
            )
            for recording in found
            if recording.source == "RecordVerb" and recording.status == "completed"
        ]
        return sorted(messages, key=lambda message: message.recorded_at)

    def fetch_recording(self, url: str) -> bytes:
        """The sound of a recording, as a WAV file. Only this service's own addresses are fetched: ProviderFailed else."""
        if not url.startswith(f"{self.base_url}/"):
            raise ProviderFailed(20404, 404)
        with told_plainly():
            return self._connection.fetch(url, self._client.auth)

    def delete_recording(self, url: str) -> None:
        """Delete a recording for good; one that is gone already is no error."""
        sid = url.rstrip("/").rsplit("/", 1)[-1].split(".")[0]
        try:
            with told_plainly():
                self._client.recordings(sid).delete()
        except ProviderFailed as failure:
            if failure.status != httpx.codes.NOT_FOUND:
                raise


class Connection(HttpClient):  # type: ignore[misc]  # the package has no types
    """How the twilio package's requests reach the service: at its base URL, by its path and with its way to log in."""

    def __init__(self, service: Service, base_url: str, http: httpx.Client) -> None:
        super().__init__(log, is_async=False, timeout=PATIENCE)
        self.service, self.base_url, self.http = service, base_url, http

    def request(
        self,
        method: str,
        uri: str,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """One request of the package, as it expects its HttpClient to make it."""
        path = uri.removeprefix(TWILIO_URL).replace("/2010-04-01", self.service.api_path, 1)
        answer = self.http.request(
            method,
            f"{self.base_url}{path}",
            params=params or None,
            data=dict(data or {}),
            headers=dict(headers or {}) | self.credentials(auth),
        )
        return Response(answer.status_code, answer.text, answer.headers)

    def fetch(self, url: str, auth: tuple[str, str]) -> bytes:
        """A file of the service; redirections are followed, without credentials at another host. Raises ProviderFailed."""
        answer = self.http.get(url, headers=self.credentials(auth), follow_redirects=True)
        if answer.status_code != 200:
            raise ProviderFailed(answer.status_code, answer.status_code)
        if len(answer.content) > BIGGEST_RECORDING:
            raise ProviderFailed(413, 413)
        return answer.content

    def credentials(self, auth: tuple[str, str] | None) -> dict[str, str]:
        """The header by which the service knows us."""
        name, secret = auth or ("", "")
        if self.service.log_in == "bearer":
            return {"Authorization": f"Bearer {secret}"}
        return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turns what the twilio package and the network raise into ProviderFailed, whose text holds no number or address."""
    try:
        yield
    except TwilioRestException as error:
        raise ProviderFailed(error.code or 0, error.status) from None
    except (httpx.HTTPError, TwilioException):
        raise ProviderFailed(0) from None


def signature_is_valid(
    settings: Settings, url: str, form: Any, headers: Mapping[str, str] | Headers, body: bytes, now: float | None = None
) -> bool:
    """Whether a webhook or websocket at `url` (public, with its query) comes from our telephone service.

    Twilio, SignalWire, Somleng: HMAC-SHA1 over the URL and the sorted form fields, `form` being a mapping that may repeat
    keys; a body that is no form is known by its digest in the query's bodySHA256 (usage/webhooks/webhooks-security).
    Telnyx: Ed25519 over `timestamp|body` (docs/development/sdk/python/webhooks); `now`, seconds since 1970, is the
    present if None.
    """
    service = SERVICES[settings.telephone_provider]
    signature = headers.get(service.signature_header) or ""
    if service.signed_by == "hmac":
        if body and not form and "bodySHA256=" not in url:
            return False
        signed: Any = form if form or not body else body.decode("utf-8", "replace")
        return bool(RequestValidator(settings.twilio_auth_token).validate(url, signed, signature))
    moment = headers.get("telnyx-timestamp") or ""
    if not moment.isdecimal() or abs((now or time.time()) - int(moment)) > STALE_AFTER:
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(settings.twilio_auth_token))
        key.verify(base64.b64decode(signature), moment.encode() + b"|" + body)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
