"""Reads TwiML as Twilio does, and refuses what Twilio refuses.

What is allowed is a table of plain data (`ELEMENTS`): for each verb or noun its attributes and their values,
the elements that may stand inside it, and what text it takes. Facts are from Twilio's reference,
https://www.twilio.com/docs/voice/twiml and its pages per verb; error codes from
https://www.twilio.com/docs/api/errors. Some of Twilio's own faults are only warnings, after which the verb
is skipped; to a caller that is a broken call all the same, so here every fault refuses the document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote
from xml.etree.ElementTree import Element as XmlElement
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

HTTP_RETRIEVAL_FAILURE = 11200
BODY_TOO_LARGE = 11750
NOT_XML = 12100
SCHEMA = 12200
CONTENT_TYPE = 12300
SAY_EMPTY = 13520
SAY_TOO_LONG = 13521

MAX_BODY_BYTES = 64 * 1024  # https://www.twilio.com/docs/api/errors/11750
MAX_DEPTH = 20  # deeper than any real document; keeps a hostile one from exhausting the stack

# Twilio also reads text/html as TwiML and text/plain aloud (docs/api/twiml/your_response), but its support
# pages file text/html under 12300; a line that sends either has lost its way, so only XML is taken.
XML_CONTENT_TYPES = ("text/xml", "application/xml")

Context = Literal["call", "wait", "whisper", "hold"]
TextRule = Literal["none", "optional", "required", "spoken"]


class TwimlRefused(Exception):
    """The document is one that Twilio would not carry out.

    `code` is Twilio's own error or warning number, `reason` a sentence for whoever wrote the document.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class Element:
    """A verb or noun that has passed all checks. `text` is stripped; for Say it is what is heard, without
    SSML."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    children: tuple[Element, ...] = ()

    def get(self, attribute: str, default: str = "") -> str:
        """The attribute's value, or `default` where the document leaves it out."""
        return self.attributes.get(attribute, default)


@dataclass(frozen=True)
class Document:
    """The verbs of one TwiML document, in order."""

    verbs: tuple[Element, ...]


# ---- kinds of attribute value ------------------------------------------------------------------------------


@dataclass(frozen=True)
class OneOf:
    """Exactly one of these words."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class SomeOf:
    """One or more of these words, separated by spaces."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Whole:
    """A whole number within these bounds, both included."""

    least: int
    most: int


@dataclass(frozen=True)
class Shape:
    """Text of this regular expression; `wording` says it to a person."""

    pattern: str
    wording: str


Kind = OneOf | SomeOf | Whole | Shape

BOOL = OneOf(("true", "false"))
METHOD = OneOf(("GET", "POST"))
TRIM = OneOf(("trim-silence", "do-not-trim"))
URL = Shape(
    r"(https?:)?//[A-Za-z0-9.\-_:@%]+([/?#][^\s\[\]]*)?|(?!//)(?![A-Za-z][A-Za-z0-9+.\-]*:)[^\s\[\]]+",
    "a relative or http(s) address",
)
# Twilio connects to wss only; a line on this machine has no certificate.
STREAM_URL = Shape(
    r"wss://[^\s?\[\]]+|ws://(127\.0\.0\.1|localhost)(:\d+)?/[^\s?\[\]]*", "a wss address without a query"
)
INTERRUPTIBLE = OneOf(("none", "dtmf", "speech", "any", "true", "false"))
SECONDS = Whole(1, 86_400)
AUTO_SECONDS = Shape(r"auto|[1-9]\d{0,4}", "'auto' or a positive number of seconds")
TEXT = Shape(r"(?s).+", "some text")
LANGUAGE = Shape(r"[A-Za-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|\d{3}))?", "a language tag such as cmn-CN")
# https://www.twilio.com/docs/api/errors/13512: "en" is refused, "en-US" is right.
SPEECH_LANGUAGE = Shape(r"[a-z]{2,3}(-[A-Z][a-z]{3})?-([A-Z]{2}|\d{3})", "a language with its region")
RELAY_LANGUAGE = Shape(r"multi|[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|\d{3}))?", "a language tag, or multi")
VOICE = Shape(
    r"man|woman|alice|Polly\.[A-Z][A-Za-z]+(-(Neural|Generative))?|Google\.[a-z]{2,3}-[A-Z]{2}-[A-Za-z0-9\-]+"
    r"|ElevenLabs\.[A-Za-z0-9_.\-]+",
    "man, woman, or a Polly., Google. or ElevenLabs. voice",
)
# docs/voice/twiml/gather#hints: up to 500 entries of up to 100 characters.
HINTS = Shape(r"[^,]{1,100}(,[^,]{1,100}){0,499}", "up to 500 hints of up to 100 characters, comma-separated")
RECORDING_EVENTS = SomeOf(("in-progress", "completed", "absent"))
CALL_EVENTS = SomeOf(("initiated", "ringing", "answered", "completed"))

