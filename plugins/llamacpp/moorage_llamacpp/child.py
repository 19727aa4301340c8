"""The engine's process, seen from the host: started, asked whether it is at rest, ended."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from pydantic import SecretStr

from moorage import Cancelled, Unreachable, Unsupported

LOAD_SECONDS = 300.0
STEP_SECONDS = 0.1
LOG = "engine.log"

# What a native program may need of our environment. The rest, tokens among it, is none of its business.
PASSED = ("PATH", "HOME", "LANG", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "USERPROFILE")
PASSED_PREFIXES = ("LC_", "LD_", "DYLD_", "PYTHON", "GGML_", "OMP_", "CUDA_", "HIP_", "ROCR_", "VK_")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to load; two requests for the same use the same process."""

    name: str
    path: Path
    context_length: int
    threads: int | None
    installed_at: str


class Child:
    """One process with one model in memory. `start` makes it."""

    def __init__(self, process: subprocess.Popen[bytes], wanted: Wanted, key: SecretStr, log: Path) -> None:
        self.process = process
        self.wanted = wanted
        self.key = key
        self.url = ""
        self._log = log

    @classmethod
    def start(cls, wanted: Wanted, data_dir: Path, *, cancelled: Callable[[], bool]) -> Self:
        """Start a process and load the model. Unsupported when it cannot be, Unreachable when it takes too long."""
        log = data_dir / LOG
        with _fresh_log(log) as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "moorage_llamacpp.serve"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=data_dir,
                env=_passed(os.environ),
                # Its own session: Ctrl-C in the terminal is for the host, which then ends the child.
                start_new_session=True,
            )
        child = cls(process, wanted, SecretStr(secrets.token_urlsafe(32)), log)
        try:
            child._load(cancelled, time.monotonic() + LOAD_SECONDS)
        except BaseException:
            child.end()
            raise
        return child

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        """At once: it keeps nothing that a sudden end could hurt."""
        with suppress(OSError):
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def ended_within(self, seconds: float) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return not self.alive

    def rests_within(self, seconds: float) -> bool:
        """Whether it stops computing by then. It looks up only between two batches of a prompt."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                if not any(slot["is_processing"] for slot in self._ask("/slots", left)):
                    return True
            except (OSError, http.client.HTTPException, ValueError, TypeError, KeyError):
                return False
            time.sleep(0.02)
        return False

    def how_it_ended(self) -> str:
        """The way of its end, in words that fit into brackets."""
        code = self.process.returncode
        if code is None or code >= 0:
            return f"exit status {code}"
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"

    def _load(self, cancelled: Callable[[], bool], until: float) -> None:
        lines: list[bytes] = []
        talk = threading.Thread(target=lambda: lines.append(self._handshake()), name="llamacpp:load", daemon=True)
        talk.start()
        try:
            while talk.is_alive():
                talk.join(STEP_SECONDS)
                if cancelled():
                    raise Cancelled("It was stopped.")
                if time.monotonic() > until:
                    raise Unreachable(
                        "The built-in engine did not load the model in time.", hint="Try again, or take a smaller file."
                    )
        finally:
            if talk.is_alive():
                self.process.kill()  # its output ends with it, and the thread with that
                talk.join()
        try:
            answer: dict[str, Any] = json.loads(lines[0])
            self.url = str(answer["ready"])
        except ValueError:
            self.ended_within(2.0)
            raise self._refused(f"it ended while loading it ({self.how_it_ended()})") from None
        except KeyError:
            raise self._refused(self._complaint() or str(answer.get("error"))) from None

    def _handshake(self) -> bytes:
        """Give the child its order and read its one line; the model is loaded in between. Empty when it ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        order = {
            "path": str(self.wanted.path),
            "context_length": self.wanted.context_length,
            "threads": self.wanted.threads,
            "key": self.key.get_secret_value(),
        }
        with suppress(OSError):
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()
        return self.process.stdout.readline()

    def _refused(self, reason: str) -> Unsupported:
        return Unsupported(
            f"The built-in engine could not load {self.wanted.name}: {reason.rstrip('.')}.",
            hint="The file may be damaged, of a kind this engine does not know, or need more memory than there is. "
            "Try a smaller file or another author's version.",
        )

    def _complaint(self) -> str | None:
        """The engine's own first complaint says more than its exception, and more than what follows from it."""
        with suppress(OSError):
            for line in self._log.read_text("utf-8", "replace").splitlines():
                _, mark, said = line.partition(" E ")
                if mark:
                    reason = said.partition(": ")[2].strip().removeprefix("error loading model: ")
                    return reason.replace(f"{self.wanted.path.parent}{os.sep}", "")[:300]
        return None

    def _ask(self, path: str, seconds: float) -> Any:
        host = self.url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=seconds)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.key.get_secret_value()}"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


def _fresh_log(path: Path) -> IO[bytes]:
    """An empty log; the one before is kept beside it, since it says how that process ended."""
    with suppress(FileNotFoundError):
        os.replace(path, path.with_suffix(".previous.log"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC, 0o600), "ab")


def _passed(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name.upper() in PASSED or name.upper().startswith(PASSED_PREFIXES)
    }
