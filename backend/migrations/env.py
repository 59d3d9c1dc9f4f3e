"""Alembic's entry: runs the migrations on the database of the settings."""

from alembic import context
from sqlalchemy import event

from backend import attachments as _attachments  # noqa: F401
from backend import audit as _audit  # noqa: F401
from backend import changes as _changes  # noqa: F401
from backend import line_settings as _line_settings  # noqa: F401
from backend import outbox as _outbox  # noqa: F401
from backend import retention as _retention  # noqa: F401
from backend import webhooks as _webhooks  # noqa: F401
from backend import wordings as _wordings  # noqa: F401
from backend.api import models as _api  # noqa: F401
from backend.cases import inbox as _inbox  # noqa: F401
from backend.cases import models as _cases  # noqa: F401  # these imports register the tables
from backend.cases import root_models as _roots  # noqa: F401
from backend.conversations import models as _conversations  # noqa: F401
from backend.database import Base, make_engine
from backend.directory import second_factor as _second_factor  # noqa: F401
from backend.directory import sessions as _sessions  # noqa: F401
from backend.insight import models as _insight  # noqa: F401
from backend.knowledge import models as _knowledge  # noqa: F401
from backend.settings import load_settings
from ivr import models as _ivr  # noqa: F401


def run() -> None:
    """Bring the database to the newest revision, in one transaction.

    SQLite changes a table by making it anew, which others that refer to it would forbid: foreign keys are checked at the end
    instead (https://www.sqlite.org/lang_altertable.html, 7).
    """
    url = context.config.attributes.get("url") or load_settings().database_url
    engine = make_engine(url).execution_options(writing=True)
    is_sqlite = engine.dialect.name == "sqlite"
    if is_sqlite:
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys=OFF"))
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
        with context.begin_transaction():
            context.run_migrations()
            if is_sqlite and (broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first()):
                raise RuntimeError(f"a migration broke a foreign key: {broken}")
    engine.dispose()


run()
