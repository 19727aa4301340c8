"""One model at a time in a child process: loaded on first use, unloaded when idle, replaced by the next."""

from __future__ import annotations

import json
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import SecretStr

from moorage import Cancelled, Unreachable, Unsupported

LOAD_SECONDS = 300.0
SWAP_SECONDS = 600.0
STEP_SECONDS = 0.2
LOG_LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to load: two requests for the same share one child."""

    name: str
    path: Path
    context_length: int
    threads: int | None


@dataclass(slots=True)
class Child:
    process: subprocess.Popen[bytes]
    wanted: Wanted
    url: str
    key: SecretStr
    used_at: float
    users: int = 0

    @property
    def alive(self) -> bool:
        return self.process.poll() is None


class Engine:
    """Thread-safe. `close` ends the child; so does the end of this process, however it comes."""

    def __init__(self, data_dir: Path, log: logging.Logger) -> None:
        self._log_path = data_dir / "engine.log"
        self._log = log
        self._changed = threading.Condition()
        self._child: Child | None = None
        self._starting: subprocess.Popen[bytes] | None = None
        self._swapping = False
        self._closed = False
        self._idle_seconds = 600.0
        self._reaper: threading.Thread | None = None

    @property
    def loaded(self) -> str | None:
        """The name of the model in memory."""
        child = self._child
        return child.wanted.name if child is not None and child.alive else None

    @contextmanager
    def serving(self, wanted: Wanted, *, idle_seconds: float, cancelled: Callable[[], bool]) -> Iterator[Child]:
        """A child that has `wanted` loaded, kept for as long as the block runs.

        Waits for the answers of another model to end first. Unsupported when it cannot be loaded, Unreachable when the
        engine stays busy or stops, Cancelled.
        """
        child = self._acquire(wanted, idle_seconds, cancelled)
        try:
            yield child
        finally:
            with self._changed:
                child.users -= 1
                child.used_at = time.monotonic()
                self._changed.notify_all()

    def unload(self, name: str) -> None:
        """Free the memory of this model, if it is the one that is loaded."""
        with self._changed:
            if self._child is not None and self._child.wanted.name == name:
                self._end(self._child)
                self._child = None

    def close(self) -> None:
        with self._changed:
            self._closed = True
            child, self._child = self._child, None
            starting = self._starting
            self._changed.notify_all()
        if child is not None:
            self._end(child)
        if starting is not None:
            _kill(starting)
        if self._reaper is not None:
            self._reaper.join(2.0)

    def crashed(self, child: Child) -> bool:
        """Whether this child has ended by itself; it is forgotten then."""
        with suppress(subprocess.TimeoutExpired):
            child.process.wait(0.5)
        with self._changed:
            if child.alive:
                return False
            if self._child is child:
                self._child = None
            return True

    # -- inside -------------------------------------------------------------------------------------------------

    def _acquire(self, wanted: Wanted, idle_seconds: float, cancelled: Callable[[], bool]) -> Child:
        until = time.monotonic() + SWAP_SECONDS
        with self._changed:
            self._idle_seconds = idle_seconds
            while True:
                if self._closed or cancelled():
                    raise Cancelled("It was stopped.")
                child = self._child
                if child is not None and not child.alive:
                    child = self._child = None
                if child is not None and child.wanted == wanted:
                    child.users += 1
                    return child
                if not self._swapping and (child is None or child.users == 0):
                    break
                if time.monotonic() > until:
                    raise Unreachable(
                        "The built-in engine is busy with another model.", hint="Wait for its answer, or stop it."
                    )
                self._changed.wait(STEP_SECONDS)
            self._swapping = True
            self._child = None
        try:
            if child is not None:
                self._end(child)
            fresh = self._start(wanted, cancelled)
        finally:
            with self._changed:
                self._swapping = False
                self._changed.notify_all()
        with self._changed:
            if self._closed:
                self._end(fresh)
                raise Cancelled("It was stopped.")
            fresh.users = 1
            self._child = fresh
            if self._reaper is None:
                self._reaper = threading.Thread(target=self._reap, name="llamacpp:idle", daemon=True)
                self._reaper.start()
            self._changed.notify_all()
        return fresh

    def _start(self, wanted: Wanted, cancelled: Callable[[], bool]) -> Child:
        key = SecretStr(secrets.token_urlsafe(24))
        order = {
            "path": str(wanted.path),
            "context_length": wanted.context_length,
            "threads": wanted.threads,
            "key": key.get_secret_value(),
        }
        with self._open_log() as log:
            # Its own session: Ctrl-C in the terminal is for the host, which then ends the child.
            process = subprocess.Popen(
                [sys.executable, "-m", "moorage_llamacpp.serve"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._starting = process
        try:
            answer = self._handshake(process, json.dumps(order).encode() + b"\n", cancelled)
        except BaseException:
            _kill(process)
            raise
        finally:
            self._starting = None
        if "error" in answer:
            _kill(process)
            raise Unsupported(
                f"The engine could not load {wanted.name}: {self._reason(answer['error'])}",
                hint="The file may be of a kind this engine does not know, or need more memory. Try a smaller file.",
            )
        self._log.info("loaded %s", wanted.name)
        return Child(process, wanted, answer["url"], key, time.monotonic())

    def _handshake(
        self, process: subprocess.Popen[bytes], order: bytes, cancelled: Callable[[], bool]
    ) -> dict[str, str]:
        """Give the child its order and wait for its answer; the model is loaded in between."""
        lines: list[bytes] = []

        def talk() -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(OSError):
                process.stdin.write(order)
                process.stdin.flush()
            lines.append(process.stdout.readline())

        talker = threading.Thread(target=talk, name="llamacpp:load", daemon=True)
        talker.start()
        until = time.monotonic() + LOAD_SECONDS
        while talker.is_alive():
            talker.join(STEP_SECONDS)
            if cancelled() or self._closed:
                raise Cancelled("It was stopped.")
            if time.monotonic() > until:
                raise Unreachable(f"The engine did not load the model within {LOAD_SECONDS:.0f} s.", hint="Try again.")
        try:
            answer: dict[str, str] = json.loads(lines[0])
        except ValueError:
            return {"error": "the engine stopped while loading it"}
        return answer

    def _reason(self, error: str) -> str:
        """The engine's own last complaint says more than its exception."""
        with suppress(OSError):
            tail = self._log_path.read_bytes()[-8192:].decode("utf-8", "replace").splitlines()
            said = [line for line in tail if " E " in line or "error" in line.lower()]
            if said:
                return f"{said[-1].strip()[-300:]}."
        return f"{error}."

    def _open_log(self) -> BinaryIO:
        if self._log_path.exists() and self._log_path.stat().st_size > LOG_LIMIT:
            self._log_path.unlink()
        return os.fdopen(os.open(self._log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")

    def _reap(self) -> None:
        """Unload what nobody has used for a while."""
        with self._changed:
            while not self._closed:
                child = self._child
                if child is None:
                    self._changed.wait(60.0)
                    continue
                left = child.used_at + self._idle_seconds - time.monotonic()
                if child.users == 0 and left <= 0:
                    self._log.info("unloading %s: it was idle", child.wanted.name)
                    self._child = None
                    self._end(child)
                else:
                    self._changed.wait(max(left, STEP_SECONDS) if child.users == 0 else 60.0)

    @staticmethod
    def _end(child: Child) -> None:
        _kill(child.process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """It keeps nothing that a sudden end could hurt."""
    with suppress(OSError):
        process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
