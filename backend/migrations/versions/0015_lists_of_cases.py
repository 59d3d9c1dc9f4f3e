"""The lists of a hundred thousand cases are found by an index."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index("ix_cases_category", "cases", ["category_code"])
    op.create_index("ix_cases_step_due", "cases", ["step_due_at"])
    op.create_index("ix_case_events_act", "case_events", ["act", "case_id"])


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_case_events_act", "case_events")
    op.drop_index("ix_cases_step_due", "cases")
    op.drop_index("ix_cases_category", "cases")
