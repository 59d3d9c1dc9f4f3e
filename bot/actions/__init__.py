"""The action server's actions: what has consequences. They call the backend's API, never its tables."""

from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import FollowupAction, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from bot import say
from bot.backend import Backend
from bot.corrections import corrected, read_correction
from bot.words import CityWords

BACKEND = Backend()
WORDS = CityWords(BACKEND, say.PHRASES)
Events = list[dict[str, Any]]

OFFERS = ("unknown", "unsolved")
"""Acts of a reply that offers to file a case."""


def meta_of(tracker: Tracker) -> dict[str, Any]:
    """What the channel sent along with the citizen's message."""
    return tracker.latest_message.get("metadata") or {}


def locale_of(tracker: Tracker) -> str:
    """The citizen's language."""
    return str(meta_of(tracker).get("locale", "zh"))


def last_act(tracker: Tracker) -> str:
    """The act of the last reply that the citizen heard."""
    for event in reversed(tracker.events):
        if event.get("event") == "bot":
            return str(((event.get("data") or {}).get("custom") or {}).get("act", ""))
    return ""


class Agree(Action):
    """Yes: the answer helped, or a case shall be filed."""

    def name(self) -> str:
        return "action_agree"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> Events:
        """Take up what was offered, or say that the answer helped."""
        if last_act(tracker) in OFFERS:
            return [FollowupAction("case_form")]
        await give_feedback(dispatcher, tracker, solved=True)
        return []


class Deny(Action):
    """No: the answer didn't help, or none of the choices is meant."""

    def name(self) -> str:
        return "action_deny"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> Events:
        """Say that the answer didn't help."""
        await give_feedback(dispatcher, tracker, solved=False)
        return []


async def give_feedback(dispatcher: CollectingDispatcher, tracker: Tracker, solved: bool) -> None:
    """Tell the backend whether the last answer helped, and say what it replies."""
    path, meta = f"/conversations/{tracker.sender_id}/feedback", meta_of(tracker)
    status, reply = await BACKEND.post(path, {"solved": solved}, meta)
    if status != 200:
        raise RuntimeError(f"the backend answered {status} to feedback")
    dispatcher.utter_message(json_message=reply)


class Correct(Action):
    """Whatever is said while a case is being filed and isn't an answer to its question."""

    def name(self) -> str:
        return "action_correct"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> Events:
        """Set the item that was corrected, or empty it so that the form asks for it again."""
        locale = locale_of(tracker)
        await WORDS.renew(meta_of(tracker))
        if tracker.get_slot("requested_slot") != "confirmed":
            dispatcher.utter_message(json_message=say.reply("unclear", locale, act="unclear"))
            return []
        chosen = next(tracker.get_latest_entity_values("item"), None)
        if chosen in say.ITEMS:
            return [SlotSet(chosen, None)]
        correction = read_correction(tracker.latest_message.get("text") or "")
        if correction.item is None:
            dispatcher.utter_message(json_message=say.reply("which_item", locale, act="ask"))
            return []
        if correction.item == "contact" and correction.value and not correction.value.startswith("+"):
            return [SlotSet("contact", None)]
        if correction.value is None:
            return [SlotSet(correction.item, None)]
        return [SlotSet(correction.item, corrected(tracker.get_slot(correction.item) or "", correction.value))]


class LookUp(Action):
    """Say where a case stands."""

    def name(self) -> str:
        return "action_look_up"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> Events:
        """Look the case up by its number and the last four digits of the telephone."""
        locale = locale_of(tracker)
        await WORDS.renew(meta_of(tracker))
        number, digits = tracker.get_slot("case_number"), tracker.get_slot("last_digits")
        asked = {"last_digits": digits, "locale": locale}
        status, case = await BACKEND.post(f"/cases/{number}/state", asked, meta_of(tracker))
        if status == 200:
            reply = say.case_state(locale, case)
        else:
            reply = {
                "text": case["message"],
                "speech": case["message"],
                "act": "say",
                "expects": "speech",
                "choices": [],
            }
        dispatcher.utter_message(json_message=reply)
        return [SlotSet("case_number", None), SlotSet("last_digits", None)]
