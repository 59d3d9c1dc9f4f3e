"""Where Rasa keeps its trackers: those of this process at hand, and what is new of each turn in a table, encrypted.

Rasa's own SQL store reads and replays a call's whole past at every turn, which grows with the call. Here only a tracker that
this process doesn't hold (after a restart) is read back; every event is still written before the turn is answered. Rasa
itself goes through the events of a tracker many times a turn, so one at hand forgets the old ones: the dialogue needs the
slots as they are, and the last few turns.

What citizens said is in the events: they are Fernet tokens of the key ring BOT_DATA_KEYS (the first key encrypts, all
decrypt), and go after a week. The record of the conversation is the line's own (backend/conversations).
"""

import json
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Optional

import sqlalchemy as sa
from cryptography.fernet import Fernet, MultiFernet
from rasa.core.tracker_store import SerializedTrackerAsText, TrackerStore
from rasa.shared.core.events import ActionExecuted, SlotSet
from rasa.shared.core.trackers import DialogueStateTracker
from sqlalchemy.pool import StaticPool

TRACKERS_AT_HAND = 2000
EVENTS_AT_MOST, EVENTS_KEPT = 100, 40
"""A tracker at hand with more events than that keeps the last ones, about four turns; the longest rule looks back two."""

STORED_FOR = 7 * 24 * 3600
"""Seconds. A chat that goes on after so long begins a new dialogue."""
LOOKS_EVERY = 3600
"""Seconds from one look at what is stored for too long to the next."""

TABLES = sa.MetaData()
SAVED = sa.Table(
    "saved_events",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("sender_id", sa.String(100), nullable=False, index=True),
    sa.Column("saved_at", sa.Float, nullable=False, index=True),  # seconds since 1970
    sa.Column("events", sa.Text, nullable=False),  # encrypted: a list in JSON
)


class CachedTrackerStore(TrackerStore, SerializedTrackerAsText):
    """A tracker store on BOT_DATABASE_URL for a Rasa of one process."""

    def __init__(
        self,
        domain: Any = None,
        event_broker: Any = None,
        host: Any = None,
        clock: Callable[[], float] = time.time,
        **kwargs: Any,
    ) -> None:
        super().__init__(domain, event_broker, **kwargs)
        self._clock = clock
        self._keys = MultiFernet([Fernet(key.strip()) for key in os.environ["BOT_DATA_KEYS"].split(",")])
        self._at_hand: "OrderedDict[str, DialogueStateTracker]" = OrderedDict()
        self._stored: dict[str, int] = {}
        self._engine = make_engine(os.environ.get("BOT_DATABASE_URL", "sqlite:///var/bot.sqlite3"))
        with self._engine.begin() as connection:
            TABLES.create_all(connection)
            connection.execute(sa.text("DROP TABLE IF EXISTS events"))  # an older version's, in plain text
        self._looked_at = 0.0

    async def retrieve(self, sender_id: str) -> Optional[DialogueStateTracker]:
        """The tracker at hand, or the stored one; None when there is none. Raises InvalidToken when no key opens it."""
        tracker = self._at_hand.get(sender_id)
        if tracker is None:
            query = sa.select(SAVED.c.events).where(SAVED.c.sender_id == sender_id).order_by(SAVED.c.id)
            with self._engine.connect() as connection:
                saved = connection.execute(query).scalars().all()
            if saved:
                events = [event for token in saved for event in json.loads(self._keys.decrypt(token.encode()))]
                slots = self.domain.slots if self.domain else []
                tracker = DialogueStateTracker.from_dict(sender_id, events, slots)
                self._keep(tracker)
        return tracker

    async def save(self, tracker: DialogueStateTracker) -> None:
        """Write the events that are new since the last save, as one row."""
        now = self._clock()
        stored = self._stored.get(tracker.sender_id, 0)
        new = [event.as_dict() for event in list(tracker.events)[stored:]]
        with self._engine.begin() as connection:
            if new:
                token = self._keys.encrypt(json.dumps(new).encode()).decode()
                row = {"sender_id": tracker.sender_id, "saved_at": now, "events": token}
                connection.execute(sa.insert(SAVED), row)
            if now - self._looked_at > LOOKS_EVERY:
                connection.execute(sa.delete(SAVED).where(SAVED.c.saved_at < now - STORED_FOR))
                self._looked_at = now
        self._keep(tracker)

    async def keys(self) -> Iterable[str]:
        """Whose dialogues are stored."""
        with self._engine.connect() as connection:
            return connection.execute(sa.select(SAVED.c.sender_id).distinct()).scalars().all()

    def _keep(self, tracker: DialogueStateTracker) -> None:
        forget_old(tracker)
        self._at_hand[tracker.sender_id] = tracker
        self._at_hand.move_to_end(tracker.sender_id)
        self._stored[tracker.sender_id] = len(tracker.events)
        while len(self._at_hand) > TRACKERS_AT_HAND:
            oldest, _ = self._at_hand.popitem(last=False)
            del self._stored[oldest]


def make_engine(url: str) -> sa.engine.Engine:
    """An engine for the store; on SQLite with one connection that stays open, written ahead."""
    if not url.startswith("sqlite"):
        return sa.create_engine(url, pool_pre_ping=True)
    engine = sa.create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    with engine.connect() as connection:
        connection.execute(sa.text("PRAGMA journal_mode=WAL"))
        connection.execute(sa.text("PRAGMA synchronous=NORMAL"))
    return engine


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
