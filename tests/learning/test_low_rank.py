"""Low-rank changes of an encoder."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from backend.learning.low_rank import RANK, LowRank
from backend.segmentation.repvit import RepViT


@pytest.fixture
def encoder() -> RepViT:
    torch.manual_seed(0)
    return RepViT("bilinear").eval().requires_grad_(False)


def early(encoder: RepViT) -> torch.Tensor:
    return encoder.early(torch.randn(1, 3, 128, 128))


def test_it_begins_as_the_encoder_does(encoder: RepViT) -> None:
    seen = early(encoder)
    torch.testing.assert_close(LowRank(encoder, Generator().manual_seed(0))(seen), encoder.late(seen))


def test_what_it_learns_is_of_low_rank_and_leaves_the_encoder_alone(encoder: RepViT) -> None:
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    low_rank, seen = LowRank(encoder, Generator().manual_seed(0)), early(encoder)
    for up in low_rank.up:
        torch.nn.init.normal_(up)
    made = low_rank(seen)
    made.square().mean().backward()
    assert low_rank.up[-1].grad is not None
    assert all(value.equal(before[name]) for name, value in encoder.state_dict().items())
    changed = low_rank.changed()
    assert {"fuse_stage2.weight", "fuse_stage3.op_list.0.weight", "neck.2.weight"} <= changed.keys()
    assert any(name.startswith("features.9.") for name in changed)
    assert not any(name.startswith(("features.0.", "features.8.")) for name in changed)
    for name, weight in changed.items():
        assert encoder.get_submodule(name.removesuffix(".weight")).groups == 1
        gone = (weight - before[name]).flatten(1)
        assert 0 < torch.linalg.matrix_rank(gone, rtol=1e-3) <= RANK
    encoder.load_state_dict(changed, strict=False)
    torch.testing.assert_close(encoder.late(seen), made)


def test_its_state_is_the_changes_alone(encoder: RepViT) -> None:
    one, other = (LowRank(encoder, Generator().manual_seed(seed)) for seed in (0, 1))
    assert {name.partition(".")[0] for name in one.state_dict()} == {"up", "down"}
    assert not one.down[0].equal(other.down[0])
    other.load_state_dict(one.state_dict())
    assert one.down[0].equal(other.down[0])
