"""What the settings ask for: weights, an engine that runs them, and a segmenter around it. One place for every door."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from backend.accepted.versions import Version
from backend.labelstudio.answering import prepare
from backend.labelstudio.images import ImageLoader
from backend.labelstudio.places import Places
from backend.labelstudio.prefetch import Prefetch, following
from backend.labelstudio.project_proposers import proposer_for
from backend.labelstudio.project_versions import ProjectVersions
from backend.labelstudio.segmenter import Segmenter
from backend.segmentation import predictor
from backend.segmentation.embedding_files import EmbeddingFiles
from backend.segmentation.embeddings import EmbeddingCache
from backend.segmentation.engines import Engine
from backend.segmentation.familiar import VersionEngine, familiar_in
from backend.segmentation.preprocess import SIDE, Frame
from backend.segmentation.prompts import POSITIVE, Prompt
from backend.segmentation.weights import WeightsError, WeightsFile, base_of, find_weights
from backend.settings import Settings

MIB = 1024 * 1024


def weights_of(settings: Settings, progress: Callable[[int, int], None] | None = None) -> WeightsFile:
    """The weights that are to be used, downloaded where need be. Raises WeightsError."""
    return find_weights(settings.edgesam_weights, settings.model_dir, settings.edgesam_accept_licence, progress)


def engine_of(settings: Settings, weights: WeightsFile) -> Engine:
    """The engine that runs these weights here, warmed up: no annotator has to wait for a first run. WeightsError."""
    engine = _cold_engine(settings, weights)
    _warm_up(engine)
    return engine


def _warm_up(engine: Engine) -> None:
    embedding = predictor.encode(engine, np.zeros((SIDE, SIDE, 3), np.uint8), Frame(SIDE, SIDE))
    predictor.decode(engine, embedding, [Prompt(points=((SIDE / 2, SIDE / 2),), labels=(POSITIVE,))])


def _cold_engine(settings: Settings, weights: WeightsFile) -> Engine:
    if base := base_of(weights, settings.model_dir, settings.edgesam_accept_licence):
        graphs = settings.model_dir / "openvino"
        return _beside(_cold_engine(settings, base), weights, graphs, f"{weights.name}-{weights.sha256[:8]}")
    if engine_name(settings, weights) == "openvino":
        from backend.segmentation.engine_openvino import load_openvino_engine

        return load_openvino_engine(weights, settings.model_dir / "openvino", settings.edgesam_precision)
    from backend.segmentation.engine_torch import load_torch_engine  # takes seconds, and 200 MiB

    return load_torch_engine(weights)


def version_engine(base: Engine, version: Version) -> Engine:
    """The engine of a version, made of the base's and warmed up. WeightsError where its file is not what it was."""
    weights = find_weights(str(version.file), version.file.parent)
    if weights.sha256 != version.sha256:
        raise WeightsError(f"{version.file} is not what was recorded: its SHA-256 is {weights.sha256}; fine-tune again")
    engine = _beside(base, weights, version.file.with_suffix(".openvino"), version.name)
    _warm_up(engine.learned)
    return engine


def _beside(base: Engine, weights: WeightsFile, graphs: Path, name: str) -> VersionEngine:
    """graphs: a folder for what OpenVINO needs of it."""
    familiar = familiar_in(weights.path)
    if familiar is None:
        raise WeightsError(f"{weights.path} does not say on which pictures it answers: fine-tune again")
    return VersionEngine(base, _learned(base, weights, graphs, name), familiar)


def _learned(base: Engine, weights: WeightsFile, graphs: Path, name: str) -> Engine:
    from backend.segmentation import engine_openvino

    if isinstance(base, engine_openvino.OpenVINOEngine):
        return engine_openvino.beside(base, weights, graphs, name)
    from backend.segmentation import engine_torch

    if isinstance(base, engine_torch.TorchEngine):
        return engine_torch.beside(base, weights, name)
    raise WeightsError(f"the engine {base.identity} takes no version {name}")


def project_versions_of(settings: Settings) -> ProjectVersions:
    """The versions that were learned for projects, as this process serves them."""
    return ProjectVersions(settings.model_dir, version_engine)


def engine_name(settings: Settings, weights: WeightsFile) -> Literal["openvino", "torch"]:
    """auto: torch where it has a GPU, and for TorchScript files, which only it reads; else OpenVINO."""
    if settings.edgesam_engine != "auto":
        return settings.edgesam_engine
    return "torch" if weights.kind == "torchscript" or _has_gpu() else "openvino"


def _has_gpu() -> bool:
    """Whether torch finds CUDA. It is imported only where there may be one."""
    if not Path("/dev/nvidiactl").exists():
        return False
    import torch

    return torch.cuda.is_available()


def files_of(settings: Settings) -> EmbeddingFiles | None:
    """Where embeddings are kept on disk, if they are."""
    if not settings.edgesam_disk_cache_mb:
        return None
    return EmbeddingFiles(settings.model_dir / "embeddings", settings.edgesam_disk_cache_mb * MIB)


def images_of(settings: Settings) -> ImageLoader:
    """What fetches pictures, with the settings' token and limits."""
    key = settings.label_studio_api_key
    return ImageLoader(
        label_studio_url=settings.label_studio_url,
        api_key=key.get_secret_value() if key else None,
        model_dir=settings.model_dir,
        local_files_root=settings.edgesam_local_files_root,
        timeout=settings.edgesam_image_timeout,
        max_bytes=settings.edgesam_max_image_mb * MIB,
        max_pixels=settings.edgesam_max_megapixels * 1_000_000,
    )


def segmenter_of(
    settings: Settings,
    engine: Callable[[], Engine],
    observe: Callable[[str, float], None] | None = None,
    versions: ProjectVersions | None = None,
) -> Segmenter:
    """A segmenter with the settings' limits. engine: may block until it is loaded. observe: told of each phase.

    versions: for whoever asks them too; else the settings'.
    """
    images = images_of(settings)
    embeddings = EmbeddingCache(settings.edgesam_cache_mb * MIB, files_of(settings))
    versions = versions or project_versions_of(settings)
    segmenter = Segmenter(
        engine,
        images,
        embeddings,
        settings.edgesam_smallest_part,
        version_for=versions.engine_for,
        version_once_loaded=versions.engine_once_loaded,
        at_once=Places(settings.threads),
    )
    if settings.edgesam_proposals:
        segmenter = replace(segmenter, proposer_for=partial(proposer_for, settings.model_dir))
    if observe:
        segmenter = replace(segmenter, observe=observe)
    prefetch = Prefetch(partial(prepare, segmenter), partial(following, images))
    return replace(segmenter, opened=prefetch.opened)