_RECORDING_CALLBACK: dict[str, Kind] = {
    "recordingStatusCallback": URL,
    "recordingStatusCallbackMethod": METHOD,
    "recordingStatusCallbackEvent": RECORDING_EVENTS,
    "recordingConfigurationId": TEXT,
}
_ANSWERING: dict[str, Kind] = {
    "url": URL,
    "method": METHOD,
    "statusCallback": URL,
    "statusCallbackMethod": METHOD,
    "statusCallbackEvent": CALL_EVENTS,
}
_RELAY_SPEECH: dict[str, Kind] = {
    "ttsProvider": OneOf(("Google", "Amazon", "ElevenLabs")),
    "voice": TEXT,
    "transcriptionProvider": OneOf(("Google", "Deepgram")),
    "speechModel": TEXT,
    "hints": HINTS,
}
_MACHINE_DETECTION: dict[str, Kind] = {
    "machineDetection": OneOf(("Enable", "DetectMessageEnd")),
    "machineDetectionTimeout": Whole(3, 59),
    "machineDetectionSpeechThreshold": Whole(1000, 6000),
    "machineDetectionSpeechEndThreshold": Whole(500, 5000),
    "machineDetectionSilenceTimeout": Whole(2000, 10_000),
    "amdStatusCallback": URL,
    "amdStatusCallbackMethod": METHOD,
}


# ---- the table ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spec:
    """What one element may look like. `text_kind` narrows its text where Twilio does."""

    attributes: Mapping[str, Kind] = field(default_factory=dict)
    children: frozenset[str] = frozenset()
    text: TextRule = "none"
    text_kind: Kind | None = None


_SSML_INLINE = frozenset({"break", "emphasis", "lang", "phoneme", "prosody", "say-as", "sub", "w"})

