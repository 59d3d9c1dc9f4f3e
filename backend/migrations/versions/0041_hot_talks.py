"""Hot issues: conversations that became no case are in groups as well."""

import sqlalchemy as sa
from alembic import op

from backend.database import UtcDateTime

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "hot_talks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.String(length=40), nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=True),
        sa.Column("likeness", sa.Double(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("district", sa.String(length=40), nullable=False),
        sa.Column("community", sa.String(length=60), nullable=False),
        sa.Column("category", sa.String(length=40), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversations.id"]),
        sa.ForeignKeyConstraint(["group_id"], ["hot_groups.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("conversation_id"),
    )
    op.create_index("ix_hot_talks_at", "hot_talks", ["at"])
    op.create_index("ix_hot_talks_group_id", "hot_talks", ["group_id"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("hot_talks")
    # The groups hold them still; the next job makes groups of the cases alone.
    op.execute("UPDATE alerts SET group_id = NULL")
    for table in ("hot_members", "hot_groups"):
        op.execute(f"DELETE FROM {table}")
    op.execute("DELETE FROM insight_marks WHERE name LIKE 'hot%'")
