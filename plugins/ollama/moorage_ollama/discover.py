"""Ollama servers that run already."""

from __future__ import annotations

from urllib.parse import urlsplit

from moorage import Http, ProviderDraft, RemoteError
from moorage_ollama.client import OllamaClient
from moorage_ollama.endpoint import DEFAULT_ENDPOINT, endpoint_of

PROBE_SECONDS = 1.0


def running_servers(http: Http, host: str) -> list[ProviderDraft]:
    """The server at OLLAMA_HOST (`host`, may be empty) and the one at the usual address, where they answer."""
    endpoints = dict.fromkeys((endpoint_of(host), DEFAULT_ENDPOINT))
    return [_draft(endpoint) for endpoint in endpoints if _is_ollama(http, endpoint)]


def _is_ollama(http: Http, endpoint: str) -> bool:
    try:
        OllamaClient(http, endpoint).version(PROBE_SECONDS)
    except RemoteError:
        return False
    return True


def _draft(endpoint: str) -> ProviderDraft:
    here = endpoint == DEFAULT_ENDPOINT
    name = "Ollama" if here else f"Ollama at {urlsplit(endpoint).netloc}"
    return ProviderDraft(type="ollama", name=name, config={"endpoint": endpoint})
