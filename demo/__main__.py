"""`make demo`: this backend and a real Label Studio with a project to click in, until Ctrl-C."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import httpx
import typer
from rich.console import Console
from rich.panel import Panel

from backend.labelstudio import rle
from demo.label_studio import Account, client, label_studio, new_token
from demo.project import ask, connect, ensure_project, tasks
from demo.services import DemoError, Service, is_free
from demo.serving import REPOSITORY, backend

ACCOUNT = Account("demo@example.com", "click-a-thing")
FOLDER = REPOSITORY / ".demo"
LABEL_STUDIO = REPOSITORY / ".venv-ls" / "bin" / "label-studio"
# On the cat's forehead, in percent of the photograph.
CLICKED, X, Y = "cat.jpg", 50.0, 40.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
console = Console(highlight=False)


def main(
    label_studio_port: Annotated[int, typer.Option()] = 8080,
    port: Annotated[int, typer.Option(help="Port of the backend.")] = 9090,
    check: Annotated[bool, typer.Option(help="Make one click over Label Studio's API, print its mask, end.")] = False,
) -> None:
    """Starts both, makes the project, says where to click, and waits for Ctrl-C."""
    for sign in SIGNALS:
        signal.signal(sign, _interrupt)
    try:
        _check_port(label_studio_port, "Label Studio", "LABEL_STUDIO_PORT")
        _check_port(port, "The backend", "PORT")
        with _both(label_studio_port, port) as (studio, services):
            project = ensure_project(studio)
            connected = connect(studio, project, services[1].address)
            if check:
                console.print(_one_click(studio, connected, tasks(studio, project)))
            else:
                _invite(services[0].address, services[1].address, project)
                _wait(services)
    except DemoError as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("Both are stopped. `make demo` goes on where you left.")


def _check_port(port: int, who: str, variable: str) -> None:
    if not is_free(port):
        raise DemoError(
            f"{who} wants port {port}, and another program listens there. "
            f"Choose another: make demo {variable}={port + 1}"
        )


@contextmanager
def _both(label_studio_port: int, port: int) -> Iterator[tuple[httpx.Client, list[Service]]]:
    """Label Studio and the backend, which gets the account's personal access token; and a client of the first."""
    data = FOLDER / "label-studio"
    data.mkdir(parents=True, exist_ok=True)
    first = not any(data.iterdir())
    console.print(
        "Starting Label Studio" + (" (the first time it makes its database: a minute or so)" if first else "")
    )
    with label_studio(LABEL_STUDIO, data, label_studio_port, ACCOUNT, FOLDER / "label-studio.log") as studio:
        token = _token(studio.address)
        console.print("Starting the backend")
        settings = {
            "LABEL_STUDIO_URL": studio.address,
            "LABEL_STUDIO_API_KEY": token,
            "MODEL_DIR": str(FOLDER / "backend"),
        }
        with backend(port, settings, FOLDER / "backend.log") as served, client(studio.address, token) as api:
            yield api, [studio, served]


def _token(address: str) -> str:
    kept = FOLDER / "token"
    if not kept.exists():
        kept.touch(mode=0o600)
        try:
            kept.write_text(new_token(address, ACCOUNT))
        except DemoError as error:
            kept.unlink()
            raise DemoError(f"{error}. To start afresh, delete the folder {FOLDER}") from None
    return kept.read_text()


def _one_click(studio: httpx.Client, connected: int, by_name: dict[str, int]) -> str:
    """Clicks on the cat and says how large its mask is. Raises DemoError where there is no good mask."""
    if CLICKED not in by_name:
        raise DemoError(f"{CLICKED} is no longer in the project. To start afresh, delete the folder {FOLDER}")
    answer = ask(studio, connected, by_name[CLICKED], [_click(X, Y)])
    regions = (answer.get("data") or {}).get("result") or []
    if len(regions) != 1:
        raise DemoError(
            f"A click on {CLICKED} brought no mask: {answer}. The backend's log is {FOLDER / 'backend.log'}"
        )
    width, height = regions[0]["original_width"], regions[0]["original_height"]
    mask = rle.decode(regions[0]["value"]["rle"], width, height)
    if not mask[int(height * Y / 100), int(width * X / 100)]:
        raise DemoError(f"The mask of a click on {CLICKED} does not hold the click")
    return f"A click on {CLICKED} made a mask of {mask.sum()} of {mask.size} pixels."


def _click(x: float, y: float) -> dict[str, Any]:
    """A smart key point as the page sends it, in percent of cat.jpg."""
    return {
        "id": "click",
        "from_name": "click",
        "to_name": "image",
        "type": "keypointlabels",
        "original_width": 451,
        "original_height": 300,
        "image_rotation": 0,
        "value": {"x": x, "y": y, "width": 0.25, "labels": ["Animal"], "keypointlabels": ["Animal"]},
        "is_positive": True,
    }


def _invite(studio: str, served: str, project: int) -> None:
    lines = (
        f"Open    {studio}/projects/{project}/data",
        f"Login   {ACCOUNT.email}   Password   {ACCOUNT.password}",
        "",
        "1. Open a photograph and switch on Auto-Annotation, at the bottom of the page.",
        "2. Choose a label under Click with the mouse, press K, and click on a thing.",
        "3. Alt-click takes away. The tick at the bottom accepts the mask.",
        "",
        "A box instead of a click: a label under Box, and R.",
        f"After 20 accepted masks it learns from them: {served}/learning shows what.",
        f"Logs are in {FOLDER}. Ctrl-C stops both.",
    )
    console.print(Panel("\n".join(lines), title="EdgeSAM in Label Studio", expand=False))


def _wait(services: list[Service]) -> NoReturn:
    while True:
        for service in services:
            service.check_alive()
        time.sleep(0.5)


def _interrupt(*_: object) -> NoReturn:
    """The first Ctrl-C counts; those during the clean-up do not cut it short."""
    for sign in SIGNALS:
        signal.signal(sign, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    typer.run(main)
