"""What annotators accepted -> examples to learn from: pictures, their embeddings as serving made them, label maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import structlog
from numpy.typing import NDArray

from backend.accepted.annotations import Annotation
from backend.labelstudio.accepted_masks import AcceptedMask, Picture, masks_of
from backend.labelstudio.interface import Interface
from backend.labelstudio.pixels import pixels_of
from backend.labelstudio.segmenter import Segmenter, sight_of
from backend.labelstudio.unanswerable import Unanswerable
from backend.learning.examples import Example, jpeg_of
from backend.segmentation.engines import Embedding, Engine
from backend.segmentation.preprocess import SIDE, Frame

MOST_PICTURES = 400
"""The newest ones; each takes 2 MiB for its embedding, up to as much for its labels, and a tenth for its picture."""

MOST_BARE = 12
"""Pictures without a mask."""

DRAWN, ACCEPTED = 1.0, 0.5
"""How much a mask counts: one that a person drew or corrected, and one that was accepted as the model gave it."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AcceptedPicture:
    """A picture with masks as an example, the label of each of them, and where it came from: its address in the task's
    data, and the task."""

    example: Example
    kinds: tuple[str | None, ...]
    address: str
    task: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AcceptedPictures:
    """missing: why each picture that has masks could not be had. bare: pictures that were submitted without a region:
    nothing is on them."""

    pictures: list[AcceptedPicture]
    missing: list[Unanswerable]
    bare: list[Example]


def pictures_of(
    segmenter: Segmenter,
    engine: Engine,
    annotations: Iterable[Annotation],
    interface: Interface,
    say: Callable[[str], None],
) -> AcceptedPictures:
    """Each picture that has masks, the newest annotations' first. Of several annotations of one task the first counts.

    What cannot be had is left out, with a line in the log: an image that does not come, a mask of another size.
    """
    tasks: set[int] = set()
    empty: list[Annotation] = []
    had = AcceptedPictures([], [], [])
    for annotation in annotations:
        if annotation.task in tasks:
            continue
        found = masks_of(annotation.result, interface)
        if found:
            tasks.add(annotation.task)
        elif not annotation.result:
            empty.append(annotation)
        for picture in _of_task(segmenter, engine, annotation, interface, found, had.missing):
            had.pictures.append(picture)
            say(f"pictures with masks: {len(had.pictures)}")
            if len(had.pictures) == MOST_PICTURES:
                return had
    had.bare.extend(_bare(segmenter, engine, [one for one in empty if one.task not in tasks][:MOST_BARE], interface))
    return had


def _bare(
    segmenter: Segmenter, engine: Engine, annotations: Iterable[Annotation], interface: Interface
) -> Iterator[Example]:
    for annotation in annotations:
        task = _task_of(annotation)
        for _, _, address in interface.pictures_in(task)[:1]:
            try:
                content, pixels, embedding = _seen(segmenter, engine, address, task)
            except Unanswerable as error:
                log.warning("A picture is left out", task=annotation.task, why=str(error))
                continue
            yield _example(content, pixels, embedding, *label_map([], embedding.frame)[:2])


def _of_task(
    segmenter: Segmenter,
    engine: Engine,
    annotation: Annotation,
    interface: Interface,
    found: dict[Picture, list[AcceptedMask]],
    missing: list[Unanswerable],
) -> Iterator[AcceptedPicture]:
    task = _task_of(annotation)
    for (to_name, item_index), masks in found.items():
        try:
            address = interface.address_of(to_name, item_index, task)
            content, pixels, embedding = _seen(segmenter, engine, address, task)
        except Unanswerable as error:
            log.warning("A picture is left out", task=annotation.task, why=str(error))
            missing.append(error)
            continue
        frame = embedding.frame
        fitting = [mask for mask in masks if mask.size == (frame.width, frame.height)]
        if len(fitting) < len(masks):
            log.warning(
                "Masks of another size than their picture are left out",
                task=annotation.task,
                masks=len(masks) - len(fitting),
                picture=f"{frame.width} x {frame.height}",
            )
        labels, weights, kinds = label_map(fitting, frame)
        if weights:
            example = _example(content, pixels, embedding, labels, weights)
            yield AcceptedPicture(example, kinds, address, task)


def _task_of(annotation: Annotation) -> dict[str, Any]:
    return {"id": annotation.task, "project": annotation.project, "data": annotation.data}


def _seen(
    segmenter: Segmenter, engine: Engine, address: str, task: Mapping[str, Any]
) -> tuple[str, NDArray[np.uint8], Embedding]:
    """A picture's hash, its pixels and its embedding. Raises Unanswerable."""
    with segmenter.at_once.taken():
        sight = sight_of(segmenter, engine, address, task, urgent=False)
        data = sight.image.data or segmenter.images.find(address, task, anew=True).data
        assert data is not None, "asked anew, the bytes come"
        pixels, _ = pixels_of(data, segmenter.images.max_pixels)
    return sight.image.content, pixels, sight.embedding


def _example(
    content: str,
    pixels: NDArray[np.uint8],
    embedding: Embedding,
    labels: NDArray[np.int16],
    weights: tuple[float, ...],
) -> Example:
    shown = Frame(labels.shape[1], labels.shape[0])
    return Example(content, embedding.features, shown, labels, weights, jpeg_of(pixels, embedding.frame))


def label_map(
    masks: Sequence[AcceptedMask], frame: Frame
) -> tuple[NDArray[np.int16], tuple[float, ...], tuple[str | None, ...]]:
    """Masks of one picture -> int16 height x width, 0 where nothing is, else 1 to n; and each one's weight and label.

    Where masks overlap the smaller one is seen; one that is hidden whole, or too small for the map, has no number. The
    map is no larger than the canvas: the network sees no more, and a photograph of 50 megapixels needs no label map of
    as many.
    """
    labels: NDArray[np.int16] = np.zeros((frame.height, frame.width), np.int16)
    largest_first = sorted(masks, key=lambda mask: int(mask.pixels.sum()), reverse=True)
    for number, mask in enumerate(largest_first, start=1):
        labels[mask.window][mask.pixels] = number
    if max(labels.shape) > SIDE:
        labels = np.asarray(cv2.resize(labels, frame.scaled, interpolation=cv2.INTER_NEAREST_EXACT), np.int16)
    seen = [number for number in np.unique(labels).tolist() if number]
    new = np.zeros(len(masks) + 1, np.int16)
    new[seen] = np.arange(1, len(seen) + 1)
    ones = [largest_first[number - 1] for number in seen]
    weights = tuple(DRAWN if one.by_person else ACCEPTED for one in ones)
    return new[labels], weights, tuple(one.label for one in ones)
