"""What inference providers offer of one model together, in a line. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from moorage.models import ServedBy


@dataclass(frozen=True, slots=True)
class Offer:
    """`providers` are those that serve it now. The prices are those of the cheapest, in USD per million tokens.

    `context_length` is the longest of all, and `tools` whether one of them takes tools; None where nobody says it.
    """

    providers: tuple[str, ...]
    cheapest: str | None = None
    input_price: float | None = None
    output_price: float | None = None
    context_length: int | None = None
    tools: bool | None = None


def offer(served: Sequence[ServedBy]) -> Offer | None:
    """None where nobody serves it now."""
    live = [item for item in served if item.status in (None, "live")]
    if not live:
        return None
    priced = [item for item in live if item.input_price is not None and item.output_price is not None]
    cheapest = min(priced, key=lambda item: (item.input_price or 0) + (item.output_price or 0), default=None)
    said = {item.tools for item in live if item.tools is not None}
    return Offer(
        providers=tuple(item.provider for item in live),
        cheapest=cheapest.provider if cheapest else None,
        input_price=cheapest.input_price if cheapest else None,
        output_price=cheapest.output_price if cheapest else None,
        context_length=max((item.context_length for item in live if item.context_length), default=None),
        tools=any(said) if said else None,
    )


def all_said(served: Sequence[ServedBy] | None) -> bool:
    """Whether a list has told all there is to know of who serves a model, prices too."""
    return served is not None and all(item.input_price is not None for item in served)
