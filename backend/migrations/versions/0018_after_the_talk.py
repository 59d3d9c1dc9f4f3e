"""What an operator leaves of a talk: its outcome and notes; and the city's canned phrases."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. What is closed already needs no outcome any more."""
    with op.batch_alter_table("conversations") as conversations:
        conversations.add_column(sa.Column("wrap_up", sa.String(length=20), nullable=True))
    op.execute("UPDATE conversations SET wrap_up = '' WHERE state = 'closed'")
    op.create_index("ix_conversations_operator_state", "conversations", ["operator_id", "state"], unique=False)
    op.create_table(
        "conversation_notes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.String(length=40), nullable=False),
        sa.Column("staff_id", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversations.id"]),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_conversation_notes_conversation_id"), "conversation_notes", ["conversation_id"], unique=False
    )
    op.create_table(
        "canned_phrases",
        sa.Column("code", sa.String(length=20), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("text_zh", sa.Text(), nullable=False),
        sa.Column("text_en", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("code"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("canned_phrases")
    op.drop_table("conversation_notes")
    op.drop_index("ix_conversations_operator_state", table_name="conversations")
    with op.batch_alter_table("conversations") as conversations:
        conversations.drop_column("wrap_up")
