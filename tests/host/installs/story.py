"""What the tests of installs say again and again: models to add, questions, and what the events tell."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moorage.events import Event, Subscription
from moorage.host import Host
from moorage.models import Install
from tests.fakes.faults import Fault
from tests.fakes.hub import FakeHub
from tests.fakes.ollama_gguf import make_gguf
from tests.fakes.repo import Content, Repo

TOKEN = "hf_token_of_these_tests"
SOURCE = "huggingface"
SLOW = 2_000_000  # bytes per second of a download that a test wants to catch
SECONDS = 15.0


def weights(size: int, seed: int = 1, **extra: str | int) -> bytes:
    """A file with a true header, and noise for weights."""
    return make_gguf(extra=dict(extra), padding=bytes(seed * 37 + n & 0xFF for n in range(251)) * (size // 251 + 1))


def add(hub: FakeHub, id: str, files: dict[str, Content] | None = None, **more: Any) -> Repo:
    content: dict[str, Content] = {"m-Q4_K_M.gguf": weights(3_000_000)} if files is None else files
    return hub.add(Repo(id, content, gguf={"architecture": "llama", "total": 135_000_000}, **more))


def slow(hub: FakeHub, times: int | None = 1) -> Fault:
    fault = Fault(times=times, bytes_per_second=SLOW)
    hub.cdn.faults.append(fault)
    return fault


class Story:
    """What the events of a host tell, from the start of the test."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.events: list[Event] = []
        self._subscription: Subscription = host.events.subscribe(after=0)

    def until(self, condition: Callable[[Event], bool], seconds: float = SECONDS) -> Event:
        end = time.monotonic() + seconds
        while True:
            try:
                event = self._subscription.get(max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError([(e.type, e.data) for e in self.events[-20:]]) from None
            assert event is not None
            self.events.append(event)
            if condition(event):
                return event

    def ended(self, id: str, seconds: float = SECONDS) -> Install:
        """The install once it has ended or waits."""
        kinds = ("install.installed", "install.failed", "install.waiting")
        self.until(lambda event: event.about == id and event.type in kinds, seconds)
        return self.host.installs.get(id)

    def downloading(self, id: str, at_least: int = 1) -> None:
        """Until so many bytes are known to be here."""
        self.until(
            lambda event: (
                event.about == id
                and event.type == "install.progressed"
                and event.data["phase"] == "downloading"
                and event.data["completed"] >= at_least
            )
        )


def ask(host: Host, model: str, **more: Any) -> Install:
    install, new = host.installs.request(SOURCE, model, target="builtin", **more)
    assert new
    return install


def partial(host: Host) -> list[Path]:
    return list((host.settings.home / "models" / "partial").glob("*.part"))


def blobs(host: Host) -> list[Path]:
    return list((host.settings.home / "models" / "blobs").glob("*"))


def until(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """What a fake server has seen is no event."""
    tick = threading.Event()
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        tick.wait(0.02)