ELEMENTS: dict[str, Spec] = {
    # docs/voice/twiml/say
    "Say": Spec(
        {"voice": VOICE, "language": LANGUAGE, "loop": Whole(0, 1000)},
        children=_SSML_INLINE | {"p", "s"},
        text="spoken",
    ),
    # docs/voice/twiml/play; digits may stand instead of an address
    "Play": Spec(
        {"loop": Whole(0, 1000), "digits": Shape(r"[0-9*#wWA-D,]{1,64}", "keys, w and W")},
        text="optional",
        text_kind=URL,
    ),
    # docs/voice/twiml/pause
    "Pause": Spec({"length": SECONDS}),
    # docs/voice/twiml/gather
    "Gather": Spec(
        {
            "action": URL,
            "method": METHOD,
            "input": OneOf(("dtmf", "speech", "dtmf speech", "speech dtmf")),
            "timeout": AUTO_SECONDS,
            "speechTimeout": AUTO_SECONDS,
            "maxSpeechTime": SECONDS,
            "finishOnKey": Shape(r"[0-9#*]?", "one of 0-9, # and *, or empty"),
            "numDigits": Whole(1, 128),
            "partialResultCallback": URL,
            "partialResultCallbackMethod": METHOD,
            "language": SPEECH_LANGUAGE,
            "hints": HINTS,
            "bargeIn": BOOL,
            "debug": BOOL,
            "actionOnEmptyResult": BOOL,
            "profanityFilter": BOOL,
            "enhanced": BOOL,
            "speechModel": Shape(r"[a-z][a-z0-9_\-]*", "a speech model's name"),
        },
        children=frozenset({"Say", "Play", "Pause"}),
    ),
    # docs/voice/twiml/record; unlike Gather it takes several finishing keys
    "Record": Spec(
        {
            "action": URL,
            "method": METHOD,
            "timeout": SECONDS,
            "finishOnKey": Shape(r"[0-9#*]*", "any of 0-9, # and *"),
            "maxLength": Whole(2, 86_400),
            "playBeep": BOOL,
            "trim": TRIM,
            "transcribe": BOOL,
            "transcribeCallback": URL,
            **_RECORDING_CALLBACK,
        }
    ),
    # docs/voice/twiml/redirect
    "Redirect": Spec({"method": METHOD}, text="required", text_kind=URL),
    # docs/voice/twiml/hangup and /reject
    "Hangup": Spec(),
    "Reject": Spec({"reason": OneOf(("rejected", "busy"))}),
    # docs/voice/twiml/enqueue; Task (TaskRouter) is not known to this phone
    "Enqueue": Spec(
        {
            "action": URL,
            "method": METHOD,
            "waitUrl": URL,
            "waitUrlMethod": METHOD,
            "maxQueueSize": Whole(1, 5000),
            "workflowSid": Shape(r"WW[0-9a-f]{32}", "a workflow's SID"),
        },
        text="optional",
        text_kind=Shape(r"(?s).{1,64}", "a queue name of up to 64 characters"),
    ),
    # docs/voice/twiml/leave
    "Leave": Spec(),
    # docs/voice/twiml/connect and /connect/conversationrelay; of Connect's nouns only this one is known to this phone
    "Connect": Spec({"action": URL, "method": METHOD}, frozenset({"ConversationRelay"})),
    "ConversationRelay": Spec(
        {
            "url": STREAM_URL,
            "language": RELAY_LANGUAGE,
            "ttsLanguage": RELAY_LANGUAGE,
            "transcriptionLanguage": RELAY_LANGUAGE,
            **_RELAY_SPEECH,
            "profanityFilter": BOOL,
            "dtmfDetection": BOOL,
            "welcomeGreeting": TEXT,
            "welcomeGreetingInterruptible": INTERRUPTIBLE,
            "interruptible": INTERRUPTIBLE,
            "interruptSensitivity": OneOf(("high", "medium", "low")),
            "reportInputDuringAgentSpeech": OneOf(("none", "dtmf", "speech", "any")),
            "preemptible": BOOL,
            "intelligenceService": TEXT,
            "debug": SomeOf(("debugging", "speaker-events", "tokens-played")),
        },
        frozenset({"Language", "Parameter"}),
    ),
    "Language": Spec({"code": RELAY_LANGUAGE, **_RELAY_SPEECH}),
    # docs/voice/twiml/dial
    "Dial": Spec(
        {
            "action": URL,
            "method": METHOD,
            "timeout": Whole(1, 600),
            "timeLimit": SECONDS,
            "hangupOnStar": BOOL,
            "callerId": Shape(r"\+?[0-9]{3,15}|client:\S+|sip:\S+|anonymous", "a number or client: name"),
            "record": OneOf(
                (
                    "do-not-record",
                    "record-from-answer",
                    "record-from-ringing",
                    "record-from-answer-dual",
                    "record-from-ringing-dual",
                    "true",
                    "false",
                )
            ),
            "recordingTrack": OneOf(("inbound", "outbound", "both")),
            "trim": TRIM,
            "answerOnBridge": BOOL,
            "ringTone": Shape(r"[a-z]{2}(-[a-z]+)?", "a country's ring tone"),
            "sequential": BOOL,
            "referUrl": URL,
            "referMethod": METHOD,
            **_RECORDING_CALLBACK,
        },
        children=frozenset({"Number", "Client", "Queue", "Conference", "Sip"}),
        text="optional",
        text_kind=Shape(r"\+?[0-9][0-9().\- ]{1,24}", "a phone number"),
    ),
    # docs/voice/twiml/number, /client, /queue, /conference, /sip
    "Number": Spec(
        {
            **_ANSWERING,
            **_MACHINE_DETECTION,
            "sendDigits": Shape(r"[0-9*#wW]+", "keys, w and W"),
            "byoc": Shape(r"BY[0-9a-f]{32}", "a BYOC trunk's SID"),
        },
        text="required",
        text_kind=Shape(r"\+?[0-9][0-9().\- ]{1,24}", "a phone number"),
    ),
    "Client": Spec(
        _ANSWERING,
        children=frozenset({"Identity", "Parameter"}),
        text="optional",
        text_kind=Shape(r"\S{1,121}", "a client's name"),
    ),
    "Identity": Spec(text="required", text_kind=Shape(r"\S{1,121}", "a client's name")),
    "Parameter": Spec({"name": TEXT, "value": Shape(r"(?s).*", "some text")}),
    "Queue": Spec(
        {
            "url": URL,
            "method": METHOD,
            "reservationSid": Shape(r"WR[0-9a-f]{32}", "a reservation's SID"),
            "postWorkActivitySid": Shape(r"WA[0-9a-f]{32}", "an activity's SID"),
        },
        text="required",
        text_kind=Shape(r"(?s).{1,64}", "a queue name of up to 64 characters"),
    ),
    "Conference": Spec(
        {
            "muted": BOOL,
            "beep": OneOf(("true", "false", "onEnter", "onExit")),
            "startConferenceOnEnter": BOOL,
            "endConferenceOnExit": BOOL,
            "waitUrl": Shape(rf"({URL.pattern})?", "an address, or empty for silence"),
            "waitMethod": METHOD,
            "maxParticipants": Whole(2, 250),
            "record": OneOf(("do-not-record", "record-from-start")),
            "region": OneOf(("us1", "us2", "ie1", "de1", "sg1", "br1", "au1", "jp1")),
            "coach": Shape(r"CA[0-9a-f]{32}", "a call's SID"),
            "trim": TRIM,
            "statusCallback": URL,
            "statusCallbackMethod": METHOD,
            "statusCallbackEvent": SomeOf(
                ("start", "end", "join", "leave", "mute", "hold", "modify", "speaker", "announcement")
            ),
            "eventCallbackUrl": URL,
            "jitterBufferSize": OneOf(("large", "medium", "small", "off")),
            "participantLabel": Shape(r"(?s).{1,128}", "a label of up to 128 characters"),
            **_RECORDING_CALLBACK,
        },
        text="required",
        text_kind=Shape(r"(?s).{1,128}", "a conference name of up to 128 characters"),
    ),
    "Sip": Spec(
        {**_ANSWERING, **_MACHINE_DETECTION, "username": TEXT, "password": TEXT},
        text="required",
        text_kind=Shape(r"sips?:\S+@\S+", "a SIP address"),
    ),
    # docs/voice/twiml/say/text-speech: the SSML that Twilio passes on
    "break": Spec(
        {
            "strength": OneOf(("none", "x-weak", "weak", "medium", "strong", "x-strong")),
            "time": Shape(r"\d+(\.\d+)?(s|ms)", "a time such as 300ms"),
        }
    ),
    "emphasis": Spec({"level": OneOf(("strong", "moderate", "reduced"))}, _SSML_INLINE, "spoken"),
    "lang": Spec({"xml:lang": LANGUAGE}, _SSML_INLINE | {"p", "s"}, "spoken"),
    "p": Spec({}, _SSML_INLINE | {"s"}, "spoken"),
    "phoneme": Spec({"alphabet": OneOf(("ipa", "x-sampa", "x-amazon-pinyin")), "ph": TEXT}, text="spoken"),
    "prosody": Spec(
        {
            "volume": Shape(r"default|silent|x-soft|soft|medium|loud|x-loud|[+-]\d+(\.\d+)?dB", "a volume"),
            "rate": Shape(r"x-slow|slow|medium|fast|x-fast|\d{2,3}%", "a rate such as slow or 85%"),
            "pitch": Shape(r"default|x-low|low|medium|high|x-high|[+-]\d+(\.\d+)?%", "a pitch"),
        },
        _SSML_INLINE | {"p", "s"},
        "spoken",
    ),
    "s": Spec({}, _SSML_INLINE, "spoken"),
    "say-as": Spec(
        {"interpret-as": Shape(r"[a-z\-]+", "a way of reading"), "format": Shape(r"[a-z0-9]+", "a format")},
        text="spoken",
    ),
    "sub": Spec({"alias": TEXT}, text="spoken"),
    "w": Spec(
        {"role": Shape(r"\S+", "a role")},
        frozenset({"break", "emphasis", "phoneme", "prosody", "say-as", "sub"}),
        "spoken",
    ),
}

