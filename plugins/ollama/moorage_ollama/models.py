"""What a server has, with capabilities from servers that do not list them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from moorage import ProviderModel, RemoteError
from moorage_ollama.client import OllamaClient
from moorage_ollama.mapping import Known, provider_model
from moorage_ollama.wire import Installed

PARALLEL = 4
KEPT = 512


class ShownModels:
    """`/api/show` by digest: what it says about the same bytes does not change. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_digest: dict[str, Known] = {}

    def get(self, client: OllamaClient, row: Installed) -> Known | None:
        """None where the server cannot show it: a list with a gap is better than none."""
        with self._lock:
            known = self._by_digest.get(row.digest)
        if known is not None:
            return known
        try:
            shown = client.show(row.name)
        except RemoteError:
            return None
        known = Known(shown.capabilities, shown.context_length)
        with self._lock:
            if row.digest:
                if len(self._by_digest) >= KEPT:
                    self._by_digest.pop(next(iter(self._by_digest)))
                self._by_digest[row.digest] = known
        return known


def installed_models(client: OllamaClient, cache: ShownModels) -> list[ProviderModel]:
    """The installed models in the server's order, newest first."""
    rows = client.tags()
    loaded: frozenset[str] | None
    try:
        loaded = client.loaded()
    except RemoteError:
        loaded = None  # /api/ps is younger than /api/tags
    silent = [row for row in rows if row.capabilities is None]
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="ollama-show") as pool:
        shown = dict(zip(silent, pool.map(lambda row: cache.get(client, row), silent), strict=True))
    return [provider_model(row, shown.get(row), loaded) for row in rows]


def can_think(client: OllamaClient, name: str) -> bool:
    """Asked only when somebody has chosen how to think; NotFound for a model that is not installed."""
    return "thinking" in (client.show(name).capabilities or ())
