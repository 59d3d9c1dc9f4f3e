"""Agencies with contacts, hours, substitutes and successors; what routing has learned; languages and skills of the staff."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    # Columns are added in place: SQLite would refuse to make a table anew that others refer to.
    for name, length in (("contact", 100), ("telephone", 40), ("hours", 200), ("former_names", 400)):
        op.add_column("agencies", sa.Column(name, sa.String(length=length), nullable=False, server_default=""))
    for name in ("substitute_code", "successor_code"):
        op.add_column(
            "agencies",
            sa.Column(name, sa.String(length=40), sa.ForeignKey("agencies.code"), nullable=True),
            inline_references=True,
        )
    op.add_column("agencies", sa.Column("valid_until", sa.Date(), nullable=True))
    op.add_column("staff", sa.Column("languages", sa.String(length=60), nullable=False, server_default="zh"))
    op.add_column("staff", sa.Column("skills", sa.String(length=200), nullable=False, server_default=""))

    op.create_table(
        "routing_models",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("knows", sa.String(length=64), nullable=False),
        sa.Column("texts", sa.Integer(), nullable=False),
        sa.Column("cases", sa.Integer(), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.Column("numbers", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_routing_models_state"), "routing_models", ["state"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_index(op.f("ix_routing_models_state"), table_name="routing_models")
    op.drop_table("routing_models")
    op.drop_column("staff", "skills")
    op.drop_column("staff", "languages")
    with op.batch_alter_table("agencies") as agencies:
        for name in (
            "valid_until",
            "successor_code",
            "substitute_code",
            "former_names",
            "hours",
            "telephone",
            "contact",
        ):
            agencies.drop_column(name)