VERBS: dict[Context, frozenset[str]] = {
    # Leave has a meaning only for a caller who is in a queue (docs/voice/twiml/leave).
    "call": frozenset({"Say", "Play", "Pause", "Gather", "Record", "Redirect", "Hangup", "Reject", "Enqueue", "Dial"})
    | {"Connect"},
    # docs/voice/twiml/enqueue#attributes-waitUrl
    "wait": frozenset({"Say", "Play", "Pause", "Gather", "Redirect", "Hangup", "Leave"}),
    # docs/voice/twiml/number#url: no Dial, Enqueue, Record or Reject before the two sides are connected
    "whisper": frozenset({"Say", "Play", "Pause", "Gather", "Redirect", "Hangup"}),
    # docs/voice/twiml/conference#attributes-waitUrl
    "hold": frozenset({"Say", "Play", "Pause", "Redirect"}),
}

DOCUMENTS: dict[Context, str] = {
    "call": "a call",
    "wait": "a waiting document",
    "whisper": "a document before the connection",
    "hold": "a document of waiting music",
}

# Twilio's own number for a fault, where it has one of its own; all others are 12200 (schema).
FAULT_CODES: dict[tuple[str, str], int] = {
    ("Gather", "finishOnKey"): 13310,
    ("Gather", "timeout"): 13313,
    ("Gather", "speechTimeout"): 13327,
    ("Gather", "hints"): 13330,
    ("Gather", "language"): 13512,
    ("Enqueue", "waitUrl"): 14202,
    ("Enqueue", "waitUrlMethod"): 14206,
}

