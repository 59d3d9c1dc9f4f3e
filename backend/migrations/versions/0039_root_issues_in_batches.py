"""Acts on root issues reach their cases in batches."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("root_events", schema=None) as batch_op:
        batch_op.add_column(sa.Column("waiting", sa.Integer(), nullable=False, server_default="0"))
        batch_op.create_index("ix_root_events_waiting", ["waiting"])


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("root_events", schema=None) as batch_op:
        batch_op.drop_index("ix_root_events_waiting")
        batch_op.drop_column("waiting")
