from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from backend.learning.devices import Place, agreed_to_stop, cpu_has_bf16, share_gradients, tuned


def one_of_two(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    place = Place(torch.device("cpu"), rank, 2)
    weight, other = (torch.nn.Parameter(torch.zeros(2)) for _ in range(2))
    weight.grad = torch.full((2,), float(rank))
    if rank:
        other.grad = torch.ones(2)
    share_gradients(place, [weight, other])
    assert other.grad is not None
    stop = agreed_to_stop(place, rank == 1)
    Path(folder, f"{rank}").write_text(f"{weight.grad.tolist()} {other.grad.tolist()} {stop}")
    dist.destroy_process_group()


def test_several_processes_move_by_the_mean_of_their_gradients_and_stop_together(tmp_path: Path) -> None:
    mp.spawn(one_of_two, (str(tmp_path),), nprocs=2)
    assert [(tmp_path / name).read_text() for name in "01"] == ["[0.5, 0.5] [0.5, 0.5] True"] * 2


def test_one_process_keeps_its_gradients() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.ones(1)
    share_gradients(Place(torch.device("cpu")), [weight])
    assert weight.grad.tolist() == [1]


def test_bf16_is_used_where_the_processor_multiplies_it(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("flags : fpu amx_bf16 amx_tile")
    (tmp_path / "old").write_text("flags : fpu avx2 avx512f")
    assert [cpu_has_bf16(tmp_path / name) for name in ("new", "old", "none")] == [True, False, False]


def test_cudnn_tries_its_ways_only_where_it_is_told_to() -> None:
    @tuned()
    def fails() -> None:
        raise ValueError(f"benchmark {torch.backends.cudnn.benchmark}")

    assert not torch.backends.cudnn.benchmark
    with pytest.raises(ValueError, match="benchmark True"):
        fails()
    assert not torch.backends.cudnn.benchmark
