"""Words of cases, counted by day and month."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "word_cells",
        sa.Column("grain", sa.String(length=1), nullable=False),
        sa.Column("at", sa.Date(), nullable=False),
        sa.Column("district", sa.String(length=40), nullable=False),
        sa.Column("category", sa.String(length=40), nullable=False),
        sa.Column("cases", sa.Integer(), nullable=False),
        sa.Column("words", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("grain", "at", "district", "category"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("word_cells")
