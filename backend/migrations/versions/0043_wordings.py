"""What the line says in a city's own words."""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "wordings",
        sa.Column("catalogue", sa.String(length=20), nullable=False),
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("language", sa.String(length=3), nullable=False),
        sa.Column("text", sa.String(length=500), nullable=False),
        sa.Column("speech", sa.String(length=500), nullable=False),
        sa.PrimaryKeyConstraint("catalogue", "key", "language"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("wordings")
