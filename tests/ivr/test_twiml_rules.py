"""The practice phone's table of TwiML beside the twilio package's own classes: elements, attributes and nesting. What the
package has and the phone refuses is written down here, so that neither can change unseen."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
from twilio.twiml import voice_response
from twilio.twiml.voice_response import VoiceResponse

from ivr.phone.twiml import ELEMENTS, VERBS, TwimlRefused, parse_twiml

# Verbs and nouns of the package that the phone refuses, because the line has no use for them, by where they stand.
REFUSED_ELEMENTS: dict[str, set[str]] = {
    "Response": {"Echo", "Pay", "Prompt", "Queue", "Refer", "Sms", "Start", "Stop"},
    "Connect": {"AiSession", "Autopilot", "Conversation", "ConversationRelaySession", "Room", "Stream", "VirtualAgent"},
    "Dial": {"Application", "Sim", "WhatsApp"},
    "Enqueue": {"Task"},
    "Hangup": {"Parameter"},
    "Reject": {"Parameter"},
    "Sip": {"Headers", "SipUri"},
}
# Attributes of the package that the phone refuses.
NORMALIZATION = {"asrSmartFormat", "ttsTextNormalization", "ttsLanguageTextNormalization"}
REFUSED_ATTRIBUTES: dict[str, set[str]] = {
    "ConversationRelay": NORMALIZATION
    | {"elevenlabsTextNormalization", "elevenlabsLanguageTextNormalization", "deepgramSmartFormat"}
    | {"applicationReconnect", "customerName", "eagerEotThreshold", "events", "includeInPrompt", "turnDetection"}
    | {"backgroundNoiseReduction", "echoPromptFiltering", "ignoreBackchannel", "speechTimeout"}
    | {"partialPromptOnHangup", "partialPrompts"},
    "Dial": {"events", "passports"},
    "Language": NORMALIZATION,
}
# What the package calls an element's text.
TEXTS = {"clientIdentity", "message", "name", "number", "phoneNumber", "sipUrl", "words"}
TEXT_OF = {"Play": {"url"}, "Redirect": {"url"}, "Client": {"identity"}}


def child_of(method: Callable[..., Any]) -> type | None:
    """The class that a method such as Dial.number nests."""
    nested = re.search(r"self\.nest\(\s*(\w+)\(", inspect.getsource(method))
    return getattr(voice_response, nested[1], None) if nested else None


def name_of(element: type) -> str:
    """What TwiML calls a class of the package: SsmlSayAs is say-as."""
    name = element.__name__
    if not name.startswith("Ssml"):
        return "Response" if name == "VoiceResponse" else name
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name.removeprefix("Ssml")).lower()


def attribute(parameter: str) -> str:
    """What TwiML calls a parameter of the package."""
    if parameter in ("interpret_as", "xml_lang"):
        return {"interpret_as": "interpret-as", "xml_lang": "xml:lang"}[parameter]
    first, *others = parameter.rstrip("_").split("_")
    return first + "".join(word.title() for word in others)


def read_package() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Element -> its attributes, and element -> what may stand inside it."""
    attributes: dict[str, set[str]] = {}
    children: dict[str, set[str]] = {}
    for _, parent in inspect.getmembers(voice_response, inspect.isclass):
        if parent.__module__ != voice_response.__name__:
            continue
        inside = children.setdefault(name_of(parent), set())
        for _, method in inspect.getmembers(parent, inspect.isfunction):
            child = child_of(method)
            if child:
                inside.add(name_of(child))
                names = set(inspect.signature(method).parameters) - {"self", "kwargs"}
                attributes.setdefault(name_of(child), set()).update(map(attribute, names))
    return attributes, children


ATTRIBUTES, CHILDREN = read_package()


