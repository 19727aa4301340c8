"""Pause, resume, cancel, retry and move."""

from __future__ import annotations

import threading
import time

import pytest

from moorage.errors import Conflict
from moorage.host import Host
from moorage.models import Install
from tests.fakes.faults import Fault
from tests.fakes.hub import FakeHub
from tests.fakes.ollama import FakeOllama
from tests.host.installs.story import SOURCE, Story, add, ask, blobs, partial, slow, until, weights


def test_a_pause_keeps_what_was_fetched(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    slow(hub)
    install = ask(host, "a/m-GGUF")
    story.downloading(install.id, 300_000)
    paused = host.installs.pause(install.id)
    assert (paused.state, paused.phase, paused.attempt) == ("paused", None, 1)
    assert paused.completed >= 300_000
    assert len(partial(host)) == 1
    kept = host.installs.plan(SOURCE, "a/m-GGUF", target="builtin").already_here
    assert kept >= paused.completed
    with pytest.raises(Conflict):
        host.installs.pause(install.id)
    host.installs.resume(install.id)
    done = story.ended(install.id)
    assert (done.state, done.attempt, done.completed) == ("installed", 2, done.total)
    asked = hub.cdn.requests[-1].headers["range"]
    assert int(asked.removeprefix("bytes=").rstrip("-")) == kept, "it goes on where it stopped"


def test_a_cancel_is_quick_and_leaves_nothing(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    hub.cdn.faults.append(Fault(stall_after=500_000))
    install = ask(host, "a/m-GGUF")
    story.until(lambda event: event.type == "install.started")
    until(lambda: any(path.stat().st_size == 500_000 for path in partial(host)))
    began = time.monotonic()
    cancelled = host.installs.cancel(install.id)
    assert time.monotonic() - began < 2
    assert cancelled.state == "cancelled"
    assert cancelled.finished_at is not None
    assert partial(host) == []
    assert blobs(host) == []
    with pytest.raises(Conflict):
        host.installs.resume(install.id)
    host.installs.retry(install.id)
    assert story.ended(install.id).state == "installed"
    with pytest.raises(Conflict):
        host.installs.cancel(install.id)


def test_a_retry_beside_another_install_of_the_same_file_is_refused(host: Host, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    slow(hub, times=None)
    first = ask(host, "a/m-GGUF")
    host.installs.cancel(first.id)
    ask(host, "a/m-GGUF")
    with pytest.raises(Conflict, match="already"):
        host.installs.retry(first.id)


def test_one_at_a_time_on_a_target_in_an_order_that_can_be_changed(host: Host, hub: FakeHub, story: Story) -> None:
    for name in "abcd":
        add(hub, f"{name}/m-GGUF", {"m-Q4_K_M.gguf": weights(400_000, seed=ord(name))})
    fault = slow(hub)
    fault.bytes_per_second = 100_000.0
    a, b, c, d = (ask(host, f"{name}/m-GGUF") for name in "abcd")
    story.downloading(a.id)
    assert [item.id for item in host.installs.queue()] == [b.id, c.id, d.id]
    assert host.installs.counts() == {"running": 1, "queued": 3}
    host.installs.move(d.id)
    assert [item.id for item in host.installs.queue()] == [d.id, b.id, c.id]
    host.installs.move(c.id, before=b.id)
    assert [item.id for item in host.installs.queue()] == [d.id, c.id, b.id]
    with pytest.raises(Conflict):
        host.installs.move(b.id, before="nobody")
    with pytest.raises(Conflict):
        host.installs.move(a.id)
    host.installs.cancel(a.id)
    story.ended(b.id)
    started = [event.about for event in story.events if event.type == "install.started"]
    assert started == [a.id, d.id, c.id, b.id]


def test_targets_work_side_by_side_up_to_a_limit(host: Host, hub: FakeHub, story: Story) -> None:
    for name in "abc":
        add(hub, f"{name}/m-GGUF", {"m-Q4_K_M.gguf": weights(400_000, seed=ord(name))})
    slow(hub, times=None).bytes_per_second = 50_000.0
    with FakeOllama(registry=hub) as one, FakeOllama(registry=hub) as two:
        one.pulls.speed = two.pulls.speed = 50_000.0
        targets = [
            host.providers.create(name, "ollama", {"endpoint": server.url}).id
            for name, server in (("One", one), ("Two", two))
        ]
        host.preferences.save({"parallelInstalls": 2})
        installs = [
            host.installs.request(SOURCE, f"{name}/m-GGUF", target=target)[0]
            for name, target in zip("abc", ["builtin", *targets], strict=True)
        ]
        for install in installs[:2]:
            story.until(lambda event, id=install.id: event.type == "install.started" and event.about == id)
        assert [host.installs.get(install.id).state for install in installs] == ["running", "running", "queued"]
        host.installs.cancel(installs[0].id)
        story.until(lambda event: event.type == "install.started" and event.about == installs[2].id)
        for install in installs[1:]:
            host.installs.cancel(install.id)


def test_many_who_ask_at_once_get_one_install(host: Host, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    slow(hub, times=None)
    answers: list[tuple[Install, bool]] = []

    def request() -> None:
        answers.append(host.installs.request(SOURCE, "a/m-GGUF", target="builtin"))

    threads = [threading.Thread(target=request) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({install.id for install, _ in answers}) == 1
    assert [new for _, new in answers].count(True) == 1
    host.installs.cancel(answers[0][0].id)


def test_a_new_attempt_shows_what_is_really_kept(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    slow(hub)
    install = ask(host, "a/m-GGUF")
    story.downloading(install.id, 300_000)
    host.installs.pause(install.id)
    for path in (host.settings.home / "models" / "partial").iterdir():
        path.unlink()
    fault = slow(hub)
    host.installs.resume(install.id)
    story.downloading(install.id)
    seen = [host.installs.get(install.id).completed]
    fault.bytes_per_second = None
    done = story.ended(install.id)
    assert done.state == "installed"
    shown = [
        event.data["completed"]
        for event in story.events
        if event.type == "install.progressed" and event.about == install.id
    ]
    last_start = max(n for n, event in enumerate(story.events) if event.type == "install.started")
    second = [e.data["completed"] for e in story.events[last_start:] if e.type == "install.progressed"]
    assert second == sorted(second)
    assert min(second + seen) < 300_000 <= max(shown)
