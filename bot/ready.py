"""Whether a Rasa of this machine has loaded its model: it listens before it has, and its channel wants BOT_TOKEN. `python -m
bot.ready` asks the one of this container, for what watches containers; the exit status is 0 or 1. No library is needed."""

import http.client
import json
import os
import sys


def is_ready(port: int, token: str) -> bool:
    """Ask the one at this port."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/webhooks/line/ready", headers={"Authorization": f"Bearer {token}"})
        return bool(json.load(connection.getresponse()) == {"ready": True})
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if is_ready(int(os.environ.get("BOT_PORT", "5005")), os.environ["BOT_TOKEN"]) else 1)
