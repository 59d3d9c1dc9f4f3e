"""the telephone line complete: how calls are spoken to, announcements, old numbers, the queue, calls out, the outbox."""

import sqlalchemy as sa
from alembic import op

import backend.database

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("calls") as batch:
        batch.add_column(sa.Column("language", sa.String(length=5), nullable=False, server_default="zh"))
        batch.add_column(sa.Column("slow", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch.alter_column("sid", existing_type=sa.String(length=40), type_=sa.String(length=100))
    with op.batch_alter_table("call_steps") as batch:  # other services' names for a call are longer than Twilio's
        batch.alter_column("call_sid", existing_type=sa.String(length=40), type_=sa.String(length=100))
    op.create_table(
        "caller_wishes",
        sa.Column("number_hash", sa.String(length=64), nullable=False),
        sa.Column("language", sa.String(length=5), nullable=False),
        sa.Column("slow", sa.Boolean(), nullable=False),
        sa.Column("no_calls_since", backend.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("no_texts_since", backend.database.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("number_hash"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=160), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("recipient", sa.String(length=500), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("put_at", backend.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("due_at", backend.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("sent_at", backend.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("receipt", sa.String(length=64), nullable=True),
        sa.Column("fault", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("ix_outbox_due", "outbox", ["state", "due_at"])
    op.create_index("ix_outbox_receipt", "outbox", ["receipt"])
    op.create_table(
        "visit_calls",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("case_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", backend.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("sid", sa.String(length=100), nullable=True),
        sa.Column("answered_by", sa.String(length=30), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("answers", sa.JSON(), nullable=False),
        sa.Column("misses", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
        sa.UniqueConstraint("sid"),
    )
    op.create_index("ix_visit_calls_due", "visit_calls", ["state", "due_at"])
    op.create_index("ix_visit_calls_case_id", "visit_calls", ["case_id"])
    op.create_table(
        "marks",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("moment", backend.database.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    add_queue()
    add_announcements()


def add_queue() -> None:
    """What the queue orders by, who is in a call, and what was recorded of it."""
    when = backend.database.UtcDateTime(timezone=True)
    for column in (
        sa.Column("language", sa.String(length=5), nullable=False, server_default="zh"),
        sa.Column("skill", sa.String(length=40), nullable=False, server_default=""),
        sa.Column("priority", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("taken_at", when, nullable=True),
        sa.Column("callback_to", sa.String(length=20), nullable=True),
        sa.Column("callback_at", when, nullable=True),
        sa.Column("callback_tries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("may_record", sa.Boolean(), nullable=True),
    ):
        op.add_column("conversations", column)
    op.execute("UPDATE conversations SET language = locale")
    op.create_table(
        "call_legs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.String(length=40), nullable=False),
        sa.Column("party", sa.String(length=10), nullable=False),
        sa.Column("telephone", sa.String(length=60), nullable=True),
        sa.Column("staff_id", sa.Integer(), nullable=True),
        sa.Column("agency_code", sa.String(length=40), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("wish", sa.String(length=10), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("sid", sa.String(length=100), nullable=True),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=True),
        sa.Column("asked_at", when, nullable=False),
        sa.Column("moved_at", when, nullable=False),
        sa.Column("talked_at", when, nullable=True),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversations.id"]),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"]),
        sa.ForeignKeyConstraint(["agency_code"], ["agencies.code"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_call_legs_conversation_id"), "call_legs", ["conversation_id"], unique=False)
    op.create_table(
        "call_recordings",
        sa.Column("sid", sa.String(length=40), nullable=False),
        sa.Column("conversation_id", sa.String(length=40), nullable=False),
        sa.Column("url", sa.String(length=300), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("recorded_at", when, nullable=False),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversations.id"]),
        sa.PrimaryKeyConstraint("sid"),
    )
    op.create_index(op.f("ix_call_recordings_conversation_id"), "call_recordings", ["conversation_id"], unique=False)


def drop_queue() -> None:
    """Take back add_queue."""
    op.drop_table("call_recordings")
    op.drop_table("call_legs")
    names = ("may_record", "callback_tries", "callback_at", "callback_to", "taken_at", "priority", "skill", "language")
    for name in names:
        op.drop_column("conversations", name)


def add_announcements() -> None:
    """What callers are told first, and the old numbers that they may have dialled."""
    when = backend.database.UtcDateTime(timezone=True)
    op.create_table(
        "legacy_numbers",
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("greeting_zh", sa.String(length=300), nullable=False),
        sa.Column("greeting_yue", sa.String(length=300), nullable=False),
        sa.Column("greeting_en", sa.String(length=300), nullable=False),
        sa.Column("category_code", sa.String(length=40), nullable=True),
        sa.Column("agency_code", sa.String(length=40), nullable=True),
        sa.Column("basis", sa.String(length=200), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("changed_by_id", sa.Integer(), nullable=True),
        sa.Column("changed_at", when, nullable=True),
        sa.ForeignKeyConstraint(["category_code"], ["categories.code"]),
        sa.ForeignKeyConstraint(["agency_code"], ["agencies.code"]),
        sa.ForeignKeyConstraint(["changed_by_id"], ["staff.id"]),
        sa.PrimaryKeyConstraint("number"),
    )
    op.add_column("conversations", sa.Column("dialled", sa.String(length=20), nullable=True))
    op.create_index("ix_conversations_dialled", "conversations", ["dialled", "started_at"])
    op.create_table(
        "announcements",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("occasion", sa.String(length=12), nullable=False),
        sa.Column("text_zh", sa.Text(), nullable=False),
        sa.Column("text_en", sa.Text(), nullable=False),
        sa.Column("speech_zh", sa.Text(), nullable=False),
        sa.Column("speech_yue", sa.Text(), nullable=False),
        sa.Column("speech_en", sa.Text(), nullable=False),
        sa.Column("on_phone", sa.Boolean(), nullable=False),
        sa.Column("on_chat", sa.Boolean(), nullable=False),
        sa.Column("categories", sa.JSON(), nullable=False),
        sa.Column("begins_at", when, nullable=True),
        sa.Column("ends_at", when, nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "announcement_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("announcement_id", sa.Integer(), nullable=False),
        sa.Column("act", sa.String(length=10), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("staff_id", sa.Integer(), nullable=False),
        sa.Column("acted_at", when, nullable=False),
        sa.ForeignKeyConstraint(["announcement_id"], ["announcements.id"]),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_announcement_events_announcement_id", "announcement_events", ["announcement_id"])


def drop_announcements() -> None:
    """Take back add_announcements."""
    op.drop_table("announcement_events")
    op.drop_table("announcements")
    op.drop_index("ix_conversations_dialled", "conversations")
    op.drop_column("conversations", "dialled")
    op.drop_table("legacy_numbers")


def downgrade() -> None:
    """Take back."""
    drop_announcements()
    drop_queue()
    op.drop_table("marks")
    op.drop_table("visit_calls")
    op.drop_table("outbox")
    op.drop_table("caller_wishes")
    with op.batch_alter_table("calls") as batch:
        batch.drop_column("slow")
        batch.drop_column("language")
