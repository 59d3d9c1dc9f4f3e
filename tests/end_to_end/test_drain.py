"""Stopping and being taken out of service: who is being answered is answered to the end, and nobody new is sent here."""

import signal
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from flask import Flask
from sqlalchemy import func, select

from backend import app as application
from backend.conversations.models import Turn
from backend.database import Database
from tests.running_line import RunningLine, until


def said(line: RunningLine) -> int:
    """How many turns of citizens are on the record."""
    record = Database(line.database_url)
    with record.read() as session:
        found = session.scalar(select(func.count()).select_from(Turn).where(Turn.speaker == "citizen")) or 0
    record.close()
    return found


def test_a_turn_that_is_being_answered_when_the_process_is_told_to_stop_is_answered(own_line: RunningLine) -> None:
    chat = own_line.chat()
    chat.say("暖气不热该找谁")
    before, web = said(own_line), own_line.processes["web"]
    own_line.processes["bot"].send_signal(signal.SIGSTOP)
    with ThreadPoolExecutor(1) as citizen:
        answer = citizen.submit(chat.say, "怎么办理身份证")
        until(lambda: said(own_line) > before, "the turn")
        web.send_signal(signal.SIGTERM)
        until(lambda: "Handling signal: term" in (own_line.folder / "web.log").read_text(), "the signal")
        own_line.processes["bot"].send_signal(signal.SIGCONT)
        assert answer.result()[-1]["act"] in ("answer", "clarify", "unknown")
    assert web.wait(60) == 0


def test_a_machine_taken_out_of_service_is_not_ready_and_still_answers(
    app: Flask, web: httpx.Client, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    draining = tmp_path_factory.mktemp("var") / "draining"
    monkeypatch.setattr(application, "DRAINING", draining)
    assert web.get("/ready").status_code == 200
    draining.touch()
    assert web.get("/ready").status_code == 503
    assert web.get("/live").status_code == 204
    assert web.get("/chat").status_code == 200


def test_without_the_record_a_process_lives_but_is_not_ready(app: Flask, web: httpx.Client) -> None:
    with app.extensions["parts"].database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE knowledge_version RENAME TO gone")
    assert web.get("/ready").status_code == 503
    assert web.get("/live").status_code == 204
