"""What the fake Ollama keeps: installed models with their manifests, blobs, and parts of unfinished downloads."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.fakes.ollama_gguf import HEAD, Header, human_count, read_header
from tests.fakes.ollama_names import Name
from tests.fakes.repo import Blob

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.ollama.image."


@dataclass(frozen=True)
class Layer:
    """`digest` with its `sha256:`; `kind` is model, projector, template, system, params, license or config."""

    kind: str
    digest: str
    size: int

    @classmethod
    def of(cls, kind: str, content: bytes) -> Layer:
        return cls(kind, f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))

    def entry(self) -> dict[str, Any]:
        media_type = CONFIG_TYPE if self.kind == "config" else LAYER_TYPE + self.kind
        return {"mediaType": media_type, "digest": self.digest, "size": self.size}


def manifest_bytes(layers: Iterable[Layer], config: Layer) -> bytes:
    value = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config.entry()}
    return json.dumps({**value, "layers": [layer.entry() for layer in layers]}).encode()


def manifest_layers(body: bytes) -> list[Layer]:
    """In the order in which Ollama downloads them: the layers, then the config."""
    value = json.loads(body)
    layers = [Layer(e["mediaType"].removeprefix(LAYER_TYPE), e["digest"], e["size"]) for e in value["layers"]]
    return [*layers, Layer("config", value["config"]["digest"], value["config"]["size"])]


def template_for(capabilities: Iterable[str]) -> str:
    """A template from which Ollama derives these capabilities, as far as it derives them from templates."""
    parts = {"tools": "{{ .Tools }}", "thinking": "{{ .Thinking }}", "insert": "{{ .Suffix }}"}
    return "{{ .System }}" + "".join(parts[name] for name in capabilities if name in parts) + "{{ .Prompt }}"


def derive_capabilities(template: str, header: Header, kinds: Iterable[str]) -> tuple[str, ...]:
    """What Ollama reads from template, GGUF header and kinds of layers."""
    if header.of_architecture("pooling_type") is not None:
        return ("embedding",)
    found = ["completion"]
    found += [name for name, mark in (("tools", ".Tools"), ("insert", ".Suffix")) if mark in template]
    found += ["vision"] if "projector" in kinds else []
    found += ["thinking"] if ".Thinking" in template else []
    return tuple(found)


@dataclass
class OllamaModel:
    """An installed model. Only the name is needed; the manifest is made up where none is given."""

    name: str
    capabilities: tuple[str, ...] = ("completion", "tools")
    size: int = 1_929_912_432
    family: str = "llama"
    parameter_size: str = "3.2B"
    quantization: str = "Q4_K_M"
    context_length: int | None = 131_072
    embedding_length: int | None = 3072
    parameter_count: int = 3_212_749_888
    template: str | None = None
    system: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    license: str = "Permission is hereby granted, free of charge, to any person obtaining a copy. " * 150
    parent_model: str = ""
    requires: str | None = None
    remote_host: str | None = None  # a cloud stub: nothing is here but its name
    load_error: str | None = None  # loading it fails with this text
    modified: datetime = datetime(2026, 7, 30, 23, 44, 53, 992406, tzinfo=UTC)
    manifest: bytes = b""

    def __post_init__(self) -> None:
        parsed = Name.parse(self.name)
        assert parsed is not None, f"Ollama would refuse the name {self.name!r}"
        self.parsed: Name = parsed
        self.name = parsed.shortest
        if self.template is None:
            self.template = template_for(self.capabilities)
        if not self.manifest:
            weights = Layer("model", f"sha256:{hashlib.sha256(self.name.encode()).hexdigest()}", self.size)
            template = Layer.of("template", self.template.encode())
            self.manifest = manifest_bytes([weights, template], Layer.of("config", self.config()))
        self.size = sum(layer.size for layer in self.layers)

    def config(self) -> bytes:
        value = {"model_format": "gguf", "model_family": self.family, "model_families": [self.family]}
        value |= {"model_type": self.parameter_size, "file_type": self.quantization}
        return json.dumps({**value, "os": "linux", "architecture": "amd64"}).encode()

    @property
    def layers(self) -> list[Layer]:
        return manifest_layers(self.manifest)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.manifest).hexdigest()

    @classmethod
    def from_parts(cls, name: Name, manifest: bytes, parts: dict[str, bytes], header: Header) -> OllamaModel:
        """What Ollama makes of a manifest; `parts` are the small layers' contents by kind."""
        config = json.loads(parts.get("config") or b"{}")
        template = parts.get("template", b"").decode()
        kinds = [layer.kind for layer in manifest_layers(manifest)]
        return cls(
            name.shortest,
            derive_capabilities(template, header, kinds),
            family=config.get("model_family") or header.architecture,
            parameter_size=config.get("model_type") or human_count(header.parameters),
            quantization=config.get("file_type") or header.quantization,
            context_length=header.of_architecture("context_length"),
            embedding_length=header.of_architecture("embedding_length"),
            parameter_count=header.parameters,
            template=template,
            system=parts.get("system", b"").decode(),
            parameters=json.loads(parts.get("params") or b"{}"),
            license=parts.get("license", b"").decode(),
            modified=datetime.now(UTC),
            manifest=manifest,
        )


@dataclass(frozen=True)
class StoredBlob:
    """A complete blob; of a large one only its head is kept."""

    size: int
    head: bytes = b""

    @classmethod
    def of(cls, blob: Blob) -> StoredBlob:
        return cls(blob.size, b"".join(blob.chunks(0, min(HEAD, blob.size))))

    @property
    def header(self) -> Header:
        return read_header(self.head)


class ModelStore:
    """The models folder. `lock` guards it where a caller changes more than one thing."""

    def __init__(self, models: Iterable[OllamaModel | str]) -> None:
        self.lock = threading.RLock()
        self.models: dict[str, OllamaModel] = {}
        self.blobs: dict[str, StoredBlob] = {}
        self.partials: dict[str, int] = {}  # bytes kept of unfinished downloads, by digest
        for model in models:
            self.install(OllamaModel(model) if isinstance(model, str) else model)

    def find(self, name: str) -> OllamaModel | None:
        parsed = Name.parse(name)
        return self.models.get(parsed.key) if parsed else None

    def canonical(self, name: Name) -> Name:
        """As the name is spelled where it is installed already."""
        installed = self.models.get(name.key)
        return installed.parsed if installed else name

    def install(self, model: OllamaModel) -> None:
        with self.lock:
            for layer in model.layers:
                self.blobs.setdefault(layer.digest, StoredBlob(layer.size))
            self.models[model.parsed.key] = model

    def remove(self, model: OllamaModel) -> None:
        """Forget the model, and those of its blobs that no other model uses."""
        with self.lock:
            del self.models[model.parsed.key]
            for digest in {layer.digest for layer in model.layers} - self._used():
                self.blobs.pop(digest, None)

    def prune(self) -> None:
        """What a start of the server throws away."""
        with self.lock:
            self.partials.clear()
            used = self._used()
            self.blobs = {digest: blob for digest, blob in self.blobs.items() if digest in used}

    def newest_first(self) -> list[OllamaModel]:
        with self.lock:
            return sorted(self.models.values(), key=lambda model: model.modified, reverse=True)

    def _used(self) -> set[str]:
        return {layer.digest for model in self.models.values() for layer in model.layers}
