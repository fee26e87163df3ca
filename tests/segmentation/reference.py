"""Imports the packages that our model is compared with, though what they import besides torch is not installed."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch.nn.functional as F  # noqa: N812
from PIL import Image
from torch import Tensor, nn

ABSENT = ("loralib", "mmdet", "mmengine", "projects", "timm", "torchvision", "yacs")


class SqueezeExcite(nn.Module):
    """timm's layer of this name, as far as the reference uses it: reduction to a multiple of 8, ReLU, sigmoid."""

    def __init__(self, channels: int, rd_ratio: float) -> None:
        super().__init__()
        width = max(8, int(channels * rd_ratio + 4) // 8 * 8)
        self.fc1 = nn.Conv2d(channels, width, kernel_size=1)
        self.fc2 = nn.Conv2d(width, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.adaptive_avg_pool2d(x, 1)
        return x * self.fc2(self.fc1(pooled).clamp(min=0)).sigmoid()


class DropPath(nn.Identity):
    def __init__(self, drop_prob: float = 0.0) -> None:
        super().__init__()


STANDING_IN: dict[str, Any] = {
    "SqueezeExcite": SqueezeExcite,
    "DropPath": DropPath,
    "to_2tuple": lambda value: (value, value),
    "trunc_normal_": nn.init.trunc_normal_,
    "register_model": lambda function: function,
    # torchvision.transforms.functional, for PIL images
    "to_pil_image": Image.fromarray,
    "resize": lambda image, size: image.resize((size[1], size[0]), Image.Resampling.BILINEAR),
}


class StandIn(ModuleType):
    """A module that has every name: the few that inference uses, and empty classes."""

    __path__: Sequence[str] = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return STANDING_IN.get(name) or type(name, (), {})


class StandInFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(fullname, self) if fullname.split(".")[0] in ABSENT else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


@contextmanager
def reference_package(name: str) -> Iterator[ModuleType]:
    """The package `name`, imported while stand-ins take the place of what is absent; all of it is forgotten after."""
    concerned = {name, *ABSENT}
    before = {key: module for key, module in sys.modules.items() if key.split(".")[0] in concerned}
    for key in before:
        del sys.modules[key]
    finder = StandInFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield importlib.import_module(name)
    finally:
        sys.meta_path.remove(finder)
        for key in [key for key in sys.modules if key.split(".")[0] in concerned]:
            del sys.modules[key]
        sys.modules.update(before)
