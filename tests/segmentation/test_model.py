"""The model is EdgeSAM, and MobileSAM: the same weights give what the reference code gives."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from backend.segmentation.checkpoints import WeightsError, read_state_dict
from backend.segmentation.engine_torch import load_torch_engine
from backend.segmentation.model import Decoder, SegmentationModel, build_model, inference_parts, load_model
from backend.segmentation.predictor import decode, encode
from backend.segmentation.preprocess import Frame
from backend.segmentation.prompts import Prompt
from tests.conftest import PHOTOS
from tests.segmentation.reference import reference_package

TOLERANCE = 1e-4
UPSAMPLES = ("bicubic", "bilinear")

PROMPTS = {
    "points": ([[[500.0, 375.25], [100.5, 900.0]], [[80.0, 33.0], [640.0, 512.0]]], [[1, 0], [1, 1]], None),
    "boxes": (None, None, [[100.0, 200.0, 900.5, 800.0], [5.0, 5.0, 60.0, 90.0]]),
    "both": (
        [[[500.0, 375.25], [100.5, 900.0]], [[80.0, 33.0], [640.0, 512.0]]],
        [[1, 0], [1, 1]],
        [[100.0, 200.0, 900.5, 800.0], [5.0, 5.0, 60.0, 90.0]],
    ),
}
"""Points, their labels, boxes: two objects each."""


def lively(model: SegmentationModel) -> SegmentationModel:
    """Random weights under which every layer counts: batch norms scale, shift, and know their input's statistics."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.3, 1.0)
        nn.init.normal_(norm.bias, 0.0, 0.2)
        norm.momentum = 1.0
    with torch.no_grad():
        model.image_encoder.train()(torch.randn(2, 3, 256, 256))
    return model.eval()


@pytest.fixture(scope="module")
def random_model() -> SegmentationModel:
    torch.manual_seed(3)
    return lively(build_model("repvit_m1", "bicubic"))


@pytest.fixture(scope="module")
def canvas() -> Tensor:
    return torch.randn(1, 3, 1024, 1024, generator=torch.Generator().manual_seed(4))


@pytest.fixture(scope="module")
def edge_sam() -> Iterator[ModuleType]:
    with reference_package("edge_sam") as package:
        yield package.modeling


@pytest.fixture(scope="module")
def reference_embeddings(edge_sam: ModuleType, random_model: SegmentationModel, canvas: Tensor) -> dict[str, Tensor]:
    """What the reference's encoder makes of the canvas, by upsample mode."""
    made = {}
    for upsample in UPSAMPLES:
        encoder = edge_sam.RepViT(arch="m1", fuse=True, upsample_mode=upsample)
        encoder.load_state_dict(random_model.image_encoder.state_dict(), strict=True)
        for module in encoder.modules():  # its own train() forgets to return the module, so eval() fails
            module.training = False
        with torch.inference_mode():
            made[upsample] = encoder(canvas)
    return made


@pytest.fixture(scope="module")
def models(random_model: SegmentationModel) -> dict[str, SegmentationModel]:
    return {upsample: load_model(random_model.state_dict(), "repvit_m1", upsample) for upsample in UPSAMPLES}


def differ(ours: Tensor, theirs: Tensor) -> float:
    assert theirs.std() > 0.05, "an oracle that says nothing"
    assert ours.shape == theirs.shape
    return (ours - theirs).abs().max().item()


@pytest.mark.parametrize("upsample", UPSAMPLES)
def test_embeddings_are_edgesams_before_and_after_reparameterisation(models, canvas, reference_embeddings, upsample):
    model = models[upsample]
    encoder, _ = inference_parts(model)

    with torch.inference_mode():
        assert differ(model.image_encoder(canvas), reference_embeddings[upsample]) < TOLERANCE
        assert differ(encoder(canvas), reference_embeddings[upsample]) < TOLERANCE


def test_the_two_upsample_modes_are_not_the_same(reference_embeddings):
    assert (reference_embeddings["bicubic"] - reference_embeddings["bilinear"]).abs().max() > 100 * TOLERANCE


@pytest.mark.parametrize("given", PROMPTS)
@pytest.mark.parametrize("with_low_res", [False, True])
def test_low_res_masks_are_edgesams(edge_sam, random_model, reference_embeddings, given, with_low_res):
    points, labels, boxes = PROMPTS[given]
    low_res = torch.randn(2, 1, 256, 256, generator=torch.Generator().manual_seed(5)) * 5
    embedding = reference_embeddings["bilinear"]

    with torch.inference_mode():
        theirs, their_ious = reference_masks(
            edge_sam, random_model, embedding, points, labels, boxes, low_res if with_low_res else None
        )
        ours, our_ious = Decoder(random_model)(
            embedding, *unified(points, labels, boxes), low_res, torch.tensor([float(with_low_res)])
        )

    assert differ(ours, theirs) < TOLERANCE
    assert (our_ious - their_ious).abs().max() < TOLERANCE


