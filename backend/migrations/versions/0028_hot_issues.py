"""Hot issues: groups of cases and the cases in them."""

import sqlalchemy as sa
from alembic import op

import backend.database

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "hot_groups",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=60), nullable=False),
        sa.Column("total", sa.LargeBinary(), nullable=False),
        sa.Column("words", sa.JSON(), nullable=False),
        sa.Column("district", sa.String(length=40), nullable=False),
        sa.Column("community", sa.String(length=60), nullable=False),
        sa.Column("first_at", backend.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("last_at", backend.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("merged_into_id", sa.Integer(), nullable=True),
        sa.Column("root_number", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(["merged_into_id"], ["hot_groups.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("hot_groups", schema=None) as batch_op:
        batch_op.create_index("ix_hot_groups_last", ["merged_into_id", "last_at"], unique=False)
    op.create_table(
        "hot_members",
        sa.Column("case_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("likeness", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"]),
        sa.ForeignKeyConstraint(["group_id"], ["hot_groups.id"]),
        sa.PrimaryKeyConstraint("case_id"),
    )
    with op.batch_alter_table("hot_members", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_hot_members_group_id"), ["group_id"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_table("hot_members")
    op.drop_table("hot_groups")
