"""The verb `proposals`: what would be proposed, measured on masks in files."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from backend.command_line import settings_given
from backend.learning.command_line import told

proposals_app = typer.Typer(no_args_is_help=True)


@proposals_app.command("proposals")
def proposals_command(
    dataset: Annotated[Path, typer.Option(help="A folder with images/, masks/, index.json.")],
    limit: Annotated[
        int, typer.Option(min=1, max=48, help="Learn from so many images; the others are proposed on.")
    ] = 20,
    weights: Annotated[str | None, typer.Option(help="Name or path, instead of EDGESAM_WEIGHTS.")] = None,
) -> None:
    """Learn to propose masks like those of a folder's first images, and count how many are right on its others."""
    settings = settings_given(edgesam_weights=weights)
    with told():
        import torch

        from backend.cores import usable_cores
        from backend.labelstudio.configured import engine_of, weights_of
        from backend.learning.examples import example_of
        from backend.learning.masks import DataError, samples_of
        from backend.learning.proposing import judged_elsewhere, learned_proposals
        from backend.learning.tuning import everyday_pictures
        from backend.segmentation.familiar import familiar_with

        torch.set_num_threads(max(1, usable_cores() - 1))  # as in a job
        samples = [sample for sample in samples_of(dataset) if sample.objects]
        if len(samples) <= limit:
            raise DataError(
                f"{dataset} has {len(samples)} images with masks: none would be left, so give a smaller --limit"
            )
        engine = engine_of(settings, weights_of(settings))
        seen = ((example, (None,) * len(example.weights)) for example in (example_of(engine, one) for one in samples))
        taught = list(islice(seen, limit))
        familiar = familiar_with([example.embedding for example, _ in taught], everyday_pictures(engine))
        learned = learned_proposals(engine, taught, familiar)
        if learned is None:
            raise DataError(f"the first {limit} images of {dataset} have too few masks to learn from")
        typer.echo(f"{limit} images learned from: {learned.told}")
        if learned.proposer:
            figures = judged_elsewhere(learned.proposer, engine, seen)
            typer.echo(f"{len(samples) - limit} others: {figures.told}")
