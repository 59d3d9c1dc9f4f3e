"""What a city words differently of the bot's own phrases (console, 话术), as the backend tells it: for Rasa's process and
the action server, which speak from the same catalogue and don't read the record."""

import asyncio
import time
from typing import Any

import aiohttp

from bot.backend import Backend
from bot.catalogue import Catalogue, Phrase

ASKED_EVERY = 1.0
"""Seconds. The backend looks at the record as often, so a change is heard within two."""
TIMEOUT = aiohttp.ClientTimeout(total=1)
"""Nobody waits longer for words that are well enough as they are."""


class CityWords:
    """Has `catalogue` say what the city has changed, as of the last `renew`."""

    def __init__(self, backend: Backend, catalogue: Catalogue) -> None:
        self._backend, self._asked_at = backend, float("-inf")
        self._changed: dict[tuple[str, str], Phrase] = {}
        catalogue.changed = lambda: self._changed

    async def renew(self, meta: dict[str, Any]) -> None:
        """Ask again, under the trail of the message whose `meta` this is, if the last time was a second ago. What was heard
        last goes on to be said while the backend can't be asked."""
        if time.monotonic() - self._asked_at < ASKED_EVERY:
            return
        self._asked_at = time.monotonic()
        try:
            status, told = await self._backend.get("/wordings", meta, TIMEOUT)
        except (aiohttp.ClientError, asyncio.TimeoutError):
            return
        if status == 200:
            self._changed = {(row["key"], row["language"]): Phrase(row["text"], row["speech"]) for row in told}
