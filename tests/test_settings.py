"""Settings: what the environment says, and what a wrong value is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.settings import Settings, SettingsError, read_settings, table


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_defaults_are_enough() -> None:
    settings = read_settings()
    assert (settings.host, settings.port, settings.workers, settings.threads) == ("127.0.0.1", 9090, 1, 8)
    assert settings.model_dir.is_absolute()


def test_the_environment_is_read_and_what_is_given_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9191")
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://studio:8080/")
    monkeypatch.setenv("EDGESAM_ACCEPT_LICENCE", "1")
    settings = read_settings(host="0.0.0.0", port=None)
    assert (settings.host, settings.port, settings.log_level) == ("0.0.0.0", 9191, "debug")
    assert settings.label_studio_url == "http://studio:8080"
    assert settings.edgesam_accept_licence


def test_an_empty_variable_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "")
    monkeypatch.setenv("PORT", "")
    assert read_settings().label_studio_api_key is None
    assert read_settings().port == 9090


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("PORT", "ninety", "PORT=ninety: should be a valid integer"),
        ("PORT", "70000", "PORT=70000: should be less than or equal to 65535"),
        ("WORKERS", "0", "WORKERS=0: should be greater than or equal to 1"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL=loud: should be 'debug', 'info', 'warning' or 'error'"),
        (
            "LABEL_STUDIO_URL",
            "studio:8080",
            "LABEL_STUDIO_URL=studio:8080: write http:// or https:// before it, for example http://stu",
        ),
        (
            "LABEL_STUDIO_URL",
            "ftp://studio",
            "LABEL_STUDIO_URL=ftp://studio: write http:// or https:// before it, for example http://stu",
        ),
        ("LABEL_STUDIO_URL", "http://", "LABEL_STUDIO_URL=http://: should be a valid URL, empty host"),
        ("LABEL_STUDIO_URL", "http://a:99999", "LABEL_STUDIO_URL=http://a:99999: should be a valid URL, invalid port"),
        ("EDGESAM_FINETUNE_MINUTES", "inf", "EDGESAM_FINETUNE_MINUTES=inf: should be a finite number"),
        ("EDGESAM_SMALLEST_PART", "nan", "EDGESAM_SMALLEST_PART=nan: "),
        (
            "EDGESAM_LOCAL_FILES_ROOT",
            "/no/such/folder",
            "EDGESAM_LOCAL_FILES_ROOT=/no/such/folder: there is no such fol",
        ),
        ("MODEL_DIR", __file__, f"MODEL_DIR={__file__}: this is a file: name a folder"),
        ("BASIC_AUTH_USER", "anna", "BASIC_AUTH_USER and BASIC_AUTH_PASS: set both, or neither"),
    ],
)
def test_a_wrong_value_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        read_settings()
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_all_wrong_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("THREADS", "y")
    with pytest.raises(SettingsError, match=r"PORT=x.*\n?THREADS=y"):
        read_settings()


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "very-secret")
    monkeypatch.setenv("BASIC_AUTH_PASS", "very-secret")
    with pytest.raises(SettingsError) as error:
        read_settings()
    monkeypatch.setenv("BASIC_AUTH_USER", "anna")
    assert "very-secret" not in str(error.value) + repr(read_settings()) + str(read_settings())


def test_the_page_of_settings_is_the_one_generated_from_the_code() -> None:
    page = Path(__file__).parent.parent / "docs" / "settings.md"
    assert table() in page.read_text(), "run `python -m backend.settings` and put its table into docs/settings.md"


def test_every_setting_has_its_sentence() -> None:
    for name, field in Settings.model_fields.items():
        assert (field.description or "").endswith("."), name
