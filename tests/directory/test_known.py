"""What a process keeps of the agencies is what the record says, after every change and after one that was taken back."""

from contextlib import suppress

from backend.database import Database
from backend.directory.known import known_agencies
from tests.console.test_lists import queries_of
from tests.directory.test_importing import load, new


def names(database: Database) -> dict[str, str]:
    with database.read() as session:
        return {code: agency.name for code, agency in known_agencies(session).items()}


def test_agencies_that_stay_as_they_are_are_not_read_again(database: Database) -> None:
    before = names(database)
    with queries_of(database) as sent:
        assert names(database) == before
    assert len(sent) == 1


def test_what_an_import_changes_adds_or_merges_is_known_at_once(database: Database) -> None:
    names(database)
    load(database, [new("N-1", name="新单位")])
    load(database, [{"code": "C-WATER", "name": "市供水公司"}])
    load(database, [{"code": "D-YS-HOUSE", "successor": "D-YS-URBAN", "valid_until": "2026-12-31"}])
    found = names(database)
    assert (found["N-1"], found["C-WATER"]) == ("新单位", "市供水公司")
    with database.read() as session:
        assert known_agencies(session)["D-YS-HOUSE"].successor_code == "D-YS-URBAN"


def test_a_change_that_was_taken_back_is_known_nowhere_afterwards(database: Database) -> None:
    before = names(database)
    with suppress(ZeroDivisionError), database.write() as session:
        known = session.merge(known_agencies(session)["C-WATER"])
        known.name = "没有成立的名称"
        session.flush()
        assert known_agencies(session)["C-WATER"].name == "没有成立的名称"
        raise ZeroDivisionError
    assert names(database) == before
    load(database, [{"code": "C-WATER", "name": "市供水公司"}])
    assert names(database)["C-WATER"] == "市供水公司"
