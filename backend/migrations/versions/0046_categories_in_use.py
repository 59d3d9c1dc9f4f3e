"""Categories that are in use or retired, and when they were last changed."""

import sqlalchemy as sa
from alembic import op

from backend.database import UtcDateTime

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("categories", sa.Column("active", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.add_column("categories", sa.Column("changed_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("categories", "changed_at")
    op.drop_column("categories", "active")
