"""kill -9 of a real `moorage serve` while it installs: nothing is lost, nothing sticks, nothing is left over."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api import Api
from tests.e2e.crash import MB, Voyage, all_installs, harbour, sha256_of
from tests.fakes.ollama_pull import PullFault
from tests.process import serving
from tests.world import REAL, World

SPEED = 3 * MB  # bytes per second of each transfer
SYNCED = 5  # seconds after which what has come is kept for certain
MIB = 1024 * 1024


@pytest.mark.crash
@pytest.mark.timeout(3600)
def test_kills_under_installs(tmp_path: Path, soak: bool) -> None:
    kills, seed = (200, 2026) if soak else (12, 7)
    with harbour(SPEED) as places:
        voyage = Voyage(tmp_path / "home", places, seed, sizes=(MB // 2, 6 * MB))
        chance = voyage.chance
        voyage.sail(1.0)
        while voyage.log.kills < kills:
            if chance.random() < 0.25:
                voyage.sink(chance.uniform(0.0, 1.2))
            else:
                # Mostly short; now and then long enough for what has come to be synced on the way.
                voyage.sail(chance.uniform(6.0, 9.0) if chance.random() < 0.05 else chance.uniform(0.0, 2.0))
        print(f"seed {seed}: {voyage.log}; {len(voyage.ledger.lines)} installs, seen in {dict(voyage.ledger.phases)}")
        voyage.arrive(60 + 3.0 * len(voyage.ledger.lines))
        again = voyage.fetched_again()
        print(f"fetched again: {again / MB:.2f} MB")
        assert again / kills <= 64 * MIB
        # Much less than that at this speed: what came since the last sync, and what was on its way.
        assert max(voyage.log.lost) <= SPEED * (SYNCED + 2)
        assert again / kills <= SPEED * 2
        voyage.check_that_nothing_is_left()


@pytest.mark.crash
def test_kills_while_it_starts(tmp_path: Path) -> None:
    """Killed again and again before it has taken everything up, or just after."""
    with harbour(MB) as places:
        voyage = Voyage(tmp_path / "home", places, 11, sizes=(8 * MB, 8 * MB))
        chance = voyage.chance
        with voyage.living() as running, voyage.open(running) as client:
            voyage.save_target(client)
            ids = [voyage.ask(client, places.boat(8 * MB), way) for way in voyage.ways[:2] for _ in range(3)]
            for id, action in ((ids[1], "pause"), (ids[2], "cancel"), (ids[4], "pause")):
                line = voyage.ledger.lines[id]
                line.held = client.post(f"/api/installs/{id}/{action}").json()["state"]
        came_up = 0
        for number in range(10):
            with voyage.living() as running:
                if number % 2:
                    running.wait_ready()
                    came_up += 1
                    time.sleep(chance.uniform(0.0, 0.3))
                else:
                    time.sleep(chance.uniform(0.2, 1.2) * voyage.log.ready[0])
        voyage.arrive(60)
        voyage.check_that_nothing_is_left()
        states = {id: voyage.ledger.lines[id] for id in ids}
        assert all(states[id].attempt >= came_up + 2 for id in (ids[0], ids[3])), "each life is an attempt"
        assert states[ids[2]].held == "cancelled"


@pytest.mark.crash
@pytest.mark.timeout(600)
def test_kills_in_the_middle_of_a_cancel(tmp_path: Path, soak: bool) -> None:
    """The record says cancelled before the files are gone: whoever comes next has to finish that."""
    with harbour(SPEED) as places:
        voyage = Voyage(tmp_path / "home", places, 19, sizes=(4 * MB, 4 * MB))
        for _ in range(60 if soak else 8):
            with voyage.living() as running, voyage.open(running) as client:
                voyage.ledger.check(all_installs(client), voyage.life)
                id = next((item["id"] for item in all_installs(client) if item["state"] in ("queued", "running")), None)
                id = id or voyage.ask(client, places.boat(4 * MB), ("builtin", None))
                until = time.monotonic() + 20
                while not (install := client.get(f"/api/installs/{id}").json())["completed"]:
                    assert time.monotonic() < until, install
                    time.sleep(0.01)

                def cancel(path: str = f"/api/installs/{id}/cancel", client: httpx.Client = client) -> None:
                    with suppress(httpx.TransportError):
                        client.post(path)

                voyage.ledger.lines[id].cancels += 1
                cancelling = threading.Thread(target=cancel, name="cancel")
                cancelling.start()
                time.sleep(voyage.chance.uniform(0.0, 0.04))
                running.kill()
                cancelling.join(10)
        voyage.arrive(60)
        voyage.check_that_nothing_is_left()


@pytest.mark.crash
@pytest.mark.parametrize("phase", ["planning", "verifying", "importing", "proving"])
def test_kills_in_each_phase_on_a_server(tmp_path: Path, phase: str) -> None:
    """What the server does meanwhile goes on or is asked for again; one install, and a proof in the end."""
    with harbour(8 * MB) as places:
        pulls, chats = places.ollama.pulls, places.ollama.chats
        voyage = Voyage(tmp_path / "home", places, 13, sizes=(MB, MB))
        pulls.manifest_silence = 30.0 if phase == "planning" else 0.0
        pulls.verify_silence = 30.0 if phase == "verifying" else 0.0
        pulls.faults = [PullFault("write", silence=30.0, times=None)] if phase == "importing" else []
        chats.manner.first_silence = 30.0 if phase == "proving" else 0.0
        id = ""
        for life in range(3):
            with voyage.living() as running, voyage.open(running) as client:
                if life == 0:
                    voyage.save_target(client)
                    id = voyage.ask(client, places.boat(MB), voyage.ways[1])
                until = time.monotonic() + 20
                while client.get(f"/api/installs/{id}").json()["phase"] != phase:
                    assert time.monotonic() < until, client.get(f"/api/installs/{id}").json()
                    time.sleep(0.02)
                voyage.ledger.check(all_installs(client), voyage.life)
                time.sleep(voyage.chance.uniform(0.0, 0.3))
        pulls.manifest_silence = pulls.verify_silence = chats.manner.first_silence = 0.0
        pulls.faults = []
        voyage.arrive(60)
        voyage.check_that_nothing_is_left()
        assert voyage.ledger.lines[id].attempt == 4


@pytest.mark.crash
@pytest.mark.engine
@pytest.mark.timeout(300)
def test_kills_while_the_engine_takes_the_model_up(tmp_path: Path, world: World, soak: bool) -> None:
    """Between the last byte and the proof: the file is linked and the engine loads it, which takes a second or so."""
    home, chance = tmp_path / "home", random.Random(17)
    asked = {"source": "huggingface", "model": REAL, "target": "builtin"}
    hits = 0
    for life in range(20 if soak else 3):
        with serving(home, world.environment) as running, Api(running.url) as api:
            id = api.post("/api/llm/models/import", asked, status=200 if life else 202)["id"]
            wait_for(api, id, lambda install: install["phase"] in ("importing", "proving"))
            time.sleep(chance.uniform(0.0, 0.6))
            hits += api.get(f"/api/installs/{id}")["phase"] in ("importing", "proving")
            running.kill()
    assert hits > 0
    with serving(home, world.environment) as running, Api(running.url) as api:
        install = wait_for(api, id, lambda install: False)
        assert install["proof"]["chat"]["ok"], install
        assert install["warning"] is None
        assert install["attempt"] > hits
        files = [path for path in (home / "models").rglob("*") if path.is_file()]
        assert [sha256_of(path) for path in files] == [path.name for path in files], "one file, by its hash"
    assert not list(home.rglob(".new-*"))


def wait_for(api: Api, id: str, condition: Callable[[Any], bool], seconds: float = 60.0) -> Any:
    """The install once `condition` holds, or once it is installed."""
    until = time.monotonic() + seconds
    while True:
        install = api.get(f"/api/installs/{id}")
        if install["state"] == "installed" or condition(install):
            return install
        assert time.monotonic() < until, install
        time.sleep(0.01)