# https://www.twilio.com/docs/api/errors/13521: the most UTF-8 bytes in one Say, by who speaks.
SAY_MAX_BYTES = {"Polly": 3000, "Google": 5000}
SAY_MAX_BYTES_BASIC = 4096
SAY_MAX_URL_ENCODED = 4500  # same page; a Chinese character takes nine, so about 500 of them
BASIC_VOICES = ("man", "woman", "alice")  # errors/13513: basic voices speak no SSML

_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


# ---- reading -----------------------------------------------------------------------------------------------


def parse_twiml(body: bytes | str, content_type: str, context: Context = "call") -> Document:
    """Read one TwiML document.

    `body` is the answer's body, `content_type` its Content-Type header. `context` says where the document
    is heard: in a call, in a queue (an Enqueue's waitUrl), before two are connected (a Number's url), or on hold in a
    conference; each has verbs of its own.
    Returns the checked document. Raises TwimlRefused with Twilio's code for everything that Twilio would not
    carry out.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in XML_CONTENT_TYPES:
        raise TwimlRefused(CONTENT_TYPE, f"Content-Type is {content_type!r}, not text/xml or application/xml")
    text = _decode(body)
    root = _parse_xml(text)
    if root.tag != "Response":
        raise TwimlRefused(NOT_XML, f"the root element is <{root.tag}>, not <Response>")
    if root.attrib:
        raise TwimlRefused(SCHEMA, f"<Response> takes no attributes, but has {sorted(root.attrib)}")
    _refuse_stray_text(root)
    return Document(tuple(_verb(child, context) for child in root))


def _decode(body: bytes | str) -> str:
    """The document's text: at most 64 kB, in UTF-8."""
    try:
        raw = body.encode("utf-8") if isinstance(body, str) else body
        if len(raw) > MAX_BODY_BYTES:
            raise TwimlRefused(BODY_TOO_LARGE, f"the document has {len(raw)} bytes, the limit is {MAX_BODY_BYTES}")
        return raw.decode("utf-8")
    except UnicodeError as error:
        raise TwimlRefused(NOT_XML, f"the document is not UTF-8: {error}") from error


