"""Counts of cases and conversations, the facts that they are counted from, and how far each count has come."""

import sqlalchemy as sa
from alembic import op

import backend.database

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "case_cells",
        sa.Column("grain", sa.String(length=1), nullable=False),
        sa.Column("at", sa.Date(), nullable=False),
        sa.Column("district", sa.String(length=40), nullable=False),
        sa.Column("category", sa.String(length=40), nullable=False),
        sa.Column("agency", sa.String(length=40), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("urgency", sa.String(length=20), nullable=False),
        sa.Column("filed", sa.Integer(), nullable=False),
        sa.Column("send_backs", sa.Integer(), nullable=False),
        sa.Column("redos", sa.Integer(), nullable=False),
        sa.Column("settled", sa.Integer(), nullable=False),
        sa.Column("late", sa.Integer(), nullable=False),
        sa.Column("minutes", sa.BigInteger(), nullable=False),
        sa.Column("lapsed", sa.Integer(), nullable=False),
        sa.Column("ended", sa.Integer(), nullable=False),
        sa.Column("closed", sa.Integer(), nullable=False),
        sa.Column("visited", sa.Integer(), nullable=False),
        sa.Column("contacted", sa.Integer(), nullable=False),
        sa.Column("solved", sa.Integer(), nullable=False),
        sa.Column("satisfied", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("grain", "at", "district", "category", "agency", "channel", "urgency"),
    )
    op.create_table(
        "insight_marks",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("at", backend.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("note", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "talk_cells",
        sa.Column("hour", backend.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("language", sa.String(length=5), nullable=False),
        sa.Column("began", sa.Integer(), nullable=False),
        sa.Column("turns", sa.Integer(), nullable=False),
        sa.Column("answered", sa.Integer(), nullable=False),
        sa.Column("solved", sa.Integer(), nullable=False),
        sa.Column("filed", sa.Integer(), nullable=False),
        sa.Column("danger", sa.Integer(), nullable=False),
        sa.Column("queued", sa.Integer(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("prompt", sa.Integer(), nullable=False),
        sa.Column("waited", sa.BigInteger(), nullable=False),
        sa.Column("left", sa.Integer(), nullable=False),
        sa.Column("called_back", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "channel", "language"),
    )
    op.create_table(
        "case_facts",
        sa.Column("case_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("district", sa.String(length=40), nullable=False),
        sa.Column("category", sa.String(length=40), nullable=False),
        sa.Column("agency", sa.String(length=40), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("urgency", sa.String(length=20), nullable=False),
        sa.Column("filed_at", backend.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("due_at", backend.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("settled_at", backend.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("ended_at", backend.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("said_at", backend.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("contacted", sa.Boolean(), nullable=False),
        sa.Column("solved", sa.Boolean(), nullable=False),
        sa.Column("satisfied", sa.Boolean(), nullable=False),
        sa.Column("send_backs", sa.Integer(), nullable=False),
        sa.Column("redos", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["cases.id"],
        ),
        sa.PrimaryKeyConstraint("case_id"),
    )
    with op.batch_alter_table("case_facts", schema=None) as batch_op:
        batch_op.create_index("ix_case_facts_agency", ["agency", "filed_at"], unique=False)
        batch_op.create_index("ix_case_facts_category", ["category", "filed_at"], unique=False)
        batch_op.create_index("ix_case_facts_district", ["district", "filed_at"], unique=False)
        batch_op.create_index("ix_case_facts_ended", ["ended_at"], unique=False)
        batch_op.create_index("ix_case_facts_filed", ["filed_at"], unique=False)
        batch_op.create_index(
            "ix_case_facts_unsettled",
            ["due_at"],
            unique=False,
            sqlite_where=sa.text("settled_at IS NULL"),
            postgresql_where=sa.text("settled_at IS NULL"),
        )

    with op.batch_alter_table("conversations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_conversations_started_at"), ["started_at"], unique=False)


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("conversations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_conversations_started_at"))

    with op.batch_alter_table("case_facts", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_case_facts_unsettled",
            sqlite_where=sa.text("settled_at IS NULL"),
            postgresql_where=sa.text("settled_at IS NULL"),
        )
        batch_op.drop_index("ix_case_facts_filed")
        batch_op.drop_index("ix_case_facts_ended")
        batch_op.drop_index("ix_case_facts_district")
        batch_op.drop_index("ix_case_facts_category")
        batch_op.drop_index("ix_case_facts_agency")

    op.drop_table("case_facts")
    op.drop_table("talk_cells")
    op.drop_table("insight_marks")
    op.drop_table("case_cells")