@pytest.mark.parametrize("element", sorted(ELEMENTS))
def test_an_element_has_the_packages_attributes(element: str) -> None:
    text = TEXT_OF.get(element, TEXTS if ELEMENTS[element].text != "none" else set())
    package = ATTRIBUTES[element] - text
    assert package - set(ELEMENTS[element].attributes) == REFUSED_ATTRIBUTES.get(element, set())
    assert set(ELEMENTS[element].attributes) <= package


@pytest.mark.parametrize("element", sorted(ELEMENTS))
def test_an_element_nests_what_the_package_nests(element: str) -> None:
    package = CHILDREN.get(element, set())
    assert package - ELEMENTS[element].children == REFUSED_ELEMENTS.get(element, set())
    assert ELEMENTS[element].children <= package


def test_a_call_has_the_packages_verbs() -> None:
    known = VERBS["call"] | {"Leave"}  # which the phone takes where it means something: in a queue
    assert CHILDREN["Response"] - known == REFUSED_ELEMENTS["Response"]
    assert known <= CHILDREN["Response"]
    for context, verbs in VERBS.items():
        assert verbs <= CHILDREN["Response"], context


def test_what_the_package_writes_is_read() -> None:
    response = VoiceResponse()
    dial = response.dial(action="/after", record="record-from-answer", recording_status_callback="/recording")
    dial.conference("c1", start_conference_on_enter=False, status_callback_event="start end", wait_url="/music")
    connect = response.connect(action="/handed")
    relay = connect.conversation_relay(url="wss://line.test/stream", tts_provider="Amazon", interruptible="any")
    relay.language(code="yue-CN", voice="Hiujin")
    relay.parameter(name="step", value="1")
    first, second = parse_twiml(str(response), "text/xml").verbs
    assert (first.name, first.children[0].get("startConferenceOnEnter")) == ("Dial", "false")
    assert [child.name for child in second.children[0].children] == ["Language", "Parameter"]


RELAY = '<ConversationRelay url="wss://line.test/s"/>'


@pytest.mark.parametrize(
    "verb",
    [
        "<Connect/>",
        f"<Connect>{RELAY}{RELAY}</Connect>",
        "<Connect><ConversationRelay/></Connect>",
        '<Connect><ConversationRelay url="https://line.test/s"/></Connect>',
        '<Connect><ConversationRelay url="ws://line.test/s"/></Connect>',
        '<Connect><ConversationRelay url="wss://line.test/s?step=1"/></Connect>',
        '<Connect><ConversationRelay url="wss://line.test/s" ttsProvider="amazon"/></Connect>',
        '<Connect><ConversationRelay url="wss://line.test/s"><Language voice="x"/></ConversationRelay></Connect>',
        '<Connect><ConversationRelay url="wss://line.test/s"><Parameter name="x"/></ConversationRelay></Connect>',
        "<Connect><Stream url='wss://line.test/s'/></Connect>",
        "<Dial><Conference maxParticipants='251'>c</Conference></Dial>",
        "<Dial><Conference>c</Conference><Number>+8613900000001</Number></Dial>",
        "<Dial><Conference statusCallbackEvent='begin'>c</Conference></Dial>",
        "<Gather><Dial>+8613900000001</Dial></Gather>",
        "<Leave/>",
    ],
)
def test_what_twilio_would_refuse_is_refused(verb: str) -> None:
    with pytest.raises(TwimlRefused):
        parse_twiml(f"<Response>{verb}</Response>", "text/xml")


@pytest.mark.parametrize(
    ("context", "verb"),
    [
        ("wait", "<Dial>+8613900000001</Dial>"),
        ("wait", "<Record/>"),
        ("whisper", "<Enqueue>operators</Enqueue>"),
        ("whisper", "<Record/>"),
        ("hold", "<Gather/>"),
        ("hold", "<Hangup/>"),
    ],
)
def test_each_kind_of_document_has_its_own_verbs(context: Any, verb: str) -> None:
    with pytest.raises(TwimlRefused, match="is not a verb"):
        parse_twiml(f"<Response>{verb}</Response>", "text/xml", context)
