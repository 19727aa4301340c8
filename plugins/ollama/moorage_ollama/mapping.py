"""From the wire to the host's models. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from moorage import ProviderModel
from moorage_ollama.wire import Installed

_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMBT]?)\s*", re.IGNORECASE)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


@dataclass(frozen=True, slots=True)
class Known:
    """What `/api/show` says that lists of servers before 0.30 do not; `context_length` in tokens."""

    capabilities: tuple[str, ...] | None
    context_length: int | None


def provider_model(row: Installed, known: Known | None, loaded: Collection[str] | None) -> ProviderModel:
    """One installed model. `known` fills in what old servers leave out of the list; `loaded` are names in memory."""
    details = row.details
    cloud = row.remote_host is not None or row.remote_model is not None
    capabilities = row.capabilities if row.capabilities is not None else (known.capabilities if known else None)
    context_length = details.context_length if details else None
    return ProviderModel(
        name=row.name,
        label=f"{row.name} (runs in Ollama's cloud)" if cloud else None,
        size=None if cloud else row.size,  # a stub of some 300 bytes says nothing
        quantization=(details.quantization_level or None) if details else None,
        parameters=parameters(details.parameter_size or "") if details else None,
        context_length=context_length or (known.context_length if known else None),
        capabilities=capabilities,
        modified_at=_moment(row.modified_at),
        loaded=None if loaded is None else row.name in loaded,
    )


def parameters(text: str) -> int | None:
    """The number of weights in `7.6B`, `137M`, `2.81T`, `116829156672`; None for anything else."""
    found = _AMOUNT.fullmatch(text)
    return round(float(found[1]) * _UNITS[found[2].upper()]) if found else None


def _moment(value: datetime | None) -> datetime | None:
    """UTC; None for Go's zero time, the year 1, which stands for no time."""
    if value is None or value.year <= 1:
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
