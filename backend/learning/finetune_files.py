"""Fine-tuning without Label Studio: on a folder of pictures and masks, to a file of weights."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile

from backend.labelstudio.configured import engine_of, weights_of
from backend.learning.examples import example_of
from backend.learning.gate import Verdict
from backend.learning.masks import DataError, samples_of
from backend.learning.tuning import tuned, version_answers
from backend.learning.version_files import write_version
from backend.learning.version_report import case_of, version_report
from backend.segmentation.model import model_of
from backend.settings import Settings

SHOWN = 12
"""Validation pictures from which the page chooses those that changed most."""


def finetune_files(
    settings: Settings, dataset: Path, limit: int | None, out: Path, say: Callable[[str], None]
) -> Verdict:
    """Learns from the first `limit` pictures of a folder in the format of evaluation (masks.py); the verdict.

    Writes `out`, weights for EDGESAM_WEIGHTS, better or not, and a page about them beside it. Raises DataError and
    WeightsError.
    """
    if out.suffix != ".safetensors":
        raise DataError(f"{out}: the name must end with .safetensors")
    _writable(out)
    weights = weights_of(settings)
    samples = [sample for sample in islice(samples_of(dataset), limit) if sample.objects]
    if len(samples) < 2:
        raise DataError(f"two pictures with masks are the least, and {dataset} has {len(samples)}")
    engine = engine_of(settings, weights)
    say(f"{len(samples)} pictures, {sum(len(sample.objects) for sample in samples)} masks")
    seen = ((example_of(engine, sample), sample) for sample in samples)
    came_from = {example.key: (example, sample) for example, sample in seen if example.weights}
    if not came_from:
        raise DataError(f"{dataset}: no label map shows an object that index.json names")
    if len(came_from) < 2:
        raise DataError(f"{dataset} has one picture only, {len(samples)} times: two different ones are the least")
    model = model_of(weights)
    outcome = tuned(
        model, engine, [example for example, _ in came_from.values()], settings.edgesam_finetune_minutes, say
    )
    write_version(weights, outcome.learned, outcome.familiar, out)
    old, new = version_answers(model, None), version_answers(model, (outcome.learned, outcome.familiar))
    cases = [case_of(example, came_from[example.key][1].pixels(), old, new) for example in outcome.judged[:SHOWN]]
    version_report(out.with_suffix(".html"), out.stem, weights.name, outcome.curve, outcome.verdict, cases)
    return outcome.verdict


def _writable(out: Path) -> None:
    """Raises DataError where no file can be made beside `out`: better now than after the minutes."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error}") from None
