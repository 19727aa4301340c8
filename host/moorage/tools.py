"""The tools that agents may be given: those of the plugins, and the host's own `current_time`.

A call is bounded: its arguments must fit the tool's schema, it has a deadline, and its result is cut to a size.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from moorage.clock import Clock
from moorage.errors import PluginFailed
from moorage.models import Tool, ToolCall
from moorage.plugins import Plugins
from moorage.plugins.calls import Overdue, run_bounded

CALL_SECONDS = 60.0
RESULT_LIMIT = 256 * 1024


class ToolRefused(Exception):
    """The call cannot be made as it is; the text is for the model, so that it can do better."""


class Tools:
    def __init__(self, plugins: Plugins, clock: Clock, time_zone: Callable[[], str]) -> None:
        self._plugins = plugins
        self._builtin = {"current_time": current_time(clock, time_zone)}

    def known(self) -> dict[str, Tool]:
        """All tools by name; a plugin cannot replace one of the host's."""
        return {**{name: tool for name, (_, tool) in self._plugins.tools().items()}, **self._builtin}

    def origin(self, name: str) -> str:
        """The plugin that a tool comes from, `moorage` for the host's own."""
        return "moorage" if name in self._builtin else self._plugins.tools()[name][0]

    def given(self, names: tuple[str, ...]) -> tuple[Tool, ...]:
        """Those of `names` that are there now."""
        known = self.known()
        return tuple(known[name] for name in names if name in known)


def checked_arguments(tool: Tool, call: ToolCall) -> dict[str, Any]:
    """The call's arguments as an object that fits the tool's schema; ToolRefused says which part does not."""
    from jsonschema import Draft202012Validator  # only agents with tools pay for this import
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError as error:
        raise ToolRefused(f"The arguments are not valid JSON: {error}.") from None
    if not isinstance(arguments, dict):
        raise ToolRefused("The arguments must be a JSON object.")
    # An empty registry: a reference to elsewhere is not fetched, past the door to the network or at all.
    validator = Draft202012Validator(tool.parameters, registry=Registry())
    try:
        problem = next(iter(validator.iter_errors(arguments)), None)
    except Unresolvable:
        raise ToolRefused("The tool's schema refers to something outside of itself, so it cannot be called.") from None
    if problem is not None:
        path = ".".join(str(part) for part in problem.absolute_path) or "arguments"
        raise ToolRefused(f"{path}: {problem.message[:500]}")
    return arguments


def run_tool(tool: Tool, arguments: dict[str, Any]) -> tuple[bool, str]:
    """Run a tool on a thread of its own; (worked, text for the model)."""
    try:
        result = run_bounded(lambda: tool.run(arguments), CALL_SECONDS, f"tool:{tool.name}")
    except Overdue:
        return False, f"The tool did not answer within {CALL_SECONDS:g} s."
    except PluginFailed as error:
        return False, str(error)[:2000]
    except Exception as error:  # noqa: BLE001 - what a tool raises is its result
        return False, f"{type(error).__name__}: {error}"[:2000]
    text = result if isinstance(result, str) else json.dumps(result, default=str)
    if len(text) > RESULT_LIMIT:
        text = text[:RESULT_LIMIT] + "\n[cut here: the result was longer]"
    return True, text


def current_time(clock: Clock, time_zone: Callable[[], str]) -> Tool:
    """Tells the time in the person's zone, or in the one that is asked for."""

    def run(arguments: dict[str, Any]) -> str:
        name = arguments.get("timeZone") or time_zone()
        try:
            zone = ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ToolRefused(f"{name!r} is not a time zone name; use one such as Europe/Berlin.") from None
        now: datetime = clock().astimezone(zone)
        return f"{now.isoformat(timespec='seconds')} ({now:%A}, {name})"

    return Tool(
        name="current_time",
        description="The current date and time.",
        parameters={
            "type": "object",
            "properties": {"timeZone": {"type": "string", "description": "IANA name, such as Europe/Berlin."}},
            "additionalProperties": False,
        },
        run=run,
    )
