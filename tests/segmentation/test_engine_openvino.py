"""OpenVINO against torch: the same weights give the same embeddings and masks."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from safetensors.torch import save_file

from backend.segmentation import engine_torch
from backend.segmentation.checkpoints import encoder_hash, read_state_dict, sha256_of
from backend.segmentation.engine_openvino import SLOTS, beside, load_openvino_engine
from backend.segmentation.engine_torch import load_torch_engine
from backend.segmentation.engines import Embedding, Engine
from backend.segmentation.predictor import encode
from backend.segmentation.preprocess import Frame
from backend.segmentation.weights import BASE_ENCODER, WeightsError, WeightsFile, find_weights

PHOTOGRAPH = Path(__file__).resolve().parents[2] / "demo" / "photographs" / "cat.jpg"


@pytest.fixture(scope="module")
def engine(edgesam: WeightsFile, graphs_folder: Path) -> Engine:
    return load_openvino_engine(edgesam, graphs_folder, "f32")


@pytest.fixture(scope="module")
def oracle(edgesam: WeightsFile) -> Engine:
    return load_torch_engine(edgesam, "cpu")


@pytest.fixture(scope="module")
def embedding(engine: Engine) -> Embedding:
    canvas = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    return Embedding(engine.encode(canvas.repeat(16, axis=2).repeat(16, axis=3)), Frame(1024, 1024))


def test_embeddings_are_those_of_torch(engine, oracle, embedding):
    canvas = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    canvas = canvas.repeat(16, axis=2).repeat(16, axis=3)
    features = embedding.features
    assert (features.shape, features.dtype) == ((4096, 256), np.float16)
    np.testing.assert_allclose(features, oracle.encode(canvas), rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize(
    "labels",
    [[1, -1], [2, 3], [1, 0, 2, 3], [1] * SLOTS, [1, 0] * SLOTS + [-1]],
    ids=["click", "box", "both", "all slots", "more than the first slots"],
)
@pytest.mark.parametrize("fed_back", [False, True])
def test_masks_are_those_of_torch(engine, oracle, embedding, labels, fed_back):
    random = np.random.default_rng(len(labels))
    places = random.uniform(0, 1024, (2, len(labels), 2)).astype(np.float32)
    low_res = random.normal(0, 4, (2, 256, 256)).astype(np.float32) if fed_back else None
    asked = embedding, places, np.array([labels] * 2), low_res

    made = engine.decode(*asked)

    assert (made.shape, made.dtype) == ((2, 256, 256), np.float32)
    np.testing.assert_allclose(made, oracle.decode(*asked), atol=2e-3)


@pytest.mark.parametrize("fed_back", [False, True])
def test_masks_with_products_in_bfloat16_are_nearly_those_of_torch(edgesam, graphs_folder, oracle, engine, fed_back):
    """On any CPU: one that has no bfloat16 imitates it. Of a photograph: logits of noise are near nothing."""
    narrow = load_openvino_engine(edgesam, graphs_folder, "bf16")
    pixels = np.asarray(Image.open(PHOTOGRAPH))
    embedding = encode(engine, pixels, Frame.of(pixels))
    low_res = np.random.default_rng(0).normal(0, 4, (1, 256, 256)).astype(np.float32) if fed_back else None
    asked = embedding, np.full((1, 2, 2), 512, np.float32), np.array([[1, -1]]), low_res

    wanted = oracle.decode(*asked)

    assert np.abs(narrow.decode(*asked) - wanted).mean() < 0.01 * np.abs(wanted).mean()


LOAD = """
import sys
from pathlib import Path
from backend.segmentation.engine_openvino import load_openvino_engine
from backend.segmentation.weights import find_weights
load_openvino_engine(find_weights(sys.argv[1], Path(sys.argv[2])), Path(sys.argv[2]), "f32")
"""


def test_processes_that_compile_for_the_first_time_do_not_disturb_each_other(engine, edgesam, graphs_folder, tmp_path):
    for graphs in graphs_folder.iterdir():
        if graphs.is_dir() and graphs.name != "compiled":
            (tmp_path / graphs.name).symlink_to(graphs)
    command = [sys.executable, "-c", LOAD, str(edgesam.path), str(tmp_path)]
    at_once = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    told = [process.communicate()[1] for process in at_once]
    assert [process.returncode for process in at_once] == [0] * 4, told
    assert list((tmp_path / "compiled").iterdir())


def test_who_cannot_compile_alone_does_so_without_the_folder(engine, edgesam, graphs_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("backend.segmentation.engine_openvino.TURN_SECONDS", 0.01)
    for graphs in graphs_folder.iterdir():
        if graphs.is_dir() and graphs.name != "compiled":
            (tmp_path / graphs.name).symlink_to(graphs)
    with FileLock(tmp_path / "compiled.lock"):
        load_openvino_engine(edgesam, tmp_path, "f32")
        assert not list((tmp_path / "compiled").iterdir()), "another process may be writing there"
    load_openvino_engine(edgesam, tmp_path, "f32")
    assert list((tmp_path / "compiled").iterdir())


def test_many_threads_get_what_one_gets(engine, embedding):
    asked = [(np.full((1, 2, 2), 100.0 * n, np.float32), np.array([[1, -1]])) for n in range(8)]
    alone = [engine.decode(embedding, *one, None) for one in asked]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda one: engine.decode(embedding, *one, None), asked))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_a_click_gives_the_same_mask_beside_another_as_alone(edgesam, graphs_folder, embedding, precision):
    engine = load_openvino_engine(edgesam, graphs_folder, precision)
    decoder = replace(engine.decoder, first=engine.decoder.aside or engine.decoder.first)  # a single core has no aside
    asked = embedding, np.full((1, 2, 2), 300, np.float32), np.array([[1, -1]]), None
    np.testing.assert_allclose(replace(engine, decoder=decoder).decode(*asked), engine.decode(*asked), atol=2e-3)


def test_an_engine_names_weights_and_precision(engine, oracle):
    assert engine.version == oracle.version
    assert engine.identity == oracle.identity.replace("torch-fp32", "openvino-f32")


def test_the_precision_of_auto_is_one_that_the_cpu_has(edgesam, graphs_folder):
    assert load_openvino_engine(edgesam, graphs_folder).identity.endswith(("-openvino-f32", "-openvino-bf16"))


def test_no_thread_waits_for_a_core_of_its_own(engine):
    decoder = engine.decoder
    for request in (engine.encoder, decoder.first, decoder.replay_of(SLOTS), decoder.aside or decoder.first):
        assert request.get_compiled_model().get_property("ENABLE_CPU_PINNING") is False


def test_what_is_no_model_is_told(tmp_path):
    file = tmp_path / "broken.safetensors"
    file.write_bytes(b"no weights")
    weights = WeightsFile(file, "broken", "repvit_m1", "bilinear", "0" * 64)
    with pytest.raises(WeightsError, match=r"broken\.safetensors"):
        load_openvino_engine(weights, tmp_path / "graphs")


def test_a_folder_that_cannot_be_written_is_named_with_its_setting(edgesam, tmp_path):
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match=r"models/openvino cannot be written \(Not a directory\).*MODEL_DIR"):
        load_openvino_engine(edgesam, tmp_path / "models" / "openvino")


def test_a_full_disk_is_told_as_one(edgesam, tmp_path, monkeypatch):
    full = SimpleNamespace(returncode=1, stderr="RuntimeError: basic_ios::clear: iostream error")
    monkeypatch.setattr("backend.segmentation.graph_files.subprocess.run", lambda *_, **__: full)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=5 << 20))
    with pytest.raises(WeightsError, match=r"has room for 5 MiB.*make room there, or give MODEL_DIR another folder"):
        load_openvino_engine(edgesam, tmp_path / "openvino")
    assert not list((tmp_path / "openvino").glob("*/"))


@pytest.fixture(scope="module")
def learned(edgesam: WeightsFile, tmp_path_factory: pytest.TempPathFactory) -> WeightsFile:
    """The same encoder with another decoder."""
    state = read_state_dict(edgesam.path)
    name = "mask_decoder.output_hypernetworks_mlps.0.layers.2.bias"
    state[name] = state[name] + 0.5
    return _saved(state, tmp_path_factory.mktemp("learned") / "learned.safetensors")


def _saved(state: dict, path: Path, **said: str) -> WeightsFile:
    save_file(state, path, {"encoder": "repvit_m1", "upsample": "bilinear", **said})
    weights = find_weights(str(path), path.parent)
    assert weights.sha256 == sha256_of(path)
    return weights


def test_a_version_has_a_decoder_of_its_own_and_the_encoder_of_the_base(engine, oracle, embedding, learned, tmp_path):
    version = beside(engine, learned, tmp_path, "edgesam-p1-v1")
    wanted = engine_torch.beside(oracle, learned, "edgesam-p1-v1")
    asked = embedding, np.full((1, 2, 2), 512, np.float32), np.array([[1, -1]]), None
    before = engine.decode(*asked)
    np.testing.assert_allclose(version.decode(*asked), wanted.decode(*asked), atol=2e-3)
    assert np.abs(version.decode(*asked) - before).max() > 0.1
    np.testing.assert_array_equal(engine.decode(*asked), before)
    assert version.encoder is engine.encoder
    assert (version.identity, version.version, wanted.version) == (engine.identity, "edgesam-p1-v1", "edgesam-p1-v1")
    assert not list(tmp_path.rglob("encoder.*")), "the encoder is there already"


def test_a_version_that_says_so_has_an_encoder_of_its_own(engine, oracle, embedding, edgesam, tmp_path):
    state = read_state_dict(edgesam.path)
    made_for = encoder_hash(state, edgesam.kind, edgesam.upsample)
    state["image_encoder.neck.3.bias"] += 0.25
    learned = _saved(state, tmp_path / "learned.safetensors", **{BASE_ENCODER: made_for})
    version = beside(engine, learned, tmp_path, "edgesam-p1-v1")
    wanted = engine_torch.beside(oracle, learned, "edgesam-p1-v1")
    canvas = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    canvas = canvas.repeat(16, axis=2).repeat(16, axis=3)
    seen = version.encode(canvas)
    np.testing.assert_allclose(seen, embedding.features.astype(np.float32) + 0.25, atol=2e-3)
    np.testing.assert_allclose(seen, wanted.encode(canvas), rtol=2e-3, atol=1e-3)
    np.testing.assert_array_equal(engine.encode(canvas), embedding.features)
    own = encoder_hash(state, edgesam.kind, edgesam.upsample)
    assert (version.identity, wanted.identity) == (f"{own}-openvino-f32", f"{own}-torch-fp32")
    assert own != made_for


def test_an_encoder_made_from_that_of_other_weights_is_refused(engine, oracle, edgesam, tmp_path):
    other = _saved(read_state_dict(edgesam.path), tmp_path / "other.safetensors", **{BASE_ENCODER: "0123456789abcdef"})
    with pytest.raises(WeightsError, match=r"other\.safetensors was made for another encoder than that of edgesam-"):
        beside(engine, other, tmp_path, "v1")
    with pytest.raises(WeightsError, match=r"other\.safetensors was made for another encoder"):
        engine_torch.beside(oracle, other, "v1")


def test_a_version_of_another_encoder_is_refused(engine, oracle, edgesam, tmp_path):
    state = read_state_dict(edgesam.path)
    state[next(key for key in state if key.startswith("image_encoder."))].mul_(1.5)
    other = _saved(state, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"other\.safetensors was made for another encoder than that of edgesam-"):
        beside(engine, other, tmp_path, "v1")
    with pytest.raises(WeightsError, match=r"other\.safetensors was made for another encoder"):
        engine_torch.beside(oracle, other, "v1")
