"""Adding staff by command: the person can log in then, and what can't be is refused in one line."""

from collections.abc import Callable, Iterator

import pytest

from backend.database import Database
from backend.directory import add_staff
from backend.directory.models import Staff
from backend.directory.service import log_in
from tests.conftest import NOON, make_settings

Command = Callable[..., int]


@pytest.fixture
def typed() -> list[str]:
    """What is typed at the questions for the password, in turn."""
    return ["six blue kettles", "six blue kettles"]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, database_url: str, typed: list[str]) -> Iterator[Command]:
    """The command on the record of this test."""
    records: list[Database] = []

    def open_record(url: str) -> Database:
        records.append(Database(url))
        return records[-1]

    monkeypatch.setattr(add_staff, "load_settings", lambda: make_settings(database_url))
    monkeypatch.setattr(add_staff, "Database", open_record)
    monkeypatch.setattr("getpass.getpass", lambda prompt: typed.pop(0))
    yield lambda *arguments: add_staff.main(list(arguments))
    for record in records:
        record.close()


def test_who_was_added_can_log_in(command: Command, database: Database) -> None:
    assert command("wang", "operator", "--name", "王芳", "--telephone", "+8655112345678") == 0
    with database.read() as session:
        staff = log_in(session, "wang", "six blue kettles", NOON)
    assert (staff.name, staff.role, staff.telephone) == ("王芳", "operator", "+8655112345678")


def test_somebody_of_an_agency_belongs_to_it(command: Command, database: Database) -> None:
    assert command("li", "agency", "--agency", "C-URBAN") == 0
    with database.read() as session:
        assert session.query(Staff).filter_by(username="li").one().agency_code == "C-URBAN"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["operator1", "operator"], "operator1 is there already"),
        (["li", "agency"], "belongs to an agency"),
        (["li", "agency", "--agency", "C-NONE"], "no such agency: C-NONE"),
        (["li", "operator", "--telephone", "12345"], "client:name"),
        ([" li", "operator"], "at most 60"),
    ],
)
def test_what_cannot_be_is_refused_before_a_password_is_asked_for(
    command: Command, typed: list[str], capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    assert command(*arguments) == 1
    assert why in capsys.readouterr().err
    assert len(typed) == 2


@pytest.mark.parametrize(
    "passwords", [["short"], ["password123"], ["wang-2026-wang"], ["six blue kettles", "six blue kettlez"]]
)
def test_a_password_that_is_short_or_mistyped_adds_nobody(
    command: Command, database: Database, typed: list[str], passwords: list[str]
) -> None:
    typed[:] = passwords
    assert command("wang", "operator") == 1
    with database.read() as session:
        assert session.query(Staff).filter_by(username="wang").count() == 0


def test_a_role_that_does_not_exist_is_refused(command: Command) -> None:
    with pytest.raises(SystemExit):
        command("wang", "mayor")
