"""`--set key=value` for configs whose fields a plugin decides, and a safe way to give a key."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click


def parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """`["model=org/name", "contextLength=8192"]` as a config: JSON where it is JSON, text elsewhere."""
    config: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise click.UsageError(f"--set takes key=value, not {pair!r}.")
        try:
            config[key] = json.loads(value)
        except ValueError:
            config[key] = value
    return config


def prompt_secret(names: Sequence[str]) -> dict[str, str]:
    """Ask for secrets without showing them, so that none stands in the shell's history; a script pipes them in.

    Piped, each takes one line of standard input, in the order of the options.
    """
    if sys.stdin.isatty():
        return {name: click.prompt(name, hide_input=True) for name in names}
    given = {name: sys.stdin.readline().strip() for name in names}
    for name, value in given.items():
        if not value:
            raise click.UsageError(f"There is no line for {name} on standard input.")
    return given
