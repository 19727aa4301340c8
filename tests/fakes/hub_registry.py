"""The registry that the Hub keeps for Ollama: which file a tag names, the manifest, and the refusals."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.repo import Blob, Commit, RepoFile

QUANT = re.compile(
    r"(UD-)?(I?Q\d_(?:0|1|K|NL|XXS|XS|S|M)(?:_(?:4_4|4_8|8_8|XXS|XS|XL|S|M|L))?|TQ[12]_0|BF16|F16|F32|MXFP4(?:_MOE)?)",
    re.IGNORECASE,
)
SHARD = re.compile(r".*-\d{5}-of-\d{5}\.gguf")
NOT_A_MODEL = re.compile(r"mmproj|imatrix|(?:^|/)(?:mtp|eagle3|dflash|dspark)-", re.IGNORECASE)
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"

NOT_GGUF = "Repository is not GGUF or is not compatible with llama.cpp"
BAD_TAG = 'The specified tag is not a valid quantization scheme. Please use another tag or "latest"'
NO_SUCH_TAG = 'The specified tag is not available in the repository. Please use another tag or "latest"'
SHARDED_TAG = (
    "The specified tag is a sharded GGUF. Ollama does not support this yet. "
    "Follow this issue for more info: https://github.com/ollama/ollama/issues/5245"
)
ONLY_SHARDED = (
    "This repository only contains sharded GGUF files. Ollama does not support this yet. "
    "Follow this issue for more info: https://github.com/ollama/ollama/issues/5245"
)


@dataclass(frozen=True)
class ManifestAnswer:
    """What the registry says: `body` byte for byte (its sha256 is the digest that Ollama shows), and its blobs."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, Blob] = field(default_factory=dict)  # by "sha256:<hex>"

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Refused(Exception):
    """The registry answers 400 with this text."""


def quant_of(path: str) -> str | None:
    """The label in a file name or, failing that, in its folder: the last whole token counts."""
    for part in reversed(path.removesuffix(".gguf").split("/")):
        tokens = [m for m in QUANT.finditer(part) if _is_whole(part, m)]
        if tokens:
            return tokens[-1][0].upper()
    return None


def _is_whole(text: str, found: re.Match[str]) -> bool:
    before, after = text[: found.start()], text[found.end() :]
    return (not before or not before[-1].isalnum()) and (not after or not after[0].isalnum())


def choose_file(commit: Commit, tag: str) -> RepoFile:
    """The file that a tag (`latest`, a quantisation in any case, or a file name) means."""
    models = [f for f in commit.files.values() if f.path.lower().endswith(".gguf") and not NOT_A_MODEL.search(f.path)]
    if not models:
        raise Refused(NOT_GGUF)
    whole = [file for file in models if not SHARD.fullmatch(file.path)]
    if not whole:
        raise Refused(ONLY_SHARDED)
    if tag.lower() == "latest":
        return next((file for file in whole if quant_of(file.path) == "Q4_K_M"), whole[0])
    named = [f for f in models if f.path == tag or f.path.rsplit("/", 1)[-1] == tag or quant_of(f.path) == tag.upper()]
    if not named:
        raise Refused(NO_SUCH_TAG if QUANT.fullmatch(tag) else BAD_TAG)
    file = next((file for file in named if file in whole), None)
    if file is None:
        raise Refused(SHARDED_TAG)
    return file


def manifest(commit: Commit, tag: str, gguf: dict[str, Any] | None, for_llama_cpp: bool) -> ManifestAnswer:
    """The Docker manifest of the chosen file with its projector, template, system prompt and parameters."""
    try:
        file = choose_file(commit, tag)
    except Refused as refusal:
        return ManifestAnswer(400, json.dumps({"error": str(refusal)}).encode(), {"Content-Type": "application/json"})
    projector = next((f for f in commit.files.values() if "mmproj" in f.path and f.path.endswith(".gguf")), None)
    parts = [("model", file.blob)] + ([("projector", projector.blob)] if projector else [])
    for kind in ("template", "system", "params"):
        if kind in commit.files:
            parts.append((kind, commit.files[kind].blob))
        elif kind == "template":
            parts.append((kind, Blob(b"{{ .Prompt }}")))
    family = (gguf or {}).get("architecture", "llama")
    config = Blob(
        json.dumps(
            {
                "model_format": "gguf",
                "model_family": family,
                "model_families": [family],
                "file_type": quant_of(file.path) or "unknown",
                "architecture": "amd64",
                "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{blob.sha256}" for _, blob in parts]},
            }
        ).encode()
    )
    body: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _layer("application/vnd.docker.container.image.v1+json", config),
        "layers": [_layer(f"application/vnd.ollama.image.{kind}", blob) for kind, blob in parts],
    }
    if for_llama_cpp:
        body["ggufFile"] = file.sibling(blobs=True)
        if projector:
            body["mmprojFile"] = projector.sibling(blobs=True)
    blobs = {f"sha256:{blob.sha256}": blob for _, blob in [*parts, ("config", config)]}
    return ManifestAnswer(200, json.dumps(body).encode(), {"Content-Type": MANIFEST_TYPE}, blobs)


def _layer(media_type: str, blob: Blob) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{blob.sha256}", "size": blob.size}
