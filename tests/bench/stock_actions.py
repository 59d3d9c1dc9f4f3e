"""The stock bot's action server: our actions, and the answer as a custom action. Runs on Python 3.10."""

from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import SlotSet
from rasa_sdk.executor import CollectingDispatcher

from bot.actions import BACKEND, Agree, Correct, Deny, FileCase, LookUp

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
        _, reply = await BACKEND.post(f"/conversations/{tracker.sender_id}/answer", {"question": question})
        dispatcher.utter_message(json_message=reply)
        return [SlotSet("what", tracker.get_slot("what"))]
