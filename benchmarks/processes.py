"""Processes under test: `moorage serve` itself, and the services and sites of benchmarks/children.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from moorage.server import free_port

KEY = "hf_of_nobody"
NOWHERE = "http://127.0.0.1:61999"  # of the ports that programs are given last
AGENT_LLM = {"type": "huggingface"}


@contextmanager
def child(name: str, *arguments: object) -> Iterator[dict[str, Any]]:
    """A function of benchmarks.children in a process of its own; gives the JSON line that it says first."""
    command = [sys.executable, "-m", "benchmarks.children", name, *(str(each) for each in arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


def environment(**extra: str) -> dict[str, str]:
    """That of this process without what would change Moorage, and with services that nobody reaches."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MOORAGE_", "HF_", "OLLAMA_"))}
    return {
        **kept,
        "OLLAMA_HOST": NOWHERE,
        "HF_ENDPOINT": NOWHERE,
        "MOORAGE_ROUTER_ENDPOINT": NOWHERE,
        "HF_TOKEN": KEY,
        **extra,
    }


class Serving:
    """`moorage serve` in a process: its address, its process, and the seconds until its first page was there."""

    def __init__(self, home: Path, **extra: str) -> None:
        port = free_port("127.0.0.1")
        self.url = f"http://127.0.0.1:{port}"
        command = [str(Path(sys.executable).parent / "moorage"), "serve", "--home", str(home), "--port", str(port)]
        began = time.perf_counter()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `stop`
        self.process = subprocess.Popen(command, env=environment(**extra), stdout=self._said, stderr=self._said)
        with httpx.Client() as client:
            while True:
                try:
                    page = client.get(f"{self.url}/")
                except httpx.TransportError:
                    assert self.process.poll() is None, self.said()
                    time.sleep(0.002)
                else:
                    break
        assert page.status_code == 200
        self.seconds = time.perf_counter() - began

    def said(self) -> str:
        """What the process has printed."""
        self._said.seek(0)
        return self._said.read().decode(errors="replace")

    def memory(self) -> float:
        """Resident MB of the process and its children."""
        parent = psutil.Process(self.process.pid)
        tree = [parent, *parent.children(recursive=True)]
        return float(sum(each.memory_info().rss for each in tree)) / 2**20

    def cpu(self) -> float:
        """Processor seconds used so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def agent(self, model: str) -> str:
        """A new agent on a model of the router."""
        body = {"name": model, "llm": {**AGENT_LLM, "model": model}}
        return str(httpx.post(f"{self.url}/api/agents", json=body).raise_for_status().json()["id"])

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self._said.close()


@contextmanager
def serving(**extra: str) -> Iterator[Serving]:
    """A server with an empty home."""
    with tempfile.TemporaryDirectory(prefix="moorage-bench-") as home:
        server = Serving(Path(home), **extra)
        try:
            yield server
        finally:
            server.stop()
