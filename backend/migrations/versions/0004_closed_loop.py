"""the closed loop: steps with their own deadlines, first-asked responsibility, return visits, supervision, deadlines that a
city edits, who looked at who a citizen is."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from backend.database import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_cases_contact_state": ["contact", "state"],
    "ix_cases_state_step": ["state", "step_due_at"],
    "ix_cases_agency_step": ["agency_code", "step_due_at"],
    "ix_cases_responsible_step": ["responsible_code", "step_due_at"],
    "ix_cases_next_mark_at": ["next_mark_at"],
}


def upgrade() -> None:
    """Apply."""
    add_columns()
    op.create_table(
        "co_handlers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Integer(), sa.ForeignKey("cases.id"), nullable=False),
        sa.Column("agency_code", sa.String(length=40), sa.ForeignKey("agencies.code"), nullable=False, index=True),
        sa.Column("asked_at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("case_id", "agency_code"),
    )
    op.create_table(
        "case_repeats",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Integer(), sa.ForeignKey("cases.id"), nullable=False, index=True),
        sa.Column("filing_key", sa.String(length=80), nullable=True, unique=True),
        sa.Column("conversation_id", sa.String(length=40), sa.ForeignKey("conversations.id"), nullable=True),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("filed_at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "visits",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Integer(), sa.ForeignKey("cases.id"), nullable=False, index=True),
        sa.Column("agency_code", sa.String(length=40), sa.ForeignKey("agencies.code"), nullable=True),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("contacted", sa.Boolean(), nullable=False),
        sa.Column("solved", sa.Boolean(), nullable=False),
        sa.Column("satisfied", sa.Boolean(), nullable=False),
        sa.Column("grade", sa.Integer(), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("themes", sa.JSON(), nullable=False),
        sa.Column("said_at", UtcDateTime(timezone=True), nullable=False, index=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "supervision_orders",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Integer(), sa.ForeignKey("cases.id"), nullable=False, index=True),
        sa.Column("agency_code", sa.String(length=40), sa.ForeignKey("agencies.code"), nullable=False),
        sa.Column("ordered_by_id", sa.Integer(), sa.ForeignKey("staff.id"), nullable=True),
        sa.Column("ordered", sa.Text(), nullable=False),
        sa.Column("ordered_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("due_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.Column("replied_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("closing", sa.Text(), nullable=False),
        sa.Column("closed_at", UtcDateTime(timezone=True), nullable=True, index=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "identity_accesses",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Integer(), sa.ForeignKey("cases.id"), nullable=False, index=True),
        sa.Column("staff_id", sa.Integer(), sa.ForeignKey("staff.id"), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("looked_at", UtcDateTime(timezone=True), nullable=False, index=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "deadline_profiles",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("jurisdiction", sa.String(length=20), nullable=False, index=True),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("saved_by_id", sa.Integer(), sa.ForeignKey("staff.id"), nullable=True),
        sa.Column("saved_at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "calendar_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("working", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("set_by_id", sa.Integer(), sa.ForeignKey("staff.id"), nullable=True),
        sa.PrimaryKeyConstraint("day"),
    )


def add_columns() -> None:
    """What a case knows more of itself. Columns are added in place: SQLite would refuse to make a table anew that others
    refer to. A case that is there has had its step since it was filed, and until its reply was due."""
    when = UtcDateTime(timezone=True)
    columns: list[sa.Column[Any]] = [
        sa.Column("confidential", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("kind", sa.String(length=20), nullable=False, server_default="request"),
        sa.Column("urgency", sa.String(length=20), nullable=False, server_default="normal"),
        sa.Column("profile", sa.String(length=20), nullable=False, server_default="shandong"),
        sa.Column("step_since", when, nullable=False, server_default="1970-01-01 00:00:00+00:00"),
        sa.Column("step_due_at", when, nullable=True),
        sa.Column("mark", sa.String(length=10), nullable=False, server_default=""),
        sa.Column("next_mark_at", when, nullable=True),
        *(
            sa.Column(name, sa.Integer(), nullable=False, server_default="0")
            for name in ("send_backs", "redos", "repeats", "visit_tries")
        ),
    ]
    for column in columns:
        op.add_column("cases", column)
    op.add_column(
        "cases",
        sa.Column("responsible_code", sa.String(length=40), sa.ForeignKey("agencies.code"), nullable=True),
        inline_references=True,
    )
    op.add_column(
        "cases",
        sa.Column("merged_into_id", sa.Integer(), sa.ForeignKey("cases.id"), nullable=True),
        inline_references=True,
    )
    op.execute("UPDATE cases SET step_since = filed_at")
    op.execute(
        "UPDATE cases SET step_due_at = due_at, next_mark_at = due_at"
        " WHERE state NOT IN ('closed', 'declined', 'withdrawn')"
    )
    op.execute(
        "UPDATE cases SET responsible_code = agency_code WHERE state IN ('signed', 'replied', 'visited', 'closed')"
    )
    for name, indexed in INDEXES.items():
        op.create_index(name, "cases", indexed)


def downgrade() -> None:
    """Take back."""
    for table in (
        "calendar_days",
        "deadline_profiles",
        "identity_accesses",
        "supervision_orders",
        "visits",
        "case_repeats",
        "co_handlers",
    ):
        op.drop_table(table)
    for name in INDEXES:
        op.drop_index(name, table_name="cases")
    with op.batch_alter_table("cases") as batch:
        for name in (
            "merged_into_id",
            "responsible_code",
            "visit_tries",
            "repeats",
            "redos",
            "send_backs",
            "next_mark_at",
            "mark",
            "step_due_at",
            "step_since",
            "profile",
            "urgency",
            "kind",
            "confidential",
        ):
            batch.drop_column(name)
