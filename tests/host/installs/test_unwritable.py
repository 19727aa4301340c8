"""A data directory that cannot be written for a while: nothing is lost, and nothing runs or waits for ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from moorage.errors import StoreError
from moorage.host import Host
from moorage.models import WhenUpdated
from tests.fakes.hub import FakeHub
from tests.host.installs.story import Story, add, ask, slow, until
from tests.host.installs.test_windows import NIGHT, MakeTravelled, begin, window
from tests.schedule.manual import ManualTimer

__all__ = ["begin"]


@contextmanager
def unwritable(host: Host) -> Iterator[None]:
    """Every write of a record of an install fails."""
    documents = host.installs._queue._documents  # type: ignore[attr-defined]
    real = documents.put

    def fails(document: Any) -> Any:
        raise StoreError("The disk is full.")

    documents.put = fails
    try:
        yield
    finally:
        documents.put = real


def at_work(host: Host) -> int:
    return host.installs._dispatcher._runner.at_work("builtin")


def pass_time(timer: ManualTimer, done: Callable[[], bool]) -> None:
    """Minute by minute, until it is done."""
    until_then = time.monotonic() + 15
    while not done():
        assert time.monotonic() < until_then
        timer.advance(timedelta(minutes=1))
        time.sleep(0.05)


@pytest.fixture
def travelled(begin: MakeTravelled) -> tuple[Host, ManualTimer]:
    return begin()


def test_a_run_whose_end_cannot_be_written_goes_on_later(travelled: tuple[Host, ManualTimer], hub: FakeHub) -> None:
    host, timer = travelled
    add(hub, "a/m-GGUF")
    add(hub, "b/m-GGUF")
    slow(hub)
    first = ask(host, "a/m-GGUF")
    until(lambda: host.installs.get(first.id).completed > 300_000)
    with unwritable(host):
        host.installs._dispatcher.live(first.id)._scope.cancel()  # type: ignore[union-attr]  # it fails at this moment
        until(lambda: at_work(host) == 0)
        assert host.installs.get(first.id).state == "running", "its record could not say otherwise"
    second = ask(host, "b/m-GGUF")
    pass_time(timer, lambda: host.installs.get(first.id).state == "installed")
    pass_time(timer, lambda: host.installs.get(second.id).state == "installed")


def test_a_claim_that_cannot_be_written_is_made_later(travelled: tuple[Host, ManualTimer], hub: FakeHub) -> None:
    host, timer = travelled
    add(hub, "a/m-GGUF")
    install = ask(host, "a/m-GGUF", when=window())
    host.installs._queue.change(install.id, state="queued", when="now")
    with unwritable(host):
        host.installs._dispatcher.pump()
    assert host.installs.get(install.id).state == "queued"
    pass_time(timer, lambda: host.installs.get(install.id).state == "installed")


def test_a_time_that_cannot_be_written_down_comes_again(travelled: tuple[Host, ManualTimer], hub: FakeHub) -> None:
    host, timer = travelled
    add(hub, "a/m-GGUF")
    install = ask(host, "a/m-GGUF", when=window())
    with unwritable(host):
        timer.advance(NIGHT[0])
        assert host.installs.get(install.id).state == "scheduled"
    pass_time(timer, lambda: host.installs.get(install.id).state == "installed")


def test_the_daily_look_comes_again(
    travelled: tuple[Host, ManualTimer], hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, timer = travelled
    add(hub, "a/m-GGUF")
    install = ask(host, "a/m-GGUF")
    until(lambda: host.installs.get(install.id).state == "installed")
    host.installs.on_update(install.id, WhenUpdated(on_update="tell"))
    fires = host.installs._updates._recurring._fires

    def fails(document: Any) -> Any:
        raise StoreError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(fires, "put", fails)
        with pytest.raises(StoreError):
            timer.advance(timedelta(days=1, minutes=1))
    assert timer.due("updates") is not None


def test_what_cannot_be_tidied_up_keeps_nobody_waiting(
    host: Host, hub: FakeHub, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise PermissionError(13, "denied")

    monkeypatch.setattr(host.downloader, "sweep", fails)
    add(hub, "a/m-GGUF")
    add(hub, "b/m-GGUF")
    slow(hub)
    first, second = ask(host, "a/m-GGUF"), ask(host, "b/m-GGUF")
    assert story.ended(first.id).state == "installed"
    assert story.ended(second.id).state == "installed"


def test_a_clean_up_that_fails_is_tried_again(
    travelled: tuple[Host, ManualTimer], hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, timer = travelled
    add(hub, "a/m-GGUF")
    slow(hub)
    install = ask(host, "a/m-GGUF")
    until(lambda: host.installs.get(install.id).completed > 300_000)

    def fails(*_: Any) -> Any:
        raise PermissionError(13, "denied")

    with monkeypatch.context() as patch:
        patch.setattr(host.downloader, "remove_partial", fails)
        host.installs.cancel(install.id)
        until(lambda: timer.due(f"clean:{install.id}") is not None)
    assert host.installs.get(install.id).cleaning_up
    pass_time(timer, lambda: not host.installs.get(install.id).cleaning_up)
    assert not list((host.settings.home / "models" / "partial").glob("*"))