def _parse_xml(text: str) -> XmlElement:
    """The XML tree. Document types and entities are refused: TwiML needs none, and they are how XML is
    attacked."""
    try:
        root: XmlElement = fromstring(text, forbid_dtd=True)
    except DefusedXmlException as error:
        raise TwimlRefused(NOT_XML, "a document type or entity is declared") from error
    except (ParseError, ValueError, LookupError) as error:
        raise TwimlRefused(NOT_XML, f"not well-formed XML: {error}") from error
    return root


def _verb(node: XmlElement, context: Context) -> Element:
    """One verb directly under Response."""
    if node.tag not in VERBS[context]:
        where = DOCUMENTS[context]
        raise TwimlRefused(SCHEMA, f"<{node.tag}> is not a verb that {where} can have")
    return _element(node, depth=1)


def _element(node: XmlElement, depth: int) -> Element:
    """Check one element and all that is inside it."""
    if depth > MAX_DEPTH:
        raise TwimlRefused(SCHEMA, f"elements are nested more than {MAX_DEPTH} deep")
    spec = ELEMENTS[node.tag]
    attributes = _attributes(node, spec)
    children = []
    for child in node:
        if child.tag not in spec.children:
            raise TwimlRefused(SCHEMA, f"<{child.tag}> can't stand inside <{node.tag}>")
        children.append(_element(child, depth + 1))
    if spec.text == "spoken":
        return Element(node.tag, attributes, _spoken(node, attributes), tuple(children))
    _refuse_stray_text(node, own_text_allowed=spec.text != "none")
    element = Element(node.tag, attributes, (node.text or "").strip(), tuple(children))
    _check_text(element, spec)
    _check_whole(element)
    return element


def _attributes(node: XmlElement, spec: Spec) -> dict[str, str]:
    """The element's attributes, each known and within its values."""
    attributes = {}
    for key, value in node.attrib.items():
        name = "xml:lang" if key == _XML_LANG else key
        kind = spec.attributes.get(name)
        if kind is None:
            raise TwimlRefused(SCHEMA, f"<{node.tag}> has no attribute {name!r}")
        if not _fits(kind, value):
            code = FAULT_CODES.get((node.tag, name), SCHEMA)
            raise TwimlRefused(code, f"<{node.tag} {name}={value!r}>: must be {_wording(kind)}")
        attributes[name] = value
    return attributes


def _fits(kind: Kind, value: str) -> bool:
    """Whether the value is of that kind."""
    match kind:
        case OneOf(words):
            return value in words
        case SomeOf(words):
            return value != "" and all(word in words for word in value.split(" "))
        case Whole(least, most):
            return re.fullmatch(r"[0-9]{1,9}", value) is not None and least <= int(value) <= most
        case Shape(pattern):
            return re.fullmatch(pattern, value) is not None


