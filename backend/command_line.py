"""What the verbs of the command line share: the settings, and an end that says why in one sentence."""

from __future__ import annotations

import typer

from backend.settings import Settings, SettingsError, read_settings

FAILED, WRONG_USE = 1, 2
"""What a command ends with: something could not be done; something was said wrongly."""


PROJECT = typer.Option(min=1, help="The project's number, as in its address in Label Studio.")
"""The option --project of all verbs that have one."""


def settings_given(**given: object) -> Settings:
    """The settings of the environment, but for those `given`. What is wrong with them ends the command."""
    try:
        return read_settings(**given)
    except SettingsError as error:
        raise ended(str(error), WRONG_USE) from error


def ended(message: str, code: int) -> typer.Exit:
    """To be raised: the message goes to standard error."""
    typer.echo(message, err=True)
    return typer.Exit(code)
