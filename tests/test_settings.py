"""Settings: complete in .env.example, secret in production."""

import re

import pytest

from backend import settings
from backend.settings import ROOT, Settings, SettingsRefused, load_settings


def test_every_setting_stands_in_the_example_file() -> None:
    example = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert {name.upper() for name in Settings.model_fields} <= example


def test_a_missing_secret_refuses_to_start_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in settings.SECRET_NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ENVIRONMENT", "production")
    with pytest.raises(SettingsRefused, match="TWILIO_AUTH_TOKEN"):
        load_settings()


def test_a_missing_secret_is_made_once_and_kept_in_development(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in settings.SECRET_NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setattr(settings, "SECRETS_FILE", tmp_path_factory.mktemp("var") / "secrets.env")
    first = load_settings()
    assert len(first.secret_key) >= 32
    assert load_settings() == first
    assert settings.SECRETS_FILE.stat().st_mode & 0o077 == 0


def test_a_secrets_file_of_an_older_version_gets_what_it_lacks_and_keeps_the_rest(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in settings.SECRET_NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(settings, "SECRETS_FILE", tmp_path_factory.mktemp("var") / "secrets.env")
    settings.SECRETS_FILE.write_text(f"SECRET_KEY={'old' * 11}\n")
    first = load_settings()
    assert first.secret_key == "old" * 11
    assert load_settings() == first


def test_data_keys_that_are_none_refuse_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_KEYS", "a password")
    with pytest.raises(SettingsRefused, match="DATA_KEYS"):
        load_settings()
