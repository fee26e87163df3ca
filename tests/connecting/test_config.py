"""The verb that prints a labelling interface."""

import pytest
from typer.testing import CliRunner

from backend.__main__ import app
from backend.labelstudio.interface_text import Kind, interface_text


def printed(*words):
    done = CliRunner().invoke(app, ["config", *words])
    return done.exit_code, done.output


def test_it_prints_what_is_to_be_pasted():
    assert printed("Cat", "Dog") == (0, interface_text(["Cat", "Dog"], Kind.BRUSH) + "\n")
    assert printed("--mask", "Polygon", " Big cat ") == (0, interface_text(["Big cat"], Kind.POLYGON) + "\n")


@pytest.mark.parametrize(
    ("words", "told"), [(["Cat", "Cat"], "Cat is there twice"), (["Cat", " "], "empty"), ([], "LABEL")]
)
def test_labels_that_are_none_are_refused(words, told):
    code, output = printed(*words)
    assert code == 2
    assert told in output
