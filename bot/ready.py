"""`python -m bot.ready`: whether the Rasa of this container has loaded its model, for what watches containers; the exit
status is 0 or 1. Rasa listens before it has, and its channel wants BOT_TOKEN, which a plain HTTP probe can't give."""

import json
import os
import sys
import urllib.request

URL = os.environ.get("BOT_URL", "http://127.0.0.1:5005") + "/webhooks/line/ready"


def is_ready() -> bool:
    """Ask it."""
    request = urllib.request.Request(URL, headers={"Authorization": f"Bearer {os.environ['BOT_TOKEN']}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return bool(json.load(response) == {"ready": True})
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    sys.exit(0 if is_ready() else 1)
