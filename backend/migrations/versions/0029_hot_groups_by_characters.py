"""Hot issues by runs of characters: the vectors of before don't compare with them, so cases are grouped anew."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    start_anew()
    with op.batch_alter_table("hot_groups", schema=None) as batch_op:
        batch_op.drop_column("model")


def downgrade() -> None:
    """Take back."""
    start_anew()
    with op.batch_alter_table("hot_groups", schema=None) as batch_op:
        batch_op.add_column(sa.Column("model", sa.String(length=60), nullable=False))


def start_anew() -> None:
    """No groups; the job of every minute makes them."""
    for table in ("hot_members", "hot_groups"):
        op.execute(f"DELETE FROM {table}")
    op.execute("DELETE FROM insight_marks WHERE name LIKE 'hot%'")
