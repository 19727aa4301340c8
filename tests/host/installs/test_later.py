"""Times, restarts, and what waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from moorage import models
from moorage.host import Host
from moorage.installs import proof
from tests.conftest import MakeHost
from tests.fakes.faults import Fault
from tests.fakes.hub import FakeHub
from tests.host.installs.story import Story, add, ask, slow, until


def test_a_time_to_come(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    when = (datetime.now(UTC) + timedelta(seconds=0.6)).replace(microsecond=0) + timedelta(seconds=1)
    install = ask(host, "a/m-GGUF", when=when)
    assert (install.state, install.when) == ("scheduled", when)
    assert hub.cdn.requests == []
    fired = story.until(lambda event: event.type == "schedule.fired")
    assert fired.about == install.id
    assert fired.at >= when
    assert story.ended(install.id).state == "installed"


def test_a_scheduled_one_survives_a_restart(make_host: MakeHost, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    environment = {"HF_ENDPOINT": hub.url}
    host = make_host(environment=environment)
    install = ask(host, "a/m-GGUF", when=datetime.now(UTC) + timedelta(seconds=0.5))
    host.close()
    host = make_host(environment=environment)
    assert host.installs.get(install.id).state in ("scheduled", "queued", "running", "installed")
    done = Story(host).ended(install.id)
    assert done.state == "installed"


def test_a_running_one_goes_on_after_a_restart(make_host: MakeHost, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    environment = {"HF_ENDPOINT": hub.url}
    host = make_host(environment=environment)
    slow(hub)
    install = ask(host, "a/m-GGUF")
    Story(host).downloading(install.id, 300_000)
    began = time.monotonic()
    host.close()
    assert time.monotonic() - began < 3
    host = make_host(environment=environment)
    done = Story(host).ended(install.id)
    assert (done.state, done.attempt) == ("installed", 2)
    assert "range" in hub.cdn.requests[-1].headers


def test_closing_does_not_wait_for_a_slow_source(make_host: MakeHost, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    host = make_host(environment={"HF_ENDPOINT": hub.url})
    ask(host, "a/m-GGUF", when=datetime.now(UTC) + timedelta(seconds=0.5))
    host.search.forget()
    hub.faults.append(Fault(times=None, delay=30.0))
    asked = len(hub.requests)
    Story(host).until(lambda event: event.type == "install.started")
    until(lambda: len(hub.requests) > asked)
    began = time.monotonic()
    host.close()
    assert time.monotonic() - began < 3


def test_a_pause_does_not_bring_a_time_forward(host: Host, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    install = ask(host, "a/m-GGUF", when=datetime.now(UTC) + timedelta(hours=8))
    host.installs.pause(install.id)
    assert host.installs.resume(install.id).state == "scheduled"


def test_pauses_do_not_use_up_the_patience(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    install = ask(host, "a/m-GGUF", when=datetime.now(UTC) + timedelta(hours=8))
    queue = host.installs._queue
    queue.change(install.id, state="paused", when="now")
    queue._documents.put(queue.get(install.id).model_copy(update={"attempt": 7}))  # as after seven pauses
    host.search.forget()
    hub.faults.append(Fault(times=None, status=503))
    host.installs.resume(install.id)
    story.until(lambda event: event.type == "install.waiting")
    assert host.installs.get(install.id).reason == "network"


def test_what_a_person_can_solve_waits_for_the_person(host: Host, hub: FakeHub, story: Story) -> None:
    """A gate that was put up, or a disk that has filled, between the question and its time."""
    repo = add(hub, "a/m-GGUF")
    install = ask(host, "a/m-GGUF", when=datetime.now(UTC) + timedelta(seconds=0.5))
    repo.gated = "manual"
    host.search.forget()
    story.until(lambda event: event.type == "install.waiting")
    waiting = host.installs.get(install.id)
    assert (waiting.state, waiting.reason) == ("waiting", "sign-in")
    assert waiting.error is not None
    assert waiting.error.hint


def test_a_cancel_while_it_is_tried_takes_the_model_back(
    host: Host, hub: FakeHub, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    proving = threading.Event()

    def endless(*_: Any, stopped: Callable[[], bool], **__: Any) -> models.TestResult:
        proving.set()
        while not stopped():
            time.sleep(0.01)
        return models.TestResult(ok=False, seconds=0, model=None, reply=None, error=None)

    monkeypatch.setattr(proof, "probe", endless)
    add(hub, "a/m-GGUF")
    install = ask(host, "a/m-GGUF")
    assert proving.wait(10)
    host.local.forget("builtin")
    assert host.local.target("builtin").models
    began = time.monotonic()
    assert host.installs.cancel(install.id).state == "cancelled"
    assert time.monotonic() - began < 2
    host.local.forget("builtin")
    assert host.local.target("builtin").models == ()
