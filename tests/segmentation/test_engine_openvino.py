"""OpenVINO against torch: the same weights give the same embeddings and masks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from backend.segmentation.engine_openvino import SLOTS, load_openvino_engine
from backend.segmentation.engine_torch import load_torch_engine
from backend.segmentation.engines import Engine
from backend.segmentation.weights import WeightsError, WeightsFile


@pytest.fixture(scope="module")
def engine(edgesam: WeightsFile, graphs_folder: Path) -> Engine:
    return load_openvino_engine(edgesam, graphs_folder, "f32")


@pytest.fixture(scope="module")
def oracle(edgesam: WeightsFile) -> Engine:
    return load_torch_engine(edgesam, "cpu")


@pytest.fixture(scope="module")
def embedding(engine: Engine) -> np.ndarray:
    canvas = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    return engine.encode(canvas.repeat(16, axis=2).repeat(16, axis=3))


def test_embeddings_are_those_of_torch(engine, oracle, embedding):
    canvas = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    canvas = canvas.repeat(16, axis=2).repeat(16, axis=3)
    assert embedding.shape == (256, 64, 64)
    np.testing.assert_allclose(embedding, oracle.encode(canvas), atol=1e-3)


@pytest.mark.parametrize(
    "labels",
    [[1, -1], [2, 3], [1, 0, 2, 3], [1] * SLOTS, [1, 0] * SLOTS + [-1]],
    ids=["click", "box", "both", "all slots", "more than the first slots"],
)
@pytest.mark.parametrize("fed_back", [False, True])
def test_masks_are_those_of_torch(engine, oracle, embedding, labels, fed_back):
    random = np.random.default_rng(len(labels))
    places = random.uniform(0, 1024, (2, len(labels), 2)).astype(np.float32)
    low_res = random.normal(0, 4, (2, 1, 256, 256)).astype(np.float32) if fed_back else None
    asked = embedding, places, np.array([labels] * 2), low_res

    for made, wanted in zip(engine.decode(*asked), oracle.decode(*asked), strict=True):
        assert (made.shape, made.dtype) == (wanted.shape, np.float32)
        np.testing.assert_allclose(made, wanted, atol=2e-3)


def test_many_threads_get_what_one_gets(engine, embedding):
    asked = [(np.full((1, 2, 2), 100.0 * n, np.float32), np.array([[1, -1]])) for n in range(8)]
    alone = [engine.decode(embedding, *one, None)[0] for one in asked]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda one: engine.decode(embedding, *one, None)[0], asked))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_engine_names_weights_and_precision(engine, oracle):
    assert engine.version == oracle.version
    assert engine.identity == oracle.identity.replace("torch-fp32", "openvino-f32")


def test_the_precision_of_auto_is_one_that_the_cpu_has(edgesam, graphs_folder):
    assert load_openvino_engine(edgesam, graphs_folder).identity.endswith(("-openvino-f32", "-openvino-bf16"))


def test_what_is_no_model_is_told(tmp_path):
    file = tmp_path / "broken.safetensors"
    file.write_bytes(b"no weights")
    weights = WeightsFile(file, "broken", "repvit_m1", "bilinear", "0" * 64)
    with pytest.raises(WeightsError, match=r"broken\.safetensors"):
        load_openvino_engine(weights, tmp_path / "graphs")
