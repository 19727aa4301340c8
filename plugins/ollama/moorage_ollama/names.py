"""What a file of the Hub is called on an Ollama server, and why some files cannot be called anything.

Source: `types/model/name.go` of ollama/ollama for the rules; the Hub's page on Ollama for the tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from moorage import ModelDetail, ModelFile, Problem

LONGEST_PART = 80
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_REPACKED = re.compile(r"Q4_0_(?:4_4|4_8|8_8)", re.IGNORECASE)  # the Hub reads these labels as Q4_0
_ELSEWHERE = "Leave the road open, or choose import: Moorage then hands the file to the server itself."


def pull_name(model: ModelDetail, file: ModelFile) -> str:
    """`hf.co/<repository>:<tag>`; the tag is the quantisation where that names this file alone, else the file name."""
    return f"hf.co/{model.id}:{pull_tag(model.files, file)}"


def pull_tag(files: Iterable[ModelFile], file: ModelFile) -> str:
    """The tag by which the Hub gives this file to Ollama, where it does."""
    label = (file.quantization or "").upper()
    # The Hub must read the same label from the same name: an alias (fp16), a label that only the folder has, or one
    # that stands in another file's name too could mean another file there.
    if not label or label not in file.name.rpartition("/")[2].upper() or _REPACKED.fullmatch(label):
        return file.name
    others = [other.name.upper() for other in files if other.role == "model" and other.name != file.name]
    return file.name if any(label in name for name in others) else label


def same_name(one: str, other: str) -> bool:
    """Whether two names mean one model for Ollama: case, the default host, namespace and tag do not count."""
    return _canonical(one) == _canonical(other)


def _canonical(name: str) -> str:
    name = name.lower().removeprefix("registry.ollama.ai/").removeprefix("library/")
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def name_problems(model: ModelDetail, file: ModelFile) -> tuple[Problem, ...]:
    """What keeps Ollama from pulling this file by itself; empty when nothing does."""
    if file.role != "model":
        return (_problem("not-a-model", f"{file.name} is not a model file.", "Choose one of the model files."),)
    if file.shards:
        text = f"{file.name} comes in {len(file.shards)} parts, which Ollama cannot pull from the Hub."
        return (_problem("sharded", text),)
    namespace, slash, repository = model.id.partition("/")
    if not slash or "/" in repository:
        return (_problem("name", f"Ollama cannot pull {model.id}: its name is not of the form owner/name."),)
    if "." in namespace:
        return (_problem("name", f"Ollama cannot pull from {namespace}: owners with a dot in their name do not work."),)
    if "/" in file.name:
        return (_problem("folder", f"Ollama cannot pull {file.name}: files in folders do not work."),)
    tag = pull_tag(model.files, file)
    for what, part in (("owner", namespace), ("name", repository), ("file name", tag)):
        if len(part) > LONGEST_PART:
            text = f"The {what} {part} has {len(part)} characters, and Ollama takes {LONGEST_PART} at most."
            return (_problem("name-too-long", text),)
        if not _PART.fullmatch(part):
            text = f"The {what} {part} has characters that Ollama does not take."
            return (_problem("name", text),)
    return ()


def _problem(code: str, message: str, hint: str = _ELSEWHERE) -> Problem:
    return Problem(code=code, message=message, hint=hint)
