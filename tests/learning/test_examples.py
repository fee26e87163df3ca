from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.learning.examples import Example, example_of, split
from backend.learning.masks import Sample, samples_of
from backend.segmentation.engine_torch import load_torch_engine
from backend.segmentation.preprocess import Frame
from backend.segmentation.weights import WeightsFile


def named(key: str) -> Example:
    return Example(key, np.zeros((1, 1, 1), np.float16), Frame(1, 1), np.zeros((1, 1), np.int16), (), b"")


def keys(examples: list[Example]) -> set[str]:
    return {example.key for example in examples}


def test_a_quarter_judges_and_nothing_is_on_both_sides() -> None:
    everything = [named(str(number)) for number in range(400)]
    training, validation = split(everything)
    assert 70 < len(validation) < 130
    assert not keys(training) & keys(validation)
    assert keys(training) | keys(validation) == keys(everything)


def test_pictures_stay_on_their_side_while_the_project_grows() -> None:
    few, more = ([named(str(number)) for number in range(count)] for count in (60, 90))
    for before, after in zip(split(few), split(list(reversed(more))), strict=True):
        assert keys(before) <= keys(after)


def test_a_fifth_judges_at_least() -> None:
    shares = [len(split([named(f"{start} {number}") for number in range(12)])[1]) for start in range(60)]
    assert min(shares) == 2
    assert max(shares) > 3


@pytest.mark.parametrize("count", [2, 3, 5])
def test_each_side_has_at_least_one(count: int) -> None:
    for start in range(30):
        training, validation = split([named(str(start + number)) for number in range(count)])
        assert training
        assert validation


def test_a_picture_of_several_tasks_is_on_one_side() -> None:
    for start in range(30):
        training, validation = split([named(f"{start} {number}") for number in (1, 2, 1, 1, 2)])
        assert sorted((len(training), len(validation))) == [2, 3]
        assert not keys(training) & keys(validation)


def test_a_picture_of_a_file_has_its_masks_numbered_from_one(masks: Path, random_weights: WeightsFile) -> None:
    sample = samples_of(masks / "discs")[0]
    found = Sample(sample.source, sample.image, sample.mask, (2, 7))  # 7 is not in the label map, 1 is not asked for
    example = example_of(load_torch_engine(random_weights, "cpu"), found)
    assert example.key == hashlib.sha256(sample.image.read_bytes()).hexdigest()
    assert (example.features.shape, example.features.dtype) == ((4096, 256), np.float16)
    assert example.weights == (1.0,)
    assert np.array_equal(example.labels == 1, sample.labels() == 2)
    assert np.array_equal(example.labels == 0, sample.labels() != 2)


def test_a_large_label_map_is_no_larger_than_the_canvas(tmp_path: Path, random_weights: WeightsFile) -> None:
    labels = np.zeros((900, 3072), np.uint8)
    labels[150:450:3, 1500:2250:3] = 2
    labels[151:450:3, 1501:2250:3] = 1
    Image.fromarray(labels).save(tmp_path / "m.png")
    Image.fromarray(np.zeros((900, 3072, 3), np.uint8)).save(tmp_path / "i.png")
    engine = load_torch_engine(random_weights, "cpu")
    example = example_of(engine, Sample("s", tmp_path / "i.png", tmp_path / "m.png", (1,)))
    assert example.labels.shape == (300, 1024)
    assert example.frame.scaled == Frame(3072, 900).scaled
    assert (example.labels[50:150, 500:750] == 1).all()  # what lies under a pixel's middle
    assert np.count_nonzero(example.labels) == 100 * 250
