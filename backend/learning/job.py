"""A job: what a project's annotators have accepted becomes a version, which serves where it is better."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import structlog
import torch

from backend.accepted import jobs, versions
from backend.accepted.annotations import accepted
from backend.accepted.jobs import Job
from backend.accepted.versions import Version
from backend.cores import give_way, usable_cores
from backend.labelstudio.configured import engine_of, segmenter_of, version_engine, weights_of
from backend.labelstudio.segmenter import Segmenter
from backend.labelstudio.unanswerable import Unanswerable
from backend.learning.accepted_examples import pictures_of
from backend.learning.accepted_proposals import propose
from backend.learning.accepted_report import report_on
from backend.learning.masks import DataError
from backend.learning.refresh import number_of, project_of, refreshed
from backend.learning.student import DECODER, ENCODER
from backend.learning.tuning import Learned, Outcome, tuned, version_answers
from backend.learning.version_files import write_version
from backend.learning.worker import stopped_by_signals, work_off
from backend.segmentation.checkpoints import read_state_dict, sha256_of
from backend.segmentation.engines import Engine
from backend.segmentation.familiar import familiar_in
from backend.segmentation.model import model_of
from backend.segmentation.weights import WeightsError, WeightsFile, can_learn, find_weights, replaced_encoder
from backend.settings import Settings

FEWEST_PICTURES, FEWEST_REGIONS = 2, 8
KEPT = 5
"""Versions of a project; the one that serves, and the one in whose place it came, are kept besides."""
TOLD_SECONDS, LOGGED_SECONDS = 1.0, 30.0
"""Progress is written down, and logged, no more often."""
BY_COMMAND = "finetune --project"

Say = Callable[[str], None]

log = structlog.stdlib.get_logger("edgesam.learning")


def run_job(settings: Settings, job: Job, say: Say | None = None) -> str:
    """Does a job and says what came of it. say: told of progress, instead of the log; it is written down with the job
    too.

    Raises Unanswerable, WeightsError or DataError where a person must put something right. Wherever it is cut off, what
    served goes on serving.
    """
    torch.set_num_threads(max(1, usable_cores() - 1))  # clicks keep a core
    tell = _progress(settings, job, say)
    weights, engine = weights_of(settings), Future[Engine]()
    if not can_learn(weights):
        return f"no project learns from {weights.path}: it is TorchScript, or was fine-tuned itself"
    segmenter = segmenter_of(settings, engine.result)
    tell("asking Label Studio for what was accepted")
    interface = refreshed(settings.model_dir, segmenter.images, job.project)
    engine.set_result(engine_of(settings, weights))
    annotations = accepted(settings.model_dir, job.project)
    had = pictures_of(segmenter, engine.result(), annotations, interface, tell)
    examples = [picture.example for picture in had.pictures]
    regions, pictures = sum(len(example.weights) for example in examples), len({example.key for example in examples})
    found = f"{regions} masks on {pictures} pictures"
    log.info("learning_from", job=job.number, project=job.project, pictures=pictures, masks=regions)
    if pictures < FEWEST_PICTURES or regions < FEWEST_REGIONS:
        few = f"{found} are too few: {FEWEST_REGIONS} on {FEWEST_PICTURES} are the least"
        if had.missing:
            why = had.missing[0]
            raise Unanswerable(why.link, f"{few}, and {len(had.missing)} more could not be had, the first since {why}")
        return few
    tell(found)
    choices = versions.choices(settings.model_dir, job.project)
    serving, old = _answering(settings, weights, versions.current(settings.model_dir, job.project))
    model, minutes = model_of(weights), settings.edgesam_finetune_minutes
    outcome = tuned(model, engine.result(), examples, minutes, tell, serving=old)
    metrics = asdict(outcome.verdict) | {"pictures": pictures, "masks": regions, versions.COMPARED_WITH: serving}
    version = _written(settings, job, weights, outcome, metrics)
    reason = outcome.verdict.reason + _settled(settings, engine.result(), version, choices)
    before, after = version_answers(model, old), version_answers(model, (outcome.learned, outcome.familiar))
    outcome = replace(outcome, verdict=replace(outcome.verdict, reason=reason))
    report_on(version, serving, before, after, outcome, had.pictures, segmenter.images)
    tell("looking for more that is like these masks")
    proposing = propose(settings, engine.result(), job.project, had, outcome.familiar)
    return f"{version.name}, from {found}: {reason}{proposing}"


def finetune_project(settings: Settings, number: int, say: Say) -> None:
    """Learns from a project of Label Studio here and now, and returns when that is done. Stopped, it leaves a job that
    the service does, if it was the service that had asked for it.

    say: told of progress and outcome. Raises Unanswerable, WeightsError or DataError.
    """
    give_way()
    folder, ran = settings.model_dir, list[int]()
    segmenter: Segmenter = segmenter_of(settings, lambda: engine_of(settings, weights_of(settings)))
    project = project_of(folder, segmenter.images, number)
    ours = jobs.enqueue(folder, project, BY_COMMAND).number

    def run(job: Job) -> str:
        ran.append(job.number)
        return run_job(settings, job, say)

    try:
        with stopped_by_signals():
            done = work_off(folder, run, project)
    except BaseException as error:
        for job in jobs.unfinished(folder):
            if job.project == project and job.reason == BY_COMMAND:
                jobs.fail(folder, job.number, str(error) or "stopped")
        raise
    if not done:
        say(f"another process is learning: it will do job {ours}, of project {number}, too")
        return
    last = ran[-1] if ran else ours
    ended = next((job for job in jobs.jobs(folder, project) if job.number == last), None)
    if ended is None or ended.state == "failed":
        raise DataError(ended.told if ended else f"job {last} is no longer in {folder}: was that deleted?")
    say(ended.told)


def _answering(settings: Settings, weights: WeightsFile, serving: Version | None) -> tuple[str, Learned | None]:
    """The name of what answers where this version serves, and the version; None for the base, which answers too where a
    version was made for another one or cannot be read."""
    base = f"{weights.name}-{weights.sha256[:8]}", None
    if serving is None or serving.base != weights.sha256[:8]:
        return base
    try:
        familiar = familiar_in(serving.file)
        file = find_weights(str(serving.file), settings.model_dir)
        learned = (DECODER, ENCODER) if replaced_encoder(file) else (DECODER,)
        state = {name: value for name, value in read_state_dict(file.path).items() if name.startswith(learned)}
    except WeightsError as error:
        log.warning("the version that serves cannot be read", version=serving.name, message=str(error))
        return base
    return (serving.name, (state, familiar)) if familiar else base


def _written(settings: Settings, job: Job, weights: WeightsFile, outcome: Outcome, metrics: dict[str, Any]) -> Version:
    """The version with its file in its place; nobody knows of it yet."""
    number, base = versions.next_number(settings.model_dir, job.project), weights.sha256[:8]
    name = f"edgesam-{base}-p{number_of(job.project)}-v{number}"
    file = settings.model_dir / versions.FOLDER / job.project / f"{name}.safetensors"
    write_version(weights, outcome.learned, outcome.familiar, file)
    return Version(
        project=job.project,
        number=number,
        name=name,
        file=file,
        sha256=sha256_of(file),
        base=base,
        promoted=metrics["promoted"],
        metrics=metrics,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        job=job.number,
    )


def _settled(settings: Settings, base: Engine, version: Version, choices: int) -> str:
    """Keep the version and, where it was promoted and nobody has made a further choice, let it serve; one that does not
    load is neither kept nor chosen. Says so where it does not serve all the same."""
    version_engine(base, version)
    versions.record(settings.model_dir, version)
    stays = version.promoted and not versions.succeed(settings.model_dir, version, choices)
    versions.prune(settings.model_dir, version.project, KEPT)
    more = "; what somebody chose meanwhile goes on serving" if stays else ""
    log.info("learned", version=version.name, promoted=version.promoted, reason=version.metrics["reason"] + more)
    return more


def _progress(settings: Settings, job: Job, say: Say | None) -> Say:
    told = logged = -math.inf

    def tell(text: str) -> None:
        nonlocal told, logged
        now = time.monotonic()
        if now - told >= TOLD_SECONDS:
            told = now
            jobs.tell(settings.model_dir, job.number, text)
        if say:
            say(text)
        elif now - logged >= LOGGED_SECONDS:
            logged = now
            log.info("learning_progress", job=job.number, project=job.project, message=text)

    return tell
