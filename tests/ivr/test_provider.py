"""The adapter to the telephone service: what it asks for, what it makes of refusals, and whose webhooks it believes."""

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator
from werkzeug.datastructures import MultiDict

from backend.app import create_app
from ivr.provider import Provider, ProviderFailed, signature_is_valid
from tests.conftest import NOON, StandingClock, make_settings
from tests.ivr.service import ACCOUNT, LINE, TelephoneService


def provider(service: TelephoneService, **changed: Any) -> Provider:
    """The adapter with this service behind it."""
    settings = {"twilio_account_sid": service.account, "line_number": LINE} | changed
    http = httpx.Client(transport=httpx.WSGITransport(service))
    return Provider(make_settings("sqlite://", **settings), http)


# --- asking ---------------------------------------------------------------------------------------------------------


def test_a_call_is_asked_for_with_its_webhooks_and_all_events() -> None:
    service = TelephoneService()
    sid = provider(service).call("+8613800138000", "https://l/visit", "https://l/status", machine_detection=True)
    assert sid.startswith("CA")
    (form,) = service.posts("/Calls.json")
    assert form["Url"] == ["https://l/visit"] and form["From"] == [LINE]
    assert form["StatusCallbackEvent"] == ["initiated", "ringing", "answered", "completed"]
    assert form["MachineDetection"] == ["Enable"]


def test_a_call_under_way_is_redirected_and_hung_up() -> None:
    service = TelephoneService()
    line = provider(service)
    line.redirect("CA5", "https://l/next")
    line.hang_up("CA5")
    assert service.posts("/Calls/CA5.json") == [
        {"Url": ["https://l/next"], "Method": ["POST"]},
        {"Status": ["completed"]},
    ]


def test_participants_join_a_conference_by_its_name_and_are_changed_by_its_sid() -> None:
    service = TelephoneService()
    line = provider(service)
    assert line.add_participant("talk", "client:operator1", muted=True) == "CA77"
    line.update_participant("talk", "CA77", hold=True)
    line.remove_participant("talk", "CA77")
    paths = [(method, path.rpartition("/Conferences")[2]) for method, path, _ in service.asked]
    assert ("POST", "/talk/Participants.json") in paths
    assert ("POST", "/CF1/Participants/CA77.json") in paths
    assert ("DELETE", "/CF1/Participants/CA77.json") in paths


def test_only_messages_are_found_among_the_recordings_oldest_first_and_can_be_fetched() -> None:
    service = TelephoneService()
    service.recordings = [
        recording("RE2", "Wed, 25 Nov 2026 08:00:00 +0000"),
        recording("RE3", "Wed, 25 Nov 2026 09:00:00 +0000", source="Conference"),
        recording("RE1", "Wed, 25 Nov 2026 07:00:00 +0000"),
    ]
    line = provider(service)
    found = line.recordings_since(NOON)
    assert [message.sid for message in found] == ["RE1", "RE2"]
    assert found[0].recorded_at == datetime(2026, 11, 25, 7, tzinfo=UTC)
    assert line.fetch_recording(found[0].url) == b"RIFF"


def test_nothing_is_fetched_from_elsewhere_with_the_account_s_password() -> None:
    with pytest.raises(ProviderFailed):
        provider(TelephoneService()).fetch_recording("https://api.twilio.com.example.org/2010-04-01/Accounts/x")


def recording(sid: str, created: str, source: str = "RecordVerb") -> dict[str, Any]:
    return {
        "sid": sid,
        "call_sid": f"CA{sid}",
        "duration": "12",
        "date_created": created,
        "source": source,
        "status": "completed",
        "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Recordings/{sid}.json",
    }


@pytest.mark.parametrize(
    ("broken", "final"), [((429, 20429), False), ((500, 20500), False), ((503, 0), False), ((400, 21211), True)]
)
def test_too_many_requests_and_faults_may_be_tried_again_refusals_may_not(broken: tuple[int, int], final: bool) -> None:
    with pytest.raises(ProviderFailed) as failed:
        provider(TelephoneService(broken=broken)).hang_up("CA5")
    assert (failed.value.code, failed.value.final) == (broken[1], final)


def test_a_refusal_tells_no_number() -> None:
    with pytest.raises(ProviderFailed) as failed:
        provider(TelephoneService()).call("13800138000", "https://l/visit", "https://l/status")
    assert failed.value.code == 21211 and "138" not in str(failed.value)


