"""What a city changes about its line while it runs, and whether a talk is recorded, which is decided once."""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "city_settings",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.add_column("conversations", sa.Column("is_recorded", sa.Boolean(), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("conversations", "is_recorded")
    op.drop_table("city_settings")
