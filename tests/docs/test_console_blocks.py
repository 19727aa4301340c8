"""The commands in the documentation exist, with these arguments and options. Nothing is run."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from moorage.cli import cli
from tests.docs.markdown import ROOT, blocks

LINES = [
    (f"{block.place} {line}", line.removeprefix("$ "))
    for block in blocks("console")
    for line in block.text.splitlines()
    if line.startswith("$ ")
]
COMMANDS = [pytest.param(line, id=id) for id, line in LINES if line.startswith("moorage ")]
TARGETS = [pytest.param(line, id=id) for id, line in LINES if line.startswith("make ")]


def parse(line: str) -> click.Context:
    """The context of the innermost command; click.UsageError where it would refuse the line."""
    command: click.Command = cli
    name, *arguments = shlex.split(line)
    context: click.Context | None = None
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        context = click.Context(command, context, info_name=name)
        found, inner, arguments = command.resolve_command(context, arguments)
        assert found is not None
        assert inner is not None
        name, command = found, inner
    return command.make_context(name, arguments, parent=context)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_one_of_ours(line: str) -> None:
    if line.endswith(" --help"):
        with pytest.raises(click.exceptions.Exit):
            parse(line)
    else:
        parse(line)


def test_wrong_lines_are_found() -> None:
    for line in ("moorage serch phi", "moorage search --ggfu", "moorage install", "moorage agents make x"):
        with pytest.raises(click.UsageError):
            parse(line)


@pytest.mark.parametrize("line", TARGETS)
def test_a_make_target_is_in_the_makefile(line: str) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    assert line.split()[1] in targets
