"""Telephone numbers and what was said can't be read in the database itself, are found again by a keyed hash, and stay
readable through a rotation of keys."""

from collections.abc import Iterator

import httpx
import pytest
from alembic import command
from cryptography.fernet import Fernet
from flask import Flask
from sqlalchemy import select, text

from backend import rotate_keys
from backend.app import create_app
from backend.cases.models import Case
from backend.cases.service import cases_of_contact
from backend.conversations.models import Conversation, Turn
from backend.database import Base, Database
from backend.encryption import key_ring
from backend.outbox import OutgoingMessage
from tests.chat.test_chat import Chat
from tests.conftest import make_settings
from tests.test_migrations import configured

NUMBER, NAME = "+8613812345678", "王大明"


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    """The application on either database."""
    made = create_app(make_settings(database_url))
    yield made
    made.extensions["parts"].database.close()


@pytest.fixture
def case_number(api: httpx.Client) -> str:
    """A case whose citizen left a number, is told so by SMS, and says more to an operator."""
    filed = api.post("/api/v1/cases", json={"what": "路灯不亮", "place": "明湖区", "contact": NUMBER})
    chat = Chat(api)
    chat.say("转人工")
    chat.say(f"我叫{NAME}，电话{NUMBER}")
    return str(filed.json()["number"])


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator["Keys"]:
    """DATA_KEYS, to be changed as between two starts of the line."""
    yield Keys(monkeypatch)
    monkeypatch.undo()
    key_ring.cache_clear()


class Keys:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch, self.now = monkeypatch, [f"{'d' * 43}="]

    def become(self, *keys: str) -> None:
        self.now = list(keys)
        self.monkeypatch.setenv("DATA_KEYS", ",".join(keys))
        key_ring.cache_clear()


def everything(database: Database) -> str:
    """All rows of all tables, as somebody sees them who has the database and no key."""
    with database.read() as session:
        return "\n".join(
            str(row)
            for table in Base.metadata.sorted_tables
            for row in session.execute(text(f'SELECT * FROM "{table.name}"'))
        )


def test_numbers_and_what_was_said_are_nowhere_in_the_database(case_number: str, database: Database) -> None:
    stored = everything(database)
    assert case_number in stored
    for secret in (NUMBER, NUMBER[3:], NAME):
        assert secret not in stored


def test_what_is_encrypted_is_read_and_found_again(case_number: str, database: Database) -> None:
    with database.read() as session:
        assert [case.number for case in cases_of_contact(session, NUMBER, 5)] == [case_number]
        assert session.scalars(select(Case.contact)).all() == [NUMBER]
        assert f"我叫{NAME}，电话{NUMBER}" in session.scalars(select(Turn.text)).all()
        message = session.scalars(select(OutgoingMessage)).first()
        assert message is not None
        assert message.recipient == NUMBER
        assert case_number in message.body["text"]


def test_a_question_that_would_find_nothing_is_refused() -> None:
    with pytest.raises(TypeError, match="hash"):
        select(Conversation).where(Conversation.caller == NUMBER)
    with pytest.raises(TypeError, match="hash"):
        select(Turn).where(Turn.text.contains(NAME))


def test_a_rotation_goes_on_where_it_was_ended_and_the_old_key_is_needed_no_more(
    case_number: str, database: Database, database_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = keys.now[0], Fernet.generate_key().decode()
    monkeypatch.setenv("DATABASE_URL", database_url)
    keys.become(new, old)
    monkeypatch.setattr(rotate_keys, "BATCH", 1)

    def end_in_the_middle(table: str, done: int) -> None:
        if (table, done) == ("turns", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate_keys.rotate(database, key_ring(), end_in_the_middle)
    assert rotate_keys.rotate(database, key_ring(), lambda table, done: None) > 0
    assert rotate_keys.rotate(database, key_ring(), lambda table, done: None) == 0
    keys.become(new)
    with database.read() as session:
        assert [case.contact for case in cases_of_contact(session, NUMBER, 5)] == [NUMBER]
    assert rotate_keys.main([]) == 0


def test_a_rotation_without_the_old_key_changes_nothing_and_says_what_is_missing(
    case_number: str,
    database: Database,
    database_url: str,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    before = everything(database)
    keys.become(Fernet.generate_key().decode())
    assert rotate_keys.main([]) == 1
    assert "DATA_KEYS" in capsys.readouterr().err
    assert everything(database) == before


def test_with_another_key_for_hashes_a_rotation_makes_them_anew(
    case_number: str, database: Database, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKUP_KEY", "another key for hashes")
    keys.become(*keys.now)
    with database.read() as session:
        assert cases_of_contact(session, NUMBER, 5) == []
    rotate_keys.rotate(database, key_ring(), lambda table, done: None)
    with database.read() as session:
        assert [case.number for case in cases_of_contact(session, NUMBER, 5)] == [case_number]


def test_a_printed_key_is_one_that_the_line_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert rotate_keys.main(["--new-key"]) == 0
    Fernet(capsys.readouterr().out.strip())


def test_an_older_record_is_encrypted_as_it_is_brought_up_to_date(
    case_number: str, database: Database, database_url: str
) -> None:
    config = configured(database_url)
    database.close()
    command.downgrade(config, "0033")
    with database.read() as session:
        assert session.execute(text("SELECT contact FROM cases")).scalars().all() == [NUMBER]
        assert f"我叫{NAME}，电话{NUMBER}" in session.execute(text("SELECT text FROM turns")).scalars().all()
    database.close()
    command.upgrade(config, "head")
    assert NUMBER not in everything(database)
    test_what_is_encrypted_is_read_and_found_again(case_number, database)
