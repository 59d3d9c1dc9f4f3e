"""Saves dialogues with bot/tracker_store.py and reads them back as after a restart. Runs in the bot's environment (Python
3.10); prints what it found as JSON, for test_tracker_store.py. BOT_DATABASE_URL says where."""

import asyncio
import json
import os
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, BotUttered, SlotSet, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker

from bot.channel import answered_before
from bot.tracker_store import LOOKS_EVERY, OLDER_TABLES, SAVED, STORED_FOR, CachedTrackerStore, Overtaken

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
            | await two_processes(store(), store())
        )
    )


async def two_processes(one: CachedTrackerStore, other: CachedTrackerStore) -> dict[str, Any]:
    """A dialogue that goes from one process to another and back, and then two of them at it at the same time."""
    tracker = await one.get_or_create_tracker("shared")
    say(tracker, "first", "key-1")
    await one.save(tracker)
    tracker = await other.get_or_create_tracker("shared")
    say(tracker, "second", "key-2")
    await other.save(tracker)
    back = await one.get_or_create_tracker("shared")
    texts = [event.text for event in back.events if isinstance(event, UserUttered)]
    repeated = [answered_before(back, key) for key in ("key-1", "key-2", "key-3", None)]

    at_once = [await store.get_or_create_tracker("shared") for store in (one, other)]
    for tracker in at_once:
        say(tracker, "third", "key-3")
    await one.save(at_once[0])
    try:
        await other.save(at_once[1])
        overtaken = False
    except Overtaken:
        overtaken = True
    third = await other.get_or_create_tracker("shared")

    unanswered = await one.get_or_create_tracker("unanswered")
    unanswered.update(UserUttered("failed", metadata={"filing_key": "key-4"}))
    failed = answered_before(unanswered, "key-4")

    broken_off = await one.get_or_create_tracker("shared")
    broken_off.update(UserUttered("never answered"))
    after = await one.get_or_create_tracker("shared")
    return {
        "goes on elsewhere and back": texts,
        "answered before": repeated,
        "answered before with nothing": failed,
        "one of two at once is overtaken": overtaken,
        "and reads what the other did": third.latest_message.text,
        "times it was said": sum(isinstance(event, UserUttered) for event in third.events),
        "a turn broken off is as if it had not been": after.latest_message.text,
    }


def say(tracker: DialogueStateTracker, text: str, key: str) -> None:
    """A turn: what the citizen says and the bot replies."""
    tracker.update(UserUttered(text, {"name": "report"}, metadata={"filing_key": key}))
    tracker.update(BotUttered(data={"custom": {"text": f"{text}!"}}))


if __name__ == "__main__":
    asyncio.run(main())
