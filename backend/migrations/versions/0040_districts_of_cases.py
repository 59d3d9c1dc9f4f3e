"""Each case says in which district it is, and what is open, late or overdue is found by indexes of its own."""

import sqlalchemy as sa
from alembic import op

from backend.cases.places import district_of

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

AT_ONCE = 10_000
OPEN, LATE = sa.text("ended_at IS NULL"), sa.text("settled_at > due_at")
UNSETTLED = sa.text("settled_at IS NULL")


def upgrade() -> None:
    """Apply."""
    op.add_column("cases", sa.Column("district", sa.String(length=40), nullable=False, server_default=""))
    op.create_index("ix_case_facts_open", "case_facts", ["filed_at"], sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index("ix_case_facts_late", "case_facts", ["settled_at"], sqlite_where=LATE, postgresql_where=LATE)
    op.drop_index("ix_case_facts_unsettled", "case_facts")
    op.create_index(
        "ix_case_facts_unsettled",
        "case_facts",
        ["due_at", "paused"],
        sqlite_where=UNSETTLED,
        postgresql_where=UNSETTLED,
    )
    cases = sa.table("cases", sa.column("id"), sa.column("place"), sa.column("what"), sa.column("district"))
    connection, last = op.get_bind(), 0
    told = sa.select(cases.c.id, cases.c.place, cases.c.what).order_by(cases.c.id).limit(AT_ONCE)
    while rows := connection.execute(told.where(cases.c.id > last)).all():
        found = [
            {"case": number, "named": named} for number, place, what in rows if (named := district_of(place, what))
        ]
        if found:
            here = sa.update(cases).where(cases.c.id == sa.bindparam("case"))
            connection.execute(here.values(district=sa.bindparam("named")), found)
        last = rows[-1].id
    op.execute(  # what was warned of a group goes with it
        "UPDATE alerts SET group_id = (SELECT merged_into_id FROM hot_groups WHERE hot_groups.id = alerts.group_id)"
        " WHERE group_id IN (SELECT id FROM hot_groups WHERE merged_into_id IS NOT NULL)"
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_case_facts_unsettled", "case_facts")
    op.create_index(
        "ix_case_facts_unsettled", "case_facts", ["due_at"], sqlite_where=UNSETTLED, postgresql_where=UNSETTLED
    )
    op.drop_index("ix_case_facts_late", "case_facts")
    op.drop_index("ix_case_facts_open", "case_facts")
    op.drop_column("cases", "district")
