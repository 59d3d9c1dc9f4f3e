"""Replies made from the bot's own catalogue, as the plain data of bot/client.py's contract. Pure."""

from pathlib import Path
from typing import Any

from bot.catalogue import Catalogue
from bot.digits import said

PHRASES = Catalogue(Path(__file__).with_name("phrases.yml"))

ITEMS = ("what", "where", "since", "contact")

CONFIRM_WORDS = [
    "对",
    "对的",
    "是",
    "是的",
    "没错",
    "确认",
    "确定",
    "提交",
    "可以",
    "好",
    "好的",
    "yes",
    "right",
    "correct",
    "confirm",
]
ALONE_WORDS = ["单独登记", "单独", "不是", "不是同一件事", "不一样", "另一件事", "separately", "another matter"]
UNSOLVED_WORDS = ["没解决", "没有解决", "还没解决", "不满意", "not solved", "it is not solved"]
ANONYMOUS_WORDS = ["不留", "不用了", "不想留", "匿名吧", "anonymous"]
CALLER_WORDS = [
    "可以",
    "好",
    "好的",
    "行",
    "是",
    "是的",
    "对",
    "就这个",
    "就这个号",
    "嗯",
    "yes",
    "ok",
    "okay",
    "this one",
]


def reply(key: str, locale: str, act: str = "say", expects: str = "speech", **facts: Any) -> dict[str, Any]:
    """The phrase `key` as a reply."""
    phrase = PHRASES.say(key, locale, **facts)
    return {"text": phrase.text, "speech": phrase.speech, "act": act, "expects": expects, "choices": []}


def choice(key: str, locale: str, message: str, words: list[str] | None = None) -> dict[str, Any]:
    """One choice, labelled from the catalogue."""
    return {"label": PHRASES.words(key, locale), "message": message, "words": words or []}


def greet(locale: str) -> dict[str, Any]:
    """The greeting, with what can be done."""
    return reply("greet", locale) | {
        "choices": [
            choice("choice_report", locale, "/report"),
            choice("choice_follow_up", locale, "/follow_up"),
            choice("choice_person", locale, "/human"),
        ]
    }


def case_state(locale: str, case: dict[str, Any]) -> dict[str, Any]:
    """Where a case stands. Of one that is answered the citizen is asked what they think, and a person is at hand for whom it
    isn't solved; of one that is over nothing is due any more."""
    if case["to_rate"]:
        person = choice("choice_person", locale, "/human", UNSOLVED_WORDS)
        return reply("case_to_rate", locale, act="state", **case) | {"choices": [person]}
    return reply("case_state" if case["due"] else "case_over", locale, act="state", **case)


def ask_contact(locale: str, caller_known: bool) -> dict[str, Any]:
    """Which telephone to call back: the caller's own where it is known, another, or none."""
    choices = [choice("anonymous", locale, "/anonymous", ANONYMOUS_WORDS)]
    if caller_known:
        choices.insert(0, choice("choice_caller", locale, "/use_caller", CALLER_WORDS))
    key = "ask_contact_caller" if caller_known else "ask_contact"
    return reply(key, locale, act="ask", expects="digits") | {"choices": choices}


def summary(locale: str, slots: dict[str, Any], neighbours: int = 0, place: str = "") -> dict[str, Any]:
    """Everything that will be filed, to be confirmed or corrected; and how many neighbours have reported the same at
    `place`, to which one's own is added by confirming."""
    contact, contact_spoken = contact_words(slots.get("contact"), locale)
    facts = {item: slots.get(item) or "—" for item in ITEMS}
    facts |= {"contact": contact, "contact_spoken": contact_spoken}
    corrections = [choice(f"choice_{item}", locale, f'/correct{{"item": "{item}"}}') for item in ITEMS]
    if neighbours:
        facts |= {"count": neighbours, "place": place}
        same = choice("choice_together", locale, "/affirm", CONFIRM_WORDS)
        other = choice("choice_alone", locale, '/affirm{"alone": "alone"}', ALONE_WORDS)
        return reply("summary_neighbours", locale, act="confirm", expects="choice", **facts) | {
            "choices": [same, other, *corrections],
            "facts": {"neighbours": neighbours},
        }
    return reply("summary", locale, act="confirm", expects="choice", **facts) | {
        "choices": [choice("choice_confirm", locale, "/affirm", CONFIRM_WORDS), *corrections]
    }


def contact_words(contact: str | None, locale: str) -> tuple[str, str]:
    """How a contact is shown and spoken: a number, `caller`, or `anonymous`."""
    if contact in (None, "anonymous", "caller"):
        phrase = PHRASES.say(contact or "anonymous", locale)
        return phrase.text, phrase.speech
    digits = str(contact).removeprefix("+86")
    if locale == "en":
        return digits, " ".join(digits)
    spoken = said(digits)
    return digits, "，".join(part for part in (spoken[:3], spoken[3:7], spoken[7:]) if part)


ASKS = {
    "utter_ask_what": "speech",
    "utter_ask_where": "speech",
    "utter_ask_since": "speech",
    "utter_ask_case_number": "digits",
    "utter_ask_last_digits": "digits",
}
"""Questions of the forms, and what each expects."""

ACTS = {"utter_goodbye": "end", "utter_handoff": "handoff", "utter_danger": "danger", "utter_unclear": "unclear"}
"""Responses whose act is not `say`."""
