"""The verbs `precompute` and `prelabel`, which go through a whole project. Slow imports are inside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from backend.command_line import FAILED, PROJECT, WRONG_USE, ended, settings_given
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.labelstudio.segmenter import Segmenter
    from backend.projects.whole_project import Work

project_app = typer.Typer()


@project_app.command("precompute")
def precompute_command(project: Annotated[int, PROJECT]) -> None:
    """Encode all images of a project ahead, so that no first click waits. May be stopped and started again."""
    settings = settings_given()
    if not settings.edgesam_disk_cache_mb:
        raise ended("EDGESAM_DISK_CACHE_MB=0: there is no cache to fill; give it room for 2 MiB an image", WRONG_USE)
    from backend.projects.precompute import precompute

    def begun(segmenter: Segmenter) -> Work:
        work = precompute(segmenter, project)
        if 2 * work.tasks > settings.edgesam_disk_cache_mb:
            typer.echo(
                f"{work.tasks} tasks need more than EDGESAM_DISK_CACHE_MB={settings.edgesam_disk_cache_mb}: "
                f"the first ones will be given up for the last; set at least {3 * work.tasks}, and twice that where "
                "the project has a version",
                err=True,
            )
        return work

    segmenter, counted = _through(settings, begun)
    figures = segmenter.embeddings.figures
    known = figures.hits + figures.disk_hits
    _end(f"{figures.misses} images encoded, {known} known", counted["failed"])


@project_app.command("prelabel")
def prelabel_command(project: Annotated[int, PROJECT]) -> None:
    """Make masks for a project's tasks and store them as predictions: of the boxes on them, a detector's or people's;
    on tasks without, of what looks like the masks that the project has accepted. May be stopped and started again.
    """
    settings = settings_given()
    from backend.projects.prelabel import prelabel

    _, counted = _through(settings, lambda segmenter: prelabel(segmenter, project))
    _end(f"{counted['made']} tasks got masks, {counted['left']} had them or have nothing to mask", counted["failed"])


def _through(settings: Settings, begun: Callable[[Segmenter], Work]) -> tuple[Segmenter, Counter[str]]:
    """Does the work with a bar, and counts the tasks that were made, left as they are, and failed."""
    from concurrent.futures import Future
    from dataclasses import replace

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from backend.cores import give_way
    from backend.labelstudio.configured import engine_of, project_versions_of, segmenter_of, weights_of
    from backend.labelstudio.unanswerable import Unanswerable
    from backend.segmentation.engines import Engine
    from backend.segmentation.weights import WeightsError

    engine: Future[Engine] = Future()
    versions = project_versions_of(settings)
    # The whole project is for one version: not the first tasks for the base while it loads.
    segmenter = segmenter_of(settings, engine.result, versions=versions)
    segmenter = replace(segmenter, version_for=segmenter.version_once_loaded)
    counted: Counter[str] = Counter()
    columns = TextColumn("tasks"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    try:
        work = begun(segmenter)
        give_way()  # to the service that answers clicks
        engine.set_result(engine_of(settings, weights_of(settings)))
        with Progress(*columns) as progress:
            for done in progress.track(work.done, total=work.tasks):
                counted["failed" if done.failure else "made" if done.made else "left"] += 1
                if done.failure:
                    progress.console.print(f"task {done.task}: {done.failure}", markup=False)
    except (Unanswerable, WeightsError) as error:
        raise ended(str(error), FAILED) from error
    except KeyboardInterrupt:
        raise ended("stopped; what is done stays, so start it again to go on", FAILED) from None
    return segmenter, counted


def _end(told: str, failed: int) -> None:
    typer.echo(f"{told}, {failed} tasks failed")
    if failed:
        raise typer.Exit(FAILED)
