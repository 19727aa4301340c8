"""A server, a door, and patience for what happens on another thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from moorage.http import HttpDoor
from tests.fakes.server import FakeServer


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as started:
        yield started


@pytest.fixture
def other() -> Iterator[FakeServer]:
    """A second origin: the same host, another port."""
    with FakeServer() as started:
        yield started


@pytest.fixture
def door() -> Iterator[HttpDoor]:
    opened = HttpDoor(user_agent="moorage/test")
    yield opened
    opened.close()


Eventually = Callable[[Callable[[], object], float], None]


@pytest.fixture
def eventually() -> Eventually:
    """Wait until something is true, at most so many seconds."""

    def wait(condition: Callable[[], object], seconds: float) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, "it did not happen in time"
            time.sleep(0.005)

    return wait
