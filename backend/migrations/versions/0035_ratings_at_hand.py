"""Ratings stand with what is counted of each case, so that the assessment of a year reads one index."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

RATED = ("said_at", "rated", "district", "category", "outcome", "contacted", "solved", "satisfied", "grade", "visit_id")


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("case_facts", schema=None) as batch_op:
        batch_op.drop_index("ix_case_facts_said")
        batch_op.add_column(sa.Column("visit_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("rated", sa.String(length=40), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("grade", sa.Integer(), nullable=True))
    op.execute(
        "UPDATE case_facts SET visit_id = (SELECT max(id) FROM visits WHERE visits.case_id = case_facts.case_id)"
    )
    for column, value in (("rated", "coalesce(agency_code, '')"), ("grade", "grade")):
        op.execute(
            f"UPDATE case_facts SET {column} = (SELECT {value} FROM visits WHERE visits.id = case_facts.visit_id)"
            " WHERE visit_id IS NOT NULL"
        )
    op.create_index("ix_case_facts_rated", "case_facts", RATED)


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_case_facts_rated", "case_facts")
    with op.batch_alter_table("case_facts", schema=None) as batch_op:
        for column in ("visit_id", "rated", "grade"):
            batch_op.drop_column(column)
    op.create_index("ix_case_facts_said", "case_facts", ["said_at"])
