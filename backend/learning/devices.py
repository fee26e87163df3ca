"""Where a run computes: one CPU, one GPU, or several GPUs under torchrun."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn


@dataclass(frozen=True, slots=True)
class Place:
    """A device, and which of how many processes this one is."""

    device: torch.device
    rank: int = 0
    world: int = 1
    bf16: bool = False

    @property
    def leads(self) -> bool:
        """Whether this process logs and saves."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)


def place_for(device: str) -> Place:
    """The place to run. device: auto (CUDA where there is one, else the CPU), or a name that torch knows.

    Under torchrun each process gets a GPU of its own (or shares the CPU) and joins the others.
    bf16 where it is fast: on a GPU, and on a CPU with AMX or AVX512-BF16.
    """
    world, rank, local = (int(os.environ.get(name, default)) for name, default in ENVIRONMENT)
    chosen = torch.device(device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    if chosen.type == "cuda":
        chosen = torch.device("cuda", chosen.index if chosen.index is not None and world == 1 else local)
        torch.cuda.set_device(chosen)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    return Place(chosen, rank, world, bf16=fast_in_bf16(chosen))


@contextmanager
def tuned() -> Iterator[None]:
    """Within, cuDNN tries all its ways for a shape that is new to it, and remembers the fastest.

    That pays for the student's encoder, whose shapes stay the same. A decoder's batch changes with every step.
    """
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = False


ENVIRONMENT = (("WORLD_SIZE", "1"), ("RANK", "0"), ("LOCAL_RANK", "0"))
"""What torchrun tells each process, and what it is without."""


def fast_in_bf16(device: torch.device) -> bool:
    return device.type == "cuda" or cpu_has_bf16()


def cpu_has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU multiplies bf16 in hardware; without that, bf16 is slower than float32."""
    return cpuinfo.is_file() and bool({"amx_bf16", "avx512_bf16"} & set(cpuinfo.read_text().split()))


def share_gradients(place: Place, parameters: Iterable[nn.Parameter]) -> None:
    """Replaces each gradient by its mean over all processes; without others, does nothing.

    A parameter that got no gradient here may have got one elsewhere: it counts as zero. The running figures of batch
    norms are not shared: those of the process that leads are the ones that are saved.
    """
    if place.world == 1:
        return
    wanted = [parameter for parameter in parameters if parameter.requires_grad]
    gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in wanted]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= place.world
    for one, part in zip(wanted, torch.split(flat, [one.numel() for one in wanted]), strict=True):
        one.grad = part.view_as(one)


def agreed_to_stop(place: Place, stop: bool) -> bool:
    """Whether any process wants to stop: all leave the loop at the same step, or the others would wait for ever."""
    if place.world == 1:
        return stop
    asked = torch.tensor([float(stop)], device=place.device)
    dist.all_reduce(asked, dist.ReduceOp.MAX)
    return bool(asked.item())
