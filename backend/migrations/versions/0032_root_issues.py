"""Root issues: cases of several citizens about the same thing; and the place by which neighbours' cases are found."""

import sqlalchemy as sa
from alembic import op

import backend.database

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "root_issues",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("title", sa.String(length=80), nullable=False),
        sa.Column("place", sa.String(length=200), nullable=False),
        sa.Column("owner_code", sa.String(length=40), nullable=True),
        sa.Column("opened_at", backend.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("replied_at", backend.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("closed_at", backend.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("into_id", sa.Integer(), nullable=True),
        sa.Column("acts", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["into_id"],
            ["root_issues.id"],
        ),
        sa.ForeignKeyConstraint(
            ["owner_code"],
            ["agencies.code"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("root_issues", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_root_issues_owner_code"), ["owner_code"], unique=False)
        batch_op.create_index(batch_op.f("ix_root_issues_state"), ["state"], unique=False)

    op.create_table(
        "root_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("root_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("act", sa.String(length=10), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("staff_id", sa.Integer(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("acted_at", backend.database.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["root_id"],
            ["root_issues.id"],
        ),
        sa.ForeignKeyConstraint(
            ["staff_id"],
            ["staff.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("root_id", "number"),
    )
    op.create_table(
        "root_steps",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("root_id", sa.Integer(), nullable=False),
        sa.Column("what", sa.String(length=200), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("done_at", backend.database.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["root_id"],
            ["root_issues.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("root_steps", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_root_steps_root_id"), ["root_id"], unique=False)

    op.create_table(
        "cases_kept_apart",
        sa.Column("one_id", sa.Integer(), nullable=False),
        sa.Column("other_id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["root_events.id"],
        ),
        sa.ForeignKeyConstraint(
            ["one_id"],
            ["cases.id"],
        ),
        sa.ForeignKeyConstraint(
            ["other_id"],
            ["cases.id"],
        ),
        sa.PrimaryKeyConstraint("one_id", "other_id"),
    )
    with op.batch_alter_table("cases_kept_apart", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_cases_kept_apart_event_id"), ["event_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_cases_kept_apart_other_id"), ["other_id"], unique=False)

    op.create_table(
        "root_members",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("root_id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Integer(), nullable=False),
        sa.Column("joined_at", backend.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("left_at", backend.database.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["cases.id"],
        ),
        sa.ForeignKeyConstraint(
            ["root_id"],
            ["root_issues.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("root_members", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_root_members_case_id"), ["case_id"], unique=False)
        batch_op.create_index(
            "ix_root_members_now",
            ["case_id"],
            unique=True,
            sqlite_where=sa.text("left_at IS NULL"),
            postgresql_where=sa.text("left_at IS NULL"),
        )
        batch_op.create_index(batch_op.f("ix_root_members_root_id"), ["root_id"], unique=False)

    op.add_column("cases", sa.Column("spot", sa.String(length=60), nullable=False, server_default=""))
    op.create_index("ix_cases_spot", "cases", ["spot", "id"])


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_cases_spot", "cases")
    op.drop_column("cases", "spot")
    for table in ("root_members", "cases_kept_apart", "root_steps", "root_events", "root_issues"):
        op.drop_table(table)
