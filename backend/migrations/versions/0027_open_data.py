"""Months of open data, as they were published."""

import sqlalchemy as sa
from alembic import op

import backend.database

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "open_data_months",
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("rows", sa.JSON(), nullable=False),
        sa.Column("published_at", backend.database.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("month"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("open_data_months")
