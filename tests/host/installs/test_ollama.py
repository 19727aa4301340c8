"""Pulls through the whole Moorage: what an Ollama server does meanwhile, and what becomes of the install."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from moorage.host import Host
from moorage.installs import run
from moorage.models import Install
from moorage_ollama import plugin as ollama_plugin
from moorage_ollama.pacing import Pacing
from tests.api import Api
from tests.conftest import MakeHost
from tests.fakes.faults import Fault
from tests.fakes.hub import FakeHub
from tests.fakes.hub_registry import SHARDED_TAG
from tests.fakes.ollama import FakeOllama
from tests.fakes.ollama_pull import PullFault, disk_full, stall
from tests.fakes.ollama_registry import MemoryRegistry
from tests.host.installs.story import SOURCE, Story, add, until, weights
from tests.process import serving

MODEL = "a/m-GGUF"
NAME = "hf.co/a/m-GGUF:Q4_K_M"
SIZE = 3_000_000
SPEED = 2_000_000  # bytes per second of a pull that a test wants to catch
QUICK = Pacing(stall=0.5, silence=5.0, waits=(0.1, 0.1))


@pytest.fixture
def ollama(hub: FakeHub) -> Iterator[FakeOllama]:
    add(hub, MODEL, {"m-Q4_K_M.gguf": weights(SIZE)})
    with FakeOllama(registry=hub) as running:
        running.pulls.tick = 0.02
        yield running


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin of the hosts of this test is soon impatient."""
    monkeypatch.setattr(ollama_plugin.OllamaPlugin.__init__, "__defaults__", (QUICK,))


@pytest.fixture
def host(quick: None, host: Host) -> Host:
    return host


@pytest.fixture
def target(host: Host, ollama: FakeOllama) -> str:
    return host.providers.create("Boathouse", "ollama", {"endpoint": ollama.url}).id


def pull(host: Host, target: str, model: str = MODEL) -> Install:
    return host.installs.request(SOURCE, model, target=target, road="pull")[0]


def pulls(ollama: FakeOllama) -> int:
    return len(ollama.seen("POST", "/api/pull"))


def shown(story: Story, phase: str | None = None) -> list[list[int]]:
    """What was shown as completed, in each attempt."""
    attempts: list[list[int]] = []
    for event in story.events:
        if event.type == "install.started":
            attempts.append([])
        elif event.type == "install.progressed" and phase in (None, event.data["phase"]):
            attempts[-1].append(event.data["completed"])
    return attempts


# -- what an attempt gets over by itself -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [PullFault(cut=True, falls_to=20.0), PullFault(ends=True), PullFault("verify", cut=True), stall(99.0)],
    ids=["cut", "ended", "cut_at_the_end", "stalled_at_99_percent"],
)
def test_row_33_a_pull_that_breaks_off_is_asked_for_again(
    host: Host, ollama: FakeOllama, target: str, story: Story, fault: PullFault
) -> None:
    """Within one attempt; a known illness of the last percent is cured in the same way."""
    ollama.pulls.faults = [fault]
    done = story.ended(pull(host, target).id)
    assert (done.state, done.attempt, done.error) == ("installed", 1, None)
    assert pulls(ollama) == 2
    (completed,) = shown(story)
    assert completed == sorted(completed)
    assert done.completed == done.total
    again = ollama.seen("POST", "/api/pull")[1].at
    assert all(seen.at > again for seen in ollama.seen("POST", "/api/(show|chat)")), "nothing was claimed before"
    assert NAME.lower() in {model.name.lower() for model in ollama.store.models.values()}


# -- what it ends with -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (PullFault(error="the tide was out"), "the tide was out"),
        (PullFault(line=b"garbage\n" * 4), "broken"),
        (PullFault("verify", error="digest mismatch", times=None), "damaged"),
    ],
)
def test_row_34_an_error_after_the_200_is_the_reason(
    host: Host, ollama: FakeOllama, target: str, story: Story, fault: PullFault, words: str
) -> None:
    ollama.pulls.faults = [fault]
    failed = story.ended(pull(host, target).id)
    assert (failed.state, failed.attempt) == ("failed", 1)
    assert failed.error is not None
    assert words in failed.error.message
    assert ollama.store.models == {}
    ollama.pulls.faults = []
    host.installs.retry(failed.id)
    assert story.ended(failed.id).state == "installed"


