"""Backup and restore of the record, `python -m backend.backup make FOLDER` and `… restore FILE`.

The record is everything: cases, conversations, files that people sent, knowledge, staff, the audit log. Not in it are the
settings with their secrets (`.env`, `var/secrets.env`), which belong somewhere else than beside the data, the queue of jobs,
which is made anew from the record, and the bot's memory of the calls that go on at this moment.

A backup is made while the line runs, of one moment. A restore wants the line stopped, keeps what was there as a backup,
happens whole or not at all, and brings the tables up to date. SQLite: its online backup
(https://www.sqlite.org/backup.html); PostgreSQL: pg_dump, pg_restore and psql of its client package.
"""

import argparse
import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from cryptography.fernet import InvalidToken
from sqlalchemy import URL, func, inspect, make_url, select, text
from sqlalchemy.orm import Session

from backend.audit import first_fault
from backend.cases.models import Case
from backend.clock import utc_now
from backend.conversations.models import Conversation, Turn
from backend.database import Database
from backend.errors import Refused
from backend.settings import ROOT, Settings, SettingsRefused, load_settings


def make(url: str, folder: Path, now: datetime) -> Path:
    """Back the record up into the folder; returns the file, which has its name only when it is whole. Raises Refused."""
    address, ending = make_url(url), "sqlite3" if url.startswith("sqlite") else "dump"
    file = folder / f"line-{now:%Y%m%dT%H%M%S}Z.{ending}"
    part = file.with_suffix(".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.touch(mode=0o600)
        if ending == "sqlite3":
            copy_sqlite(Path(address.database or ""), part)
        else:
            run(address, "pg_dump", "--format=custom", "--no-owner", "--no-acl", f"--file={part}")
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.rename(file)
    except (OSError, sqlite3.Error) as error:
        raise Refused("backup_failed", 500, why=type(error).__name__) from error
    finally:
        with suppress(OSError):
            part.unlink()
    return file


def restore(settings: Settings, file: Path, replace: bool, now: datetime) -> Path | None:
    """Put the record of a backup in the place of what is there; returns where that is kept, None if there was nothing.
    Raises Refused: the file is none of this database's, the line runs, or there are cases and `replace` was not said."""
    url = settings.database_url
    check_file(url, file)
    if is_in_use(settings):
        raise Refused("restore_running", 409)
    before = None
    if has_record(url):
        if not replace:
            raise Refused("restore_not_empty", 409)
        before = make(url, file.parent / "before-restore", now)
    if url.startswith("sqlite"):
        copy_sqlite(file, Path(make_url(url).database or ""))
    else:
        copy_postgresql(make_url(url), file)
    bring_up_to_date(url)
    return before


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database as it is at this moment, whoever writes to it meanwhile."""
    with (
        closing(sqlite3.connect(f"file:{source}?mode=rw", uri=True)) as old,
        closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)


def copy_postgresql(address: URL, file: Path) -> None:
    """Make the database what the file says, in one transaction; tables that only the present one has go as well."""
    statements = file.with_suffix(".sql.part")
    try:
        statements.touch(mode=0o600)
        run(address, "pg_restore", "--no-owner", "--no-acl", f"--file={statements}", str(file), connect=False)
        anew = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        options = ("--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", f"--command={anew}")
        run(address, "psql", *options, f"--file={statements}")
    finally:
        statements.unlink(missing_ok=True)


def run(address: URL, program: str, *options: str, connect: bool = True) -> bytes:
    """Run a program of PostgreSQL's for this database; returns what it prints. The password is not on its command line."""
    host = address.set(drivername="postgresql", password=None).render_as_string()
    environment = {**os.environ, "PGPASSWORD": address.password} if address.password else None
    words = [program, *([f"--dbname={host}"] if connect else []), *options]
    try:
        return subprocess.run(words, env=environment, capture_output=True, check=True).stdout
    except FileNotFoundError:
        raise Refused("backup_program_missing", 500, program=program) from None
    except subprocess.CalledProcessError as error:
        print(error.stderr.decode(errors="replace"), file=sys.stderr)
        raise Refused("backup_failed", 500, why=program) from None


def check_file(url: str, file: Path) -> None:
    """Whether the file is a whole backup of such a database. Raises Refused."""
    try:
        if url.startswith("sqlite"):
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as backup:
                whole = backup.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                whole = whole and backup.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
        else:
            whole = b"alembic_version" in run(make_url(url), "pg_restore", "--list", str(file), connect=False)
    except sqlite3.Error:
        whole = False
    if not whole:
        raise Refused("backup_unreadable")


def is_in_use(settings: Settings) -> bool:
    """Whether processes of the line are at the record: they would go on with what they remember of the old one."""
    for port in (settings.port, settings.api_port):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
    if settings.database_url.startswith("sqlite"):
        return False
    database = Database(settings.database_url)
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with database.read() as session:
        found = session.scalar(text(f"{others} AND backend_type = 'client backend'"))
    database.close()
    return bool(found)


def has_record(url: str) -> bool:
    """Whether there is anything that a restore would replace."""
    if url.startswith("sqlite") and not Path(make_url(url).database or "").exists():
        return False
    database = Database(url)
    try:
        return bool(inspect(database.engine).get_table_names())
    finally:
        database.close()


def bring_up_to_date(url: str) -> None:
    """Migrate a record that an older version has made. Raises Refused for a newer version's."""
    config = Config(ROOT / "backend" / "migrations" / "alembic.ini")
    config.attributes["url"] = url
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise Refused("backup_too_new", 409) from error


def what_is_there(url: str) -> str:
    """What somebody wants to know who has just restored: how much, up to when, whether the audit log is whole and the
    keys are those that it was written with."""
    database = Database(url)
    with database.read() as session:
        cases = session.scalar(select(func.count()).select_from(Case)) or 0
        last = session.scalar(select(func.max(Case.filed_at)))
        talks = session.scalar(select(func.count()).select_from(Conversation)) or 0
        whole, keys_fit = first_fault(session) is None, can_be_read(session)
    database.close()
    until = f"{last:%Y-%m-%d %H:%M} UTC" if last else "-"
    return (
        f"工单 {cases}，最后一件 {until}；会话 {talks}；审计日志{'完整' if whole else '有出入'}；"
        f"密钥{'相符' if keys_fit else '不符，号码和对话无法读取'}"
        f" / cases {cases}, the last of {until}; conversations {talks};"
        f" the audit log is {'whole' if whole else 'NOT whole'};"
        f" the keys {'fit' if keys_fit else 'do NOT fit: numbers and conversations can not be read'}"
    )


def can_be_read(session: Session) -> bool:
    """Whether DATA_KEYS are those of this record, as far as its last words and its last telephone tell."""
    try:
        session.scalar(select(Turn.text).order_by(Turn.id.desc()).limit(1))
        session.scalar(select(Case.contact).where(Case.contact.is_not(None)).order_by(Case.id.desc()).limit(1))
    except InvalidToken:
        return False
    return True


def main(arguments: list[str] | None = None) -> int:
    """Back up or restore; returns the exit status, 1 when that was refused."""
    parser = argparse.ArgumentParser(prog="python -m backend.backup", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("make").add_argument("folder", type=Path)
    restoring = verbs.add_parser("restore")
    restoring.add_argument("file", type=Path)
    restoring.add_argument(
        "--replace", action="store_true", help="there is a record already, which is kept as a backup"
    )
    chosen = parser.parse_args(arguments)
    try:
        settings = load_settings()
        if chosen.verb == "make":
            file = make(settings.database_url, chosen.folder, utc_now())
            print(f"已备份 / backed up: {file} ({file.stat().st_size:,} bytes)")
            return 0
        before = restore(settings, chosen.file, chosen.replace, utc_now())
        if before:
            print(f"原有数据另存为 / what was there is kept as: {before}")
        print(what_is_there(settings.database_url))
    except SettingsRefused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    except Refused as refusal:
        print(f"{refusal.sentence('zh')} / {refusal.sentence('en')}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
