"""Pulling models: the lines of `/api/pull`, downloads that are shared, kept and resumed, and the ways they go wrong."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from tests.fakes.ollama_models import Layer, ModelStore, OllamaModel, StoredBlob, manifest_layers
from tests.fakes.ollama_names import Name
from tests.fakes.ollama_registry import Answer, Registry
from tests.fakes.ollama_stream import EndOfLines, Line, Lines, Refused
from tests.fakes.server import Exchange

TINY = 4096  # bytes; such a layer has come before the first look at it


@dataclass
class PullFault:
    """What goes wrong with which pulls, at which moment."""

    at: Literal["manifest", "layer", "verify", "write"] = "layer"
    layer: int = 0
    percent: float = 50.0  # of that layer
    error: str | None = None  # end with this error line
    ends: bool = False  # end without `success` and without an error
    cut: bool = False  # the connection breaks
    stalls: bool = False  # repeat the same line until the client leaves
    falls_to: float | None = None  # percent to which `completed` goes back, once
    line: bytes | None = None  # put these bytes between the lines
    silence: float = 0.0  # seconds
    loses_blob: bool = False  # the layer must be downloaded again from its first byte
    unlisted: bool = False  # say `success`, install nothing
    name: str = ".*"
    times: int | None = 1


def disk_full(layer: int = 0, percent: float = 50.0, times: int | None = None) -> PullFault:
    text = "write /usr/share/ollama/.ollama/models/blobs/sha256-0f00-partial: no space left on device"
    return PullFault(layer=layer, percent=percent, error=text, times=times)


def digest_mismatch(times: int | None = 1) -> PullFault:
    text = "digest mismatch, file must be downloaded again: want sha256:{want}, got sha256:" + "0" * 64
    return PullFault("verify", error=text, loses_blob=True, times=times)


def retries_exceeded(percent: float = 50.0, times: int | None = 1) -> PullFault:
    return PullFault(percent=percent, error="max retries exceeded: EOF", times=times)


def dying_download(times: int = 1) -> PullFault:
    """What a pull hears that joins a download which is just being given up."""
    return PullFault(percent=0.0, error="context canceled", times=times)


def stall(percent: float = 99.0, layer: int = 0, times: int | None = 1) -> PullFault:
    return PullFault(layer=layer, percent=percent, stalls=True, times=times)


class Download:
    """One blob on its way, shared by all who pull it. Without a speed every look at it brings a third of it."""

    def __init__(self, layer: Layer, completed: int, speed: float | None) -> None:
        self.layer, self.speed, self.watchers = layer, speed, 0
        self.move(completed)

    def move(self, completed: int) -> None:
        self._start, self._from = time.monotonic(), completed
        self.completed = completed

    def look(self) -> int:
        step = (time.monotonic() - self._start) * self.speed if self.speed else -(-self.layer.size // 3)
        self.completed = min(self.layer.size, (self._from if self.speed else self.completed) + int(step))
        return self.completed


class Pulls:
    """`POST /api/pull`. Change `speed` and the silences to be slow, `faults` to fail."""

    def __init__(self, store: ModelStore, registry_at: Callable[[str], Registry | None]) -> None:
        self.speed: float | None = None  # bytes per second
        self.tick = 0.06  # seconds between two lines of a download
        self.manifest_silence = 0.0
        self.verify_silence = 0.0
        self.split_every: int | None = None  # bytes per write
        self.wind_down = 0.0  # seconds for which a download that was given up spoils new pulls of the same (up to 32)
        self.faults: list[PullFault] = []
        self._store = store
        self._registry_at = registry_at  # by host; None where there is no such host
        self._downloads: dict[str, Download] = {}
        self._dying: dict[str, float] = {}  # until when, by digest

    def lines(self, exchange: Exchange, name: Name) -> Lines:
        fault = self._take_fault(name)
        yield {"status": "pulling manifest"}
        exchange.sleep(self.manifest_silence)
        yield from self._happens(exchange, fault, "manifest")
        name = self._store.canonical(name)
        answer = self._manifest(name)
        layers = manifest_layers(answer.body)
        for number, layer in enumerate(layers):
            mine = fault if fault.at == "layer" and fault.layer == number else PullFault(percent=200.0)
            yield from self._layer(
                exchange, layer, answer, mine, is_last_line_shown=number % 2 == 1 and layer.size > TINY
            )
        yield {"status": "verifying sha256 digest"}
        exchange.sleep(self.verify_silence)
        if fault.at == "verify" and fault.loses_blob:
            self._store.blobs.pop(layers[fault.layer].digest, None)
        want = layers[min(fault.layer, len(layers) - 1)].digest.removeprefix("sha256:")
        yield from self._happens(exchange, fault, "verify", want)
        yield {"status": "writing manifest"}
        yield from self._happens(exchange, fault, "write")
        old = self._store.models.get(name.key)
        if not fault.unlisted:
            self._install(name, answer, layers, old)
        if old and old.manifest != answer.body:
            yield {"status": "removing unused layers"}
        yield {"status": "success"}

    def _layer(
        self, exchange: Exchange, layer: Layer, answer: Answer, fault: PullFault, *, is_last_line_shown: bool
    ) -> Lines:
        if layer.digest in self._store.blobs:
            yield _progress(layer, layer.size)
            return
        with self._download(layer) as download:
            limit = max(int(layer.size * fault.percent / 100), download.completed)
            yield _progress(layer, download.completed)
            while not exchange.server.stopping.is_set():
                completed = download.look()
                if completed >= limit:
                    download.move(limit)
                    yield _progress(layer, limit)
                    if fault.falls_to is not None:
                        download.move(int(layer.size * fault.falls_to / 100))
                    yield from self._happens(exchange, fault, "layer", layer=layer, completed=limit)
                    limit = layer.size + 1
                elif completed >= layer.size:
                    break
                else:
                    yield _progress(layer, completed if layer.size > TINY else 0)
                if self.speed:
                    exchange.sleep(self.tick)
            if exchange.server.stopping.is_set():
                raise EndOfLines
        known = answer.blobs.get(layer.digest)
        self._store.blobs[layer.digest] = StoredBlob(layer.size, StoredBlob.of(known).head if known else b"")
        if is_last_line_shown:
            yield _progress(layer, layer.size)

    def _happens(
        self, exchange: Exchange, fault: PullFault, at: str, want: str = "", layer: Layer | None = None,
        completed: int = 0,
    ) -> Iterator[Line]:  # fmt: skip
        """Carry out a fault whose moment has come."""
        if fault.at != at:
            return
        exchange.sleep(fault.silence)
        if fault.line is not None:
            yield fault.line
        while fault.stalls and not exchange.server.stopping.is_set():
            yield _progress(layer, completed) if layer else {"status": "pulling manifest"}
            exchange.sleep(self.tick)
        if fault.error is not None:
            raise Refused(500, fault.error.replace("{want}", want))
        if fault.ends or fault.cut:
            raise EndOfLines(cut=fault.cut)

    @contextmanager
    def _download(self, layer: Layer) -> Iterator[Download]:
        """Join or begin the download; the last to leave keeps what has arrived."""
        store = self._store
        if time.monotonic() < self._dying.get(layer.digest, 0.0):
            raise Refused(500, "context canceled")
        with store.lock:
            download = self._downloads.get(layer.digest)
            if download is None:
                download = Download(layer, store.partials.pop(layer.digest, 0), self.speed)
                self._downloads[layer.digest] = download
            download.watchers += 1
        try:
            yield download
        finally:
            with store.lock:
                download.watchers -= 1
                if not download.watchers:
                    self._downloads.pop(layer.digest, None)
                    if download.completed < layer.size:
                        store.partials[layer.digest] = download.completed
                        self._dying[layer.digest] = time.monotonic() + self.wind_down

    def _manifest(self, name: Name) -> Answer:
        registry = self._registry_at(name.host.lower())
        if registry is None:
            url = f"https://{name.host}/v2/{name.namespace}/{name.model}/manifests/{name.tag}"
            host = name.host.partition(":")[0]
            raise Refused(500, f'pull model manifest: Get "{url}": dial tcp: lookup {host}: no such host')
        answer = registry.manifest(name.namespace, name.model, name.tag)
        if answer.status == 404:
            raise Refused(500, "pull model manifest: file does not exist")
        if answer.status >= 400:
            raise Refused(500, f"pull model manifest: {answer.status}: {answer.body.decode()}")
        return answer

    def _install(self, name: Name, answer: Answer, layers: list[Layer], old: OllamaModel | None) -> None:
        store = self._store
        small = [layer for layer in layers if layer.kind != "model" and layer.digest in answer.blobs]
        parts = {layer.kind: answer.blobs[layer.digest].read() for layer in small if layer.size < 1 << 20}
        weights = next(layer for layer in layers if layer.kind == "model")
        with store.lock:
            if old:
                kept = {layer.digest: store.blobs[layer.digest] for layer in layers}
                store.remove(old)
                store.blobs |= kept
            header = store.blobs[weights.digest].header
            store.install(OllamaModel.from_parts(name, answer.body, parts, header))

    def _take_fault(self, name: Name) -> PullFault:
        with self._store.lock:
            for fault in self.faults:
                if fault.times != 0 and re.fullmatch(fault.name, name.shortest, re.IGNORECASE):
                    fault.times = fault.times - 1 if fault.times is not None else None
                    return fault
        return PullFault("layer", layer=-1)


def _progress(layer: Layer, completed: int) -> Line:
    """Go leaves out `total` and `completed` where they are 0."""
    hexadecimal = layer.digest.removeprefix("sha256:")
    line: dict[str, str | int] = {"status": f"pulling {hexadecimal[:12]}", "digest": layer.digest}
    line |= {key: value for key, value in (("total", layer.size), ("completed", completed)) if value}
    return line
