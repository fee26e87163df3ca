"""The verb `benchmark` of the command line. What is slow to import is imported when it runs."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Annotated

import typer

from backend.command_line import FAILED, ended, settings_given


def benchmark_command(
    backend: Annotated[
        str | None, typer.Option(help="Address of a backend on this machine, instead of starting one.")
    ] = None,
    peer: Annotated[bool, typer.Option("--peer/--no-peer", help="Measure MobileSAM in eager torch beside it.")] = True,
    rounds: Annotated[int, typer.Option(min=1, help="Images of each size; one more warms up.")] = 5,
    out: Annotated[Path | None, typer.Option(help="Report to write: medians, ratios, every wait.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture to write; needs matplotlib.")] = None,
) -> None:
    """Measure how long annotators wait, through HTTP, against MobileSAM as Label Studio's own example runs it."""
    from rich.console import Console

    from backend.benchmark.errors import BenchmarkError
    from backend.benchmark.machine import this_machine
    from backend.benchmark.run import benchmark
    from backend.benchmark.shown import crowds_table, draw, lines_of, waits_table
    from backend.segmentation.weights import WeightsError

    console = Console()
    try:
        settings = settings_given()
        _can_be_written(out, plot)
        machine = this_machine()
        typer.echo(f"{machine.cpu}, {machine.cores} cores to use, load average {machine.load:.1f}")
        if machine.busy:
            typer.echo(
                "Warning: others compute on this machine; ratios suffer too. Stop them and measure again.", err=True
            )
        report = benchmark(settings, machine, backend, peer, rounds, lambda line: typer.echo(line, err=True))
    except (BenchmarkError, WeightsError) as error:
        raise ended(str(error), FAILED) from error
    console.print(waits_table(report.waits), crowds_table(report.crowds))
    for line in lines_of(report):
        typer.echo(line)
    if out:
        out.write_text(json.dumps(report.as_json(), indent=1))
    if plot:
        draw(report, plot)


def _can_be_written(*files: Path | None) -> None:
    """Said before minutes are spent on measuring. Raises BenchmarkError."""
    from backend.benchmark.errors import BenchmarkError

    for file in filter(None, files):
        if not file.resolve().parent.is_dir():
            raise BenchmarkError(f"{file} cannot be written: there is no folder {file.resolve().parent}")
    if files[-1] and importlib.util.find_spec("matplotlib") is None:
        raise BenchmarkError("--plot needs matplotlib: pip install -r requirements-dev.txt")
