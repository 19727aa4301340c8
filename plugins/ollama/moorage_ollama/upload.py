"""One file on its way to an Ollama server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from moorage import RemoteError
from moorage_ollama.client import OllamaClient

PIECE = 256 * 1024
LEAVE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Blob:
    """A file as the server is to know it: `digest` is `sha256:<hex>`, `name` its own without folders."""

    name: str
    path: Path
    size: int
    digest: str


class _Left(Exception):
    """Nobody waits for this upload any more."""


class Upload:
    """Sends a blob on a thread of its own: an HTTP request tells nothing while its body is read.

    Leaving the `with` block ends it. `sent` is in bytes.
    """

    def __init__(self, client: OllamaClient, blob: Blob, model: str, silence: float) -> None:
        self.sent = 0
        self._client = client
        self._blob = blob
        self._model = model
        self._silence = silence
        self._error: Exception | None = None
        self._left = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"upload:{blob.name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # A server that takes nothing at all keeps the thread in its write, until the host cuts the call's connections.
        self._left.set()
        self._thread.join(LEAVE_SECONDS)

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, after so many seconds at most. Raises what it ended with."""
        ended = self._ended.wait(seconds)
        if ended and self._error is not None:
            raise self._error
        return ended

    def _run(self) -> None:
        blob = self._blob
        try:
            self._client.send_blob(blob.digest, self._pieces(), blob.size, name=self._model, silence=self._silence)
        except OSError as error:
            self._error = unreadable(blob.name, error)
        except Exception as error:  # noqa: BLE001 - raised anew where it is waited for
            self._error = error
        finally:
            self._ended.set()

    def _pieces(self) -> Iterator[bytes]:
        with self._blob.path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
                self.sent += len(piece)
                if self._left.is_set():
                    raise _Left


def unreadable(name: str, error: OSError) -> RemoteError:
    return RemoteError(
        f"The downloaded file {name} cannot be read: {error.strerror or error}.",
        hint="Check the disk of the data directory, and retry: what is missing is downloaded again.",
    )
