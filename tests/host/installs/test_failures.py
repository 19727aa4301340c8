"""What goes wrong on the way, and what becomes of the install."""

from __future__ import annotations

import pytest

from moorage.errors import InvalidInput
from moorage.host import Host
from moorage.installs import run
from tests.fakes.faults import Fault
from tests.fakes.hub import FakeHub
from tests.fakes.ollama import FakeOllama
from tests.host.installs.story import SOURCE, Story, add, ask, weights


def test_a_file_that_is_damaged_twice_fails(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    hub.cdn.faults.append(Fault(times=None, flip_at=1_000_000))
    failed = story.ended(ask(host, "a/m-GGUF").id)
    assert failed.state == "failed"
    assert failed.error is not None
    assert "damaged twice" in failed.error.message
    assert failed.error.hint
    assert len(hub.cdn.requests) == 2
    assert host.local.target("builtin").models == ()
    hub.cdn.faults.clear()
    host.installs.retry(failed.id)
    done = story.ended(failed.id)
    assert (done.state, done.error) == ("installed", None)


def test_what_is_no_gguf_fails_by_its_name(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF", {"m-Q4_K_M.gguf": b"<html>" + bytes(100_000)})
    failed = story.ended(ask(host, "a/m-GGUF").id)
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error.code == "not-a-gguf"


def test_a_network_that_drops_is_tried_again(
    host: Host, hub: FakeHub, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "RETRY_SECONDS", (0.3, 0.3))
    add(hub, "a/m-GGUF")
    hub.cdn.faults.append(Fault(times=None, status=503))
    hub.cdn.faults.insert(0, Fault(end_after=1_000_000))
    install = ask(host, "a/m-GGUF")
    waiting = story.ended(install.id)
    assert (waiting.state, waiting.reason) == ("waiting", "network")
    assert waiting.completed >= 1_000_000
    hub.cdn.faults.clear()
    story.until(lambda event: event.type == "schedule.fired")
    done = story.ended(install.id)
    assert (done.state, done.attempt, done.error) == ("installed", 2, None)
    assert "range" in hub.cdn.requests[-1].headers


def test_a_network_that_stays_away_fails_in_the_end(
    host: Host, hub: FakeHub, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "RETRY_SECONDS", (0.05,))
    add(hub, "a/m-GGUF")
    hub.cdn.faults.append(Fault(times=None, status=503))
    install = ask(host, "a/m-GGUF")
    story.until(lambda event: event.type == "install.failed")
    failed = host.installs.get(install.id)
    assert (failed.state, failed.attempt) == ("failed", 2)
    assert failed.error is not None


def test_a_full_disk_is_said_before_the_first_byte(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    host.downloader._free = lambda path: 10
    install = story.ended(ask(host, "a/m-GGUF").id)
    assert (install.state, install.reason) == ("waiting", "disk")
    assert hub.cdn.requests == []
    host.downloader._free = lambda path: 10**13
    host.installs.resume(install.id)
    assert story.ended(install.id).state == "installed"


def test_a_plan_without_room_is_refused(host: Host, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from moorage.installs import planner

    add(hub, "a/m-GGUF")
    monkeypatch.setattr(planner, "free_disk", lambda path: 1000)
    plan = host.installs.plan(SOURCE, "a/m-GGUF", target="builtin")
    assert (plan.ok, plan.disk.ok, plan.problems[0].code) == (False, False, "disk-full")
    with pytest.raises(InvalidInput) as refused:
        ask(host, "a/m-GGUF")
    assert refused.value.http_status == 422


def test_a_target_that_is_away_is_named_as_the_reason(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF", {"m-Q4_K_M.gguf": weights(10_000)})
    with FakeOllama(registry=hub) as ollama:
        target = host.providers.create("Away", "ollama", {"endpoint": ollama.url}).id
        ollama.faults.append(Fault("/api/blobs/.*", times=None, status=503))
        install, _ = host.installs.request(SOURCE, "a/m-GGUF", target=target, road="import")
        waiting = story.ended(install.id, 60)
        assert (waiting.state, waiting.reason) == ("waiting", "target")
        ollama.faults.clear()
        host.installs.resume(install.id)
        assert story.ended(install.id).state == "installed"
