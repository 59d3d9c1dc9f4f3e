"""Saves dialogues with bot/tracker_store.py and reads them back as after a restart. Runs in the bot's environment (Python
3.10); prints what it found as JSON, for test_tracker_store.py. BOT_DATABASE_URL says where."""

import asyncio
import json
import os
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet
from rasa.core.channels.channel import UserMessage
from rasa.core.lock_store import InMemoryLockStore
from rasa.core.tracker_store import FailSafeTrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, BotUttered, SlotSet, UserUttered

from bot.channel import NotKept, answer
from bot.tracker_store import LOOKS_EVERY, OLDER_TABLES, SAVED, STORED_FOR, CachedTrackerStore

SAID = "我家暖气不热，电话13800138000"


class Clock:
    """A clock that stands until it is moved."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def main() -> None:
    """Save, start anew, change the key, and let a week pass."""
    engine = sa.create_engine(os.environ["BOT_DATABASE_URL"])
    with engine.begin() as connection:
        SAVED.drop(connection, checkfirst=True)
        for name in OLDER_TABLES:
            connection.execute(sa.text(f"CREATE TABLE {name} (data TEXT)"))
    domain, clock = Domain.load("bot/domain.yml"), Clock()

    def store() -> CachedTrackerStore:
        return CachedTrackerStore(domain, clock=clock)

    before = store()
    tracker = await before.get_or_create_tracker("one")
    tracker.update(UserUttered(SAID, {"name": "report"}))
    tracker.update(SlotSet("what", SAID))
    await before.save(tracker)
    tracker.update(ActionExecuted("action_listen"))
    await before.save(tracker)
    again = await store().retrieve("one")
    with engine.connect() as connection:
        rows = connection.execute(sa.select(SAVED)).all()
    os.environ["BOT_DATA_KEYS"] = f"{Fernet.generate_key().decode()},{os.environ['BOT_DATA_KEYS']}"
    rotated = await store().retrieve("one")
    clock.now += STORED_FOR + LOOKS_EVERY
    later = store()
    await later.save(await later.get_or_create_tracker("two"))
    print(
        json.dumps(
            {
                "same": again is not None and again.current_state() == tracker.current_state(),
                "same events": again is not None and list(again.events) == list(tracker.events),
                "rows": len(rows),
                "in plain text": any(part in str(rows) for part in ("暖气", "13800138000", "\\u6696", "report")),
                "with a new key": rotated is not None and rotated.get_slot("what") == SAID,
                "after a week": list(await later.keys()),
                "older versions' tables": sorted(set(OLDER_TABLES) & set(sa.inspect(engine).get_table_names())),
                "unknown": await later.retrieve("three"),
            }
            | await two_processes(Process(store()), Process(store()))
        )
    )


async def two_processes(one: "Process", other: "Process") -> dict[str, Any]:
    """A dialogue that goes from one process to another and back, and then two of them at it at the same time."""
    there_and_back = [await one.hear("first"), await other.hear("second"), await one.hear("third")]
    again = [await other.hear("third"), await one.hear("second"), await one.hear("first")]

    one.meanwhile = lambda: other.hear("fourth")
    overtaken = await one.hear("fifth")
    one.meanwhile = lambda: other.hear("sixth")
    same_at_once = await one.hear("sixth")
    one.meanwhile = one.break_off
    broken_off = await one.hear("seventh")
    one.meanwhile = None
    after = [await one.hear("seventh"), await other.hear("eighth")]
    one.has_words = False
    failed = [await one.hear("ninth"), await other.hear("ninth")]
    return {
        "there and back": there_and_back,
        "said again": again,
        "overtaken": overtaken,
        "the same at once": same_at_once,
        "broken off": broken_off,
        "after it": after,
        "without a reply": failed,
        "in the end": await one.said(),
    }


class Process:
    """A Rasa that has heard so many messages of a dialogue when it replies. `meanwhile` happens while it thinks."""

    def __init__(self, store: CachedTrackerStore) -> None:
        self.tracker_store, self.lock_store, self.processor = FailSafeTrackerStore(store), InMemoryLockStore(), self
        self.meanwhile: Any = None
        self.has_words = True

    async def hear(self, text: str) -> str:
        """What is replied to a message whose key is its text, or why nothing is."""
        body = {"sender": "shared", "message": text, "input_channel": "chat", "metadata": {"filing_key": text}}
        try:
            return " ".join(reply["custom"] for reply in await answer(self, body))
        except (NotKept, RuntimeError) as fault:
            return type(fault).__name__

    async def handle_message(self, message: UserMessage) -> None:
        """As rasa.core.processor does it: read, change, save."""
        tracker = await self.tracker_store.get_or_create_tracker(message.sender_id)
        tracker.update(UserUttered(message.text, {"name": "report"}, metadata=message.metadata))
        if self.meanwhile:
            await self.meanwhile()
        heard = sum(isinstance(event, UserUttered) for event in tracker.events)
        if self.has_words:
            tracker.update(BotUttered(data={"custom": f"{heard}: {message.text}"}))
        await self.tracker_store.save(tracker)

    async def break_off(self) -> None:
        """Fail in the middle of a turn."""
        raise RuntimeError

    async def said(self) -> str:
        """All messages of the stored dialogue."""
        tracker = await self.tracker_store.retrieve("shared")
        return " ".join(event.text for event in tracker.events if isinstance(event, UserUttered))


if __name__ == "__main__":
    asyncio.run(main())
