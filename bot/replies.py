"""Rasa's response generator: turns an `utter_…` into a reply of bot/client.py's contract.

It runs in Rasa's own process. A question is answered here, by asking the backend's knowledge, and not by the action
server, and so is a case filed: each action costs a turn about 15 ms in Rasa alone (it checks the schema of events against
the schema of schemas at every action's answer).
"""

import asyncio
from typing import Any

import aiohttp
from rasa.core.nlg.generator import NaturalLanguageGenerator
from rasa.shared.core.events import BotUttered
from rasa.shared.core.trackers import DialogueStateTracker

from bot import say
from bot.backend import Backend
from bot.words import CityWords


class Replies(NaturalLanguageGenerator):
    """The `nlg` of endpoints.yml."""

    def __init__(self, endpoint_config: Any = None, domain: Any = None) -> None:
        self._backend = Backend()
        self._words = CityWords(self._backend, say.PHRASES)

    async def generate(
        self, utter_action: str, tracker: DialogueStateTracker, output_channel: str, **kwargs: Any
    ) -> dict[str, Any] | None:
        """The reply for `utter_action` in the citizen's language. Raises when the backend can't be asked."""
        meta = meta_of(tracker)
        locale = meta.get("locale", "zh")
        await self._words.renew(meta)
        if utter_action == "utter_answer":
            return {"custom": await self._answer(tracker)}
        if utter_action in ("utter_solved", "utter_unsolved"):
            solved = utter_action == "utter_solved"
            return {"custom": await self._ask(tracker, "feedback", {"solved": solved})}
        if utter_action == "utter_restart":
            return {"custom": await self._file(tracker, locale)}
        if utter_action == "utter_repeat":
            return {"custom": last_said(tracker) or say.reply("unclear", locale)}
        if utter_action == "utter_greet":
            return {"custom": say.greet(locale)}
        if utter_action == "utter_ask_contact":
            return {"custom": say.ask_contact(locale, bool(meta.get("caller_known")))}
        if utter_action == "utter_ask_confirmed":
            return {"custom": await self._summary(tracker, locale)}
        key = utter_action.removeprefix("utter_")
        if utter_action in say.ASKS:
            return {"custom": say.reply(key, locale, act="ask", expects=say.ASKS[utter_action])}
        return {"custom": say.reply(key, locale, act=say.ACTS.get(utter_action, "say"))}

    async def _answer(self, tracker: DialogueStateTracker) -> dict[str, Any]:
        """The backend's reply to the citizen's question, or with the article that was chosen."""
        message = tracker.latest_message
        chosen = next((entity["value"] for entity in message.entities if entity["entity"] == "article"), None)
        body = {"article": chosen} if chosen else {"question": message.text}
        body["in_form"] = bool(tracker.active_loop_name)
        return await self._ask(tracker, "answer", body)

    async def _summary(self, tracker: DialogueStateTracker, locale: str) -> dict[str, Any]:
        """What will be filed, to be confirmed; with how many neighbours have reported the same, where there are some. A line
        too busy to say so in time must not cost the citizen the report."""
        body = {
            "what": tracker.get_slot("what") or "—",
            "place": tracker.get_slot("where") or "",
            "contact": tracker.get_slot("contact") or "anonymous",
            "conversation_id": tracker.sender_id,
        }
        try:
            status, near = await self._backend.post("/cases/neighbours", body, meta_of(tracker))
        except (aiohttp.ClientError, asyncio.TimeoutError):
            status, near = 503, {}
        if status != 200 or not near["citizens"]:  # what can't be offered is filed without
            return say.summary(locale, tracker.current_slot_values())
        return say.summary(locale, tracker.current_slot_values(), near["citizens"], near["place"])

    async def _file(self, tracker: DialogueStateTracker, locale: str) -> dict[str, Any]:
        """File the case that the citizen has confirmed, once (the backend knows a repeat by its key), and say its number.

        Raises when it can't be filed: the bot then says nothing, and its channel keeps all that was said for the staff.
        """
        status, case = await self._backend.post(
            "/cases",
            {
                "what": tracker.get_slot("what"),
                "place": tracker.get_slot("where") or "",
                "since": tracker.get_slot("since") or "",
                "contact": tracker.get_slot("contact") or "anonymous",
                "conversation_id": tracker.sender_id,
                "key": meta_of(tracker)["filing_key"],
                "together": is_together(tracker),
            },
            meta_of(tracker),
        )
        if status not in (200, 201):
            raise RuntimeError(f"the backend answered {status} to a case")
        facts = {name: case[name] for name in ("number", "number_spoken", "agency", "due", "due_spoken")}
        return say.reply("filed", locale, act="filed", **facts) | {"facts": {"number": case["number"]}}

    async def _ask(self, tracker: DialogueStateTracker, what: str, body: dict[str, Any]) -> dict[str, Any]:
        """The backend's reply in this conversation."""
        path = f"/conversations/{tracker.sender_id}/{what}"
        status, reply = await self._backend.post(path, body, meta_of(tracker))
        if status != 200:
            raise RuntimeError(f"the backend answered {status} to {what}")
        return reply


def meta_of(tracker: DialogueStateTracker) -> dict[str, Any]:
    """What the channel sent along with the citizen's message."""
    return (tracker.latest_message.metadata if tracker.latest_message else None) or {}


def is_together(tracker: DialogueStateTracker) -> bool | None:
    """Whether the citizen, told of their neighbours, has said that theirs is the same matter: to confirm is to say so,
    unless by the choice that says otherwise. None: they weren't told."""
    if not ((last_said(tracker) or {}).get("facts") or {}).get("neighbours"):
        return None
    return not any(entity["entity"] == "alone" for entity in tracker.latest_message.entities)


def last_said(tracker: DialogueStateTracker) -> dict[str, Any] | None:
    """The last reply that was given, to be said again."""
    for event in reversed(tracker.events):
        if isinstance(event, BotUttered) and event.data.get("custom"):
            custom: dict[str, Any] = event.data["custom"]
            return custom
    return None
