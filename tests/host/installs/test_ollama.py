"""Pulls through the whole Moorage: what an Ollama server does meanwhile, and what becomes of the install."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from moorage.host import Host
from moorage.installs import run
from moorage.models import Install
from moorage_llamacpp import plugin as llamacpp_plugin
from moorage_ollama import plugin as ollama_plugin
from moorage_ollama.pacing import Pacing
from tests.api import Api, text_of
from tests.conftest import MakeHost
from tests.fakes.faults import Fault
from tests.fakes.hub import FakeHub
from tests.fakes.hub_registry import SHARDED_TAG
from tests.fakes.ollama import FakeOllama
from tests.fakes.ollama_pull import PullFault, disk_full, stall
from tests.fakes.ollama_registry import MemoryRegistry
from tests.host.installs.story import SOURCE, Story, add, slow, until, weights
from tests.process import serving
from tests.site import Site, site
from tests.world import REAL, World
from tests.world import world as make_world

MODEL = "a/m-GGUF"
NAME = "hf.co/a/m-GGUF:Q4_K_M"
SIZE = 3_000_000
SPEED = 2_000_000  # bytes per second of a pull that a test wants to catch
QUICK = Pacing(stall=0.5, silence=5.0, waits=(0.1, 0.1))
CANCEL_SECONDS = 2.0
LONG = 60.0  # seconds of silence that a cancel must not wait for


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
        (PullFault(line=b"garbage\n" * 4, ends=True), "broken"),
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


# -- over HTTP ---------------------------------------------------------------------------------------------------------


class Desk:
    """A Moorage with an Ollama server, and its buttons. The built-in engine is the other target."""

    def __init__(self, running: Site, api: Api, hub: FakeHub, ollama: FakeOllama) -> None:
        self.api, self.hub, self.ollama = api, hub, ollama
        self.models = running.host.settings.home / "models"
        provider = {"name": "Boathouse", "type": "ollama", "config": {"endpoint": ollama.url}}
        self.server = api.post("/api/llm/providers", provider, status=201)["id"]

    def ask(self, target: str | None = None, model: str = MODEL, **more: Any) -> str:
        road = {} if target == "builtin" else {"road": "pull"}
        body = {"source": SOURCE, "model": model, "target": target or self.server, **road, **more}
        return str(self.api.post("/api/llm/models/import", body, status=202)["id"])

    def press(self, id: str, action: str, status: int = 200) -> Any:
        return self.api.post(f"/api/installs/{id}/{action}", status=status)

    def until(self, id: str, *, state: str = "running", phase: str | None = None, completed: int = 0) -> Any:
        def there(install: Any) -> bool:
            return bool(
                install["state"] == state and phase in (None, install["phase"]) and install["completed"] >= completed
            )

        return told(self.api, id, there)

    def files(self) -> list[Path]:
        return [path for path in self.models.rglob("*") if path.is_file()]

    def delete(self, target: str, name: str) -> int:
        return self.api.client.delete("/api/local/models", params={"target": target, "name": name}).status_code

    def listed(self, target: str) -> list[str]:
        targets = {each["target"]: each for each in self.api.get("/api/local/models")["targets"]}
        return [model["name"] for model in targets[target]["models"]]


@pytest.fixture
def desk(tmp_path: Path, quick: None, hub: FakeHub, ollama: FakeOllama) -> Iterator[Desk]:
    with site(tmp_path / "home", {"HF_ENDPOINT": hub.url}) as running, Api(running.url) as api:
        yield Desk(running, api, hub, ollama)


@pytest.fixture
def world() -> Iterator[World]:
    with make_world() as places:
        yield places


def queued(desk: Desk) -> str:
    desk.ollama.pulls.speed = SPEED / 10
    add(desk.hub, "b/m-GGUF", {"m-Q4_K_M.gguf": weights(SIZE, seed=2)})
    first = desk.ask(model="b/m-GGUF")
    second = desk.ask()
    desk.until(first, phase="downloading")
    desk.until(second, state="queued")
    return second


def pulling(phase: str) -> Callable[[Desk], str]:
    def scene(desk: Desk) -> str:
        pulls = desk.ollama.pulls
        pulls.speed = SPEED / 10 if phase == "downloading" else None
        pulls.manifest_silence = LONG if phase == "planning" else 0.0
        pulls.verify_silence = LONG if phase == "verifying" else 0.0
        pulls.faults = [PullFault("write", silence=LONG)] if phase == "importing" else []
        desk.ollama.chats.manner.first_silence = LONG if phase == "proving" else 0.0
        id = desk.ask()
        desk.until(id, phase=phase)
        until(lambda: bool(desk.ollama.seen("POST", "/api/chat" if phase == "proving" else "/api/pull")))
        return id

    return scene


def between_two_pulls(desk: Desk) -> str:
    desk.ollama.pulls.faults = [PullFault(ends=True)]
    desk.ollama.faults = [Fault("/api/pull", skip=1, delay=LONG)]
    id = desk.ask()
    until(lambda: len(desk.ollama.seen("POST", "/api/pull")) == 2)
    return id


def download(desk: Desk) -> str:
    slow(desk.hub)
    id = desk.ask("builtin")
    desk.until(id, phase="downloading", completed=300_000)
    return id


def paused_download(desk: Desk) -> str:
    id = download(desk)
    assert desk.press(id, "pause")["state"] == "paused"
    assert desk.files(), "a pause keeps the part"
    return id


def paused_pull(desk: Desk) -> str:
    id = pulling("downloading")(desk)
    assert desk.press(id, "pause")["state"] == "paused"
    return id


def waiting_for_the_server(desk: Desk) -> str:
    desk.ollama.faults = [Fault("/api/pull", status=503, times=None)]
    id = desk.ask()
    assert desk.until(id, state="waiting")["reason"] == "target"
    return id


def waiting_for_room(desk: Desk) -> str:
    desk.ollama.pulls.faults = [disk_full()]
    id = desk.ask()
    assert desk.until(id, state="waiting")["reason"] == "disk"
    return id


def scheduled(desk: Desk) -> str:
    return desk.ask(when=(datetime.now(UTC) + timedelta(hours=1)).isoformat())


SCENES: dict[str, Callable[[Desk], str]] = {
    scene.__name__: scene
    for scene in (
        scheduled, queued, between_two_pulls, download, paused_download, paused_pull, waiting_for_the_server,
        waiting_for_room,
    )
} | {phase: pulling(phase) for phase in ("planning", "downloading", "verifying", "importing", "proving")}  # fmt: skip


@pytest.mark.parametrize("scene", SCENES)
def test_row_27_a_cancel_in_each_state_is_quick_and_leaves_nothing(desk: Desk, scene: str) -> None:
    id = SCENES[scene](desk)
    began = time.monotonic()
    assert desk.press(id, "cancel")["state"] == "cancelled"
    assert time.monotonic() - began < CANCEL_SECONDS
    last = [seen for seen in desk.ollama.seen("POST", "/api/(pull|chat)") if scene != "queued"][-1:]
    if scene not in ("waiting_for_the_server", "waiting_for_room"):  # there the server has answered to the end
        until(lambda: all(seen.closed_at is not None for seen in last), CANCEL_SECONDS)
    until(lambda: desk.files() == [] and desk.ollama.store.models == {}, CANCEL_SECONDS)
    desk.press(id, "cancel", 409)
    for other in desk.api.get("/api/installs")["installs"]:
        if other["state"] == "running":
            desk.press(other["id"], "cancel")


def test_row_27_what_has_ended_cannot_be_cancelled(desk: Desk) -> None:
    desk.ollama.pulls.faults = [PullFault(error="the tide was out")]
    id = desk.ask()
    desk.until(id, state="failed")
    desk.press(id, "cancel", 409)
    desk.press(id, "retry")
    desk.until(id, state="installed")
    desk.press(id, "cancel", 409)
    assert desk.listed(desk.server) == [NAME]


def test_row_28_a_model_that_is_on_its_way_cannot_be_deleted(desk: Desk) -> None:
    """It is not there yet, so the download goes on and is whole in the end."""
    slow(desk.hub)
    id = desk.ask("builtin")
    install = desk.until(id, phase="downloading", completed=300_000)
    name = f"{install['model']}:{install['quantization']}"
    assert desk.delete("builtin", name) in (404, 409)
    desk.until(id, state="installed")
    assert desk.listed("builtin") == [name]
    assert desk.delete("builtin", name) == 204
    assert (desk.listed("builtin"), desk.files()) == ([], [])
    desk.ollama.pulls.speed = SPEED
    id = desk.ask()
    desk.until(id, phase="downloading", completed=1)
    assert desk.delete(desk.server, NAME) in (404, 409)
    desk.until(id, state="installed")
    assert desk.listed(desk.server) == [NAME]


def test_row_28_a_model_that_is_being_tried_is_not_half_deleted(desk: Desk) -> None:
    desk.ollama.chats.manner.first_silence = 1.0
    id = desk.ask()
    desk.until(id, phase="proving")
    status = desk.delete(desk.server, NAME)
    install = told(desk.api, id, lambda install: install["state"] != "running")
    there = {model.name for model in desk.ollama.store.models.values()} == {NAME}
    assert (status, install["state"], there) in [(409, "installed", True), (204, "cancelled", False)]


@pytest.mark.engine
@pytest.mark.xdist_group("engine")
def test_row_28_a_model_that_answers_is_not_deleted(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion waits a while for the answer to end, and is refused when it has not."""
    monkeypatch.setattr(llamacpp_plugin, "REMOVE_SECONDS", 0.2)
    with site(tmp_path / "home", world.environment) as running, Api(running.url) as api, Api(running.url) as other:
        desk = Desk(running, api, world.hub, world.ollama)
        name = desk.until(desk.ask("builtin", REAL), state="installed")["modelName"]
        llm = {"provider": "builtin", "model": name}
        agent = api.post("/api/agents", {"name": "Mate", "llm": llm, "options": {"maxTokens": 400}}, status=201)
        with other.client.stream(
            "POST", f"/api/agents/{agent['id']}/chat", json={"message": "A long story of the sea."}
        ) as answer:
            lines = answer.iter_lines()
            next(line for line in lines if line == "event: text")
            assert desk.delete("builtin", name) in (409, 422)
            assert desk.listed("builtin") == [name]
            next(line for line in lines if line == "event: text")
        assert text_of(api.chat(agent["id"], "Say hello.")), "the model is whole"
        assert desk.delete("builtin", name) == 204
        assert (desk.listed("builtin"), desk.files()) == ([], [])
        assert api.chat(agent["id"], "Say hello.")[-1].data["state"] == "failed"
