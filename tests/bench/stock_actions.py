"""The stock bot's action server: our actions, and answering and filing as custom actions. Runs on Python 3.10."""

from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import SlotSet
from rasa_sdk.executor import CollectingDispatcher

from bot import say
from bot.actions import BACKEND, Agree, Correct, Deny, LookUp

__all__ = ["Agree", "Answer", "Correct", "Deny", "FileCase", "LookUp"]


class Answer(Action):
    """Looks the question up in the backend's knowledge."""

    def name(self) -> str:
        """Its name in the domain."""
        return "action_answer"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Say the answer."""
        question = tracker.latest_message.get("text") or ""
        _, reply = await BACKEND.post(f"/conversations/{tracker.sender_id}/answer", {"question": question}, {})
        dispatcher.utter_message(json_message=reply)
        return [SlotSet("what", tracker.get_slot("what"))]


class FileCase(Action):
    """File the case that the citizen has confirmed."""

    def name(self) -> str:
        """Its name in the domain."""
        return "action_file_case"

    async def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """File it and say its number."""
        slots = {item: tracker.get_slot(item) for item in say.ITEMS}
        confirmed_at = next(
            (event["timestamp"] for event in reversed(tracker.events) if event.get("event") == "user"), 0.0
        )
        status, case = await BACKEND.post(
            "/cases",
            {
                "what": slots["what"],
                "place": slots["where"] or "",
                "since": slots["since"] or "",
                "contact": slots["contact"] or "anonymous",
                "conversation_id": tracker.sender_id,
                "key": f"{tracker.sender_id}:{confirmed_at:.6f}",
            },
            {},
        )
        if status not in (200, 201):
            raise RuntimeError(f"the backend answered {status} to a case")
        facts = {name: case[name] for name in ("number", "number_spoken", "agency", "due", "due_spoken")}
        filed = say.reply("filed", "zh", act="filed", **facts)
        dispatcher.utter_message(json_message=filed | {"facts": {"number": case["number"]}})
        return [SlotSet(item, None) for item in (*say.ITEMS, "confirmed")]
