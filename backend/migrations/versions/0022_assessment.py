"""Appeals against ratings; the ranking of each month as it was frozen."""

import sqlalchemy as sa
from alembic import op

import backend.database

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "assessment_months",
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("frozen_at", backend.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("month"),
    )
    op.create_table(
        "rating_appeals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("visit_id", sa.Integer(), nullable=False),
        sa.Column("agency_code", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_by_id", sa.Integer(), nullable=False),
        sa.Column("asked_at", backend.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("ruling", sa.Text(), nullable=False),
        sa.Column("ruled_by_id", sa.Integer(), nullable=True),
        sa.Column("ruled_at", backend.database.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["agency_code"], ["agencies.code"]),
        sa.ForeignKeyConstraint(["asked_by_id"], ["staff.id"]),
        sa.ForeignKeyConstraint(["ruled_by_id"], ["staff.id"]),
        sa.ForeignKeyConstraint(["visit_id"], ["visits.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("visit_id"),
    )
    op.create_index("ix_rating_appeals_agency_code", "rating_appeals", ["agency_code"])
    op.create_index("ix_rating_appeals_state", "rating_appeals", ["state"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("rating_appeals")
    op.drop_table("assessment_months")
