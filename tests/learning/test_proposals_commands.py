"""The verb that measures what would be proposed."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from backend.__main__ import app
from backend.labelstudio import configured
from backend.learning import proposing, tuning
from backend.learning.proposing import Figures, Learned
from backend.segmentation.weights import WeightsFile
from tests.labelstudio.test_answering_proposals import proposer
from tests.segmentation.spots import SpotEngine, seen


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, masks: Path, random_weights: WeightsFile):  # type: ignore[no-untyped-def]
    """called(words) -> exit status, output."""
    monkeypatch.setattr(configured, "engine_of", lambda _settings, _weights: SpotEngine())
    monkeypatch.setattr(tuning, "everyday_pictures", lambda _: [seen([])])

    def call(*words: str) -> tuple[int, str]:
        where = ["--dataset", str(masks / "discs"), "--weights", str(random_weights.path)]
        told = CliRunner().invoke(app, ["proposals", *where, *words], env={"COLUMNS": "200"})
        return told.exit_code, told.output

    return call


def test_the_first_images_teach_and_the_others_judge(called, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    taught, judging = [], []

    def learned(_engine, examples, _familiar):  # type: ignore[no-untyped-def]
        taught.extend(example.key for example, _ in examples)
        return Learned(proposer((None, None)), Figures(9, 8, 10, 2, 2))

    def judged(_proposer, _engine, examples):  # type: ignore[no-untyped-def]
        judging.extend(example.key for example, _ in examples)
        return Figures(5, 4, 6, 2, 2)

    monkeypatch.setattr(proposing, "learned_proposals", learned)
    monkeypatch.setattr(proposing, "judged_elsewhere", judged)
    code, output = called("--limit", "2")
    assert code == 0
    assert output.splitlines() == [
        "2 images learned from: 8 of 9 proposals are right, 8 of 10 objects found",
        f"{len(judging)} others: 4 of 5 proposals are right, 4 of 6 objects found",
    ]
    assert len(taught) == 2
    assert judging
    assert not set(taught) & set(judging)


@pytest.mark.parametrize(("limit", "told"), [("2", "too few masks"), ("5", "give a smaller --limit")])
def test_what_cannot_be_measured_is_one_sentence(called, limit: str, told: str) -> None:  # type: ignore[no-untyped-def]
    code, output = called("--limit", limit)
    assert code == 1
    assert told in output
    assert "Traceback" not in output
