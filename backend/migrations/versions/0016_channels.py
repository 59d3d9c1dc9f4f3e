"""Chats show who is typing, are ended by the clock, and may come from WeChat or SMS."""

import sqlalchemy as sa
from alembic import op

import backend.database

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("conversations") as table:
        table.add_column(sa.Column("peer", sa.String(length=64), nullable=True))
        for name in ("citizen_typing_at", "operator_typing_at", "idle_asked_at"):
            table.add_column(sa.Column(name, backend.database.UtcDateTime(timezone=True), nullable=True))
        table.create_index("ix_conversations_peer", ["peer"])


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("conversations") as table:
        table.drop_index("ix_conversations_peer")
        for name in ("idle_asked_at", "operator_typing_at", "citizen_typing_at", "peer"):
            table.drop_column(name)
