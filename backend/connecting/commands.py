"""The verbs `config`, `connect` and `doctor`. What is slow to import is imported when they run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import HttpUrl, ValidationError

from backend.command_line import FAILED, PROJECT, settings_given
from backend.labelstudio.interface_text import Kind, interface_text

if TYPE_CHECKING:
    from backend.connecting.findings import Finding

connecting_app = typer.Typer(no_args_is_help=True)


def _address(given: str | None) -> str | None:
    if given is None:
        return None
    if not given.startswith(("http://", "https://")):
        raise typer.BadParameter("write http:// or https:// before the address")
    try:
        return str(HttpUrl(given)).rstrip("/")
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"]) from None  # not the address: a password may be in it


@connecting_app.command("connect")
def connect_command(
    project: Annotated[int, PROJECT],
    backend: Annotated[
        str | None,
        typer.Option(
            callback=_address,
            help="The backend's address as Label Studio reaches it, instead of http://127.0.0.1:PORT. In Docker that "
            "is another one, such as http://host.docker.internal:9090 or http://backend:9090.",
        ),
    ] = None,
) -> None:
    """Connect a project to the running backend, with interactive preannotations on; again does no harm."""
    settings = settings_given()
    from backend.connecting.introduction import introduced

    found = _shown(introduced(settings, project, backend))
    if not found[-1].good:
        raise typer.Exit(FAILED)
    if not all(one.good for one in found):
        typer.echo("It is connected; put right what has a cross, and reload the page.")
    typer.echo(f"Click here, with Auto-Annotation on: {settings.label_studio_url}/projects/{project}/data")


@connecting_app.command("doctor")
def doctor_command(
    project: Annotated[int | None, PROJECT] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            callback=_address, help="The backend's address from this machine, instead of http://127.0.0.1:PORT."
        ),
    ] = None,
) -> None:
    """Find out why clicks bring nothing: settings, weights, backend, Label Studio and, with --project, the project.

    Run it where the backend runs, with the same environment variables. It changes nothing.
    """
    from backend.connecting.doctor import examined

    found = _shown(examined(project, backend))
    if not all(one.good for one in found):
        raise typer.Exit(FAILED)
    if project is None:
        typer.echo("All is well so far; with --project NUMBER a project is looked at too.")
    else:
        typer.echo("All is well. If a click brings nothing still: README, I click and nothing happens.")


@connecting_app.command("config")
def config_command(
    labels: Annotated[
        list[str], typer.Argument(metavar="LABEL...", help="What annotators choose from, such as Cat Dog.")
    ],
    mask: Annotated[Kind, typer.Option(help="What a mask becomes.", case_sensitive=False)] = Kind.BRUSH,
) -> None:
    """Print a labelling interface to paste into Label Studio (project, Settings, Labeling Interface, Code)."""
    labels = [label.strip() for label in labels]
    if twice := next((label for label in labels if labels.count(label) > 1), None):
        raise typer.BadParameter(f"{twice} is there twice")
    if not all(labels):
        raise typer.BadParameter("a label is empty")
    typer.echo(interface_text(labels, mask))


def _shown(findings: Iterator[Finding[Any]]) -> list[Finding[Any]]:
    """Told one by one, since some take seconds; each on a line of its own, so that XML in it can be copied."""
    from rich.console import Console
    from rich.text import Text

    console, all_of_them = Console(), []
    for one in findings:
        mark = {True: ("✓", "green"), False: ("✗", "red"), None: ("-", "dim")}[one.good]
        console.print(Text.assemble(mark, f" {one.what:<13}", _without_password(one.told)), soft_wrap=True)
        all_of_them.append(one)
    return all_of_them


def _without_password(text: str) -> str:
    """Addresses without the user and password, and without the query, that may stand in them."""
    return re.sub(r"(https?://[^\s?]*)\?[^\s;,)]*", r"\1?…", re.sub(r"(https?://)[^/\s@]*@", r"\1", text))
