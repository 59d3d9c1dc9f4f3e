"""Where Rasa keeps its trackers: its SQL store with the trackers of this process kept at hand.

The stock store reads and replays a call's whole past at every turn, which grows with the call. Here only a tracker that
this process doesn't hold (after a restart) is read back; every event is still written before the turn is answered. Rasa
itself goes through the events of a tracker many times a turn, so one at hand forgets the old ones: the dialogue needs the
slots as they are, and the last few turns.
"""

import json
import os
from collections import OrderedDict
from typing import Any, Optional

import sqlalchemy as sa
from rasa.core.tracker_store import SQLTrackerStore
from rasa.shared.core.events import ActionExecuted, SlotSet
from rasa.shared.core.trackers import DialogueStateTracker
from sqlalchemy.pool import StaticPool

TRACKERS_AT_HAND = 2000
EVENTS_AT_MOST, EVENTS_KEPT = 100, 40
"""A tracker at hand with more events than that keeps the last ones, about four turns; the longest rule looks back two."""


class CachedTrackerStore(SQLTrackerStore):
    """SQLTrackerStore on BOT_DATABASE_URL for a Rasa of one process."""

    def __init__(self, domain: Any = None, event_broker: Any = None, host: Any = None, **kwargs: Any) -> None:
        url = os.environ.get("BOT_DATABASE_URL", "sqlite:///var/bot.sqlite3")
        self._at_hand: "OrderedDict[str, DialogueStateTracker]" = OrderedDict()
        self._stored: dict[str, int] = {}
        super().__init__(domain=domain, event_broker=event_broker, host=url, **kwargs)
        if url.startswith("sqlite"):  # Rasa would open and close the file at every turn
            self.engine = sa.create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
            self.sessionmaker.configure(bind=self.engine)
            with self.engine.connect() as connection:
                connection.execute(sa.text("PRAGMA journal_mode=WAL"))
                connection.execute(sa.text("PRAGMA synchronous=NORMAL"))

    async def retrieve(self, sender_id: str) -> Optional[DialogueStateTracker]:
        """The tracker at hand, or the stored one."""
        tracker = self._at_hand.get(sender_id)
        if tracker is None:
            tracker = await super().retrieve(sender_id)
            if tracker is not None:
                self._keep(tracker)
        return tracker

    async def save(self, tracker: DialogueStateTracker) -> None:
        """Write the events that are new since the last save, in one transaction."""
        stored = self._stored.get(tracker.sender_id, 0)
        rows = []
        for event in list(tracker.events)[stored:]:
            data = event.as_dict()
            rows.append(
                {
                    "sender_id": tracker.sender_id,
                    "type_name": event.type_name,
                    "timestamp": data.get("timestamp"),
                    "intent_name": data.get("parse_data", {}).get("intent", {}).get("name"),
                    "action_name": data.get("name"),
                    "data": json.dumps(data),
                }
            )
        if rows:
            with self.engine.begin() as connection:
                connection.execute(sa.insert(self.SQLEvent), rows)
        self._keep(tracker)

    def _keep(self, tracker: DialogueStateTracker) -> None:
        forget_old(tracker)
        self._at_hand[tracker.sender_id] = tracker
        self._at_hand.move_to_end(tracker.sender_id)
        self._stored[tracker.sender_id] = len(tracker.events)
        while len(self._at_hand) > TRACKERS_AT_HAND:
            oldest, _ = self._at_hand.popitem(last=False)
            del self._stored[oldest]


def forget_old(tracker: DialogueStateTracker) -> None:
    """Let a long tracker begin with its slots as they are now, before its last turns. Not within a form: Rasa replays one
    from where it began."""
    events = list(tracker.events)
    if len(events) <= EVENTS_AT_MOST or tracker.active_loop_name:
        return
    begins = next(
        (place for place in range(len(events) - EVENTS_KEPT, -1, -1) if is_listening(events[place])),
        0,
    )
    slots = [SlotSet(name, slot.value) for name, slot in tracker.slots.items() if slot.value != slot.initial_value]
    tracker.events = type(tracker.events)([*slots, *events[begins:]], tracker.events.maxlen)


def is_listening(event: Any) -> bool:
    """Whether a turn of the citizen begins with this event."""
    return isinstance(event, ActionExecuted) and event.action_name == "action_listen"
