"""Hot issues keep when they last had unusually many cases, by which it is known how rare that is."""

import sqlalchemy as sa
from alembic import op

from backend.database import UtcDateTime

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("hot_groups", sa.Column("sign_at", UtcDateTime(), nullable=True))
    op.add_column("hot_groups", sa.Column("sign_last_at", UtcDateTime(), nullable=True))
    op.add_column("hot_groups", sa.Column("sign_p", sa.Double(), nullable=True))
    op.create_index("ix_hot_groups_sign_at", "hot_groups", ["sign_at"])


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_hot_groups_sign_at", "hot_groups")
    for name in ("sign_p", "sign_last_at", "sign_at"):
        op.drop_column("hot_groups", name)
