"""Files of conversations and cases in one table: what came through Open311 moves into it, under the same ids."""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ENDINGS = {"image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/webp": "webp", "application/pdf": "pdf"}


def upgrade() -> None:
    """Apply."""
    op.drop_index("ix_open311_attachments_case_id", table_name="open311_attachments")
    op.rename_table("open311_attachments", "attachments")
    with op.batch_alter_table("attachments") as table:
        table.alter_column("case_id", existing_type=sa.Integer(), nullable=True)
        table.alter_column("media_type", existing_type=sa.String(40), type_=sa.String(80), existing_nullable=False)
        table.add_column(sa.Column("event_id", sa.Integer(), nullable=True))
        table.add_column(sa.Column("conversation_id", sa.String(length=40), nullable=True))
        table.add_column(sa.Column("turn_id", sa.Integer(), nullable=True))
        table.add_column(sa.Column("staff_id", sa.Integer(), nullable=True))
        table.add_column(sa.Column("for_citizen", sa.Boolean(), nullable=False, server_default=sa.true()))
        table.add_column(sa.Column("name", sa.String(length=120), nullable=False, server_default=""))
        table.add_column(sa.Column("size", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("sha256", sa.String(length=64), nullable=False, server_default=""))
        table.create_foreign_key("fk_attachments_event", "case_events", ["event_id"], ["id"])
        table.create_foreign_key("fk_attachments_conversation", "conversations", ["conversation_id"], ["id"])
        table.create_foreign_key("fk_attachments_turn", "turns", ["turn_id"], ["id"])
        table.create_foreign_key("fk_attachments_staff", "staff", ["staff_id"], ["id"])
    describe_files()
    with op.batch_alter_table("attachments") as table:
        for name, kind in (("name", sa.String(120)), ("size", sa.Integer()), ("sha256", sa.String(64))):
            table.alter_column(name, existing_type=kind, existing_nullable=False, server_default=None)
        table.create_index("ix_attachments_case_id", ["case_id"])
        table.create_index("ix_attachments_conversation_id", ["conversation_id"])
        table.create_index("ix_attachments_event_id", ["event_id"])
        table.create_index("ix_attachments_sha256", ["sha256"])


def describe_files() -> None:
    """Give each file that is there its name, size and digest; one at a time, as they may be large."""
    record = op.get_bind()
    for id_, media_type in record.execute(sa.text("SELECT id, media_type FROM attachments")).all():
        content = bytes(record.scalar(sa.text("SELECT content FROM attachments WHERE id = :id"), {"id": id_}))
        record.execute(
            sa.text("UPDATE attachments SET name = :name, size = :size, sha256 = :sha256 WHERE id = :id"),
            {
                "id": id_,
                "name": f"file-{id_}.{ENDINGS.get(media_type, 'bin')}",
                "size": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            },
        )


def downgrade() -> None:
    """Take back. Files that belong to no case had no place then."""
    op.execute("DELETE FROM attachments WHERE case_id IS NULL OR length(media_type) > 40")
    with op.batch_alter_table("attachments") as table:
        for name in ("case_id", "conversation_id", "event_id", "sha256"):
            table.drop_index(f"ix_attachments_{name}")
        for name in ("event", "conversation", "turn", "staff"):
            table.drop_constraint(f"fk_attachments_{name}", type_="foreignkey")
        for name in ("event_id", "conversation_id", "turn_id", "staff_id", "for_citizen", "name", "size", "sha256"):
            table.drop_column(name)
        table.alter_column("case_id", existing_type=sa.Integer(), nullable=False)
        table.alter_column("media_type", existing_type=sa.String(80), type_=sa.String(40), existing_nullable=False)
    op.rename_table("attachments", "open311_attachments")
    op.create_index("ix_open311_attachments_case_id", "open311_attachments", ["case_id"])
