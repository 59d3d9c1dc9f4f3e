"""Telephone numbers and what was said are encrypted, and numbers are found by a keyed hash.

Every row of these tables is written anew, which takes about a minute for a million. Going back decrypts.
"""

import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

from backend.encryption import HASH_LENGTH, key_ring

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

BATCH = 2000
ENCRYPTED: dict[str, dict[str, sa.types.TypeEngine[Any]]] = {
    "staff": {"telephone": sa.String(60)},
    "conversations": {"caller": sa.String(20), "peer": sa.String(64), "callback_to": sa.String(20)},
    "turns": {"text": sa.Text(), "reply": sa.JSON()},
    "call_legs": {"telephone": sa.String(60)},
    "conversation_notes": {"text": sa.Text()},
    "conversation_summaries": {"text": sa.Text()},
    "cases": {"contact": sa.String(20)},
    "call_steps": {"twiml": sa.Text()},
    "outbox": {"recipient": sa.String(500), "body": sa.JSON()},
}
"""table: column: what it was."""
HASHED = {"conversations": ("caller", "peer"), "cases": ("contact",)}
EMPTY = json.dumps(None)
"""How SQLAlchemy's JSON wrote down None."""


def upgrade() -> None:
    """Apply."""
    op.drop_index("ix_cases_contact_state", "cases")
    op.drop_index("ix_conversations_peer", "conversations")
    for table, columns in ENCRYPTED.items():
        for name in HASHED.get(table, ()):
            op.add_column(table, sa.Column(f"{name}_hash", sa.String(HASH_LENGTH), nullable=True))
        retype(table, {name: (kind, sa.Text()) for name, kind in columns.items()})
        rewrite(table, columns, encrypted)
    op.create_index("ix_cases_contact_state", "cases", ["contact_hash", "state"])
    op.create_index("ix_conversations_peer_hash", "conversations", ["peer_hash"])
    op.create_index("ix_conversations_caller", "conversations", ["caller_hash", "started_at"])


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_cases_contact_state", "cases")
    op.drop_index("ix_conversations_peer_hash", "conversations")
    op.drop_index("ix_conversations_caller", "conversations")
    for table, columns in ENCRYPTED.items():
        rewrite(table, columns, decrypted)
        retype(table, {name: (sa.Text(), kind) for name, kind in columns.items()})
        for name in HASHED.get(table, ()):
            op.drop_column(table, f"{name}_hash")
    op.create_index("ix_cases_contact_state", "cases", ["contact", "state"])
    op.create_index("ix_conversations_peer", "conversations", ["peer"])


def retype(table: str, kinds: dict[str, tuple[sa.types.TypeEngine[Any], sa.types.TypeEngine[Any]]]) -> None:
    """Give columns another type; SQLite makes the table anew for that."""
    with op.batch_alter_table(table, schema=None) as batch_op:
        for name, (old, new) in kinds.items():
            if type(old) is not type(new):
                batch_op.alter_column(
                    name, existing_type=old, type_=new, postgresql_using=f'"{name}"::{new.compile().lower()}'
                )


def rewrite(
    table: str, columns: dict[str, sa.types.TypeEngine[Any]], change: Callable[[str, str], dict[str, str | None]]
) -> None:
    """Change these columns in every row of the table, in batches by its key; `change` gets its name and a value."""
    connection = op.get_bind()
    keys = sa.inspect(connection).get_pk_constraint(table)["constrained_columns"]
    hashes = [f"{name}_hash" for name in HASHED.get(table, ())]
    these = sa.table(table, *(sa.column(name) for name in (*keys, *columns, *hashes)))
    filled = sa.or_(*(these.c[name].is_not(None) for name in columns))
    page = sa.select(these).where(filled).order_by(*(these.c[key] for key in keys)).limit(BATCH)
    last: tuple[Any, ...] | None = None
    while True:
        after = sa.tuple_(*(these.c[key] for key in keys)) > last if last else sa.true()
        rows = connection.execute(page.where(after)).mappings().all()
        if not rows:
            return
        changed = []
        for row in rows:
            new = {f"the_{key}": row[key] for key in keys} | dict.fromkeys((*columns, *hashes))
            for name in columns:
                if row[name] is not None:
                    new |= change(name, row[name])
            changed.append({name: value for name, value in new.items() if name.startswith("the_") or name in these.c})
        update = sa.update(these).where(*(these.c[key] == sa.bindparam(f"the_{key}") for key in keys))
        connection.execute(update.values({name: sa.bindparam(name) for name in (*columns, *hashes)}), changed)
        last = tuple(rows[-1][key] for key in keys)


def encrypted(name: str, value: str) -> dict[str, str | None]:
    """A column and its hash; a reply that isn't there becomes NULL."""
    if name == "reply" and value == EMPTY:
        return {name: None}
    return {name: key_ring().encrypt(value), f"{name}_hash": key_ring().hash(value)}


def decrypted(name: str, token: str) -> dict[str, str | None]:
    """The column as it was."""
    return {name: key_ring().decrypt(token)}
