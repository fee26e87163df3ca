from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.segmentation.checkpoints import WeightsError
from backend.segmentation.engines import FEATURES, Embedding, Engine, Features, Floats
from backend.segmentation.familiar import VersionEngine, familiar_in, familiar_with, look_of
from backend.segmentation.predictor import seen
from backend.segmentation.preprocess import Frame


def picture(fill: float, seed: int = 0, frame: Frame | None = None) -> Embedding:
    noise = np.random.default_rng(seed).normal(fill, 0.1, FEATURES)
    return Embedding(noise.astype(np.float16), frame or Frame(640, 480))


class Constant(Engine):
    """Answers every prompt with one number."""

    twice = False

    def __init__(self, version: str, number: float) -> None:
        self.named, self.number = version, number

    @property
    def identity(self) -> str:
        return f"encoder of {self.named}"

    @property
    def version(self) -> str:
        return self.named

    def for_picture(self, _embedding: Embedding) -> Engine:
        return self

    def encode(self, canvas: Floats) -> Features:
        return np.full(FEATURES, self.number, np.float16)

    def decode(self, embedding, coordinates, labels, low_res) -> Floats:  # type: ignore[no-untyped-def]
        return np.full((len(labels), 256, 256), self.number, np.float32)


def tinted(channel: int, seed: int) -> Embedding:
    """Pictures of which all channels differ, but only this one says of what kind they are."""
    random = np.random.default_rng(seed)
    features = np.broadcast_to(random.normal(0, 0.15, 256), FEATURES).copy()
    features[:, channel] += 1
    return Embedding(features.astype(np.float16), Frame(640, 480))


def test_what_tells_the_kinds_apart_decides_and_not_what_differs_anyway() -> None:
    own, others = [tinted(3, seed) for seed in range(20)], [tinted(7, seed) for seed in range(40, 80)]
    familiar = familiar_with(own, others)
    assert sum(familiar.holds(tinted(3, seed)) for seed in range(100, 120)) >= 18
    assert not any(familiar.holds(tinted(7, seed)) for seed in range(100, 120))


def test_between_the_kinds_the_base_answers() -> None:
    familiar = familiar_with([picture(1.0), picture(1.1)], [picture(0.0), picture(-0.1)])
    assert familiar.holds(picture(0.9, seed=1))
    assert not familiar.holds(picture(0.5, seed=1))
    assert not familiar.holds(picture(0.3, seed=1))


def test_a_picture_unlike_all_that_is_known_is_not_the_projects() -> None:
    familiar = familiar_with([picture(1.0), picture(1.1), picture(1.2)], [picture(-9.0)])
    assert familiar.holds(picture(1.3, seed=1))
    assert not familiar.holds(picture(2.0, seed=1))
    assert familiar_with([picture(1.0)], [picture(-9.0)]).holds(picture(2.0, seed=1))  # of one nobody knows how far


def test_the_same_picture_once_more_or_the_next_of_a_film_makes_no_other_strange() -> None:
    own = [picture(1.0), picture(1.4), picture(1.8)]
    film = [picture(fill + step, seed=step_seed) for fill in (1.0, 1.4, 1.8) for step, step_seed in ((0, 5), (0.01, 6))]
    for learned_from in (own + own, film, own[:1] * 2):
        familiar = familiar_with(learned_from, [picture(-9.0)])
        assert familiar.holds(picture(1.2, seed=1))
    assert not familiar_with(film, [picture(-9.0)]).holds(picture(4.0, seed=1))


def test_the_canvas_beside_a_picture_is_not_looked_at() -> None:
    wide = Frame(1024, 256)
    beside = picture(1.0, frame=wide).features.copy()
    beside.reshape(64, 64, 256)[16:] = 77
    np.testing.assert_array_equal(look_of(Embedding(beside, wide)), look_of(picture(1.0, frame=wide)))
    thin = look_of(picture(1.0, frame=Frame(3000, 2)))
    assert np.isfinite(thin).all()


def test_a_version_answers_what_it_knows_and_its_base_the_rest() -> None:
    familiar = familiar_with([picture(1.0)], [picture(0.0)])
    version = VersionEngine(Constant("base", 5), Constant("v1", 7), familiar)
    asked = np.zeros((1, 2, 2), np.float32), np.array([[1, -1]]), None
    assert (version.identity, version.version) == ("encoder of base", "v1")
    assert version.encode(np.zeros((1, 3, 1024, 1024), np.float32))[0, 0] == 5
    assert version.decode(picture(0.9, seed=2), *asked)[0, 0, 0] == 7
    assert version.decode(picture(0.1, seed=2), *asked)[0, 0, 0] == 5
    assert version.for_picture(picture(0.9, seed=2)) is version.learned
    assert version.for_picture(picture(0.1, seed=2)) is version.base


def test_a_picture_is_seen_by_the_encoder_of_who_answers_on_it() -> None:
    familiar = familiar_with([picture(5.0)], [picture(0.0)])
    pixels, frame = np.zeros((48, 64, 3), np.uint8), Frame(64, 48)
    base, learned = Constant("base", 5), Constant("v1", 7)
    engine, embedding = seen(VersionEngine(base, learned, familiar), pixels, frame)
    assert engine is learned
    assert embedding.features[0, 0] == 7
    base.number = 0
    engine, embedding = seen(VersionEngine(base, learned, familiar), pixels, frame)
    assert engine is base
    assert embedding.features[0, 0] == 0


def test_files_that_were_not_fine_tuned_know_nothing(tmp_path: Path) -> None:
    assert familiar_in(tmp_path / "weights.pt") is None
    (tmp_path / "torn.safetensors").write_bytes(b"half a file")
    with pytest.raises(WeightsError, match=r"torn\.safetensors cannot be read"):
        familiar_in(tmp_path / "torn.safetensors")
