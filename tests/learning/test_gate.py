from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.learning import decoding
from backend.learning.decoding import decoder_of
from backend.learning.examples import Example
from backend.learning.gate import Answering, Answers, TorchDecoder, compared, judged, overall, where_familiar
from backend.learning.masks import DataError
from backend.learning.prompting import Decode
from backend.segmentation.engine_torch import load_torch_engine
from backend.segmentation.engines import Embedding
from backend.segmentation.familiar import Familiar, look_of
from backend.segmentation.model import model_of
from backend.segmentation.preprocess import Frame
from backend.segmentation.weights import WeightsFile
from backend.segmentation.windows import Window

SIDE = 64


def example(key: str, share: float) -> Example:
    """A picture of one object: this share of it, from the top. Its embedding says how much a good decoder answers."""
    labels = np.zeros((SIDE, SIDE), np.int16)
    labels[: round(SIDE * share)] = 1
    return Example(key, np.full((4096, 256), share, np.float16), Frame(SIDE, SIDE), labels, (1.0,), b"")


def answering(error: float) -> Decode:
    """A decoder that finds the object up to `error` of the picture below its true end, whatever it is asked."""

    def decode(embedding: Tensor, _c: Tensor, labels: Tensor, _l: Tensor, _h: Tensor) -> tuple[Tensor, Tensor]:
        rows = round(256 * (float(embedding.flatten()[0]) + error))
        logits = torch.full((len(labels), 4, 256, 256), -9.0)
        logits[:, :, :rows] = 9.0
        return logits, torch.ones(len(labels), 4)

    return decode


def everywhere(decode: Decode, twice: bool = True) -> Answers:
    return lambda example: Answering(decode, example.embedding, twice)


def always(error: float) -> Answers:
    return everywhere(answering(error))


VALIDATION = [example("a", 0.5), example("b", 0.25)]
GENERAL = [example("c", 0.25)]


def test_a_decoder_that_is_right_gets_full_marks() -> None:
    assert judged(always(0.0), VALIDATION) == {"box": 100, "click1": 100, "click2": 100, "click3": 100}


def test_a_decoder_that_is_wrong_gets_the_mean_over_pictures() -> None:
    figures = judged(always(0.25), VALIDATION)
    assert figures["click1"] == pytest.approx(
        100 * (0.5 / 0.75 + 0.25 / 0.5) / 2, abs=1.5
    )  # rows are half a pixel soft
    assert overall(figures) == pytest.approx((figures["box"] + figures["click1"] + figures["click3"]) / 3)


