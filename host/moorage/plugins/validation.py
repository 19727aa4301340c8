"""Is this object a plugin we can call? Refuses with the reason and the fix, before anything of it is registered."""

from __future__ import annotations

import difflib
import inspect
from types import ModuleType

import pluggy

from moorage.hookspecs import Hooks

HOOK_NAMES = frozenset(name for name in vars(Hooks) if not name.startswith("_"))


class Refused(Exception):
    """The plugin cannot be loaded; `str(refused)` says why and what its author should change."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def validate(manager: pluggy.PluginManager, plugin: object) -> frozenset[str]:
    """The names of the hooks that `plugin` implements; Refused when one of them cannot work."""
    implemented = set()
    for name in sorted(dir(plugin)):
        if name.startswith("__"):
            continue
        options = manager.parse_hookimpl_opts(plugin, name)
        if options is None:
            continue
        _validate_hook(name, inspect.getattr_static(plugin, name), options)
        implemented.add(name)
    if not implemented:
        kind = "module" if isinstance(plugin, ModuleType) else "object"
        raise Refused(
            f"The {kind} implements no hook.", "Mark its functions with @hookimpl (from moorage import hookimpl)."
        )
    return frozenset(implemented)


def _validate_hook(name: str, raw: object, options: pluggy.HookimplOpts) -> None:
    if name not in HOOK_NAMES:
        close = difflib.get_close_matches(name, HOOK_NAMES, n=1)
        guess = f" Did you mean {close[0]}?" if close else ""
        raise Refused(f"There is no hook named {name}.{guess}", "The hook reference lists all hooks.")
    function = raw.__func__ if isinstance(raw, staticmethod | classmethod) else raw
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise Refused(
            f"The hook {name} is an async function.", "Hooks are plain functions; run an event loop inside if needed."
        )
    if options["wrapper"] or options["hookwrapper"]:
        raise Refused(f"The hook {name} is a wrapper.", "Wrappers are not supported; remove wrapper=True.")
    if options["specname"]:
        raise Refused(f"The hook {name} uses specname.", "Name the function after its hook.")
    keyword_only = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()  # type: ignore[arg-type]
        if parameter.kind is parameter.KEYWORD_ONLY or parameter.default is not parameter.empty
    ]
    if keyword_only:
        raise Refused(
            f"The hook {name} has keyword-only or default arguments: {', '.join(keyword_only)}.",
            "Name the arguments plainly; leave out those that are not used.",
        )
