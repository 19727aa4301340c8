"""What an imported file is called on an Ollama server: as a pull would call it, or as near to that as Ollama allows.

Source: `types/model/name.go` of ollama/ollama, where a name is `host/namespace/model:tag`.
"""

from __future__ import annotations

import hashlib
import re

from moorage import ModelDetail, ModelFile
from moorage_ollama.names import LONGEST_PART, name_problems, pull_tag

HASH = 8
_ODD = re.compile(r"[^A-Za-z0-9_.-]+")
_SHARD = re.compile(r"-\d{5}-of-\d{5}(?=\.gguf$)", re.IGNORECASE)
_MARKER = re.compile(r"(?:.*-)?(?:cloud|local)", re.IGNORECASE)  # tags that say where a model runs


def import_name(model: ModelDetail, file: ModelFile) -> str:
    """Always valid, always the same for the same file, and another one for each file of a repository."""
    owner, slash, repository = model.id.rpartition("/")
    host = "hf.co" if model.source == "huggingface" else _part(model.source)
    namespace = _part((owner if slash else "") or "library", dots=False)
    return f"{host}/{namespace}/{_part(repository)}:{_tag(model, file)}"


def _tag(model: ModelDetail, file: ModelFile) -> str:
    tag = _wish(model, file)
    if _can_be_pulled(model, file):
        return tag  # so that a later pull finds the same model
    others = (other for other in model.files if other.role == "model" and other.name != file.name)
    taken = any(_wish(model, other).lower() == tag.lower() for other in others)
    return _hashed(tag, file.name) if taken or _MARKER.fullmatch(tag) else tag


def _wish(model: ModelDetail, file: ModelFile) -> str:
    """The quantisation where one file has it, else the file's path."""
    if _can_be_pulled(model, file):
        return pull_tag(model.files, file)
    label = (file.quantization or "").upper()
    same = [each for each in model.files if each.role == "model" and (each.quantization or "").upper() == label]
    return _part(label if label and len(same) <= 1 else _SHARD.sub("", file.name))


def _can_be_pulled(model: ModelDetail, file: ModelFile) -> bool:
    return model.source == "huggingface" and not name_problems(model, file)


def _part(text: str, *, dots: bool = True) -> str:
    """`text` as a part of a name: odd characters become dashes, and what is lost that way a short hash."""
    plain = _ODD.sub("-", text).lstrip("-.")
    if not dots:
        plain = plain.replace(".", "-")
    if not plain or len(plain) > LONGEST_PART or not text.isascii():
        return _hashed(plain, text)
    return plain


def _hashed(plain: str, whole: str) -> str:
    """`plain`, shortened where it must be, told apart by a hash of `whole`."""
    digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:HASH]
    kept = plain[: LONGEST_PART - HASH - 1].rstrip("-.")
    return f"{kept}-{digest}" if kept else digest