def test_row_34_a_pull_that_never_says_success_is_never_installed(
    host: Host, ollama: FakeOllama, target: str, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "RETRY_SECONDS", (0.05,) * 3)
    ollama.pulls.faults = [PullFault("verify", ends=True, times=None)]
    install = pull(host, target)
    for _ in range(2):
        waiting = story.ended(install.id)
        assert (waiting.state, waiting.reason) == ("waiting", "target")
        assert waiting.error is not None
        assert "without saying that it succeeded" in waiting.error.message
    assert not ollama.seen("POST", "/api/chat"), "it was not tried either"
    host.installs.cancel(install.id)


@pytest.mark.xfail(strict=True, reason="each attempt of a pull begins at 0, so that its failures are never counted")
def test_a_pull_that_never_says_success_fails_in_the_end(
    host: Host, ollama: FakeOllama, target: str, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "RETRY_SECONDS", (0.05,))
    ollama.pulls.faults = [PullFault("verify", ends=True, times=None)]
    install = pull(host, target)
    try:
        story.until(lambda event: event.type == "install.failed", seconds=4.0)
    finally:
        if host.installs.get(install.id).state != "failed":
            host.installs.cancel(install.id)


@pytest.mark.parametrize("lacking", ["tags", "show"])
def test_row_36_a_success_that_is_not_to_be_seen_has_failed(
    host: Host, ollama: FakeOllama, target: str, story: Story, lacking: str
) -> None:
    if lacking == "tags":
        ollama.pulls.faults = [PullFault(unlisted=True)]
    else:
        ollama.faults = [Fault("/api/show", status=404, body={"error": f"model '{NAME}' not found"})]
    failed = story.ended(pull(host, target).id)
    assert (failed.state, failed.attempt) == ("failed", 1)
    assert failed.error is not None
    assert "does not list it" in failed.error.message
    assert failed.error.hint
    host.installs.retry(failed.id)
    assert story.ended(failed.id).state == "installed"


def test_a_server_that_is_full_is_waited_for_until_a_person_says_so(
    host: Host, ollama: FakeOllama, target: str, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "ROOM_SECONDS", 0.05)  # its disk cannot be seen from here, so nobody looks again
    ollama.pulls.faults = [disk_full()]
    waiting = story.ended(pull(host, target).id)
    assert (waiting.state, waiting.reason, waiting.attempt) == ("waiting", "disk", 1)
    assert waiting.error is not None
    assert "The disk of the Ollama server is full." in waiting.error.message
    time.sleep(0.3)
    assert pulls(ollama) == 1
    ollama.pulls.faults = []
    host.installs.resume(waiting.id)
    assert story.ended(waiting.id).state == "installed"
    assert pulls(ollama) == 2


def test_what_is_in_parts_is_refused_by_the_registry_and_goes_by_the_other_road(
    host: Host, hub: FakeHub, ollama: FakeOllama, target: str, story: Story
) -> None:
    registry = MemoryRegistry()
    registry.refuse(NAME, 400, SHARDED_TAG)
    ollama.registry = registry
    failed = story.ended(pull(host, target).id)
    assert failed.state == "failed"
    assert failed.error is not None
    assert "several parts" in failed.error.message
    assert "import" in (failed.error.hint or "")
    assert pulls(ollama) == 1
    names = [f"big-Q4_K_M-0000{n}-of-00002.gguf" for n in (1, 2)]
    add(hub, "a/big-GGUF", {name: weights(50_000, seed=n) for n, name in enumerate(names)})
    plan = host.installs.plan(SOURCE, "a/big-GGUF", target=target, road="pull")
    assert [problem.code for problem in plan.problems] == ["sharded"], "what is seen before is not even asked for"
    install, _ = host.installs.request(SOURCE, "a/big-GGUF", target=target)
    assert install.road == "import"
    assert story.ended(install.id).state == "installed"
    (created,) = ollama.seen("POST", "/api/create")
    assert sorted(created.json["files"]) == names