def test_of_few_pictures_more_objects_are_judged() -> None:
    asked: list[int] = []

    def counting(*prompt: Tensor) -> tuple[Tensor, Tensor]:
        asked.append(len(prompt[2]))
        return answering(0.0)(*prompt)

    crowd = example("crowd", 0.0)
    crowd.labels[::4] = np.arange(1, SIDE // 4 + 1)[:, None]
    crowd = replace(crowd, weights=(1.0,) * (SIDE // 4))
    asked_by_objects = []
    for objects, pictures in ((4, [crowd]), (8, [crowd]), (8, [crowd, crowd])):
        asked.clear()
        judged(everywhere(counting), pictures, objects)
        asked_by_objects.append(len(asked))
    four, eight, twice_four = asked_by_objects
    assert eight > four
    assert twice_four == 2 * four


def test_what_is_small_is_judged_in_its_window_too_where_that_can_be_had() -> None:
    small, seen = example("small", 0.0), list[Window]()
    small.labels[20:30, 20:30] = 1

    def closer(window: Window) -> Embedding:
        seen.append(window)
        return Embedding(np.full((4096, 256), 1.0, np.float16), window.frame)

    judged(lambda one: Answering(answering(0.0), one.embedding, True, closer), [small])
    assert seen
    assert all(window.frame == Frame(SIDE // 2, SIDE // 2) for window in seen)


@pytest.mark.parametrize("twice", [True, False])
def test_a_box_is_asked_as_often_as_those_who_are_served_get_it(twice: bool) -> None:
    again = list[bool]()

    def decode(embedding: Tensor, coordinates: Tensor, labels: Tensor, *last: Tensor) -> tuple[Tensor, Tensor]:
        if 2 in labels:  # a box's first corner
            again.append(bool(last[1]))
        return answering(0.0)(embedding, coordinates, labels, *last)

    judged(everywhere(decode, twice), VALIDATION[:1])
    assert again == [False, True][: 1 + twice]


def test_pictures_that_show_no_object_cannot_judge() -> None:
    with pytest.raises(DataError, match="none of the 2 pictures"):
        judged(always(0.0), [example("a", 0.0), example("b", 0.0)])


def test_the_same_prompt_on_another_embedding_is_another_question() -> None:
    engine, prompt = TorchDecoder(answering(0.0), True), (np.zeros((1, 2, 2), np.float32), np.array([[1, -1]]))
    embeddings = [one.embedding for one in (VALIDATION[1], VALIDATION[0])]
    small, large = (engine.decode(embedding, *prompt, None) for embedding in embeddings)
    assert (large > 0).sum() == 2 * (small > 0).sum()


def test_better_on_the_project_and_as_good_in_general_is_promoted() -> None:
    verdict = compared(always(0.25), always(0.0), always(0.25), VALIDATION, GENERAL)
    assert verdict.promoted
    assert re.match(r"promoted: \+4\d\.\d points on 2 pictures of the project, \+", verdict.reason)
    assert verdict.project_after["box"] == 100


def test_no_better_is_not_promoted() -> None:
    verdict = compared(always(0.25), always(0.25), always(0.25), VALIDATION, GENERAL)
    assert not verdict.promoted
    assert "may be noise" in verdict.reason


def test_in_general_it_is_compared_with_the_base_and_not_with_the_version_that_lost_before() -> None:
    verdict = compared(always(0.25), always(0.125), always(0.0), VALIDATION, GENERAL)
    assert not verdict.promoted
    assert verdict.general_before["box"] == 100


def test_better_on_the_project_but_worse_in_general_is_not_promoted() -> None:
    general = 0.125

    def forgetful(embedding: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor]:
        return answering(0.5 if float(embedding.flatten()[0]) == general else 0.0)(embedding, *rest)

    verdict = compared(always(0.25), everywhere(forgetful), always(0.25), VALIDATION, [example("d", general)])
    assert not verdict.promoted
    assert "lost in general" in verdict.reason
    assert verdict.project_after["box"] > verdict.project_before["box"]
    assert verdict.general_after["box"] < verdict.general_before["box"]


def test_what_was_forgotten_of_pictures_that_it_does_not_answer_does_no_harm() -> None:
    look = look_of(GENERAL[0].embedding)
    familiar = Familiar(np.stack([look_of(one.embedding) for one in VALIDATION[:1]]), look[None])
    version = where_familiar(familiar, always(0.5), always(0.0))
    verdict = compared(always(0.25), version, always(0.0), VALIDATION[:1], GENERAL)
    assert verdict.general_after["box"] == 100
    assert verdict.project_after["box"] < verdict.project_before["box"]


def test_the_decoder_under_training_answers_as_the_engine_that_serves(
    random_weights: WeightsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "fast_in_bf16", lambda _: False)
    model = model_of(random_weights)
    served = load_torch_engine(random_weights, "cpu")
    trained = TorchDecoder(decoder_of(model), served.twice)
    random = np.random.default_rng(0)
    embedding = Embedding(random.normal(size=(4096, 256)).astype(np.float16), Frame(SIDE, SIDE))
    prompt = np.array([[[300.0, 200.0], [0.0, 0.0]]], np.float32), np.array([[1, -1]])
    first = served.decode(embedding, *prompt, None)
    np.testing.assert_allclose(trained.decode(embedding, *prompt, None), first, atol=2e-3)
    again = served.decode(embedding, *prompt, first)
    np.testing.assert_allclose(trained.decode(embedding, *prompt, first), again, atol=2e-3)
