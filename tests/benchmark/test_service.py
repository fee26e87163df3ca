from __future__ import annotations

import os
from pathlib import Path

import pytest

from backend.benchmark.errors import BenchmarkError
from backend.benchmark.service import environment_of, started
from tests.server.standins import WEIGHTS


def test_settings_count_but_for_what_stands_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASIC_AUTH_USER", "somebody")
    monkeypatch.setenv("MODEL_DIR", "/in/use")
    monkeypatch.setenv("EDGESAM_ENGINE", "torch")
    environment = environment_of(WEIGHTS, tmp_path, "http://127.0.0.1:1")
    assert "BASIC_AUTH_USER" not in environment
    assert environment["MODEL_DIR"] == str(tmp_path)
    assert environment["EDGESAM_ENGINE"] == "torch"
    assert environment["LABEL_STUDIO_URL"] == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("EDGESAM_WEIGHTS", "/no/such.safetensors", r"/ready answered 503: .*no weights '/no/such.safetensors'"),
        ("THREADS", "many", "the service ended with code 2: THREADS=many: should be a valid integer"),
    ],
)
def test_a_service_that_cannot_start_is_told_in_one_line(tmp_path: Path, setting: str, value: str, told: str) -> None:
    environment = {"PATH": os.environ["PATH"], "MODEL_DIR": str(tmp_path), setting: value}
    with pytest.raises(BenchmarkError, match=told) as caught, started(environment, tmp_path / "log"):
        pass
    assert "\n" not in str(caught.value)
