"""The backend's API as the bot uses it: one asynchronous client for Rasa's process and one for the action server."""

import os
from typing import Any

import aiohttp

TIMEOUT = aiohttp.ClientTimeout(total=5)


class Backend:
    """HTTP to `BACKEND_URL`/api/v1 with the bearer token `API_TOKEN`."""

    def __init__(self) -> None:
        self._base = os.environ["BACKEND_URL"].rstrip("/") + "/api/v1"
        self._headers = {"Authorization": f"Bearer {os.environ['API_TOKEN']}"}
        self._session: aiohttp.ClientSession | None = None

    async def post(self, path: str, body: dict[str, Any], meta: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """POST JSON under the trail of the message whose `meta` this is; returns status and body. Raises
        aiohttp.ClientError and asyncio.TimeoutError."""
        async with self._open().post(self._base + path, json=body, headers=trail(meta)) as response:
            return response.status, await response.json()

    async def get(self, path: str, meta: dict[str, Any], timeout: aiohttp.ClientTimeout) -> tuple[int, Any]:
        """GET within `timeout`, else as `post`."""
        async with self._open().get(self._base + path, headers=trail(meta), timeout=timeout) as response:
            return response.status, await response.json()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(headers=self._headers, timeout=TIMEOUT)
        return self._session


def trail(meta: dict[str, Any]) -> dict[str, str]:
    """The header by which the backend's log lines are found under the message that set them off."""
    return {"traceparent": str(meta.get("traceparent", ""))}