def test_a_service_that_is_not_there_may_be_tried_again() -> None:
    def unreachable(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    settings = make_settings("sqlite://", twilio_account_sid=ACCOUNT, line_number=LINE)
    with pytest.raises(ProviderFailed) as failed:
        Provider(settings, httpx.Client(transport=httpx.MockTransport(unreachable))).hang_up("CA5")
    assert not failed.value.final


def test_without_an_account_development_uses_the_practice_exchange_and_production_nobody() -> None:
    assert Provider(make_settings("sqlite://", exchange_port=9)).base_url == "http://127.0.0.1:9"
    assert Provider(make_settings("sqlite://")).configured
    assert not Provider(make_settings("sqlite://", environment="production")).configured


@pytest.mark.parametrize(
    ("name", "url", "prefix", "scheme"),
    [
        ("telnyx", "", "/v2/texml", "Bearer"),
        ("signalwire", "https://city.signalwire.com", "/api/laml/2010-04-01", "Basic"),
        ("somleng", "", "/2010-04-01", "Basic"),
    ],
)
def test_services_that_speak_the_same_are_reached_in_their_own_way(
    name: str, url: str, prefix: str, scheme: str
) -> None:
    service = TelephoneService(prefix=prefix, scheme=scheme)
    provider(service, telephone_provider=name, twilio_api_url=url).hang_up("CA5")
    assert service.posts("/Calls/CA5.json")


# --- signatures -----------------------------------------------------------------------------------------------------

URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FORM = {
    "CallSid": "CA1234567890ABCDE",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
    "Caller": "+14158675309",
}
BODY = '{"property": "value", "boolean": true}'
DIGEST = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"


def believes(url: str, form: Mapping[str, Any], signature: str, body: str = "") -> bool:
    settings = make_settings("sqlite://", twilio_auth_token="12345")
    return signature_is_valid(settings, url, form, {"X-Twilio-Signature": signature}, body.encode())


@pytest.mark.parametrize(
    ("url", "signature"),
    [
        # Published in usage/webhooks/webhooks-security and in the tests of Twilio's helper libraries.
        (URL, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        (URL, "kvajT1Ptam85bY51eRf/AJRuM3w="),  # signed with :443
        (URL.replace(".com", ".com:1234"), "RSOYDt4T1cUTdK1PDd93/VVr8B8="),  # signed without the port
        (URL.replace("https", "http"), "0ZXoZLH/DfblKGATFgpif+LLRf4="),  # signed with :80
        (URL.replace("https", "http").replace(".com", ".com:1234"), "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
    ],
)
def test_twilio_s_published_signatures_are_believed(url: str, signature: str) -> None:
    assert believes(url, FORM, signature)
    assert not believes(url, FORM | {"Digits": "1235"}, signature)
    assert not believes(url.replace("foo=1", "foo=2"), FORM, signature)


def test_a_key_that_comes_several_times_is_signed_with_each_value_once() -> None:
    form = MultiDict(
        [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234")]
    )
    assert believes(URL, form, "IK+Dwps556ElfBT0I3Rgjkr1wJU=")


def test_a_body_that_is_no_form_is_believed_by_its_digest() -> None:
    assert believes(f"{URL}&bodySHA256={DIGEST}", {}, "a9nBmqA0ju/hNViExpshrM61xv4=", BODY)
    assert believes(f"https://mycompany.com/myapp.php?bodySHA256={DIGEST}", {}, "y77kIzt2vzLz71DgmJGsen2scGs=", BODY)
    assert not believes(f"{URL}&bodySHA256={DIGEST}", {}, "a9nBmqA0ju/hNViExpshrM61xv4=", BODY + " ")
    assert not believes(URL, {}, RequestValidator("12345").compute_signature(URL, {}), BODY)


@given(st.text(), st.dictionaries(st.text(), st.text(), max_size=3), st.text(), st.binary(max_size=40))
def test_whatever_a_stranger_sends_is_refused_and_no_fault(
    path: str, form: dict[str, str], signature: str, body: bytes
) -> None:
    settings = make_settings("sqlite://", twilio_auth_token="12345")
    headers = {"X-Twilio-Signature": signature}
    assert not signature_is_valid(settings, f"https://line.example/ivr/turn?{path}", form, headers, body)
    telnyx = make_settings("sqlite://", twilio_auth_token="12345", telephone_provider="telnyx")
    headers = {"telnyx-signature-ed25519": signature, "telnyx-timestamp": path}
    assert not signature_is_valid(telnyx, "https://line.example/ivr/turn", form, headers, body)


def test_telnyx_signs_time_and_body_with_its_key_and_old_ones_are_refused() -> None:
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"line").digest())
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    settings = make_settings(
        "sqlite://", telephone_provider="telnyx", twilio_auth_token=base64.b64encode(public).decode()
    )
    body, moment = urlencode(FORM).encode(), NOON.timestamp()
    signature = base64.b64encode(key.sign(str(int(moment)).encode() + b"|" + body)).decode()
    headers = {"telnyx-signature-ed25519": signature, "telnyx-timestamp": str(int(moment))}
    assert signature_is_valid(settings, URL, FORM, headers, body, moment)
    assert not signature_is_valid(settings, URL, FORM, headers, body + b"&", moment)
    late = (NOON + timedelta(minutes=6)).timestamp()
    assert not signature_is_valid(settings, URL, FORM, headers, body, late)


def test_behind_a_proxy_the_public_address_is_what_is_signed(sqlite_url: str, clock: StandingClock) -> None:
    settings = make_settings(sqlite_url, public_base_url="https://line.example")
    web = httpx.Client(
        transport=httpx.WSGITransport(create_app(settings, clock=clock)), base_url="http://10.0.0.7:8000"
    )
    form = {"CallSid": "CA1", "From": "+8613800138000", "To": "+8612345"}
    signer = RequestValidator(settings.twilio_auth_token)

    def status(signed_url: str) -> int:
        headers = {
            "X-Twilio-Signature": signer.compute_signature(signed_url, form),
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "line.example",
        }
        return web.post("/ivr/voice", data=form, headers=headers).status_code

    assert status("https://line.example/ivr/voice") == 200
    assert status("http://10.0.0.7:8000/ivr/voice") == 403
