from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
from torch import nn

from backend.segmentation import export
from backend.segmentation.checkpoints import METADATA_FILE
from backend.segmentation.engine_torch import load_torch_engine
from backend.segmentation.engines import Embedding
from backend.segmentation.export import ExportError, export_onnx, export_torchscript
from backend.segmentation.model import example_inputs
from backend.segmentation.preprocess import Frame
from backend.segmentation.weights import WeightsError, find_weights


@pytest.fixture(scope="module")
def torchscript(edgesam, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "edgesam.ts"
    export_torchscript(edgesam, path)
    return path


def test_a_torchscript_file_is_weights_like_any_other(edgesam, torchscript, tmp_path):
    found = find_weights(str(torchscript), tmp_path)
    exported, engine = load_torch_engine(found, "cpu"), load_torch_engine(edgesam, "cpu")
    canvas, (_, coordinates, labels, low_res, _) = (
        example_inputs(3, 2)[0].numpy(),
        [tensor.numpy() for tensor in example_inputs(3, 2)[1]],
    )

    embedding = Embedding(exported.encode(canvas), Frame(1024, 1024))

    assert found.kind == "torchscript"
    assert exported.version == f"edgesam-{found.sha256[:8]}"
    assert exported.identity != engine.identity
    np.testing.assert_allclose(embedding.features, engine.encode(canvas), rtol=2e-3, atol=1e-3)
    for before in (None, low_res[:, 0]):
        ours, expected = (one.all_masks(embedding, coordinates, labels, before) for one in (exported, engine))
        np.testing.assert_allclose(ours[0], expected[0], atol=1e-3)
        np.testing.assert_allclose(ours[1], expected[1], atol=1e-3)


@pytest.mark.parametrize(("kind", "twice"), [("repvit_m1", True), ("tinyvit", False)])
def test_an_export_answers_boxes_as_often_as_what_it_is_of(torchscript, tmp_path, kind, twice):
    said = tmp_path / "said.pt"
    with zipfile.ZipFile(torchscript) as file, zipfile.ZipFile(said, "w", zipfile.ZIP_STORED) as changed:
        for name in file.namelist():
            content = file.read(name)
            if name.endswith(METADATA_FILE):
                content = json.dumps(json.loads(content) | {"encoder": kind}).encode()
            changed.writestr(name, content)
    assert load_torch_engine(find_weights(str(said), tmp_path), "cpu").twice == twice


def test_an_export_is_not_exported_again(torchscript, tmp_path):
    with pytest.raises(WeightsError, match="is an export, to be run only"):
        export_torchscript(find_weights(str(torchscript), tmp_path), tmp_path / "again.ts")


@pytest.mark.parametrize("write", [export_torchscript, export_onnx])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_made(edgesam, tmp_path, write):
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match=r"file cannot be written: (File exists|Not a directory)"):
        write(edgesam, tmp_path / "file" / "model.pt" if write is export_torchscript else tmp_path / "file")
    with pytest.raises(ExportError, match="is a folder: name a file in it"):
        export_torchscript(edgesam, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


class TinyDecoder(nn.Module):
    def forward(self, embedding, coordinates, labels, low_res, has_low_res):
        return low_res * has_low_res, coordinates.sum((1, 2)) + labels.sum(1)


@pytest.mark.parametrize("wrong_by", [0.01, float("nan")])
def test_what_differs_from_torch_is_not_handed_out(edgesam, tmp_path, monkeypatch, wrong_by):
    def slightly_wrong(module):
        return lambda *inputs: [array + np.float32(wrong_by) for array in right(module)(*inputs)]

    right = export._with_torch
    monkeypatch.setattr(export, "_with_torch", slightly_wrong)
    monkeypatch.setattr(export, "inference_parts", lambda _: (nn.Conv2d(3, 1, 16, 16), TinyDecoder()))

    with pytest.raises(ExportError, match=f"the encoder differs from torch by {wrong_by}"):
        export_torchscript(edgesam, tmp_path / "edgesam.ts")
    assert not (tmp_path / "edgesam.ts").exists()


def test_onnx_is_compared_with_torch_and_takes_any_number_of_prompts_and_tokens(edgesam, tmp_path):
    import openvino

    encoder, decoder = export_onnx(edgesam, tmp_path)

    core = openvino.Core()
    model = core.read_model(decoder)
    assert [port.get_any_name() for port in core.read_model(encoder).inputs] == ["image"]
    assert [str(port.partial_shape) for port in model.inputs][1] == "[?,?,2]"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decoder.onnx", "encoder.onnx"]
