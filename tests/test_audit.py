"""The audit log: what a person changes is in it, before and after; it only grows; what was tampered with is found."""

import json
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DBAPIError

from backend import verify_audit
from backend.audit import Acting, AuditEvent, acting, first_fault, put_down
from backend.database import Database
from backend.directory.models import Agency, Staff
from backend.directory.service import add_staff
from tests.conftest import NOON, make_settings

WANG = Acting("王芳", "admin", "10.1.2.3", lambda: NOON, staff_id=None)


@pytest.fixture
def changed(database: Database) -> Iterator[Database]:
    """A record in which somebody has changed three things."""
    with acting(WANG), database.write() as session:
        session.get_one(Agency, "C-URBAN").name = "市城市管理局（新）"
    with acting(WANG), database.write() as session:
        add_staff(session, "li", "a long enough word", "operator", "李明", telephone="+8655112345678")
    with acting(WANG), database.write() as session:
        session.query(Staff).filter_by(username="li").one().telephone = "+8655187654321"
    yield database


def events(database: Database) -> list[AuditEvent]:
    with database.read() as session:
        return list(session.scalars(select(AuditEvent).order_by(AuditEvent.number)))


def test_a_change_is_put_down_with_who_when_from_where_before_and_after(changed: Database) -> None:
    first = events(changed)[0]
    assert (first.name, first.role, first.address, first.at) == ("王芳", "admin", "10.1.2.3", NOON)
    assert (first.kind, first.subject, first.act) == ("agency", "C-URBAN", "changed")
    assert first.after == {"name": "市城市管理局（新）"}
    assert list(first.before) == ["name"]


def test_passwords_and_telephones_never_stand_in_it(changed: Database) -> None:
    whole = json.dumps([[event.before, event.after] for event in events(changed)], ensure_ascii=False)
    assert not any(secret in whole for secret in ("argon2", "12345678", "87654321"))
    assert "••••4321" in whole


def test_what_no_person_did_is_not_in_it(database: Database) -> None:
    with database.write() as session:
        session.get_one(Agency, "C-URBAN").name = "另一个名字"
    assert events(database) == []


def test_presence_is_no_administration(database: Database) -> None:
    with acting(WANG), database.write() as session:
        staff = session.query(Staff).filter_by(username="operator1").one()
        staff.ready, staff.seen_at = True, NOON
    assert events(database) == []


def test_what_was_not_committed_is_not_in_it_and_leaves_no_gap(changed: Database) -> None:
    with pytest.raises(ZeroDivisionError), acting(WANG), changed.write() as session:
        session.get_one(Agency, "C-URBAN").name = "没有存下"
        session.flush()
        raise ZeroDivisionError
    with acting(WANG), changed.write() as session:
        put_down(session, "log_in", "li", "logged_in")
    assert [event.number for event in events(changed)] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "tampering", [update(AuditEvent).values(name="别人"), delete(AuditEvent), text("DELETE FROM audit_events")]
)
def test_the_database_refuses_to_change_or_remove_a_row(changed: Database, tampering: object) -> None:
    with pytest.raises(DBAPIError, match="only grows"), changed.write() as session:
        session.execute(tampering)  # type: ignore[call-overload]
    assert len(events(changed)) == 3


@pytest.mark.parametrize(
    ("tampering", "row"),
    [
        ("UPDATE audit_events SET name = 'x' WHERE number = 2", 2),
        ("DELETE FROM audit_events WHERE number = 1", 1),
        ("DELETE FROM audit_events WHERE number = 3", 3),
    ],
)
def test_who_switches_the_trigger_off_is_found_by_the_chain(
    changed: Database, tampering: str, row: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_audit, "load_settings", lambda: make_settings("sqlite://"))
    monkeypatch.setattr(verify_audit, "Database", lambda _: changed)
    assert verify_audit.main(["--expect", f"3:{events(changed)[-1].hash}"]) == 0
    switch_off(changed)
    with changed.write() as session:
        session.execute(text(tampering))
    assert verify_audit.main([]) == 1
    with changed.read() as session:
        assert first_fault(session) == row


def test_a_log_written_anew_as_a_whole_is_found_by_what_was_printed_before(
    changed: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_audit, "load_settings", lambda: make_settings("sqlite://"))
    monkeypatch.setattr(verify_audit, "Database", lambda _: changed)
    assert verify_audit.main(["--expect", f"3:{'0' * 64}"]) == 1


def switch_off(database: Database) -> None:
    """Do what only somebody at the database itself can."""
    with database.write() as session:
        if database.engine.dialect.name == "sqlite":
            for act in ("UPDATE", "DELETE"):
                session.execute(text(f"DROP TRIGGER audit_events_no_{act}"))
        else:
            session.execute(text("ALTER TABLE audit_events DISABLE TRIGGER ALL"))


def test_people_who_change_things_at_once_make_one_chain(database: Database) -> None:
    def change(name: str) -> None:
        with acting(Acting(name, "admin", "", lambda: NOON)), database.write() as session:
            put_down(session, "log_in", name, "logged_in")

    threads = [threading.Thread(target=change, args=(f"p{number}",)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(events(database)) == 12
    with database.read() as session:
        assert first_fault(session) is None
