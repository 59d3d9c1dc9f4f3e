"""What was erased is marked, and each night's erasing has its report."""

import sqlalchemy as sa
from alembic import op

from backend.database import UtcDateTime

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

KEPT = "step_due_at IS NULL AND erased_at IS NULL"


def upgrade() -> None:
    """Apply."""
    for table in ("cases", "conversations"):
        op.add_column(table, sa.Column("erased_at", UtcDateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_cases_kept", "cases", ["step_since"], sqlite_where=sa.text(KEPT), postgresql_where=sa.text(KEPT)
    )
    op.create_table(
        "retention_reports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("night", sa.Date(), nullable=True),
        sa.Column("basis", sa.String(length=20), nullable=False),
        sa.Column("staff_id", sa.Integer(), nullable=True),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("talks_until", UtcDateTime(timezone=True), nullable=True),
        sa.Column("began_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("finished_at", UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("night"),
    )


def downgrade() -> None:
    """Take back; what was erased stays so."""
    op.drop_table("retention_reports")
    op.drop_index("ix_cases_kept", "cases")
    for table in ("cases", "conversations"):
        op.drop_column(table, "erased_at")
