"""One model: an image encoder, and SAM's prompt encoder and mask decoder (segment_anything/modeling).

Published state dicts load strictly: edge_sam.pth, mobile_sam.pt and what this project trains share their names.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Literal, cast

import torch
from torch import Tensor, nn

from backend.segmentation.checkpoints import WeightsError, read_state_dict
from backend.segmentation.layers import EMBEDDING_CHANNELS, reparameterised
from backend.segmentation.preprocess import LOW_RES_SIDE, SIDE
from backend.segmentation.repvit import RepViT, Upsample
from backend.segmentation.tinyvit import TinyViT
from backend.segmentation.weights import WeightsFile


def _load_sam_modeling() -> ModuleType:
    """segment_anything.modeling under a name of its own: the package's __init__ wants torchvision, this does not."""
    package = importlib.util.find_spec("segment_anything")
    if package is None or package.origin is None:
        raise ImportError("segment_anything is not installed: pip install segment-anything")
    folder = Path(package.origin).parent / "modeling"
    spec = importlib.util.spec_from_file_location(
        "edgesam_sam_modeling", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its own relative imports look for it
    spec.loader.exec_module(module)
    return module


sam = _load_sam_modeling()

EncoderKind = Literal["repvit_m1", "tinyvit"]

GRID = 64
"""Side of the embedding."""

SINGLE_MASK = 0
"""SAM's own answer to a prompt that is clear; masks 1 to 3 are whole, part and subpart of what one click may mean."""


class SegmentationModel(nn.Module):
    """The parts under their published names. Training uses them one by one; `Decoder` is how they answer prompts."""

    def __init__(self, image_encoder: nn.Module) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = sam.PromptEncoder(
            embed_dim=EMBEDDING_CHANNELS,
            image_embedding_size=(GRID, GRID),
            input_image_size=(SIDE, SIDE),
            mask_in_chans=16,
        )
        self.mask_decoder = sam.MaskDecoder(
            num_multimask_outputs=3,
            transformer=sam.TwoWayTransformer(depth=2, embedding_dim=EMBEDDING_CHANNELS, mlp_dim=2048, num_heads=8),
            transformer_dim=EMBEDDING_CHANNELS,
            iou_head_depth=3,
            iou_head_hidden_dim=256,
        )


class Decoder(nn.Module):
    """Prompts on one embedding -> masks, as SAM's PromptEncoder and MaskDecoder do it; points and boxes in one form.

    embedding: 1 x 256 x 64 x 64.
    coordinates: B x N x 2 (x, y) in canvas pixels; half a pixel is added inside.
    labels: int64 B x N: 0 and 1 clicks, 2 and 3 a box's top left and bottom right corner, -1 padding.
    low_res: B x 1 x 256 x 256, logits of the round before; counts only where has_low_res (one float) is 1, not 0.
    Returns logits B x 4 x 256 x 256 and predicted IoUs B x 4. Tensors only, so that it can be traced.
    """

    positions: Tensor
    offsets: Tensor

    def __init__(self, model: SegmentationModel) -> None:
        super().__init__()
        self.prompt_encoder, self.mask_decoder = model.prompt_encoder, model.mask_decoder
        prompts = model.prompt_encoder
        by_label = [prompts.not_a_point_embed, *prompts.point_embeddings]  # of labels -1, 0, 1, 2, 3
        with torch.no_grad():
            self.register_buffer("positions", prompts.get_dense_pe().contiguous(), persistent=False)
            offsets = torch.cat([embedding.weight for embedding in by_label])
            self.register_buffer("offsets", offsets, persistent=False)

    def forward(
        self, embedding: Tensor, coordinates: Tensor, labels: Tensor, low_res: Tensor, has_low_res: Tensor
    ) -> tuple[Tensor, Tensor]:
        made: tuple[Tensor, Tensor] = self.mask_decoder.predict_masks(
            image_embeddings=embedding,
            image_pe=self.positions,
            sparse_prompt_embeddings=self.tokens(coordinates, labels),
            dense_prompt_embeddings=self.dense(low_res, has_low_res),
        )
        return made

    def tokens(self, coordinates: Tensor, labels: Tensor) -> Tensor:
        placed = self.prompt_encoder.pe_layer.forward_with_coords(coordinates + 0.5, (SIDE, SIDE))
        seen: Tensor = placed * (labels >= 0).unsqueeze(-1) + self.offsets[labels + 1]
        return seen.to(self.offsets.dtype)

    def dense(self, low_res: Tensor, has_low_res: Tensor) -> Tensor:
        nothing = self.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        dense: Tensor = self.prompt_encoder.mask_downscaling(low_res) * has_low_res + nothing * (1 - has_low_res)
        return dense


def build_model(kind: EncoderKind, upsample: Upsample = "bilinear") -> SegmentationModel:
    """A model with random weights. `upsample` concerns repvit_m1 only."""
    return SegmentationModel(TinyViT() if kind == "tinyvit" else RepViT(upsample))


def load_model(state: dict[str, Tensor], kind: EncoderKind, upsample: Upsample) -> SegmentationModel:
    """A model with the weights of `state`, in evaluation mode. Raises WeightsError that names what does not fit."""
    model = build_model(kind, upsample)
    ours = model.state_dict()
    troubles = [
        *(f"{name} is unknown" for name in sorted(state.keys() - ours.keys())),
        *(f"{name} is missing" for name in sorted(ours.keys() - state.keys())),
        *(
            f"{name} is {tuple(value.shape)}, not {tuple(ours[name].shape)}"
            for name, value in state.items()
            if name in ours and value.shape != ours[name].shape
        ),
    ]
    if troubles:
        raise WeightsError(f"the weights are not {kind}'s: {_shortened(troubles)}")
    model.load_state_dict(state, strict=True)
    return model.eval().requires_grad_(False)


def model_of(weights: WeightsFile) -> SegmentationModel:
    """The model of a file of tensors, in evaluation mode. Raises WeightsError where the file does not hold it."""
    if weights.kind == "torchscript":
        raise WeightsError(f"{weights.path} is an export, to be run only: give the weights that it was made from")
    state = read_state_dict(weights.path)
    try:
        return load_model(state, cast(EncoderKind, weights.kind), cast(Upsample, weights.upsample))
    except WeightsError as error:
        raise WeightsError(f"{weights.path}: {error}") from error


def inference_parts(model: SegmentationModel) -> tuple[nn.Module, Decoder]:
    """Encoder (canvas -> embedding) and decoder for use only: reparameterised copies, in evaluation mode."""
    ready = reparameterised(model)
    return ready.image_encoder, Decoder(ready).eval().requires_grad_(False)


def example_inputs(prompts: int = 2, tokens: int = 3) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Inputs of the encoder and the decoder, of the right shapes, to trace and compare with."""
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(-1, 4, (prompts, tokens), generator=random)
    return torch.randn(1, 3, SIDE, SIDE, generator=random), (
        torch.randn(1, EMBEDDING_CHANNELS, GRID, GRID, generator=random),
        torch.rand(prompts, tokens, 2, generator=random) * SIDE,
        labels,
        torch.randn(prompts, 1, LOW_RES_SIDE, LOW_RES_SIDE, generator=random),
        torch.ones(1),
    )


def _shortened(troubles: list[str], shown: int = 5) -> str:
    more = len(troubles) - shown
    return "; ".join(troubles[:shown]) + (f"; and {more} more" if more > 0 else "")
