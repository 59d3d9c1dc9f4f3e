"""The tables that the migrations make are those that the code reads and writes, and each migration can be taken back."""

from alembic import command
from alembic.config import Config

from backend.settings import ROOT


def configured(url: str) -> Config:
    config = Config(ROOT / "backend" / "migrations" / "alembic.ini")
    config.attributes["url"] = url
    return config


def test_the_migrations_make_the_tables_of_the_code(database_url: str) -> None:
    command.check(configured(database_url))  # raises what differs


def test_a_filled_record_goes_back_to_its_beginning_and_forth(sqlite_url: str) -> None:
    config = configured(sqlite_url)
    command.downgrade(config, "base")
    command.upgrade(config, "head")
    command.check(config)
