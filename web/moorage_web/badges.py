"""What each state looks like: a colour, an icon and a word, never a colour alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Badge:
    """`colour` is one of neutral, ok, attention, danger, info; `icon` a name in `static/icons.svg`."""

    colour: str
    icon: str
    word: str


BADGES: Mapping[str, Badge] = MappingProxyType(
    {
        # installs
        "scheduled": Badge("neutral", "clock", "Scheduled"),
        "queued": Badge("neutral", "clock", "Queued"),
        "running": Badge("info", "download", "Running"),
        "paused": Badge("neutral", "pause", "Paused"),
        "waiting": Badge("attention", "clock", "Waiting"),
        "installed": Badge("ok", "ok", "Installed"),
        "failed": Badge("danger", "error", "Failed"),
        "cancelled": Badge("neutral", "close", "Cancelled"),
        "newer": Badge("info", "download", "Newer revision"),
        "warned": Badge("attention", "warning", "With a warning"),
        "new": Badge("info", "info", "New"),
        # plugins
        "ready": Badge("ok", "ok", "Ready"),
        "disabled": Badge("neutral", "pause", "Disabled"),
        "incompatible": Badge("danger", "error", "Incompatible"),
        "needs-config": Badge("attention", "key", "Needs settings"),
        # whether a file fits a machine
        "fits": Badge("ok", "ok", "Fits"),
        "tight": Badge("attention", "warning", "Tight"),
        "too-big": Badge("danger", "error", "Too big"),
        "unknown": Badge("neutral", "help", "Not known"),
        # gates
        "open": Badge("ok", "ok", "Open"),
        "sign-in": Badge("attention", "key", "Needs a token"),
        "accept-licence": Badge("attention", "lock", "Accept the licence"),
        "refused": Badge("danger", "lock", "Access refused"),
        "auto": Badge("attention", "lock", "Gated"),
        "manual": Badge("attention", "lock", "Gated, by request"),
        # answers
        "complete": Badge("ok", "check", "Complete"),
        "incomplete": Badge("attention", "warning", "Incomplete"),
        "stopped": Badge("neutral", "stop", "Stopped"),
        # endpoints
        "ok": Badge("ok", "ok", "Works"),
        "reachable": Badge("ok", "ok", "Reachable"),
        "unreachable": Badge("danger", "error", "Not reachable"),
        "unavailable": Badge("attention", "pause", "Plugin is off"),
        "untested": Badge("neutral", "help", "Not tested"),
        "loaded": Badge("info", "memory", "Loaded"),
    }
)


def badge_for(state: str) -> Badge:
    """The badge of a state; one that is not known here shows its own name."""
    return BADGES.get(state) or Badge("neutral", "info", state.replace("-", " ").capitalize())
