"""the telephone line complete: how calls are spoken to, announcements, old numbers, the queue, calls out, the outbox."""

import sqlalchemy as sa
from alembic import op

import backend.database

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("calls") as batch:
        batch.add_column(sa.Column("language", sa.String(length=5), nullable=False, server_default="zh"))
        batch.add_column(sa.Column("slow", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "caller_wishes",
        sa.Column("number_hash", sa.String(length=64), nullable=False),
        sa.Column("language", sa.String(length=5), nullable=False),
        sa.Column("slow", sa.Boolean(), nullable=False),
        sa.Column("no_calls_since", backend.database.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("number_hash"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("caller_wishes")
    with op.batch_alter_table("calls") as batch:
        batch.drop_column("slow")
        batch.drop_column("language")
