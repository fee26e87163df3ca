"""The verbs, called where only the stand-ins answer."""

from dataclasses import dataclass

import pytest
import respx
from typer.testing import CliRunner

from backend.__main__ import app
from tests.connecting.standins import BACKEND, PASSWORD, STUDIO, TOKEN, Backend, Studio


@dataclass(frozen=True)
class Told:
    """What a verb printed. lines: the mark and the words behind each name."""

    code: int
    output: str
    lines: dict[str, tuple[str, str]]

    def only(self, mark):
        return [what for what, (its, _) in self.lines.items() if its == mark]


@pytest.fixture
def network():
    with respx.mock(assert_all_called=False) as network:
        yield network


@pytest.fixture
def studio(network):
    studio = Studio()
    network.route(url__startswith=STUDIO).mock(side_effect=studio)
    return studio


@pytest.fixture
def served(network):
    served = Backend()
    network.route(url__startswith=BACKEND).mock(side_effect=served)
    return served


@pytest.fixture
def called(studio, served, tmp_path, monkeypatch):
    """called(verb, words..., VARIABLE=value) -> Told. No secret is ever printed."""
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    monkeypatch.setenv("LABEL_STUDIO_URL", STUDIO)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)

    def call(*words, **variables):
        done = CliRunner().invoke(app, list(words), env=variables)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.output
        for secret in (TOKEN, PASSWORD, variables.get("LABEL_STUDIO_API_KEY"), variables.get("BASIC_AUTH_PASS")):
            assert not secret or secret not in done.output
        found = [line for line in done.output.splitlines() if line[:2] in ("✓ ", "✗ ", "- ")]
        lines = {line[2:15].strip(): (line[0], line[15:]) for line in found}
        return Told(done.exit_code, done.output, lines)

    return call
