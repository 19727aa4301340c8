"""The gate before a model's files, and the words for it: the same in a panel, a plan, a failure and a terminal."""

from __future__ import annotations

from typing import Literal

from moorage.models.base import Model

GateState = Literal["open", "sign-in", "accept-licence", "refused", "unknown"]
CLOSED: tuple[GateState, ...] = ("sign-in", "accept-licence", "refused")
"""The states in which the files cannot be had with the saved key."""

_MESSAGES: dict[GateState, str] = {
    "sign-in": "This model is gated, and no token that its source accepts is saved: sign in first.",
    "accept-licence": "This model is gated, and your account has no access: its licence is not accepted yet, or access "
    "has not been granted yet.",
    "refused": "This model is gated, and its author has refused your account access.",
    "unknown": "Whether this model's files may be had cannot be seen now.",
}
_HINTS: dict[GateState, str] = {
    "sign-in": "Save a token of your account on the Plugins page; the licence may have to be accepted too{page}",
    "accept-licence": "Accept the licence or ask for access, then try again{page}",
    "refused": "Choose another model, or ask its author{page}",
    "unknown": "Try again in a moment.",
}


class Gate(Model):
    """Whether a model's files may be had, and where to ask for them."""

    state: GateState = "unknown"
    url: str | None = None

    @property
    def message(self) -> str | None:
        """What the state means, in a sentence; None for an open gate."""
        return _MESSAGES.get(self.state)

    @property
    def hint(self) -> str | None:
        """What to do about it."""
        hint = _HINTS.get(self.state)
        # No full stop behind an address: some terminals would take it along.
        return hint and hint.format(page=f": {self.url}" if self.url else ".")

    @property
    def closed(self) -> bool:
        return self.state in CLOSED
