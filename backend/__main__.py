"""The command line: `python -m backend VERB`. What is slow to import is imported by the verb that needs it."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from backend import __version__
from backend.benchmark.commands import benchmark_command
from backend.command_line import FAILED, ended, settings_given
from backend.connecting.commands import connecting_app
from backend.files.commands import files_app
from backend.learning.distill_commands import distill_app
from backend.learning.evaluate_commands import evaluate_app
from backend.learning.finetune_commands import finetune_app
from backend.learning.proposals_commands import proposals_app
from backend.learning.versions_commands import versions_app
from backend.projects.commands import project_app

app = typer.Typer(
    name="python -m backend",
    help="A Label Studio ML backend: a click or a box becomes a mask with EdgeSAM.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
weights_app = typer.Typer(help="The weights: what there is, and fetching them ahead.", no_args_is_help=True)
app.add_typer(weights_app, name="weights")
app.add_typer(connecting_app)
app.add_typer(project_app)
app.add_typer(files_app)
app.add_typer(evaluate_app)
app.add_typer(distill_app)
app.add_typer(finetune_app)
app.add_typer(proposals_app)
app.add_typer(versions_app)
app.command("benchmark")(benchmark_command)


class Format(StrEnum):
    """What `export` writes."""

    TORCHSCRIPT = "torchscript"
    ONNX = "onnx"


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on, instead of HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, instead of PORT.")] = None,
) -> None:
    """Serve Label Studio until Ctrl-C or SIGTERM. docs/settings.md has the settings."""
    settings = settings_given(host=host, port=port)
    from backend.server.serving import ServeError, serve

    try:
        serve(settings)
    except ServeError as error:
        raise ended(str(error), FAILED) from error


@app.command(hidden=True)
def learn() -> None:
    """Do the jobs that wait. The service starts this; it ends at once where another one runs."""
    settings = settings_given()
    from backend.cores import give_way
    from backend.learning.worker import stopped_by_signals, work_off
    from backend.server.logs import configure

    give_way()  # before torch is imported
    from backend.learning.job import run_job

    configure(settings.log_level)
    try:
        with stopped_by_signals():
            work_off(settings.model_dir, lambda job: run_job(settings, job))
    except KeyboardInterrupt:
        raise typer.Exit from None


@weights_app.command("list")
def list_weights() -> None:
    """What there is, with licence, size, how good it was measured to be, and which one is in use."""
    settings = settings_given()
    from rich.console import Console
    from rich.table import Table

    from backend.segmentation.weights import REGISTRY

    table = Table("name", "encoder", "MB", "licence", "box / 1 / 2 / 3 clicks, mIoU", "")
    for one in REGISTRY.values():
        quality = one.quality
        figures = (
            f"{quality.box} / {quality.click1} / {quality.click2} / {quality.click3}" if quality else "not measured"
        )
        chosen = "in use" if one.name == settings.edgesam_weights else ""
        table.add_row(one.name, one.kind, f"{one.file.size / 1e6:.0f}", one.licence, figures, chosen)
    Console().print(table)


@weights_app.command("fetch")
def fetch_weights(
    name: Annotated[str, typer.Argument(help="A name of `weights list`.")],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Say that you accept the weights' licence.")
    ] = False,
) -> None:
    """Download weights into MODEL_DIR now and make what the engine needs of them, so that serving starts at once."""
    settings = settings_given(edgesam_accept_licence=accept_licence or None)
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from backend.labelstudio.configured import engine_name
    from backend.segmentation.weights import WeightsError, find_weights

    columns = TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    try:
        with Progress(*columns, transient=True) as progress:
            bar = progress.add_task(name, total=None)
            found = find_weights(
                name,
                settings.model_dir,
                settings.edgesam_accept_licence,
                lambda so_far, in_all: progress.update(bar, completed=so_far, total=in_all),
            )
        if engine_name(settings, found) == "openvino":
            from backend.segmentation.graph_files import graphs_of

            graphs_of(found, settings.model_dir / "openvino")
    except WeightsError as error:
        raise ended(str(error), FAILED) from error
    typer.echo(f"{found.path}  sha256 {found.sha256}")


@app.command()
def export(
    form: Annotated[Format, typer.Argument(metavar="FORMAT", help="torchscript: one file. onnx: encoder and decoder.")],
    target: Annotated[Path, typer.Argument(help="The file to write (torchscript), or the folder (onnx).")],
    weights: Annotated[str | None, typer.Option(help="Name or path, instead of EDGESAM_WEIGHTS.")] = None,
) -> None:
    """Write the model for other programs; what is written is compared with torch before it counts."""
    settings = settings_given(edgesam_weights=weights)
    from backend.segmentation.export import ExportError, export_onnx, export_torchscript
    from backend.segmentation.weights import WeightsError, find_weights

    try:
        found = find_weights(settings.edgesam_weights, settings.model_dir, settings.edgesam_accept_licence)
        write = export_torchscript if form is Format.TORCHSCRIPT else export_onnx
        write(found, target)
    except (WeightsError, ExportError) as error:
        raise ended(str(error), FAILED) from error
    typer.echo(str(target))


@app.command()
def version() -> None:
    """Which version this is."""
    typer.echo(__version__)


if __name__ == "__main__":
    sys.exit(app())
