"""Saved views, hall screens, kept reports; the cases behind every figure are found by an index."""

import sqlalchemy as sa
from alembic import op

import backend.database

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "insight_reports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=False),
        sa.Column("locale", sa.String(length=5), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("docx", sa.LargeBinary(), nullable=False),
        sa.Column("pdf", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", backend.database.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "since", "locale"),
    )
    op.create_table(
        "insight_views",
        sa.Column("slug", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("query", sa.String(length=500), nullable=False),
        sa.Column("saved_by_id", sa.Integer(), nullable=False),
        sa.Column("saved_at", backend.database.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["saved_by_id"],
            ["staff.id"],
        ),
        sa.PrimaryKeyConstraint("slug"),
    )
    op.create_table(
        "wall_screens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("made_by_id", sa.Integer(), nullable=False),
        sa.Column("made_at", backend.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("seen_at", backend.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("ended_at", backend.database.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["made_by_id"],
            ["staff.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key_hash"),
    )
    with op.batch_alter_table("case_facts", schema=None) as batch_op:
        batch_op.create_index("ix_case_facts_due", ["due_at"], unique=False)
        batch_op.create_index("ix_case_facts_said", ["said_at"], unique=False)
        batch_op.create_index("ix_case_facts_settled", ["settled_at"], unique=False)


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("case_facts", schema=None) as batch_op:
        batch_op.drop_index("ix_case_facts_settled")
        batch_op.drop_index("ix_case_facts_said")
        batch_op.drop_index("ix_case_facts_due")

    op.drop_table("wall_screens")
    op.drop_table("insight_views")
    op.drop_table("insight_reports")
