"""Hot issues by meaning too: cases are grouped anew, and the middle of their meanings is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    start_anew()
    with op.batch_alter_table("hot_groups", schema=None) as batch_op:
        batch_op.add_column(sa.Column("model", sa.String(length=80), nullable=False))
    op.create_table(
        "hot_middles",
        sa.Column("model", sa.String(length=80), nullable=False),
        sa.Column("total", sa.LargeBinary(), nullable=False),
        sa.Column("cases", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("model"),
    )


def downgrade() -> None:
    """Take back."""
    start_anew()
    op.drop_table("hot_middles")
    with op.batch_alter_table("hot_groups", schema=None) as batch_op:
        batch_op.drop_column("model")


def start_anew() -> None:
    """No groups; the job of every minute makes them."""
    op.execute("UPDATE alerts SET group_id = NULL")
    for table in ("hot_members", "hot_groups"):
        op.execute(f"DELETE FROM {table}")
    op.execute("DELETE FROM insight_marks WHERE name LIKE 'hot%'")
