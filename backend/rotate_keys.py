"""Renews what is encrypted in the record under the first key of DATA_KEYS: `python -m backend.rotate_keys`.

A rotation: `--new-key` prints a key; put it before the others in DATA_KEYS and start the line anew, so that every process
can read it; run this, while the line goes on; then take the old keys out. It goes through the tables in batches, leaves what
the first key has made, and can be ended and begun again at any time. With a new LOOKUP_KEY (whose hashes nobody finds
meanwhile: stop the line) it makes the hashes anew as well.
"""

import argparse
import sys
from collections.abc import Callable, Iterator

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Column, Table, bindparam, select, tuple_, type_coerce, update
from sqlalchemy.types import Text

from backend.app import create_app as _all_tables  # noqa: F401  # the import registers every table
from backend.database import Base, Database
from backend.encryption import Encrypted, EncryptedJson, KeyRing, key_ring
from backend.settings import SettingsRefused, load_settings

BATCH = 1000
"""Rows of one transaction, some 50 ms for which SQLite's other writers wait."""


def encrypted_columns(table: Table) -> list[Column[str]]:
    """The columns of a table that hold tokens."""
    return [column for column in table.columns if isinstance(column.type, Encrypted | EncryptedJson)]


def rotate(database: Database, ring: KeyRing, tell: Callable[[str, int], object]) -> int:
    """Renew every token and hash that isn't of the ring's present keys; returns in how many rows there was one. `tell` hears
    of each batch: the table, and how many of its rows have been looked at. Raises InvalidToken when the ring lacks a key."""
    changed = 0
    for table in Base.metadata.sorted_tables:
        looked_at = 0
        if encrypted_columns(table):
            for rows, renewed in batches(database, ring, table):
                looked_at, changed = looked_at + rows, changed + renewed
                tell(table.name, looked_at)
    return changed


def batches(database: Database, ring: KeyRing, table: Table) -> Iterator[tuple[int, int]]:
    """Go through one table by its key, a transaction a batch; yields how many rows each had and how many were renewed."""
    keys, tokens = list(table.primary_key), encrypted_columns(table)
    hashes = {column: table.c[column.info["hash_of"]] for column in table.columns if "hash_of" in column.info}
    wanted = [*keys, *(type_coerce(column, Text).label(column.name) for column in tokens), *hashes]
    last: tuple[object, ...] | None = None
    while True:
        page = select(*wanted).order_by(*keys).limit(BATCH)
        with database.write() as session:
            rows = session.execute(page.where(tuple_(*keys) > last) if last else page).mappings().all()
            if not rows:
                return
            renewed = 0
            for row in rows:
                new = {column.name: ring.renew(row[column.name]) for column in tokens if row[column.name]}
                new |= {
                    column.name: ring.hash(ring.decrypt(row[source.name]))
                    for column, source in hashes.items()
                    if row[source.name]
                }
                if changes := {name: value for name, value in new.items() if value != row[name]}:
                    session.execute(
                        update(table)
                        .where(*(column == row[column.name] for column in keys))
                        # What somebody has written since it was read stays.
                        .where(
                            *(type_coerce(column, Text) == row[column.name] for column in tokens if row[column.name])
                        )
                        .values({name: type_coerce(bindparam(None, value), Text) for name, value in changes.items()})
                    )
                    renewed += 1
        last = tuple(rows[-1][column.name] for column in keys)
        yield len(rows), renewed


def main(arguments: list[str] | None = None) -> int:
    """Rotate, or print a new key; returns the exit status, 1 when a key is missing."""
    parser = argparse.ArgumentParser(prog="python -m backend.rotate_keys", description=__doc__)
    parser.add_argument("--new-key", action="store_true", help="print a key for DATA_KEYS and do nothing else")
    if parser.parse_args(arguments).new_key:
        print(Fernet.generate_key().decode())
        return 0
    try:
        database = Database(load_settings().database_url)
        changed = rotate(database, key_ring(), lambda table, done: print(f"\r{table} {done}", end="", flush=True))
    except SettingsRefused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    except InvalidToken:
        print("\nDATA_KEYS 缺少一个旧密钥 / DATA_KEYS lacks an old key", file=sys.stderr)
        return 1
    database.close()
    print(f"\n已更新 {changed} 行 / {changed} rows renewed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
