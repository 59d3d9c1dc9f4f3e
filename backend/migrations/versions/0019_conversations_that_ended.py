"""The conversations that ended lately are found by an index, however many there are."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index("ix_conversations_closed_at", "conversations", ["closed_at"])


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_conversations_closed_at", "conversations")
