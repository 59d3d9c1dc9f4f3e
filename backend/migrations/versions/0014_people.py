"""One-time passwords, and people who have left."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("staff") as batch_op:
        batch_op.add_column(sa.Column("one_time_until", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("left_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("staff") as batch_op:
        batch_op.drop_column("left_at")
        batch_op.drop_column("one_time_until")
