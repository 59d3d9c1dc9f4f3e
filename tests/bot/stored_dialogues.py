"""Saves dialogues with bot/tracker_store.py and reads them back as after a restart. Runs in the bot's environment (Python
3.10); prints what it found as JSON, for test_tracker_store.py. BOT_DATABASE_URL says where."""

import asyncio
import json
import os

import sqlalchemy as sa
from cryptography.fernet import Fernet
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, SlotSet, UserUttered

from bot.tracker_store import LOOKS_EVERY, SAVED, STORED_FOR, CachedTrackerStore

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
        connection.execute(sa.text("CREATE TABLE events (data TEXT)"))
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
                "older version's table": "events" in sa.inspect(engine).get_table_names(),
                "unknown": await later.retrieve("three"),
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main())
