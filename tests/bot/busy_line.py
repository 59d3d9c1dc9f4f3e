"""Has the bot say a case back while the line doesn't answer it; prints the act and the text of what it says. Runs in the
bot's environment: in its Python 3.10 a timeout of asyncio's is no TimeoutError."""

import asyncio
import json
import os
import socket

import aiohttp
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import SlotSet, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker

from bot import backend
from bot.replies import Replies


async def main() -> None:
    """A socket that takes connections and says nothing stands for the line."""
    backend.TIMEOUT = aiohttp.ClientTimeout(total=0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        os.environ |= {"BACKEND_URL": f"http://127.0.0.1:{silent.getsockname()[1]}", "API_TOKEN": "api-token"}
        said = UserUttered("三天了", metadata={"locale": "zh"})
        tracker = DialogueStateTracker.from_events(
            "one", [said, SlotSet("what", "路灯不亮"), SlotSet("where", "和平路")], Domain.load("bot/domain.yml").slots
        )
        reply = (await Replies().generate("utter_ask_confirmed", tracker, "phone") or {})["custom"]
        print(json.dumps([reply["act"], reply["text"]]))


asyncio.run(main())
