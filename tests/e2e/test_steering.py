"""Steering installs over HTTP: a cancel in every state is quick and leaves nothing; many hands do no harm."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from moorage.fetch import Patience
from tests.api import Api
from tests.e2e.crash import ACTIVE, MB, Harbour, Pace, Weights, all_installs, asking_for, file_of, harbour, sha256_of
from tests.fakes.faults import Fault
from tests.fakes.ollama_pull import PullFault
from tests.fakes.repo import Repo
from tests.site import Site, site

SPEED = 2 * MB  # bytes per second of a download that a test wants to catch
CANCEL_SECONDS = 2.0
LONG = 60.0  # seconds of silence of a server that a cancel must not wait for
GB = 1000 * MB


class Desk:
    """A Moorage with an Ollama server, and the buttons."""

    def __init__(self, running: Site, places: Harbour, api: Api) -> None:
        self.running, self.places, self.api = running, places, api
        self.home = running.host.settings.home
        provider = {"name": "Boathouse", "type": "ollama", "config": {"endpoint": places.ollama.url}}
        self.server = api.post("/api/llm/providers", provider, status=201)["id"]

    def ask(self, target: str, model: str | None = None, **more: Any) -> str:
        model = model or self.places.boat(4 * MB)
        body = {**asking_for(model, target), **more}
        return str(self.api.post("/api/llm/models/import", body, status=202)["id"])

    def press(self, id: str, action: str) -> Any:
        return self.api.post(f"/api/installs/{id}/{action}")

    def until(self, id: str, *, state: str = "running", phase: str | None = None, completed: int = 0) -> Any:
        end = time.monotonic() + 20
        while True:
            install = self.api.get(f"/api/installs/{id}")
            if install["state"] == state and phase in (None, install["phase"]) and install["completed"] >= completed:
                return install
            assert time.monotonic() < end, json.dumps([install, self.api.get(f"/api/installs/{id}/timeline")])
            time.sleep(0.01)

    def files(self) -> list[str]:
        """Everything in the directory of downloads."""
        return sorted(str(path.relative_to(self.home)) for path in (self.home / "models").rglob("*") if path.is_file())

    def models(self) -> list[str]:
        """What is installed, whichever target."""
        for target in ("builtin", self.server):
            self.running.host.local.forget(target)
        targets = self.api.get("/api/local/models")["targets"]
        return [model["name"] for target in targets for model in target["models"]]


@pytest.fixture
def places() -> Iterator[Harbour]:
    with harbour(SPEED) as made:
        yield made


@pytest.fixture
def desk(tmp_path: Path, places: Harbour) -> Iterator[Desk]:
    with site(tmp_path / "home", places.environment) as running, Api(running.url) as api:
        running.host.downloader._patience = Patience(silence=LONG, tries=1, first_pause=0.05)
        yield Desk(running, places, api)


def eventually(condition: Callable[[], bool], seconds: float = CANCEL_SECONDS) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


# -- the scenes: each brings an install into its state ----------------------------------------------------------------


def scheduled(desk: Desk) -> str:
    return desk.ask("builtin", when=(datetime.now(UTC) + timedelta(hours=1)).isoformat())


def queued(desk: Desk) -> str:
    first, second = desk.ask("builtin"), desk.ask("builtin")
    desk.until(first, completed=1)
    desk.until(second, state="queued")
    return second


def downloading(desk: Desk) -> str:
    id = desk.ask("builtin")
    desk.until(id, phase="downloading", completed=300_000)
    return id


def stalled(desk: Desk) -> str:
    desk.places.hub.cdn.faults.append(Fault(stall_after=500_000))
    id = desk.ask("builtin")
    desk.until(id, phase="downloading", completed=1)
    return id


def silent_source(desk: Desk) -> str:
    desk.places.hub.cdn.faults.append(Fault(delay=LONG))
    id = desk.ask("builtin")
    assert eventually(lambda: bool(desk.places.hub.cdn.requests), 20)
    return id


def silent_hub(desk: Desk) -> str:
    """Its plan is made again when it begins, and the Hub does not answer."""
    first, second = desk.ask("builtin"), desk.ask("builtin")
    desk.until(first, completed=1)
    desk.running.host.search.forget()
    desk.places.hub.faults.append(Fault("/api/.*", delay=LONG, times=None))
    desk.press(first, "cancel")
    desk.until(second, phase="planning")
    time.sleep(0.2)
    return second


def rereading(desk: Desk) -> str:
    """A part so long that hashing it again takes a while; it is a hole, which takes no room."""
    weights = Weights(2 * GB + MB, 1, Pace(SPEED))
    weights.sha256 = "ab" * 32  # it never comes to its end
    desk.places.hub.add(Repo("skipper/Whale-GGUF", {"Whale-Q4_K_M.gguf": weights}, gguf={"architecture": "llama"}))
    id = desk.ask("builtin", "skipper/Whale-GGUF")
    desk.until(id, phase="downloading", completed=300_000)
    desk.press(id, "pause")
    part = desk.home / "models" / "partial" / f"{weights.sha256}.part"
    sidecar = part.with_suffix(".json")
    os.truncate(part, 2 * GB)
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_bytes()), "offset": 2 * GB}))
    desk.press(id, "resume")
    desk.until(id, phase="verifying")
    return id


def pull(phase: str) -> Callable[[Desk], str]:
    def scene(desk: Desk) -> str:
        pulls = desk.places.ollama.pulls
        pulls.speed = SPEED if phase == "downloading" else None
        pulls.manifest_silence = LONG if phase == "planning" else 0.0
        pulls.verify_silence = LONG if phase == "verifying" else 0.0
        pulls.faults = [PullFault("write", silence=LONG)] if phase == "importing" else []
        desk.places.ollama.chats.manner.first_silence = LONG if phase == "proving" else 0.0
        id = desk.ask(desk.server, road="pull")
        desk.until(id, phase=phase)
        asked = "/api/chat" if phase == "proving" else "/api/pull"
        assert eventually(lambda: bool(desk.places.ollama.seen("POST", asked)), 20)
        return id

    return scene


def bring(phase: str) -> Callable[[Desk], str]:
    """The other road into the server: we download, upload, and have it make a model of the file."""

    def scene(desk: Desk) -> str:
        ollama = desk.places.ollama
        model = desk.places.boat(4 * MB)
        plan = desk.api.post("/api/llm/models/plan", asking_for(model, desk.server, "import"))
        if not plan["ok"]:
            pytest.skip("this Moorage only lets the server pull")
        desk.places.pace.speed = SPEED if phase == "downloading" else None
        ollama.blobs.upload_speed = SPEED / 10 if phase == "uploading" else None
        ollama.creations.seconds = LONG if phase == "creating" else 0.0
        ollama.chats.manner.first_silence = LONG if phase == "proving" else 0.0
        id = desk.ask(desk.server, model, road="import")
        desk.until(id, phase=phase if phase in ("downloading", "proving") else "importing")
        if phase == "creating":
            assert eventually(lambda: bool(ollama.seen("POST", "/api/create")), 20)
        return id

    return scene


def paused(desk: Desk) -> str:
    id = downloading(desk)
    assert desk.press(id, "pause")["state"] == "paused"
    assert desk.files(), "something is kept"
    return id


def paused_pull(desk: Desk) -> str:
    id = pull("downloading")(desk)
    desk.press(id, "pause")
    return id


def paused_when_it_was_tried(desk: Desk) -> str:
    """The model is there already, but the install has not come to its end."""
    id = pull("proving")(desk)
    desk.press(id, "pause")
    desk.places.ollama.chats.manner.first_silence = 0.0
    return id


def paused_when_it_was_tried_here(desk: Desk) -> str:
    """The same on the built-in engine, whose files are links to the downloads."""
    id = desk.ask("builtin")
    desk.places.pace.speed = None
    desk.until(id, phase="proving")
    desk.press(id, "pause")
    return id


def waits_for_the_network(desk: Desk) -> str:
    desk.places.hub.cdn.faults += [Fault(end_after=500_000), Fault(times=None, status=503)]
    id = desk.ask("builtin")
    assert desk.until(id, state="waiting")["reason"] == "network"
    assert desk.files(), "something is kept"
    return id


def waits_for_room(desk: Desk) -> str:
    id = paused(desk)
    desk.running.host.downloader._free = lambda path: 10
    desk.press(id, "resume")
    assert desk.until(id, state="waiting")["reason"] == "disk"
    return id


def waits_for_a_key(desk: Desk) -> str:
    id = paused(desk)
    desk.places.hub.faults.append(Fault(".*/resolve/.*", times=None, status=403, headers={"X-Error-Code": "GatedRepo"}))
    desk.press(id, "resume")
    assert desk.until(id, state="waiting")["reason"] == "sign-in"
    return id


SCENES: dict[str, Callable[[Desk], str]] = {
    **{
        scene.__name__: scene
        for scene in (
            scheduled, queued, downloading, stalled, silent_source, silent_hub, rereading, paused, paused_pull,
            paused_when_it_was_tried, paused_when_it_was_tried_here,
            waits_for_the_network, waits_for_room, waits_for_a_key,
        )
    },
    **{f"pull_{phase}": pull(phase) for phase in ("planning", "downloading", "verifying", "importing", "proving")},
    **{f"bring_{phase}": bring(phase) for phase in ("downloading", "uploading", "creating", "proving")},
}  # fmt: skip


@pytest.mark.parametrize("scene", SCENES)
def test_a_cancel_is_quick_and_leaves_nothing(desk: Desk, scene: str) -> None:
    id = SCENES[scene](desk)
    before = desk.api.get(f"/api/installs/{id}")
    began = time.monotonic()
    assert desk.press(id, "cancel")["state"] == "cancelled"
    took = time.monotonic() - began
    assert took < CANCEL_SECONDS, f"{took:.1f} s, when it was {before['state']}, {before['phase']}"
    ollama = desk.places.ollama
    last = ollama.seen("POST", "/api/(pull|create|chat)")[-1:]
    assert eventually(lambda: all(seen.closed_at is not None for seen in last)), "the server still works for nobody"
    for other in all_installs(desk.api.client):
        if other["state"] in ACTIVE:
            desk.press(other["id"], "cancel")
    desk.places.hub.faults.clear()
    assert eventually(lambda: desk.files() == []), desk.files()
    assert eventually(lambda: desk.models() == []), desk.models()
    assert ollama.store.models == {}
    after = desk.api.get(f"/api/installs/{id}")
    assert (after["state"], after["phase"], after["reason"]) == ("cancelled", None, None)
    assert after["finishedAt"] is not None
    time.sleep(0.3)
    assert desk.api.get(f"/api/installs/{id}") == after, "and so it stays"
    assert desk.files() == []


# -- many hands -------------------------------------------------------------------------------------------------------

HANDS = 20


@pytest.mark.timeout(300)
def test_many_hands_on_the_same_installs_do_no_harm(desk: Desk, soak: bool) -> None:
    """Every answer is a yes or a no, and in the end all is as if one person had pressed one button after another."""
    places = desk.places
    places.pace.speed = MB
    places.ollama.pulls.speed = MB
    wanted = [(places.boat(3 * MB), "builtin"), (places.boat(3 * MB), "builtin"), (places.boat(3 * MB), desk.server)]
    ids = [desk.ask(target, model) for model, target in wanted]
    answers: Counter[tuple[str, int]] = Counter()
    slowest = 0.0
    errors: list[BaseException] = []
    until = time.monotonic() + (60.0 if soak else 4.0)

    def press(seed: int) -> None:
        nonlocal slowest
        chance = random.Random(seed)
        with httpx.Client(base_url=desk.running.url, trust_env=False, timeout=60.0) as client:
            while time.monotonic() < until:
                id = chance.choice(ids[-9:])
                action = chance.choices(
                    ["pause", "resume", "cancel", "retry", "move", "remove", "ask"], [6, 6, 2, 3, 4, 1, 2]
                )[0]
                began = time.monotonic()
                if action == "ask":
                    model, target = chance.choice(wanted)
                    answer = client.post("/api/llm/models/import", json=asking_for(model, target))
                    if answer.status_code == 202:
                        ids.append(answer.json()["id"])
                elif action == "remove":
                    answer = client.delete(f"/api/installs/{id}")
                    if answer.status_code == 204 and len(ids) > 3:
                        ids.remove(id)
                elif action == "move":
                    place = chance.choice([{"to": "front"}, {"before": chance.choice(ids)}])
                    answer = client.post(f"/api/installs/{id}/move", json=place)
                else:
                    answer = client.post(f"/api/installs/{id}/{action}")
                slowest = max(slowest, time.monotonic() - began)
                answers[action, answer.status_code] += 1

    def hand(seed: int) -> None:
        try:
            press(seed)
        except BaseException as error:
            errors.append(error)

    hands = [threading.Thread(target=hand, args=(seed,), name=f"hand:{seed}") for seed in range(HANDS)]
    for thread in hands:
        thread.start()
    for thread in hands:
        thread.join()
    print(f"{sum(answers.values())} answers, the slowest after {slowest:.2f} s: {dict(answers)}")
    assert not errors, errors
    assert {status for _, status in answers} <= {200, 202, 204, 404, 409}, answers

    active = Counter(
        (item["model"], item["target"]) for item in all_installs(desk.api.client) if item["state"] in ACTIVE
    )
    assert all(count == 1 for count in active.values()), active
    places.pace.speed = places.ollama.pulls.speed = None
    last: dict[str, Any] = {}
    for model, target in wanted:
        answer = desk.api.client.post("/api/llm/models/import", json=asking_for(model, target))
        assert answer.status_code in (200, 202), answer.text
        last[answer.json()["id"]] = model
        if answer.json()["state"] in ("paused", "waiting"):
            desk.press(answer.json()["id"], "resume")
    for id in last:
        desk.until(id, state="installed")
    rest = [item for item in all_installs(desk.api.client) if item["id"] not in last]
    assert {item["state"] for item in rest} <= {"cancelled", "installed"}, rest
    here = {path.name: path for path in (desk.home / "plugins").rglob("*.gguf")}
    hashes = sorted(places.weights[model].sha256 for model, target in wanted if target == "builtin")
    assert sorted(sha256_of(here[file_of(model)]) for model, target in wanted if target == "builtin") == hashes
    assert eventually(lambda: desk.files() == [f"models/blobs/{sha256}" for sha256 in hashes]), desk.files()
    assert len(places.ollama.store.models) == 1
