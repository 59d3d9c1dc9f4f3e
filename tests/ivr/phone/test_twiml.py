"""The practice phone takes the TwiML that Twilio takes, and refuses what Twilio refuses."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.twiml.voice_response import Dial, Gather, VoiceResponse

from ivr.phone.twiml import ELEMENTS, Context, Document, TwimlRefused, parse_twiml


def parse(inside: str, context: Context = "call") -> Document:
    return parse_twiml(f'<?xml version="1.0" encoding="UTF-8"?><Response>{inside}</Response>', "text/xml", context)


def refusal(inside: str, context: Context = "call") -> int:
    """The code with which this is refused."""
    with pytest.raises(TwimlRefused) as refused:
        parse(inside, context)
    return refused.value.code


# ---- what is taken


def test_what_twilios_own_library_writes_is_taken() -> None:
    response = VoiceResponse()
    gather = Gather(input="speech dtmf", action="/ivr/turn", language="cmn-Hans-CN", hints="暖气,物业", timeout=5)
    gather.say("您好，请讲。", voice="Polly.Zhiyu", language="cmn-CN")
    response.append(gather)
    response.record(max_length=120, play_beep=True, action="/ivr/recorded", recording_status_callback="/ivr/done")
    dial = Dial(action="/ivr/dialled", timeout=20)
    client = dial.client()
    client.identity("operator-7")
    client.parameter(name="conversation", value="42")
    response.append(dial)
    response.enqueue("人工", wait_url="/ivr/wait", action="/ivr/left")

    verbs = parse_twiml(str(response), "text/xml; charset=utf-8").verbs

    assert [verb.name for verb in verbs] == ["Gather", "Record", "Dial", "Enqueue"]
    assert verbs[0].children[0].text == "您好，请讲。"
    assert verbs[3].text == "人工"


def test_an_empty_response_is_taken() -> None:
    assert parse("").verbs == ()


def test_comments_are_ignored() -> None:
    assert [verb.name for verb in parse("<!-- hello --><Hangup/><!-- bye -->").verbs] == ["Hangup"]


def test_ssml_is_heard_as_words() -> None:
    words = '电<say-as interpret-as="telephone">12345</say-as><break time="1s"/>，<sub alias="合肥">庐州</sub>'
    assert parse(f"<Say>{words}</Say>").verbs[0].text == "电12345，合肥"


def test_play_takes_keys_instead_of_an_address() -> None:
    assert parse('<Play digits="ww1234"/>').verbs[0].get("digits") == "ww1234"


def test_application_xml_is_taken_as_well() -> None:
    assert parse_twiml(b"<Response/>", "application/xml").verbs == ()


# ---- what is refused


@pytest.mark.parametrize("body", [b"", b"Hello", b"<Response>", b"<Response><Say>a & b</Say></Response>", b"\xff<"])
def test_what_is_not_xml_is_refused(body: bytes) -> None:
    with pytest.raises(TwimlRefused) as refused:
        parse_twiml(body, "text/xml")
    assert refused.value.code == 12100


@pytest.mark.parametrize("content_type", ["", "text/html", "application/json", "text/plain"])
def test_a_content_type_other_than_xml_is_refused(content_type: str) -> None:
    with pytest.raises(TwimlRefused) as refused:
        parse_twiml(b"<Response/>", content_type)
    assert refused.value.code == 12300


def test_another_root_is_refused() -> None:
    with pytest.raises(TwimlRefused) as refused:
        parse_twiml(b"<response/>", "text/xml")
    assert refused.value.code == 12100


def test_a_document_over_64_kb_is_refused() -> None:
    assert refusal(f"<!-- {'x' * 65536} -->") == 11750


def test_outside_entities_are_refused_unread() -> None:
    attack = '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><Response><Say>&x;</Say></Response>'
    with pytest.raises(TwimlRefused) as refused:
        parse_twiml(attack, "text/xml")
    assert refused.value.code == 12100


def test_entities_that_multiply_are_refused() -> None:
    attack = '<!DOCTYPE r [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><Response><Say>&b;</Say></Response>'
    with pytest.raises(TwimlRefused):
        parse_twiml(attack, "text/xml")


@pytest.mark.parametrize(
    "inside",
    [
        "<say>你好</say>",
        "<Speak>你好</Speak>",
        '<Say volume="1">你好</Say>',
        '<Say Voice="man">你好</Say>',
        '<Say voice="Zhiyu">你好</Say>',
        '<Say language="Chinese">你好</Say>',
        '<Say loop="-1">你好</Say>',
        '<Say voice="man">你好<break/></Say>',
        "<Play/>",
        "<Play>not an address</Play>",
        "<Play>ftp://example.com/a.mp3</Play>",
        '<Pause length="0"/>',
        '<Pause length="1.5"/>',
        '<Gather numDigits="0"/>',
        '<Gather numDigits="many"/>',
        '<Gather method="PUT"/>',
        '<Gather input="voice"/>',
        '<Gather actionOnEmptyResult="yes"/>',
        '<Gather action="javascript:alert(1)"/>',
        '<Record maxLength="1"/>',
        '<Record playBeep="no"/>',
        '<Record recordingStatusCallbackEvent="done"/>',
        "<Redirect/>",
        "<Redirect>  </Redirect>",
        "<Reject reason='closed'/>",
        f"<Enqueue>{'长' * 65}</Enqueue>",
        '<Enqueue waitURL="/wait">人工</Enqueue>',
        "<Dial/>",
        "<Dial>+8613800138000<Client>a</Client></Dial>",
        "<Dial><Queue>a</Queue><Queue>b</Queue></Dial>",
        "<Dial><Client/></Dial>",
        '<Dial><Client>a<Parameter name="x"/></Client></Dial>',
        "<Dial><Sip>operator</Sip></Dial>",
        "<Connect><ConversationRelay/></Connect>",
        "<Hangup>now</Hangup>",
        "stray words",
        "<Pause/>stray words",
        "<Gather>stray words</Gather>",
    ],
)
def test_what_breaks_the_schema_is_refused(inside: str) -> None:
    assert refusal(inside) == 12200


@pytest.mark.parametrize(
    "inside",
    [
        "<Gather><Hangup/></Gather>",
        "<Gather><Gather/></Gather>",
        "<Gather><Redirect>/x</Redirect></Gather>",
        "<Say><Play>/a.mp3</Play></Say>",
        "<Say>喂<sub alias='a'>b<break/></sub></Say>",
        "<Dial><Say>喂</Say></Dial>",
        "<Number>+8613800138000</Number>",
        "<Enqueue><Task>{}</Task></Enqueue>",
    ],
)
def test_elements_in_the_wrong_place_are_refused(inside: str) -> None:
    assert refusal(inside) == 12200


@pytest.mark.parametrize(
    ("inside", "code"),
    [
        ('<Gather finishOnKey="#*"/>', 13310),
        ('<Gather timeout="0"/>', 13313),
        ('<Gather speechTimeout="soon"/>', 13327),
        (f'<Gather hints="{"长" * 101}"/>', 13330),
        ('<Gather language="zh"/>', 13512),
        ('<Enqueue waitUrl="mailto:a@b">人工</Enqueue>', 14202),
        ('<Enqueue waitUrlMethod="get">人工</Enqueue>', 14206),
        ("<Say> </Say>", 13520),
        ("<Say/>", 13520),
        (f"<Say>{'a' * 4097}</Say>", 13521),
        (f"<Say>{'长' * 501}</Say>", 13521),
        (f'<Say voice="Polly.Zhiyu">{"a" * 3001}</Say>', 13521),
    ],
)
def test_a_fault_with_a_number_of_its_own_is_refused_with_it(inside: str, code: int) -> None:
    assert refusal(inside) == code


def test_five_hundred_chinese_characters_are_the_most_that_one_say_takes() -> None:
    assert len(parse(f'<Say voice="Polly.Zhiyu">{"长" * 500}</Say>').verbs[0].text) == 500


@pytest.mark.parametrize("inside", ["<Record/>", "<Dial>+8613800138000</Dial>", "<Enqueue>x</Enqueue>", "<Reject/>"])
def test_a_waiting_document_has_fewer_verbs(inside: str) -> None:
    assert refusal(inside, "wait") == 12200


def test_only_a_waiting_document_can_leave() -> None:
    assert [verb.name for verb in parse("<Gather/><Leave/>", "wait").verbs] == ["Gather", "Leave"]
    assert refusal("<Leave/>") == 12200


def test_endless_nesting_is_refused() -> None:
    assert refusal("<Say>" + "<prosody>" * 1500 + "</prosody>" * 1500 + "</Say>") == 12200


# ---- whatever comes


@given(st.binary(max_size=300))
def test_any_bytes_are_taken_or_refused_but_never_crash(body: bytes) -> None:
    with contextlib.suppress(TwimlRefused):
        parse_twiml(body, "text/xml")


@given(st.text(max_size=200), st.text(max_size=20))
def test_any_text_and_content_type_are_taken_or_refused_but_never_crash(body: str, content_type: str) -> None:
    for kind in ("text/xml", content_type):
        with contextlib.suppress(TwimlRefused):
            parse_twiml(body, kind)


@given(
    st.recursive(
        st.text(st.characters(categories=["L", "N", "P", "Zs"], exclude_characters="<&>"), max_size=10),
        lambda inside: st.builds(
            lambda name, attribute, value, children: (
                f'<{name} {attribute}="{value}">{"".join(children)}</{name}>'
                if attribute
                else f"<{name}>{''.join(children)}</{name}>"
            ),
            st.sampled_from(sorted(ELEMENTS)),
            st.sampled_from(["", *sorted({name for spec in ELEMENTS.values() for name in spec.attributes})]),
            st.sampled_from(["", "true", "POST", "1", "/x", "//[", "http://[", "auto", "#", "zh-CN", "一"]),
            st.lists(inside, max_size=3),
        ),
        max_leaves=8,
    )
)
def test_any_arrangement_of_elements_is_taken_or_refused_but_never_crashes(inside: str) -> None:
    for context in ("call", "wait"):
        with contextlib.suppress(TwimlRefused):
            parse(inside, context)
