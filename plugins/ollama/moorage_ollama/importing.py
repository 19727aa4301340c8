"""The road of importing: hand the downloaded files over to the server, and have it make a model of them.

The server knows a file by its sha256, so what it has is never sent twice. An upload that breaks off is lost there and
begins anew; between two tries the server may have thrown away what it was given, so each one asks again.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from moorage import FilePart, InstallPlan, InstallProgress, Unreachable
from moorage_ollama.client import OllamaClient
from moorage_ollama.failures import error_of, import_error
from moorage_ollama.pacing import HASHING, TICK, Pacing, ticks
from moorage_ollama.rules import Damaged, Interrupted
from moorage_ollama.upload import Blob, Upload, unreadable

PIECE = 1024 * 1024
_STEPS = (  # what the server says while it makes the model, by how it begins
    ("parsing", "The server reads the file."),
    ("reading", "The server reads the file."),
    ("using autodetected template", "The server knows the chat template."),
    ("using", "The server takes over what it has as it is."),
    ("creating", "The server writes the parts of the model."),
    ("converting", "The server converts the file."),
    ("merging", "The server joins the parts."),
    ("quantizing", "The server quantises the model."),
    ("verifying", "The server checks what it has made."),
    ("writing manifest", "The server adds the model to its list."),
    ("writing", "The server writes the parts of the model."),
    ("success", "The server has the model."),
)


def import_model(
    client: OllamaClient, plan: InstallPlan, paths: Sequence[Path], pacing: Pacing
) -> Iterator[InstallProgress]:
    """Returns when the server has said that it made `plan.name` of the files at `paths`."""
    blobs = []
    for part, path in zip(plan.files, paths, strict=True):
        blobs.append((yield from _blob(plan, part, path)))
    restarts = best = 0
    damaged = False
    while True:
        handed = 0
        try:
            for blob in blobs:
                yield from _hand_over(client, plan, blobs, blob, pacing)
                handed += 1
            yield from _create(client, plan, blobs, pacing)
            return
        except Unreachable as error:  # the server may be starting again
            if handed > best:
                best, restarts = handed, 0
            if restarts == len(pacing.waits):
                raise
            yield from _wait(pacing.waits[restarts], plan, f"{error} It is tried again.")
            restarts += 1
        except Damaged as error:
            if damaged:
                raise
            damaged = True
            yield from _wait(pacing.waits[0], plan, f"{error} It is sent once more.")


def _blob(plan: InstallPlan, part: FilePart, path: Path) -> Generator[InstallProgress, None, Blob]:
    # Ollama finds the parts of a model by their names, and takes no folders, colons or backslashes in them.
    name = re.sub(r"[\\:]", "-", part.name.rpartition("/")[2])
    try:
        digest = part.sha256 or (yield from _hashed(plan, name, path))
        return Blob(name, path, path.stat().st_size, f"sha256:{digest}")
    except OSError as error:
        raise unreadable(name, error) from error


def _hashed(plan: InstallPlan, name: str, path: Path) -> Generator[InstallProgress, None, str]:
    """The hash of a file whose source has none."""
    size, done, told = path.stat().st_size, 0, time.monotonic()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            done += len(piece)
            if time.monotonic() - told >= TICK:
                told = time.monotonic()
                message = f"The hash of {name} is being computed ({100 * done // size} %)."
                yield _shown(plan, message).model_copy(update={"phase": "verifying"})
    return digest.hexdigest()


def _hand_over(
    client: OllamaClient, plan: InstallPlan, blobs: Sequence[Blob], blob: Blob, pacing: Pacing
) -> Iterator[InstallProgress]:
    if client.has_blob(blob.digest):
        return
    before = sum(each.size for each in blobs[: blobs.index(blob)])
    total = sum(each.size for each in blobs)
    yield _shown(plan, _handed(before, total))
    with Upload(client, blob, plan.name, pacing.silence) as upload:
        while not upload.wait(TICK):
            yield _shown(plan, _handed(before + upload.sent, total))


def _create(
    client: OllamaClient, plan: InstallPlan, blobs: Sequence[Blob], pacing: Pacing
) -> Iterator[InstallProgress]:
    files = {blob.name: blob.digest for blob in blobs}
    patience = pacing.silence + 2 * plan.bytes / HASHING  # parts that are joined are read and written
    yield _shown(plan, "The server makes the model.")
    with client.create(plan.name, files, idle_timeout=patience) as lines:
        for line in lines:
            text = error_of(line)
            if text is not None:
                raise import_error(text, plan.name)
            yield _shown(plan, step_of(line))
            if line.get("status") == "success":
                return
    raise Interrupted(
        "The Ollama server ended the import without saying that it succeeded.",
        hint="Retry; what was downloaded is kept here. If it stays like this, see the log of the Ollama server.",
    )


def _wait(seconds: float, plan: InstallPlan, message: str) -> Iterator[InstallProgress]:
    for _ in ticks(seconds):
        yield _shown(plan, message)


def _shown(plan: InstallPlan, message: str | None) -> InstallProgress:
    """All is downloaded, so the bar is full; how far the rest is, the message says."""
    return InstallProgress(phase="importing", completed=plan.bytes, total=plan.bytes, message=message)


def _handed(done: int, total: int) -> str:
    unit, word = (10**9, "GB") if total >= 10**9 else (10**6, "MB")
    share = 100 * done // max(total, 1)
    return f"{done / unit:.1f} of {total / unit:.1f} {word} handed over to the server ({share} %)."


def step_of(line: dict[str, Any]) -> str | None:
    """What the server is doing, in our words; None for what is not known."""
    status = str(line.get("status") or "")
    return next((words for start, words in _STEPS if status.startswith(start)), None)