# -- a server that restarts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prune", [False, True], ids=["kept", "pruned"])
def test_row_35_a_server_that_is_away_is_waited_for(
    host: Host, ollama: FakeOllama, target: str, story: Story, monkeypatch: pytest.MonkeyPatch, prune: bool
) -> None:
    """With longer and longer pauses; then the pull goes on with what the server has kept, or from 0."""
    pauses = (0.2, 0.4, 0.6, 0.8, *[1.0] * 20)
    monkeypatch.setattr(run, "RETRY_SECONDS", pauses)
    ollama.pulls.faults = [stall(60.0)]
    install = pull(host, target)
    story.downloading(install.id, SIZE // 2)
    ollama.stop()
    began = time.monotonic()
    for failures in (1, 2, 3):
        waiting = story.ended(install.id)
        assert (waiting.state, waiting.reason, waiting.failures) == ("waiting", "target", failures)
        assert waiting.error is not None
    assert time.monotonic() - began > sum(pauses[:2])
    kept = dict(ollama.store.partials)
    assert max(kept.values()) >= SIZE // 2
    ollama.restart(prune=prune)
    ollama.pulls.speed = SPEED
    done = story.ended(install.id)
    assert (done.id, done.state, done.attempt, done.error) == (install.id, "installed", 4, None)
    assert done.completed == done.total
    last = shown(story, "downloading")[-1]
    assert last == sorted(last)
    assert (min(last) < SIZE // 2) is prune, "what is shown is what the server has"
    assert pulls(ollama) == 2


def test_row_35_it_is_tried_for_longer_than_ten_minutes_with_pauses_of_no_more() -> None:
    assert sum(run.RETRY_SECONDS) > 600
    assert list(run.RETRY_SECONDS) == sorted(run.RETRY_SECONDS)
    assert max(run.RETRY_SECONDS) <= 600


# -- we restart --------------------------------------------------------------------------------------------------------


def one_at_a_time(ollama: FakeOllama) -> bool:
    seen = ollama.seen("POST", "/api/pull")
    return all(one.closed_at is None or one.closed_at <= other.at for one, other in pairwise(seen))


def test_row_37_a_host_that_is_closed_and_opened_goes_on(
    make_host: MakeHost, quick: None, hub: FakeHub, ollama: FakeOllama
) -> None:
    environment = {"HF_ENDPOINT": hub.url}
    ollama.pulls.speed = SPEED
    first = make_host(environment=environment)
    target = first.providers.create("Boathouse", "ollama", {"endpoint": ollama.url}).id
    install = pull(first, target)
    Story(first).downloading(install.id, SIZE // 4)
    first.close()
    until(lambda: ollama.seen("POST", "/api/pull")[0].closed_at is not None)
    kept = max(ollama.store.partials.values())
    second = make_host(environment=environment)
    story = Story(second)
    done = story.ended(install.id)
    assert (done.id, done.state, done.attempt) == (install.id, "installed", 2)
    assert [item.id for item in second.installs.list().items] == [install.id]
    assert min(shown(story, "downloading")[-1]) >= kept >= SIZE // 4
    assert pulls(ollama) == 2


def test_row_37_a_killed_moorage_takes_its_pulls_up_again_one_at_a_time(
    tmp_path: Path, hub: FakeHub, ollama: FakeOllama
) -> None:
    add(hub, "b/m-GGUF", {"m-Q4_K_M.gguf": weights(SIZE, seed=2)})
    ollama.pulls.speed = SPEED / 4
    home, environment = tmp_path / "home", {"HF_ENDPOINT": hub.url}
    ids: list[str] = []
    for life in (1, 2, 3):
        with serving(home, environment) as running, Api(running.url) as api:
            if life == 1:
                provider = {"name": "Boathouse", "type": "ollama", "config": {"endpoint": ollama.url}}
                body = {"source": SOURCE, "target": api.post("/api/llm/providers", provider, status=201)["id"]}
                for model in (MODEL, "b/m-GGUF"):
                    asked = {**body, "model": model, "road": "pull"}
                    ids.append(api.post("/api/llm/models/import", asked, status=202)["id"])
            first = told(api, ids[0], lambda install: install["phase"] == "downloading" and install["completed"] > 0)
            assert (first["state"], first["attempt"]) == ("running", life)
            until(lambda life=life: pulls(ollama) == life)  # type: ignore[misc]  # mypy knows no default of a lambda
            assert api.get(f"/api/installs/{ids[1]}")["state"] == "queued"
            running.kill()
        until(lambda: ollama.seen("POST", "/api/pull")[-1].closed_at is not None)
    ollama.pulls.speed = None
    with serving(home, environment) as running, Api(running.url) as api:
        installs = [told(api, id, lambda install: install["state"] == "installed") for id in ids]
        assert [install["id"] for install in api.get("/api/installs")["installs"]] == list(reversed(ids))
    assert [install["attempt"] for install in installs] == [4, 1]
    assert [seen.json["model"] for seen in ollama.seen("POST", "/api/pull")] == [NAME] * 4 + [
        NAME.replace("/a/", "/b/")
    ]
    assert one_at_a_time(ollama)


def told(api: Api, id: str, condition: Callable[[Any], bool], seconds: float = 20.0) -> Any:
    end = time.monotonic() + seconds
    while not condition(install := api.get(f"/api/installs/{id}")):
        assert time.monotonic() < end, install
        time.sleep(0.02)
    return install