def reference_masks(edge_sam, model, embedding, points, labels, boxes, low_res):
    prompt_encoder = edge_sam.PromptEncoder(
        embed_dim=256, image_embedding_size=(64, 64), input_image_size=(1024, 1024), mask_in_chans=16
    )
    prompt_encoder.load_state_dict(model.prompt_encoder.state_dict(), strict=True)
    mask_decoder = edge_sam.MaskDecoder(
        num_multimask_outputs=3,
        transformer=edge_sam.TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8),
        transformer_dim=256,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
    )
    mask_decoder.load_state_dict(model.mask_decoder.state_dict(), strict=True)
    sparse, dense = prompt_encoder.eval()(
        points=None if points is None else (torch.tensor(points), torch.tensor(labels)),
        boxes=None if boxes is None else torch.tensor(boxes),
        masks=low_res,
    )
    return mask_decoder.eval()(
        image_embeddings=embedding,
        image_pe=prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        num_multimask_outputs=4,
    )


def unified(points, labels, boxes) -> tuple[Tensor, Tensor]:
    """The same prompts as coordinates and labels of one kind of token: clicks, then corners or padding."""
    count = len(points or boxes)
    coordinates = torch.tensor(points) if points else torch.zeros(count, 0, 2)
    kinds = torch.tensor(labels) if labels else torch.zeros(count, 0, dtype=torch.int64)
    behind = torch.tensor(boxes).view(count, 2, 2) if boxes else torch.zeros(count, 1, 2)
    behind_kinds = torch.tensor([[2, 3] if boxes else [-1]] * count)
    return torch.cat([coordinates, behind], 1), torch.cat([kinds, behind_kinds], 1)


PHOTO_PROMPTS = {
    "chelsea.jpg": Prompt(((230.5, 140.0),), (1,)),
    "coffee.jpg": Prompt(box=(160.0, 40.0, 480.0, 330.0)),
}


@pytest.fixture(scope="module")
def mobile_sam_predictor(mobile_sam):
    with reference_package("mobile_sam") as package:
        model = package.sam_model_registry["vit_t"](checkpoint=str(mobile_sam.path))
        yield package.SamPredictor(model.eval())  # once more: only now does its attention see the loaded biases


@pytest.fixture(scope="module")
def mobile_sam_engine(mobile_sam):
    return load_torch_engine(mobile_sam, "cpu")


@pytest.mark.parametrize("photo", PHOTO_PROMPTS)
def test_masks_are_mobilesams_on_photographs(mobile_sam_engine, mobile_sam_predictor, photo):
    pixels = np.asarray(Image.open(PHOTOS / photo).convert("RGB"))
    prompt = PHOTO_PROMPTS[photo]

    mobile_sam_predictor.set_image(pixels)
    masks, _, _ = mobile_sam_predictor.predict(
        point_coords=np.array(prompt.points) if prompt.points else None,
        point_labels=np.array(prompt.labels) if prompt.points else None,
        box=None if prompt.box is None else np.array(prompt.box),
        multimask_output=False,
    )
    embedding = encode(mobile_sam_engine, pixels, Frame.of(pixels))
    ours = decode(mobile_sam_engine, embedding, [prompt])[0]

    assert 0.02 < masks[0].mean() < 0.9
    features = mobile_sam_predictor.features[0].numpy()
    features = features.reshape(256, -1).T
    np.testing.assert_allclose(embedding.features, features, rtol=2**-11, atol=TOLERANCE)  # float16's last bit
    assert np.mean(ours.pixels != masks[0]) < 1e-4


def test_edgesam_has_as_many_parameters_as_published():
    assert sum(parameter.numel() for parameter in build_model("repvit_m1").parameters()) == 9_582_112


def test_unknown_and_missing_names_are_told(random_model):
    state = random_model.state_dict()
    state["rpn_head.fpn.weight"] = torch.zeros(1)
    del state["mask_decoder.iou_token.weight"]
    state["prompt_encoder.no_mask_embed.weight"] = torch.zeros(1, 3)

    with pytest.raises(WeightsError) as caught:
        load_model(state, "repvit_m1", "bilinear")

    message = str(caught.value)
    assert "rpn_head.fpn.weight is unknown" in message
    assert "mask_decoder.iou_token.weight is missing" in message
    assert "prompt_encoder.no_mask_embed.weight is (1, 3), not (1, 256)" in message


def test_mobilesam_is_not_edgesam(mobile_sam):
    with pytest.raises(WeightsError, match=r"not repvit_m1's: image_encoder\.layers"):
        load_model(read_state_dict(mobile_sam.path), "repvit_m1", "bilinear")


def test_sams_package_itself_is_not_imported():
    """Its __init__ imports torchvision, which nobody needs."""
    assert "segment_anything" not in sys.modules
    assert Decoder(build_model("repvit_m1")).prompt_encoder.__module__ == "edgesam_sam_modeling.prompt_encoder"
