from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.learning import tuning
from backend.learning.examples import Example, split
from backend.learning.finetune import Tuned
from backend.learning.gate import Figures, Verdict
from backend.learning.masks import samples_of
from backend.learning.tuning import GENERAL, tuned
from backend.segmentation.engine_torch import TorchEngine
from backend.segmentation.model import SegmentationModel, build_model
from backend.segmentation.preprocess import Frame

FLAT = {"box": 50.0, "click1": 50.0, "click2": 50.0, "click3": 50.0}


def example(key: str) -> Example:
    return Example(key, np.zeros((4096, 256), np.float16), Frame(8, 8), np.ones((8, 8), np.int16), (1.0,), b"")


@pytest.fixture(scope="module")
def model() -> SegmentationModel:
    torch.manual_seed(0)
    return build_model("repvit_m1").eval().requires_grad_(False)


@pytest.fixture
def engine() -> TorchEngine:
    """Encodes nothing: the general pictures are stood in for."""

    def nothing(*_: Tensor) -> Tensor:
        raise NotImplementedError

    return TorchEngine(nothing, nothing, torch.device("cpu"), "i", "v", twice=True)  # type: ignore[arg-type]


def learned_by_one(model: SegmentationModel) -> dict[str, Tensor]:
    return {f"mask_decoder.{name}": value + 1 for name, value in model.mask_decoder.state_dict().items()}


def learned_by_none(model: SegmentationModel) -> dict[str, Tensor]:
    return {f"mask_decoder.{name}": value for name, value in model.mask_decoder.state_dict().items()}


@pytest.mark.parametrize(("forgets", "share"), [(0.0, 1.0), (0.45, 0.5), (40.0, 0.2)])
def test_a_version_goes_as_far_as_the_general_pictures_allow(
    model: SegmentationModel, engine: TorchEngine, monkeypatch: pytest.MonkeyPatch, forgets: float, share: float
) -> None:
    """forgets: how many points a decoder loses in general by going all the way; half of the way loses half of them."""
    general = [example(f"general {number}") for number in range(4)]
    examples = [example(str(number)) for number in range(8)]
    elsewhere = replace(example("elsewhere"), features=np.full((4096, 256), 100, np.float16)).embedding
    seen: dict[str, Sequence[Example]] = {}
    own = model.mask_decoder.state_dict()["mask_tokens.weight"]

    def finetune(_m: object, training: list[Example], validation: list[Example], steadying: list[Example], *_: object):  # type: ignore[no-untyped-def]
        seen.update(training=training, validation=validation, steadying=steadying)
        return Tuned(learned_by_one(model), [])

    def judged(learned: dict[str, Tensor], near: list[Example]) -> Figures:
        assert near == general
        gone = float((learned["mask_decoder.mask_tokens.weight"] - own).mean())
        return {name: value - forgets * gone for name, value in FLAT.items()}

    def compared(_o: object, _n: object, _b: object, validation: list[Example], judging: list[Example]) -> Verdict:
        seen.update(judging=judging)
        assert validation == seen["validation"]
        return Verdict(True, "promoted", FLAT, FLAT, FLAT, FLAT)

    monkeypatch.setattr(tuning, "samples_of", lambda _: general)
    monkeypatch.setattr(tuning, "example_of", lambda _, one: one)
    monkeypatch.setattr(tuning, "answers_of", lambda _, learned, **_closely: learned or learned_by_none(model))
    monkeypatch.setattr(tuning, "everyday_pictures", lambda _: [elsewhere])
    for stand_in in (finetune, judged, compared):
        monkeypatch.setattr(tuning, stand_in.__name__, stand_in)
    outcome = tuned(model, engine, examples, 1.0, lambda _: None)
    gone = outcome.learned["mask_decoder.mask_tokens.weight"] - own
    torch.testing.assert_close(gone, torch.full_like(gone, share), atol=1e-5, rtol=0)
    assert (seen["training"], seen["validation"]) == split(examples)
    assert (seen["steadying"], seen["judging"]) == (general[::2], general[1::2])
    assert outcome.familiar.holds(examples[0].embedding)
    assert not outcome.familiar.holds(elsewhere)


def test_nothing_is_taken_back_for_pictures_on_which_the_base_answers(
    model: SegmentationModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "judged", lambda *_: pytest.fail("there is nothing to judge"))
    learned = learned_by_one(model)
    assert tuning._bearable(model, learned, [], 0.5) == (learned, 1.0)


def test_everyday_pictures_come_with_the_project(engine: TorchEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TorchEngine, "encode", lambda *_: np.zeros((4096, 256), np.float16))
    pictures = tuning.everyday_pictures(engine)
    assert len(pictures) == 100
    assert all(max(one.frame.width, one.frame.height) <= 448 for one in pictures)


def test_one_picture_is_too_few(model: SegmentationModel, engine: TorchEngine) -> None:
    with pytest.raises(ValueError, match="two are the least"):
        tuned(model, engine, [example("only")], 1.0, lambda _: None)


def test_the_general_pictures_come_with_the_project_and_are_small() -> None:
    samples = samples_of(GENERAL)
    assert len(samples) >= 16
    for sample in samples:
        found = set(np.unique(sample.labels()).tolist()) - {0}
        assert found == set(sample.objects)
        assert max(sample.pixels().shape) <= 512
    files = [path for path in Path(GENERAL).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 2e6
    named = (GENERAL / "README.md").read_text()
    assert all(f"`{sample.image.name.rsplit('-', 1)[0]}-*`" in named for sample in samples)
