"""Tries to look a case up are counted for every number, whether a case has it or not."""

import sqlalchemy as sa
from alembic import op

import backend.database

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "lookup_tries",
        sa.Column("number", sa.String(length=11), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("tried_at", backend.database.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("ix_lookup_tries_tried_at", "lookup_tries", ["tried_at"])
    # Not in a batch, which would make the table anew under all that points to it.
    op.drop_column("cases", "wrong_lookups")
    op.drop_column("cases", "wrong_lookup_at")


def downgrade() -> None:
    """Take back."""
    op.add_column("cases", sa.Column("wrong_lookup_at", backend.database.UtcDateTime(timezone=True), nullable=True))
    op.add_column("cases", sa.Column("wrong_lookups", sa.Integer(), nullable=False, server_default="0"))
    op.drop_table("lookup_tries")
