"""`moorage …`: one file per noun. A command parses, makes a call of the HTTP API, and prints.

The API is that of the server that runs on the data directory, or, when none does, that of an application opened in
this process for the length of the command: the answers are the same. See docs/adr/0003.
"""

from __future__ import annotations

import importlib
import sys

import click

from moorage import __version__
from moorage.errors import MoorageError

COMMANDS = {
    "agents": "Agents: list, create, remove.",
    "chat": "Talk to an agent.",
    "disk": "What the data directory holds; remove what nothing needs.",
    "doctor": "Check this installation and what it can reach.",
    "install": "Install a model on this machine or an Ollama server.",
    "installs": "What is being installed, and what was.",
    "models": "Local models: list and remove; files of a model.",
    "plugins": "Plugins: list, enable, disable, configure.",
    "providers": "Providers: list, add, test, remove.",
    "search": "Search for models.",
    "searches": "Saved searches: what is new, and installing some of it.",
    "serve": "Start the server and its web page.",
    "settings": "Bandwidth limit, quiet hours, time zone, proxy and the rest.",
    "tokens": "API tokens for programs, once a password is set.",
}


class LazyGroup(click.Group):
    """Imports a command's module only when it is used: `--help` and `serve` start fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"moorage.cli.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="moorage")
def cli() -> None:
    """Moorage: search for language models, use or install them, and chat.

    Exit codes: 0 done, 1 failed, 2 wrong use or input, 3 a service or plugin said no, 4 not found, 5 conflict,
    6 damaged data, 7 the data directory is in use, 8 the port is taken, 130 stopped (Ctrl-C, or a question that was
    not answered).
    """


def main() -> None:
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except MoorageError as error:
        click.echo(f"{error}", err=True)
        if error.hint:
            click.echo(error.hint, err=True)
        sys.exit(error.exit_code)
