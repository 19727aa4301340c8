"""Blobs and `/api/create`: making a model of uploaded GGUF files or of another model."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from tests.fakes.ollama_gguf import HEAD, MAGIC, Header, human_count
from tests.fakes.ollama_models import (
    Layer,
    ModelStore,
    OllamaModel,
    StoredBlob,
    derive_capabilities,
    manifest_bytes,
    manifest_layers,
    template_for,
)
from tests.fakes.ollama_names import Name
from tests.fakes.ollama_stream import Lines, Refused
from tests.fakes.server import Exchange, Seen

SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
TEXTS = ("template", "system", "license")
BODY_KEYS = {**{kind: kind for kind in TEXTS}, "params": "parameters"}  # by kind of layer


class Blobs:
    """`/api/blobs/{digest}`. Of what is uploaded only hash, size and head are kept."""

    def __init__(self, store: ModelStore) -> None:
        self.upload_speed: float | None = None  # bytes per second that are taken from a client
        self._store = store
        self._uploads: dict[int, tuple[str, StoredBlob]] = {}

    def receive(self, seen: Seen, chunks: Iterator[bytes]) -> bytes:
        digest, head, size = hashlib.sha256(), bytearray(), 0
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            head += chunk[: HEAD - len(head)]
            if self.upload_speed:
                time.sleep(len(chunk) / self.upload_speed)
        self._uploads[id(seen)] = f"sha256:{digest.hexdigest()}", StoredBlob(size, bytes(head))
        return bytes(head[:64])

    def check(self, exchange: Exchange) -> None:
        self._refuse_bad_digest(exchange.match["digest"])
        exchange.headers(200 if exchange.match["digest"] in self._store.blobs else 404, {"Content-Length": "0"})

    def create(self, exchange: Exchange) -> None:
        got, blob = self._uploads.pop(id(exchange.seen))
        wanted = exchange.match["digest"]
        self._refuse_bad_digest(wanted)
        if wanted in self._store.blobs:
            exchange.headers(200, {"Content-Length": "0"})
        elif got != wanted:
            raise Refused(400, f'digest mismatch, expected "{wanted}", got "{got}"')
        else:
            self._store.blobs[wanted] = blob
            exchange.headers(201, {"Content-Length": "0"})

    def _refuse_bad_digest(self, digest: str) -> None:
        if not re.fullmatch(r"sha256[:-][0-9a-f]{64}", digest):
            raise Refused(400, "invalid digest format")


class Creations:
    """`POST /api/create`."""

    def __init__(self, store: ModelStore, *, merges_shards: bool) -> None:
        self.merges_shards = merges_shards  # since 0.30
        self.seconds = 0.0  # spent after `parsing GGUF`
        self._store = store

    def lines(self, exchange: Exchange, name: Name, body: dict[str, Any]) -> Lines:
        if body.get("from"):
            yield from self._from_model(name, body)
        elif body.get("files") is None:
            raise Refused(400, "neither 'from' or 'files' was specified")
        else:
            yield from self._from_files(exchange, name, body)

    def _from_model(self, name: Name, body: dict[str, Any]) -> Lines:
        base = self._store.find(body["from"])
        if base is None:
            raise Refused(500, "pull model manifest: file does not exist")
        kept = [
            layer for layer in base.layers if layer.kind != "config" and not body.get(BODY_KEYS.get(layer.kind, ""))
        ]
        for layer in kept:
            yield {"status": f"using existing layer {layer.digest}"}
        header = next(self._store.blobs[layer.digest].header for layer in kept if layer.kind == "model")
        yield from self._write(name, kept, body, header, base)

    def _from_files(self, exchange: Exchange, name: Name, body: dict[str, Any]) -> Lines:
        files: dict[str, str] = body["files"]
        if any(PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or not path for path in files):
            raise Refused(400, "file path must be relative")
        if not files:
            raise Refused(400, "no files provided to convert")
        heads = {path: self._store.blobs.get(digest, StoredBlob(0)).head for path, digest in files.items()}
        if not any(path.endswith(".gguf") or head.startswith(MAGIC) for path, head in heads.items()):
            raise Refused(400, "unknown type")
        yield {"status": "parsing GGUF"}
        exchange.sleep(self.seconds)
        for path, digest in files.items():
            if digest not in self._store.blobs:
                raise Refused(500, f"open /models/blobs/{digest.replace(':', '-')}: no such file or directory")
            if not heads[path].startswith(MAGIC):
                raise Refused(400, "supplied file was not in GGUF format")
        weights, error = self._weights(files)
        blob = self._store.blobs[weights.digest]
        word = "using existing" if weights.digest in files.values() else "creating new"
        yield {"status": f"{word} layer {weights.digest}"}
        template = blob.header.values.get("tokenizer.chat_template")
        if isinstance(template, str) and "template" not in body:
            body = {**body, "template": template_for(("tools",) if "tools" in template else ())}
            yield {"status": "using autodetected template chatml"}
        yield from self._write(name, [weights], body, blob.header, None, error)

    def _weights(self, files: dict[str, str]) -> tuple[Layer, str | None]:
        """The model's layer, and what loading it will say where it is only a part of a model."""
        shards = [(path, found) for path in sorted(files) if (found := SHARD.fullmatch(path))]
        first = files[shards[0][0]] if shards else next(iter(files.values()))
        whole = Layer("model", first, self._store.blobs[first].size)
        count = int(shards[0][1]["count"]) if shards else 1
        if count == 1:
            return whole, None
        if not self.merges_shards:
            return whole, f"unable to load model: /models/blobs/{first.replace(':', '-')}"
        expected = {f"{shards[0][1]['stem']}-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1)}
        if missing := sorted(expected - set(files)):
            raise Refused(400, f"missing split GGUF file {missing[0]}")
        digests = [files[path] for path in sorted(expected)]
        size = sum(self._store.blobs[digest].size for digest in digests)
        merged = Layer("model", f"sha256:{hashlib.sha256(''.join(digests).encode()).hexdigest()}", size)
        self._store.blobs[merged.digest] = StoredBlob(size, self._store.blobs[first].head)
        return merged, None

    def _write(
        self, name: Name, layers: list[Layer], body: dict[str, Any], header: Header, base: OllamaModel | None,
        load_error: str | None = None,
    ) -> Lines:  # fmt: skip
        """Add the layers that the request itself brings, then write the manifest."""
        quantization = base.quantization if base else header.quantization
        if wanted := body.get("quantize"):
            if quantization not in ("F16", "F32", "BF16"):
                raise Refused(400, "quantization is only supported for F16 and F32 models")
            line = {"status": f"quantizing {quantization} model to {wanted.upper()}", "digest": "0" * 19}
            yield {**line, "total": layers[0].size, "completed": layers[0].size}
            quantization = wanted.upper()
        texts = {kind: str(body[kind]) for kind in TEXTS if body.get(kind)}
        texts |= {"params": json.dumps(body["parameters"])} if body.get("parameters") else {}
        for kind, text in texts.items():
            layers = [*layers, Layer.of(kind, text.encode())]
            yield {"status": f"creating new layer {layers[-1].digest}"}
        model = OllamaModel(
            self._store.canonical(name).shortest,
            base.capabilities if base else (),
            family=base.family if base else header.architecture,
            parameter_size=base.parameter_size if base else human_count(header.parameters),
            quantization=quantization,
            context_length=base.context_length if base else header.of_architecture("context_length"),
            embedding_length=base.embedding_length if base else header.of_architecture("embedding_length"),
            parameter_count=base.parameter_count if base else header.parameters,
            template=texts.get("template", (base.template if base else None) or "{{ .Prompt }}"),
            system=texts.get("system", base.system if base else ""),
            parameters=body.get("parameters") or (base.parameters if base else {}),
            license=texts.get("license", base.license if base else ""),
            parent_model=base.name if base else "",
            load_error=load_error or (base.load_error if base else None),
            modified=datetime.now(UTC),
        )
        model.manifest = manifest_bytes(layers, Layer.of("config", model.config()))
        model.size = sum(layer.size for layer in model.layers)
        if base is None:
            kinds = [layer.kind for layer in manifest_layers(model.manifest)]
            model.capabilities = derive_capabilities(model.template or "", header, kinds)
        yield {"status": "writing manifest"}
        self._store.install(model)
        yield {"status": "success"}
