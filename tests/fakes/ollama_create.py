"""Blobs and `/api/create`: making a model of uploaded GGUF files or of another model."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

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
from tests.fakes.ollama_stream import EndOfLines, Lines, Refused
from tests.fakes.server import Exchange, Seen

SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
DRAINED = 256 * 1024  # bytes that Go still reads of a body which nobody wants
TEXTS = ("template", "system", "license")
BODY_KEYS = {**{kind: kind for kind in TEXTS}, "params": "parameters"}  # by kind of layer


@dataclass
class UploadFault:
    """What goes wrong with which uploads, once `after` bytes of one were taken."""

    after: int = 0
    cut: bool = False  # the connection breaks
    error: str | None = None  # answer with this and read no further
    status: int = 500
    silence: float = 0.0  # seconds in which nothing is taken
    corrupts: bool = False  # what is stored is not what was sent
    digest: str = ".*"
    skip: int = 0  # let so many matching uploads pass first
    times: int | None = 1


def no_room(after: int = 0, times: int | None = None) -> UploadFault:
    text = "write /usr/share/ollama/.ollama/models/blobs/sha256-4f12: no space left on device"
    return UploadFault(after, error=text, times=times)


class Blobs:
    """`/api/blobs/{digest}`. Of what is uploaded only hash, size and head are kept, and nothing of a part of it."""

    def __init__(self, store: ModelStore) -> None:
        self.upload_speed: float | None = None  # bytes per second that are taken from a client
        self.faults: list[UploadFault] = []
        self.taken = 0  # bytes, over all uploads
        self._store = store
        self._uploads: dict[int, tuple[str, StoredBlob] | Refused] = {}
        self._unread: set[int] = set()  # uploads whose body was not read to its end

    def receive(self, seen: Seen, chunks: Iterator[bytes]) -> bytes:
        wanted = seen.path.removeprefix("/api/blobs/")
        fault = self._take_fault(wanted)
        digest, head, size = hashlib.sha256(), bytearray(), 0
        try:
            for chunk in chunks:
                if fault and size + len(chunk) > fault.after:
                    time.sleep(fault.silence)
                    if fault.cut:
                        raise EOFError
                    if fault.error:
                        self._uploads[id(seen)] = Refused(fault.status, fault.error)
                        self._unread.add(id(seen))
                        return bytes(head[:64])
                    digest.update(b"!" if fault.corrupts else b"")
                    fault = None
                digest.update(chunk)
                size += len(chunk)
                self.taken += len(chunk)
                head += chunk[: HEAD - len(head)]
                if self.upload_speed:
                    time.sleep(len(chunk) / self.upload_speed)
                if wanted in self._store.blobs and size >= DRAINED:
                    self._unread.add(id(seen))
                    break
        except ConnectionError:
            raise EOFError from None
        self._uploads[id(seen)] = f"sha256:{digest.hexdigest()}", StoredBlob(size, bytes(head))
        return bytes(head[:64])

    def check(self, exchange: Exchange) -> None:
        self._refuse_bad_digest(exchange.match["digest"])
        exchange.headers(200 if exchange.match["digest"] in self._store.blobs else 404, {"Content-Length": "0"})

    def create(self, exchange: Exchange) -> None:
        unread = id(exchange.seen) in self._unread
        self._unread.discard(id(exchange.seen))
        closing = {"Connection": "close"} if unread else {}
        try:
            self._answer(exchange, closing)
        except Refused as refusal:
            exchange.json(refusal.status, {"error": refusal.text}, closing)
        if unread:  # as Go does: a little after its answer, so that this arrives before the reset
            time.sleep(0.05)
            exchange.hang_up()

    def _answer(self, exchange: Exchange, closing: dict[str, str]) -> None:
        upload = self._uploads.pop(id(exchange.seen))
        wanted = exchange.match["digest"]
        self._refuse_bad_digest(wanted)
        if wanted in self._store.blobs:
            exchange.headers(200, {"Content-Length": "0", **closing})
            return
        if isinstance(upload, Refused):
            raise upload
        got, blob = upload
        if got != wanted:
            raise Refused(400, f'digest mismatch, expected "{wanted}", got "{got}"')
        self._store.blobs[wanted] = blob
        exchange.headers(201, {"Content-Length": "0"})

    def _take_fault(self, digest: str) -> UploadFault | None:
        with self._store.lock:
            for fault in self.faults:
                if fault.times == 0 or not re.fullmatch(fault.digest, digest):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times = None if fault.times is None else fault.times - 1
                return fault
        return None

    def _refuse_bad_digest(self, digest: str) -> None:
        if not re.fullmatch(r"sha256[:-][0-9a-f]{64}", digest):
            raise Refused(400, "invalid digest format")


@dataclass
class CreateFault:
    """What goes wrong with which creations: after `parsing GGUF`, before the manifest is written, or after it."""

    at: Literal["parse", "write", "end"] = "parse"
    error: str | None = None  # end with this error line
    ends: bool = False  # end without `success` and without an error
    cut: bool = False  # the connection breaks
    silence: float = 0.0  # seconds
    loses_blobs: bool = False  # what nobody uses yet is thrown away, as at a start of the server
    unlisted: bool = False  # say `success`, install nothing
    times: int | None = 1


class Creations:
    """`POST /api/create`."""

    def __init__(self, store: ModelStore, *, merges_shards: bool) -> None:
        self.merges_shards = merges_shards  # since 0.30
        self.seconds = 0.0  # spent after `parsing GGUF`
        self.faults: list[CreateFault] = []
        self._store = store

    def lines(self, exchange: Exchange, name: Name, body: dict[str, Any]) -> Lines:
        with self._store.lock:
            fault = next((each for each in self.faults if each.times != 0), None)
            if fault and fault.times is not None:
                fault.times -= 1
        moments = {"parsing GGUF": "parse", "writing manifest": "write", "success": "end"}
        before = dict(self._store.models)
        for line in self._lines(exchange, name, body):
            at = moments.get(str(line.get("status"))) if isinstance(line, dict) else None
            if fault is None or at != fault.at:
                yield line
                continue
            if at == "end" and fault.unlisted:
                self._store.models = before
            if at != "end" or fault.unlisted:
                yield line
            exchange.sleep(fault.silence)
            if fault.loses_blobs:
                self._store.prune()
            if fault.error is not None:
                raise Refused(500, fault.error)
            if fault.ends or fault.cut:
                raise EndOfLines(cut=fault.cut)

    def _lines(self, exchange: Exchange, name: Name, body: dict[str, Any]) -> Lines:
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
        if not all(is_valid_path(path) for path in files):
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
            raise Refused(400, f"invalid split GGUF: missing {missing[0]}")
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


def is_valid_path(path: str) -> bool:
    """As Go's `fs.ValidPath` has it; no colon and no backslash either, which newer servers refuse."""
    parts = path.split("/")
    return not re.search(r"[:\\]", path) and all(part not in ("", ".", "..") for part in parts)
