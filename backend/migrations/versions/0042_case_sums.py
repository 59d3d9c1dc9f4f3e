"""Counts of cases by one dimension alone are kept beside the cells, summed up from those that are there."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

DIMENSIONS = ("district", "category", "agency", "channel", "urgency")
MEASURES = (
    "filed", "send_backs", "redos", "settled", "late", "minutes", "lapsed", "ended", "closed", "visited", "contacted",
    "solved", "satisfied",
)  # fmt: skip


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "case_sums",
        sa.Column("dimension", sa.String(length=10), nullable=False),
        sa.Column("grain", sa.String(length=1), nullable=False),
        sa.Column("at", sa.Date(), nullable=False),
        sa.Column("value", sa.String(length=40), nullable=False),
        *(sa.Column(name, sa.BigInteger() if name == "minutes" else sa.Integer(), nullable=False) for name in MEASURES),
        sa.PrimaryKeyConstraint("dimension", "grain", "at", "value"),
    )
    sums = ", ".join(f"sum({name})" for name in MEASURES)
    for dimension in ("", *DIMENSIONS):
        key = f"'{dimension}', grain, at, {dimension or chr(39) * 2}"
        by = f"grain, at{dimension and f', {dimension}'}"
        op.execute(
            f"INSERT INTO case_sums (dimension, grain, at, value, {', '.join(MEASURES)})"
            f" SELECT {key}, {sums} FROM case_cells GROUP BY {by}"
        )


def downgrade() -> None:
    """Take back."""
    op.drop_table("case_sums")
