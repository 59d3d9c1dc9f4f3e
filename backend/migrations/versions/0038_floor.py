"""An index for the floor, which asks every few seconds who has waited today."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

WHERE = sa.text("waiting_since IS NOT NULL")


def upgrade() -> None:
    """Apply."""
    name = "ix_conversations_waited"
    op.create_index(name, "conversations", ["waiting_since"], sqlite_where=WHERE, postgresql_where=WHERE)


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_conversations_waited", "conversations")
