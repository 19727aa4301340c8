"""Where the fake Ollama pulls from: anything with a `manifest` method, such as `FakeHub`, or a registry in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Protocol

from tests.fakes.hub_registry import ManifestAnswer
from tests.fakes.ollama_gguf import make_gguf
from tests.fakes.ollama_models import Layer, OllamaModel, manifest_bytes
from tests.fakes.ollama_names import Name
from tests.fakes.repo import Blob


class Answer(Protocol):
    """What a registry says: HTTP status, manifest or error body, and the blobs whose content is known, by digest."""

    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...
    @property
    def blobs(self) -> Mapping[str, Blob]: ...


class Registry(Protocol):
    def manifest(self, user: str, repo: str, tag: str, /) -> Answer: ...


class MemoryRegistry:
    """Offers what `publish` put in. Weights are nothing but a size, so that a model of many gigabytes costs nothing."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str, str], ManifestAnswer] = {}

    def publish(self, model: OllamaModel, *, more: dict[str, int] | None = None) -> OllamaModel:
        """Offer the model under its name. `more` adds layers, sizes by kind (`{"projector": 800_000_000}`)."""
        weights = next(layer for layer in model.layers if layer.kind == "model")
        extra = [
            Layer(kind, Layer.of(kind, f"{kind} {model.name}".encode()).digest, n) for kind, n in (more or {}).items()
        ]
        small = {"template": (model.template or "").encode(), "system": model.system.encode()}
        small |= {"params": json.dumps(model.parameters).encode() if model.parameters else b""}
        small |= {"license": model.license.encode()}
        small = {kind: content for kind, content in small.items() if content}
        layers = [weights, *extra, *(Layer.of(kind, content) for kind, content in small.items())]
        config = model.config()
        body = manifest_bytes(layers, Layer.of("config", config))
        blobs = [Blob(content) for content in (*small.values(), config)]
        contents = {f"sha256:{blob.sha256}": blob for blob in blobs} | {weights.digest: _weights_head(model)}
        answer = ManifestAnswer(200, body, blobs=contents)
        self._answers[_key(model.parsed)] = answer
        return model

    def refuse(self, name: str, status: int, text: str) -> None:
        """Answer so when this name is asked for: 400 for a sharded file, 401 for a gated one, 429."""
        parsed = Name.parse(name)
        assert parsed is not None
        self._answers[_key(parsed)] = ManifestAnswer(status, json.dumps({"error": text}).encode())

    def manifest(self, user: str, repo: str, tag: str) -> ManifestAnswer:
        unknown = ManifestAnswer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')
        return self._answers.get((user.lower(), repo.lower(), tag.lower()), unknown)


def _key(name: Name) -> tuple[str, str, str]:
    return name.namespace.lower(), name.model.lower(), name.tag.lower()


def _weights_head(model: OllamaModel) -> Blob:
    """The start of the weights, from which Ollama reads what the manifest does not say."""
    pooling: dict[str, str | int] = {f"{model.family}.pooling_type": 1} if "embedding" in model.capabilities else {}
    return Blob(
        make_gguf(
            model.family,
            context_length=model.context_length or 4096,
            embedding_length=model.embedding_length or 4096,
            parameters=model.parameter_count,
            extra=pooling,
        )
    )