def _wording(kind: Kind) -> str:
    """The kind in words, for the reason of a refusal."""
    match kind:
        case OneOf(words):
            return "one of " + ", ".join(words)
        case SomeOf(words):
            return "some of " + ", ".join(words)
        case Whole(least, most):
            return f"a whole number from {least} to {most}"
        case Shape(_, wording):
            return wording


def _refuse_stray_text(node: XmlElement, own_text_allowed: bool = False) -> None:
    """Words between elements are no part of TwiML: Twilio's schema refuses them."""
    strays = [child.tail for child in node] + ([] if own_text_allowed else [node.text])
    for stray in strays:
        if stray and stray.strip():
            raise TwimlRefused(SCHEMA, f"<{node.tag}> can't have the text {stray.strip()[:40]!r} there")


def _spoken(node: XmlElement, attributes: Mapping[str, str]) -> str:
    """What is heard of a Say or SSML element; a Say is also checked as a whole (docs/voice/twiml/say)."""
    text = " ".join(_heard(node).split())
    if node.tag != "Say":
        return text
    if not text:
        raise TwimlRefused(SAY_EMPTY, "<Say> has nothing to say")
    voice = attributes.get("voice", "")
    most = SAY_MAX_BYTES.get(voice.partition(".")[0], SAY_MAX_BYTES_BASIC)
    if len(text.encode("utf-8")) > most or len(quote(text, safe="")) > SAY_MAX_URL_ENCODED:
        raise TwimlRefused(SAY_TOO_LONG, f"<Say> has {len(text)} characters, more than this voice takes at once")
    if len(node) and voice in BASIC_VOICES:
        raise TwimlRefused(SCHEMA, f"the voice {voice!r} speaks no SSML")
    return text


def _heard(node: XmlElement) -> str:
    """An element's words as they are spoken: a <sub> is spoken as its alias."""
    if node.tag == "sub" and "alias" in node.attrib:
        return node.attrib["alias"]
    return (node.text or "") + "".join(_heard(child) + (child.tail or "") for child in node)


def _check_text(element: Element, spec: Spec) -> None:
    """The text that an element must or may have, and its shape."""
    if spec.text == "required" and not element.text:
        raise TwimlRefused(SCHEMA, f"<{element.name}> needs text")
    if element.text and spec.text_kind and not _fits(spec.text_kind, element.text):
        raise TwimlRefused(SCHEMA, f"<{element.name}>{element.text[:60]}: must be {_wording(spec.text_kind)}")


def _check_whole(element: Element) -> None:
    """What no single attribute can show: contents that go, or don't go, together."""
    inside = [child.name for child in element.children]
    match element.name:
        case "Play" if not element.text and "digits" not in element.attributes:
            raise TwimlRefused(SCHEMA, "<Play> needs an address or digits")
        case "Dial" if bool(element.text) == bool(inside):
            raise TwimlRefused(SCHEMA, "<Dial> needs either a number or nouns, and not both")
        case "Dial" if len(inside) > 1 and {"Queue", "Conference"} & set(inside):
            raise TwimlRefused(SCHEMA, "<Queue> and <Conference> must be alone in their <Dial>")
        case "Dial" if len(inside) > 10:
            raise TwimlRefused(SCHEMA, "<Dial> takes up to 10 nouns")
        case "Connect" if len(inside) != 1:
            raise TwimlRefused(SCHEMA, "<Connect> needs one noun")
        case "ConversationRelay" if "url" not in element.attributes:
            raise TwimlRefused(SCHEMA, "<ConversationRelay> needs a url")
        case "Language" if "code" not in element.attributes:
            raise TwimlRefused(SCHEMA, "<Language> needs a code")
        case "Client" if bool(element.text) == ("Identity" in inside) or inside.count("Identity") > 1:
            raise TwimlRefused(SCHEMA, "<Client> needs a name, either as its text or as one <Identity>")
        case "Parameter" if set(element.attributes) != {"name", "value"}:
            raise TwimlRefused(SCHEMA, "<Parameter> needs name and value")
