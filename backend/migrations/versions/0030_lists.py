"""Indexes for lists among many cases: what is open, what people did, what was done when, what an agency settled late."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

PARTIAL = (
    ("ix_conversations_unfinished", "conversations", ["operator_id"], "operator_id IS NOT NULL AND wrap_up IS NULL"),
    ("ix_case_events_staff", "case_events", ["staff_id", "id"], "staff_id IS NOT NULL"),
)


def upgrade() -> None:
    """Apply."""
    for name, table, columns, where in PARTIAL:
        op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
    op.create_index("ix_case_facts_agency_settled", "case_facts", ["agency", "settled_at"])
    op.drop_index("ix_case_events_act", "case_events")
    op.create_index("ix_case_events_act", "case_events", ["act", "acted_at", "case_id"])


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_case_events_act", "case_events")
    op.create_index("ix_case_events_act", "case_events", ["act", "case_id"])
    op.drop_index("ix_case_facts_agency_settled", "case_facts")
    for name, table, _, _ in PARTIAL:
        op.drop_index(name, table)
