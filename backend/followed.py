"""Something of the record that every process keeps in memory and looks at again once a second, so that what a city changes
on a page holds everywhere without a restart."""

import logging
import time
from collections.abc import Callable
from threading import Lock
from typing import Final, Generic, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from backend.database import Database

log = logging.getLogger(__name__)

LOOKED_AT_EVERY: Final = 1.0
"""Seconds."""

Value = TypeVar("Value")


class Followed(Generic[Value]):
    """What `read` finds in the record, at most LOOKED_AT_EVERY old; `value` until it has been read."""

    def __init__(self, database: Database, read: Callable[[Session], Value], value: Value) -> None:
        self._database, self._read, self._value = database, read, value
        self._looked_at = float("-inf")
        self._looking = Lock()

    def __call__(self) -> Value:
        """The value. While the record can't be read it stays as it was; nobody waits for one who is already looking."""
        if time.monotonic() - self._looked_at >= LOOKED_AT_EVERY and self._looking.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looking.release()
        return self._value

    def look_again(self) -> None:
        """Look at the record at the next call: this process has just changed it."""
        self._looked_at = float("-inf")

    def _look(self) -> None:
        self._looked_at = time.monotonic()
        try:
            with self._database.read() as session:
                self._value = self._read(session)
        except SQLAlchemyError:
            log.warning("the record can't be read; what was read last goes on to hold", exc_info=True)
