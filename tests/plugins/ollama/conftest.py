"""A server that answers as it is told, the plugin, and a context with the real door to the network."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from moorage import FilePart, ModelDetail, ModelFile, PluginContext, Provider
from moorage.http import CallScope, HttpDoor
from moorage_ollama.config import OllamaProvider, OllamaSettings
from moorage_ollama.pacing import Pacing
from moorage_ollama.plugin import OllamaPlugin
from tests.fakes.server import Exchange, FakeServer

Line = dict[str, Any] | bytes
Script = Callable[[Exchange], Iterable[Line]] | Sequence[Line]
QUICK = Pacing(stall=0.3, crawl=120.0, silence=5.0, waits=(0.0, 0.0, 0.0, 0.0, 0.0))


class ScriptedOllama(FakeServer):
    """Answers `/api/pull` and `/api/chat` with scripts in order, the last one again and again."""

    def __init__(self) -> None:
        super().__init__()
        self.models: list[dict[str, Any]] = []
        self.shown: dict[str, dict[str, Any]] = {}
        self.loaded: list[str] | None = []
        self.version: Any = {"version": "0.32.5"}
        self.pulls: list[Script] = []
        self.chats: list[Script] = []
        self.refusal: tuple[int, bytes] | None = None
        self.route("GET", "/api/version", lambda exchange: exchange.json(200, self.version))
        self.route("GET", "/api/tags", self._tags)
        self.route("GET", "/api/ps", self._ps)
        self.route("POST", "/api/show", self._show)
        self.route("DELETE", "/api/delete", self._delete)
        self.route("POST", "/api/pull", lambda exchange: self._play(exchange, self.pulls))
        self.route("POST", "/api/chat", lambda exchange: self._play(exchange, self.chats))

    def bodies(self, path: str) -> list[Any]:
        return [seen.json for seen in self.seen("POST", path)]

    def wait_until_left(self, path: str) -> None:
        """Return when the client of the first request to `path` has closed its connection."""
        until = time.monotonic() + 3
        while self.seen("POST", path)[0].closed_at is None:
            assert time.monotonic() < until, "the server still believes that somebody listens"
            time.sleep(0.01)

    def _tags(self, exchange: Exchange) -> None:
        exchange.json(200, {"models": self.models})

    def _ps(self, exchange: Exchange) -> None:
        if self.loaded is None:
            exchange.text(404, "404 page not found")
        else:
            exchange.json(200, {"models": [{"name": name} for name in self.loaded]})

    def _show(self, exchange: Exchange) -> None:
        name = exchange.seen.json["model"]
        if name in self.shown:
            exchange.json(200, self.shown[name])
        else:
            exchange.json(404, {"error": f"model '{name}' not found"})

    def _delete(self, exchange: Exchange) -> None:
        name = exchange.seen.json["model"]
        if any(row["name"] == name for row in self.models):
            self.models = [row for row in self.models if row["name"] != name]
            exchange.send(200, b"", "text/plain")
        else:
            exchange.json(404, {"error": f"model '{name}' not found"})

    def _play(self, exchange: Exchange, scripts: list[Script]) -> None:
        if self.refusal is not None:
            exchange.send(*self.refusal, "application/json" if self.refusal[1].startswith(b"{") else "text/plain")
            return
        script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        lines = script(exchange) if callable(script) else script
        exchange.stream(
            (line + b"\n" if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines),
            "application/x-ndjson",
        )


@pytest.fixture
def ollama() -> Iterator[ScriptedOllama]:
    with ScriptedOllama() as server:
        yield server


@pytest.fixture
def plugin() -> OllamaPlugin:
    return OllamaPlugin(QUICK)


@pytest.fixture
def scope() -> CallScope:
    return CallScope(None)


@pytest.fixture
def context(tmp_path: Path, scope: CallScope) -> Iterator[PluginContext]:
    def no_fetch(parts: Sequence[FilePart]) -> Any:
        raise AssertionError("a pull fetches nothing")

    door = HttpDoor(user_agent="moorage/test")
    yield PluginContext(
        plugin="ollama",
        config=OllamaSettings(),
        http=door.client("provider", scope=scope),
        fetch=no_fetch,
        data_dir=tmp_path,
        log=logging.getLogger("moorage.plugin.ollama"),
    )
    door.close()


@pytest.fixture
def provider(ollama: ScriptedOllama) -> Provider:
    config = OllamaProvider(endpoint=ollama.url, model="tiny:latest")
    return Provider(id="p1", name="Ollama here", type="ollama", config=config, model="tiny:latest")


def model_file(name: str, quantization: str | None = None, **fields: Any) -> ModelFile:
    return ModelFile(name=name, size=fields.pop("size", 1000), quantization=quantization, **fields)


def model_detail(id: str, *files: ModelFile, **fields: Any) -> ModelDetail:
    url = fields.pop("url", f"https://huggingface.co/{id}")
    source = fields.pop("source", "huggingface")
    return ModelDetail(source=source, id=id, url=url, revision="c0ffee", files=files, **fields)
