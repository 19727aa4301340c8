"""Calling a plugin without being hurt by it: a thread of its own, a deadline, containment and a breaker.

Plugins run with the rights of the host: this is for robustness, it is not a sandbox.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from moorage.errors import MoorageError, PluginFailed
from moorage.plugins.record import PluginRecord

R = TypeVar("R")


class Overdue(Exception):
    """The function did not return within its deadline; its thread may go on, its result will be dropped."""


def run_bounded(function: Callable[[], R], deadline: float, name: str) -> R:
    """Run `function` on a daemon thread and return or raise what it does; Overdue after `deadline` seconds."""
    outcome: list[tuple[R | None, BaseException | None]] = []
    done = threading.Event()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            outcome.append((context.run(function), None))
        except BaseException as error:  # noqa: BLE001 - handed to the caller, which decides
            outcome.append((None, error))
        finally:
            done.set()

    threading.Thread(target=run, name=name, daemon=True).start()
    if not done.wait(deadline):
        raise Overdue
    result, error = outcome[0]
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # None only where R allows it


def check_admitted(record: PluginRecord) -> None:
    """Raise PluginFailed where the plugin may not be called now."""
    name = record.name
    if not record.callable:
        raise PluginFailed(name, f"The plugin {name} is {record.state}.", hint=record.error or "See the Plugins page.")
    if record.overdue:
        raise PluginFailed(
            name,
            f"The plugin {name} is still busy with a call that missed its deadline.",
            hint="It is called again when that call has returned. Disabling it helps at once.",
        )
    if not record.breaker.admits():
        raise PluginFailed(
            name,
            f"The plugin {name} failed several times in a row and is left alone for a moment.",
            hint="Its last failures are on the Plugins page.",
        )


def call(
    record: PluginRecord,
    hook: str,
    deadline: float,
    arguments: dict[str, Any],
    on_overdue: Callable[[], None] = lambda: None,
) -> Any:
    """Call one hook of one plugin.

    Errors of `moorage.errors` pass through unchanged; anything else, and a missed deadline, is kept as a failure of
    the plugin and raised as PluginFailed with its cause.
    """
    check_admitted(record)
    implementation = record.hooks.get(hook)
    if implementation is None:  # it was retired at this moment
        raise PluginFailed(record.name, f"The plugin {record.name} is being switched off.")
    ticket = id(arguments)
    returned = threading.Event()

    def run() -> Any:
        try:
            return implementation(**arguments)
        finally:
            returned.set()
            record.overdue.discard(ticket)

    try:
        result = run_bounded(run, deadline, f"{record.name}:{hook}")
    except Overdue:
        record.overdue.add(ticket)
        if returned.is_set():  # it came back between the deadline and the line above
            record.overdue.discard(ticket)
        on_overdue()
        record.breaker.record(ok=False)
        message = f"The plugin {record.name} did not answer within {deadline:g} s ({hook})."
        record.note_failure(hook, message)
        raise PluginFailed(record.name, message, hint="Try again, or disable the plugin.") from None
    except MoorageError as error:
        record.breaker.record(ok=True)  # the plugin did its job: it told us what the service did
        raise record.cleaned(error) from error.__cause__
    except BaseException as error:
        raise plugin_bug(record, hook, error) from error
    record.breaker.record(ok=True)
    return result


def plugin_bug(record: PluginRecord, hook: str, error: BaseException) -> PluginFailed:
    """Keep an unexpected error as a failure of the plugin, and give the error to raise from it."""
    record.breaker.record(ok=False)
    message = record.redact(f"The plugin {record.name} failed in {hook}: {type(error).__name__}: {error}")
    record.note_failure(hook, message, error)
    return PluginFailed(record.name, message, hint="This is a fault of the plugin; its trace is on the Plugins page.")
