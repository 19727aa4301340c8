"""How much memory a target has: what its plugin says, what this machine has, and no page that waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from moorage import Capabilities, Config, Provider, ProviderPreset, ProviderSpec, TargetFacts, Unreachable, hookimpl
from moorage.fit import Memory, TargetMemory
from moorage.host import Host
from tests.conftest import MakeHost

GIB = 1024**3
UNKNOWN = Memory(None, None)
HERE = Memory(16 * GIB, 8 * GIB)  # what this machine has, in these tests


class Harbour:
    """Two types of targets, one with a preset; a test says what is known of each."""

    def __init__(self) -> None:
        self.facts: Callable[[], TargetFacts | None] = lambda: None
        self.asked = 0
        self.free = threading.Event()

    @hookimpl
    def register_provider(self) -> list[ProviderSpec]:
        able = Capabilities(install=True)
        preset = ProviderPreset(id="quay", name="Quay")
        return [
            ProviderSpec(type="quay", label="Quay", config=Config, capabilities=able, preset=preset),
            ProviderSpec(type="pier", label="Pier", config=Config, capabilities=able),
        ]

    @hookimpl
    def describe_target(self, provider: Provider) -> TargetFacts | None:
        self.asked += 1
        return self.facts()

    def hang(self) -> TargetFacts:
        self.free.wait(5)
        return TargetFacts(here=True)


class Silent:
    """A plugin that knows nothing of memory."""

    @hookimpl
    def register_provider(self) -> list[ProviderSpec]:
        return [ProviderSpec(type="dumb", label="Dumb", config=Config, capabilities=Capabilities(install=True))]


@pytest.fixture
def harbour() -> Any:
    made = Harbour()
    yield made
    made.free.set()


@pytest.fixture
def host(make_host: MakeHost, harbour: Harbour) -> Host:
    return make_host(plugins={"harbour": harbour, "silent": Silent()}, only=True)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def memory(host: Host, clock: Clock | None = None, *, patience: float = 2.0) -> TargetMemory:
    return TargetMemory(
        host.providers,
        host.plugins,
        ram=lambda: HERE.ram,
        gpu=lambda: HERE.gpu,
        clock=clock or Clock(),
        patience=patience,
    )


def pier(host: Host, type: str = "pier") -> str:
    return host.providers.create("Pier", type, {}).id


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        (None, UNKNOWN),
        (TargetFacts(), UNKNOWN),
        (TargetFacts(memory=GIB), Memory(GIB, None)),
        (TargetFacts(memory=GIB, gpu_memory=2 * GIB), Memory(GIB, 2 * GIB)),
        (TargetFacts(gpu_memory=0), UNKNOWN),
        (TargetFacts(here=True), HERE),
        (TargetFacts(here=True, gpu_memory=0), Memory(HERE.ram, None)),
        (TargetFacts(here=True, memory=GIB, gpu_memory=GIB), Memory(GIB, GIB)),  # it knows of a limit
    ],
)
def test_what_the_plugin_says(host: Host, harbour: Harbour, facts: TargetFacts | None, found: Memory) -> None:
    harbour.facts = lambda: facts
    assert memory(host).of(pier(host)) == found


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        (None, Memory(HERE.ram, None)),
        (TargetFacts(here=True, gpu_memory=0), Memory(HERE.ram, None)),
        (TargetFacts(here=True, gpu_memory=GIB), Memory(HERE.ram, GIB)),
    ],
)
def test_what_is_part_of_moorage_runs_here(
    host: Host, harbour: Harbour, facts: TargetFacts | None, found: Memory
) -> None:
    """Whether it uses the GPU its plugin must say."""
    harbour.facts = lambda: facts
    assert memory(host).of("quay") == found


def test_a_plugin_without_the_hook_and_a_target_that_is_gone(host: Host) -> None:
    asked = memory(host)
    assert asked.of(pier(host, "dumb")) == UNKNOWN
    assert asked.of("gone") == UNKNOWN


@pytest.mark.parametrize("error", [Unreachable("Nothing answers."), ZeroDivisionError()])
def test_a_target_that_fails_is_unknown(host: Host, harbour: Harbour, error: Exception) -> None:
    def fail() -> TargetFacts:
        raise error

    harbour.facts = fail
    asked = memory(host)
    assert asked.of(pier(host)) == UNKNOWN
    assert asked.of("quay") == Memory(HERE.ram, None)


def test_it_is_asked_once_a_minute_also_where_it_fails(host: Host, harbour: Harbour) -> None:
    clock = Clock()
    asked, target = memory(host, clock), pier(host)
    for now in (0, 1, 59):
        clock.now = now
        assert asked.of(target) == UNKNOWN
    assert harbour.asked == 1

    harbour.facts = lambda: TargetFacts(memory=GIB)
    clock.now = 61
    until = time.monotonic() + 2
    while asked.of(target) == UNKNOWN and time.monotonic() < until:  # the first answer is what was known
        time.sleep(0.01)
    assert asked.of(target) == Memory(GIB, None)
    assert harbour.asked == 2


def test_a_target_that_hangs_holds_nobody_up(host: Host, harbour: Harbour) -> None:
    harbour.facts = harbour.hang
    asked, target = memory(host, patience=0.2), pier(host)
    started = time.monotonic()
    assert [asked.of(target) for _ in range(20)] == [UNKNOWN] * 20
    assert asked.of("quay") == Memory(HERE.ram, None), "what is known without asking is said"
    assert time.monotonic() - started < 1.0
    harbour.free.set()
    until = time.monotonic() + 2
    while asked.of(target) == UNKNOWN and time.monotonic() < until:
        time.sleep(0.01)
    assert asked.of(target) == HERE
    assert harbour.asked == 2


def test_many_ask_once(host: Host, harbour: Harbour) -> None:
    harbour.facts = lambda: TargetFacts(here=True)
    asked, target = memory(host), pier(host)
    found: list[Memory] = []
    threads = [threading.Thread(target=lambda: found.append(asked.of(target))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [HERE] * 10
    assert harbour.asked == 1


def test_a_host_that_closes_meanwhile(host: Host, harbour: Harbour) -> None:
    harbour.facts = harbour.hang
    asked = memory(host, patience=0.0)
    assert asked.of(pier(host)) == UNKNOWN
    host.close()
    harbour.free.set()


def test_the_real_plugins(make_host: MakeHost) -> None:
    host = make_host()
    asked = memory(host)
    assert asked.of("builtin") == Memory(HERE.ram, None), "its engine uses the processor"
    here = host.providers.create("Here", "ollama", {"endpoint": "http://127.0.0.1:11434"}).id
    there = host.providers.create("There", "ollama", {"endpoint": "http://192.0.2.1:11434"}).id
    assert asked.of(here) == HERE
    assert asked.of(there) == UNKNOWN, "an Ollama server does not say what it has"
