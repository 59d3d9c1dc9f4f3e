"""Several workers at one import: a file in work is claimed until a moment."""

import sqlalchemy as sa
from alembic import op

import backend.database

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("import_files") as batch_op:
        batch_op.add_column(sa.Column("claimed_until", backend.database.UtcDateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("import_files") as batch_op:
        batch_op.drop_column("claimed_until")
