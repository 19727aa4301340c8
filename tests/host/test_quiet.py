"""Quiet hours and the bandwidth cap: settings that hold while installs run."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from moorage.fetch.throttle import Throttle
from tests.conftest import MakeHost
from tests.fakes.faults import Fault
from tests.fakes.hub import FakeHub
from tests.fakes.ollama_gguf import make_gguf
from tests.fakes.repo import Repo


def test_the_cap_is_on_all_together_and_changes_at_once() -> None:
    rate: list[int | None] = [1000]
    clock = [0.0]
    throttle = Throttle(lambda: rate[0], lambda: clock[0])
    first, second = throttle.take(500), throttle.take(500)
    assert throttle.left(first) == pytest.approx(0.5)
    assert throttle.left(second) == pytest.approx(1.0), "two downloads share one rate"
    clock[0] = 0.5
    assert throttle.left(first) == 0.0
    rate[0] = 2000
    throttle.left(second)  # the new rate counts from now on
    clock[0] = 0.6
    assert throttle.left(second) == pytest.approx(0.15), "also for those that wait"
    rate[0] = None
    assert throttle.left(throttle.take(10**9)) == 0.0


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_installs_rest_in_quiet_hours(make_host: MakeHost) -> None:
    """What runs goes back into the queue when they begin, and on again when they are over."""
    with FakeHub() as hub:
        content = make_gguf() + bytes(30_000_000)
        hub.add(Repo(id="acme/tiny-GGUF", files={"tiny.Q4_K_M.gguf": content}, tags=("gguf",)))
        hub.cdn.faults.append(Fault(".*", times=1, bytes_per_second=2_000_000))
        host = make_host(environment={"HF_ENDPOINT": hub.url})
        install, _ = host.installs.request("huggingface", "acme/tiny-GGUF", target="builtin")
        wait_for(lambda: host.installs.get(install.id).completed > 1_000_000)
        now = datetime.now(UTC)
        around = {"from": f"{now - timedelta(hours=2):%H:%M}", "to": f"{now + timedelta(hours=2):%H:%M}"}
        host.preferences.save({"quietHours": around})
        resting = host.installs.get(install.id)
        assert (resting.state, resting.reason) == ("waiting", "quiet hours")
        assert resting.completed > 1_000_000
        host.preferences.save({"quietHours": None})
        wait_for(lambda: host.installs.get(install.id).ended)
        assert host.installs.get(install.id).attempt == 2
        assert [seen.headers.get("range") for seen in hub.cdn.requests][-1] is not None, "nothing was fetched twice"
