"""Moorage as its users run it: `python -m moorage …` in processes of their own."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NOWHERE = "http://127.0.0.1:65529"  # above the ports that systems give out by themselves
START_SECONDS = 20.0


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a process of Moorage is given: nothing of this machine's settings, and no service unless `extra` has one."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "SYSTEMROOT") if name in os.environ}
    # Discovery must find no Ollama of this machine, and searching must not leave it.
    return {**kept, "HF_ENDPOINT": NOWHERE, "MOORAGE_ROUTER_ENDPOINT": NOWHERE, "OLLAMA_HOST": NOWHERE, **(extra or {})}


def arguments(*args: str) -> list[str]:
    return [sys.executable, "-m", "moorage", *args]


@dataclass(frozen=True)
class Ended:
    """A process that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Commands:
    """Runs commands on one data directory, each as a process."""

    home: Path
    env: Mapping[str, str]

    def __call__(self, *args: str, input: str = "", ok: bool = True) -> Ended:
        """Run to the end; `ok` asserts exit code 0. No command may ever show a traceback."""
        done = subprocess.run(
            arguments(*args, "--home", str(self.home)),
            env=environment(self.env),
            input=input,
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert not ok or done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        return Ended(done.returncode, done.stdout, done.stderr)

    def json(self, *args: str) -> Any:
        return self(*args, "--json").json


@dataclass
class Serving:
    """A running `moorage serve`; `out` and `err` are its lines so far."""

    process: subprocess.Popen[str]
    started: float = field(default_factory=time.monotonic)
    ready: float = 0.0
    url: str = ""
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    _news: queue.Queue[None] = field(default_factory=queue.Queue)
    _readers: list[threading.Thread] = field(default_factory=list)

    def read(self) -> None:
        for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err)):
            thread = threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            thread.start()
            self._readers.append(thread)

    def _read(self, stream: Any, lines: list[str]) -> None:
        for line in stream:
            lines.append(line.rstrip("\n"))
            self._news.put(None)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self._news.put(None)

    def wait_for(self, condition: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Until the process has said what makes `condition` true."""
        until = time.monotonic() + seconds
        while not condition():
            try:
                self._news.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"not said in time: {self.out} {self.err}") from None
            assert condition() or self.process.poll() is None, f"ended: {self.out} {self.err}"

    def wait_ready(self) -> None:
        self.wait_for(lambda: any(line.startswith("Moorage is at ") for line in self.out))
        self.ready = time.monotonic() - self.started
        self.url = next(line.removeprefix("Moorage is at ") for line in self.out if line.startswith("Moorage is at "))

    def interrupt(self) -> float:
        """Ctrl-C; the seconds until it has ended."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(15)
        return time.monotonic() - began

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        for reader in self._readers:
            reader.join(5)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@contextmanager
def starting(home: Path, env: Mapping[str, str] | None = None, *args: str) -> Iterator[Serving]:
    """`moorage serve` on a free port, from its first moment to the end of the block; `wait_ready` is the caller's."""
    process = subprocess.Popen(
        arguments("serve", "--port", "0", "--home", str(home), *args),
        env=environment(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    running = Serving(process)
    running.read()
    try:
        yield running
    finally:
        running.close()


@contextmanager
def serving(home: Path, env: Mapping[str, str] | None = None, *args: str) -> Iterator[Serving]:
    """The same, from its ready line on."""
    with starting(home, env, *args) as running:
        running.wait_ready()
        yield running
