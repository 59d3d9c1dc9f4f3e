"""Backup and restore by the commands, on both databases: what was filed is there again, and nothing else is ever lost."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
from sqlalchemy import select

from backend import backup
from backend.app import create_app
from backend.cases.models import Case
from backend.clock import utc_now
from backend.database import Database
from tests.conftest import closed_port, make_settings
from tests.running_line import SECRETS

Run = Callable[..., "Done"]


@dataclass(frozen=True)
class Done:
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command, with the settings of a stopped line on this record."""
    for name, value in {**SECRETS, "DATABASE_URL": database_url}.items():
        monkeypatch.setenv(name, value)

    def command(*words: object, port: int = 0) -> Done:
        monkeypatch.setenv("PORT", str(port or closed_port()))
        monkeypatch.setenv("API_PORT", str(closed_port()))
        capsys.readouterr()
        status = backup.main([str(word) for word in words])
        return Done(status, *capsys.readouterr())

    return command


def file_case(url: str, what: str) -> str:
    """File a case at the API; returns its number."""
    app = create_app(make_settings(url))
    web = httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000")
    filed = web.post("/api/v1/cases", json={"what": what}, headers={"Authorization": "Bearer api-token"})
    app.extensions["parts"].database.close()
    return str(filed.json()["number"])


def numbers(url: str) -> set[str]:
    database = Database(url)
    with database.read() as session:
        found = set(session.scalars(select(Case.number)))
    database.close()
    return found


def damage(url: str) -> None:
    """Something that nobody should do to a record."""
    database = Database(url)
    with database.write() as session:
        session.connection().exec_driver_sql("DELETE FROM case_events")
        session.connection().exec_driver_sql("CREATE TABLE of_a_later_version (id INTEGER PRIMARY KEY)")
    database.close()


def test_what_was_backed_up_is_there_again_after_the_record_was_damaged_and_what_came_since_is_kept_beside(
    database_url: str, run: Run, tmp_path: Path
) -> None:
    before = file_case(database_url, "路灯不亮")
    made = run("make", tmp_path / "backups")
    assert made.returncode == 0, made.stderr
    (file,) = (tmp_path / "backups").iterdir()
    assert file.stat().st_mode & 0o077 == 0
    since = file_case(database_url, "井盖丢失")
    damage(database_url)

    refused = run("restore", file)
    assert refused.returncode == 1
    assert numbers(database_url) == {before, since}
    restored = run("restore", file, "--replace")
    assert restored.returncode == 0, restored.stderr
    assert "审计日志完整" in restored.stdout
    assert numbers(database_url) == {before}
    assert file_case(database_url, "下水道堵塞") not in {before, ""}

    (kept,) = (tmp_path / "backups" / "before-restore").iterdir()
    assert run("restore", kept, "--replace").returncode == 0
    assert numbers(database_url) == {before, since}


def test_a_damaged_backup_is_refused_and_the_record_stays(database_url: str, run: Run, tmp_path: Path) -> None:
    number = file_case(database_url, "路灯不亮")
    assert run("make", tmp_path / "backups").returncode == 0
    (file,) = (tmp_path / "backups").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:100] + b"\0" * 2000 + whole[2100 : len(whole) // 2])
    refused = run("restore", file, "--replace")
    assert refused.returncode == 1
    assert "备份" in refused.stderr
    assert numbers(database_url) == {number}


def test_nothing_is_restored_under_a_running_line(database_url: str, run: Run, tmp_path: Path) -> None:
    assert run("make", tmp_path / "backups").returncode == 0
    (file,) = (tmp_path / "backups").iterdir()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        refused = run("restore", file, "--replace", port=listening.getsockname()[1])
    assert refused.returncode == 1
    assert "停" in refused.stderr


def test_a_backup_made_while_cases_are_filed_is_of_one_moment(sqlite_url: str, tmp_path: Path) -> None:
    enough, stop = Event(), Event()

    def go_on() -> None:
        for count in range(400):
            file_case(sqlite_url, f"第{count}盏路灯不亮")
            if count == 2:
                enough.set()
            if stop.is_set():
                return

    filing = Thread(target=go_on)
    filing.start()
    assert enough.wait(120)
    file = backup.make(sqlite_url, tmp_path / "backups", utc_now())
    stop.set()
    filing.join()
    backup.check_file(sqlite_url, file)
    saved = Database(f"sqlite:///{file}")
    with saved.read() as session:
        cases = session.scalars(select(Case)).all()
        assert len(cases) >= 3
        assert all([event.act for event in case.history] == ["file"] for case in cases)
    saved.close()


def test_without_room_for_the_backup_none_is_left_half_made(database_url: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "no-folder").write_text("a file")
    refused = run("make", tmp_path / "no-folder")
    assert refused.returncode == 1
    assert "备份" in refused.stderr
