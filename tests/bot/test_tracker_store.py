"""What Rasa keeps of a dialogue outlasts its process, says nothing to who reads the table, and is gone after a week; several
processes share it without going on from what is old."""

import json

from tests.bot.bot_python import run_in_bot


def test_a_dialogue_outlasts_the_process_encrypted_is_shared_by_processes_and_goes_after_a_week(
    database_url: str,
) -> None:
    url = database_url.replace("+psycopg", "")
    printed = run_in_bot("tests.bot.stored_dialogues", BOT_DATABASE_URL=url)
    assert json.loads(printed.splitlines()[-1]) == {
        "same": True,
        "same events": True,
        "rows": 3,
        "in plain text": False,
        "with a new key": True,
        "after a week": ["two"],
        "older versions' tables": [],
        "unknown": None,
        "there and back": ["1: first", "2: second", "3: third"],
        "said again": ["3: third", "2: second", "1: first"],
        "overtaken": "NotKept",
        "the same at once": "5: sixth",
        "broken off": "RuntimeError",
        "after it": ["6: seventh", "7: eighth"],
        "without a reply": ["", ""],
        "in the end": "first second third fourth sixth seventh eighth ninth",
    }
