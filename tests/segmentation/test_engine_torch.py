from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from backend.segmentation.engine_torch import load_torch_engine
from backend.segmentation.engines import Embedding, Engine
from backend.segmentation.preprocess import Frame
from backend.segmentation.weights import WeightsError, find_weights


@pytest.fixture(scope="module")
def engine(edgesam) -> Engine:
    return load_torch_engine(edgesam, "cpu")


@pytest.fixture(scope="module")
def embedding() -> Embedding:
    made = np.random.default_rng(0).normal(0, 0.1, (4096, 256)).astype(np.float16)
    made.flags.writeable = False  # as a cache may hand it out
    return Embedding(made, Frame(1024, 1024))


def prompts(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    places = np.random.default_rng(seed).uniform(0, 1024, (count, 2, 2)).astype(np.float32)
    return places, np.array([[1, -1]] * count)


def test_shapes_and_kinds_of_what_comes_out(engine, embedding):
    made = engine.encode(np.zeros((1, 3, 1024, 1024), np.float32))
    logits, ious = engine.all_masks(embedding, *prompts(3, 0), None)
    single = engine.decode(embedding, *prompts(3, 0), None)

    assert (made.shape, made.dtype) == ((4096, 256), np.float16)
    assert (logits.shape, logits.dtype) == ((3, 4, 256, 256), np.float32)
    assert (ious.shape, ious.dtype) == ((3, 4), np.float32)
    np.testing.assert_array_equal(single, logits[:, 0])


def test_objects_in_a_batch_do_not_see_one_another(engine, embedding):
    places, labels = prompts(3, 1)

    together = engine.decode(embedding, places, labels, None)
    alone = engine.decode(embedding, places[1:2], labels[1:2], None)

    np.testing.assert_allclose(together[1:2], alone, atol=1e-4)


def test_low_res_logits_of_the_round_before_count(engine, embedding):
    places, labels = prompts(1, 2)

    first = engine.decode(embedding, places, labels, None)
    second = engine.decode(embedding, places, labels, first)

    assert np.abs(first - second).max() > 0.1


def test_many_threads_get_what_one_gets(engine, embedding):
    asked = [prompts(1, seed) for seed in range(8)]
    expected = [engine.decode(embedding, *prompt, None)[0] for prompt in asked]

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda prompt: engine.decode(embedding, *prompt, None)[0], asked * 2))

    for one, other in zip(made, expected * 2, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_new_decoder_keeps_the_identity_and_changes_the_version(edgesam, engine, tmp_path):
    state = load_file(edgesam.path)
    state["mask_decoder.iou_token.weight"] += 1
    save_file(state, tmp_path / "edgesam.safetensors", {"upsample": "bilinear"})
    state["image_encoder.neck.3.bias"] += 1
    save_file(state, tmp_path / "other.safetensors", {"upsample": "bilinear"})

    decoder = load_torch_engine(find_weights(str(tmp_path / "edgesam.safetensors"), tmp_path), "cpu")
    encoder = load_torch_engine(find_weights(str(tmp_path / "other.safetensors"), tmp_path), "cpu")

    assert engine.identity.endswith("-torch-fp32")
    assert engine.version == f"edgesam-{edgesam.sha256[:8]}"
    assert decoder.identity == engine.identity
    assert decoder.version != engine.version
    assert encoder.identity != engine.identity


def test_weights_that_do_not_fit_are_told_with_their_path(tmp_path):
    torch.save({"image_encoder.fuse_stage2.weight": torch.ones(1)}, tmp_path / "part.pth")

    with pytest.raises(WeightsError, match=r"part\.pth: the weights are not repvit_m1's: .* is missing"):
        load_torch_engine(find_weights(str(tmp_path / "part.pth"), tmp_path), "cpu")


def test_a_broken_torchscript_file_is_told(edgesam):
    with pytest.raises(WeightsError, match="cannot be read as TorchScript"):
        load_torch_engine(replace(edgesam, kind="torchscript"), "cpu")
