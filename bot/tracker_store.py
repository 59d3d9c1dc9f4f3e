"""Where Rasa keeps its trackers: those of this process at hand, and what is new of each turn in a table, encrypted.

Rasa's own SQL store reads and replays a call's whole past at every turn, which grows with the call. Here only a tracker that
this process doesn't hold (after a restart) is read back; every event is still written before the turn is answered. Rasa
itself goes through the events of a tracker many times a turn, so one at hand forgets the old ones: the dialogue needs the
slots as they are, and the last few turns.

Several processes may share the table. Each turn is a row with its place in the dialogue, so a process sees at once whether
another has gone on since (it then reads the dialogue anew), and of two that are at the same dialogue at the same time only
one gets its turn into the table: the other's is as if it had never been (`Overtaken`; bot/channel.py sees that it isn't
there). A lock that processes share is not needed for that, and one that a killed process leaves behind would hold its
callers up.

What citizens said is in the events: they are Fernet tokens of the key ring BOT_DATA_KEYS (the first key encrypts, all
decrypt), and go after a week. The record of the conversation is the line's own (backend/conversations).
"""

import json
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Optional

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

POSTGRESQL = {"connect_timeout": 5, "keepalives_idle": 6, "keepalives_interval": 2, "keepalives_count": 3}
"""Seconds, and how often: a server that vanishes without a word is given up (as in backend/database.py)."""

TABLES = sa.MetaData()
SAVED = sa.Table(
    "saved_turns",
    TABLES,
    sa.Column("sender_id", sa.String(100), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),  # in the dialogue, from 1
    sa.Column("saved_at", sa.Float, nullable=False, index=True),  # seconds since 1970
    sa.Column("events", sa.Text, nullable=False),  # encrypted: a list in JSON
)


READ = (
    sa.select(SAVED.c.place, SAVED.c.events)
    .where(SAVED.c.sender_id == sa.bindparam("sender"), SAVED.c.place > sa.bindparam("after"))
    .order_by(SAVED.c.place)
)
OLDER_TABLES = ("events", "saved_events")
"""Those of older versions; the first was in plain text."""
TABLES_LOCK = 12345
"""The key of PostgreSQL's lock under which one process at a time makes the table."""


class Overtaken(Exception):
    """Another process has gone on with the dialogue while this one was at a turn of it, which therefore isn't kept."""


class Held(NamedTuple):
    """A tracker at hand, how many events it had when it was last saved or read, and at which place in the dialogue."""

    tracker: DialogueStateTracker
    events: int
    place: int


class CachedTrackerStore(TrackerStore, SerializedTrackerAsText):
    """A tracker store on BOT_DATABASE_URL, for one Rasa or several."""

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
        self._at_hand: "OrderedDict[str, Held]" = OrderedDict()
        self._engine = make_engine(os.environ.get("BOT_DATABASE_URL", "sqlite:///var/bot.sqlite3"))
        make_table(self._engine)
        self._looked_at = 0.0

    async def retrieve(self, sender_id: str) -> Optional[DialogueStateTracker]:
        """The tracker at hand if it is the newest, or the stored one; None when there is none. Raises InvalidToken when no
        key opens it."""
        held = self._at_hand.get(sender_id)
        if held and len(held.tracker.events) == held.events and not self._read(sender_id, held.place):
            return held.tracker
        # none is at hand, another process has gone on, or the last turn here was broken off before it was saved
        saved = self._read(sender_id)
        if not saved:
            return None
        events = [event for _, token in saved for event in json.loads(self._keys.decrypt(token.encode()))]
        tracker = DialogueStateTracker.from_dict(sender_id, events, self.domain.slots if self.domain else [])
        self._keep(tracker, saved[-1][0])
        return tracker

    async def save(self, tracker: DialogueStateTracker) -> None:
        """Write the events that are new since the last save, as one row. Raises Overtaken."""
        now = self._clock()
        held = self._at_hand.get(tracker.sender_id)
        before, place = (held.events, held.place) if held and held.tracker is tracker else (0, 0)
        new = [event.as_dict() for event in list(tracker.events)[before:]]
        with self._engine.begin() as connection:
            if new:
                place += 1
                token = self._keys.encrypt(json.dumps(new).encode()).decode()
                row = {"sender_id": tracker.sender_id, "place": place, "saved_at": now, "events": token}
                try:
                    connection.execute(sa.insert(SAVED), row)
                except sa.exc.IntegrityError:
                    self._at_hand.pop(tracker.sender_id, None)
                    raise Overtaken(f"place {place} of dialogue {tracker.sender_id} is taken") from None
            if now - self._looked_at > LOOKS_EVERY:
                connection.execute(sa.delete(SAVED).where(SAVED.c.saved_at < now - STORED_FOR))
                self._looked_at = now
        self._keep(tracker, place)

    async def keys(self) -> Iterable[str]:
        """Whose dialogues are stored."""
        with self._engine.connect() as connection:
            return connection.execute(sa.select(SAVED.c.sender_id).distinct()).scalars().all()

    def _read(self, sender_id: str, after: int = 0) -> list[Any]:
        """Place and encrypted events of each turn that is stored after this place."""
        with self._engine.connect() as connection:
            return list(connection.execute(READ, {"sender": sender_id, "after": after}))

    def _keep(self, tracker: DialogueStateTracker, place: int) -> None:
        forget_old(tracker)
        self._at_hand[tracker.sender_id] = Held(tracker, len(tracker.events), place)
        self._at_hand.move_to_end(tracker.sender_id)
        while len(self._at_hand) > TRACKERS_AT_HAND:
            self._at_hand.popitem(last=False)


def make_engine(url: str) -> sa.engine.Engine:
    """An engine for the store; on SQLite with one connection that stays open, written ahead."""
    if not url.startswith("sqlite"):
        return sa.create_engine(url, pool_pre_ping=True, hide_parameters=True, connect_args=POSTGRESQL)
    engine = sa.create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    with engine.connect() as connection:
        connection.execute(sa.text("PRAGMA journal_mode=WAL"))
        connection.execute(sa.text("PRAGMA synchronous=NORMAL"))
    return engine


def make_table(engine: sa.engine.Engine) -> None:
    """Make the table if it isn't there, though other processes start at the same moment; drop those of older versions."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({TABLES_LOCK})"))
        for name in OLDER_TABLES:
            connection.execute(sa.text(f"DROP TABLE IF EXISTS {name}"))
        connection.execute(sa.schema.CreateTable(SAVED, if_not_exists=True))
        for index in SAVED.indexes:
            connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))


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
