"""kill -9 under installs: a world that counts what it gives away, a person who presses buttons, and what must hold.

The ledger knows what Moorage has acknowledged. What a request was about that the kill cut off is in doubt: its record
may be as it was before or as it should be after, but nothing else.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from tests.fakes.hub import FakeHub
from tests.fakes.ollama import FakeOllama
from tests.fakes.ollama_gguf import make_gguf
from tests.fakes.repo import Blob, Repo, SparseFile
from tests.process import Serving, starting

MB = 1_000_000
PIECE = 32 * 1024
ACTIVE = ("scheduled", "queued", "running", "paused", "waiting")
HELD = ("paused", "cancelled")  # states that nothing but a person ends
LATER = timedelta(seconds=3)


@dataclass
class Pace:
    """Bytes per second of each transfer; None for as fast as can be."""

    speed: float | None


class Weights(Blob):
    """A model's file: a true header, then noise. It is sent at a pace, and knows how much of it was sent, and when.

    `position` is how far the latest transfer came.
    """

    def __init__(self, size: int, seed: int, pace: Pace) -> None:
        super().__init__(SparseFile(size, seed, head=make_gguf()))
        self.sent = self.position = 0
        self.sent_at = 0.0
        self._pace = pace

    @cached_property
    def sha256(self) -> str:
        return Blob(self.content).sha256  # reading it ourselves is not sending it

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        self.position = start
        for chunk in super().chunks(start, stop):
            for at in range(0, len(chunk), PIECE):
                piece = chunk[at : at + PIECE]
                yield piece  # a client that has left ends us here
                self.sent += len(piece)
                self.position += len(piece)
                self.sent_at = time.monotonic()
                if self._pace.speed:
                    time.sleep(len(piece) / self._pace.speed)


@dataclass
class Harbour:
    """A Hub with any number of models, and an Ollama server."""

    hub: FakeHub
    ollama: FakeOllama
    pace: Pace
    weights: dict[str, Weights] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {"HF_ENDPOINT": self.hub.url}

    def boat(self, size: int) -> str:
        """A new model; its id."""
        number = len(self.weights) + 1
        id = f"skipper/Boat{number}-GGUF"
        self.weights[id] = Weights(size, number, self.pace)
        self.hub.add(Repo(id, {file_of(id): self.weights[id]}, gguf={"architecture": "llama", "total": 135_000_000}))
        return id

    def served(self) -> set[str]:
        """The models that the Ollama server has, by their bytes and not by their names."""
        ids = {f"sha256:{weights.sha256}": id for id, weights in self.weights.items()}
        models = list(self.ollama.store.models.values())
        return {ids[layer.digest] for model in models for layer in model.layers if layer.kind == "model"}

    def asked_since(self, moment: float) -> float | None:
        """When the first file was asked for after `moment`, by whichever road."""
        pulls = self.ollama.seen("POST", "/api/(pull|create|blobs/.+)")
        return min((seen.at for seen in [*self.hub.cdn.requests, *pulls] if seen.at >= moment), default=None)


@contextmanager
def harbour(speed: float) -> Iterator[Harbour]:
    with ExitStack() as stack:
        hub = stack.enter_context(FakeHub())
        ollama = stack.enter_context(FakeOllama(registry=hub))
        ollama.pulls.speed = speed
        yield Harbour(hub, ollama, Pace(speed))


def file_of(model: str) -> str:
    return f"{model.partition('/')[2].removesuffix('-GGUF')}-Q4_K_M.gguf"


def asking_for(model: str, target: str, road: str | None = None) -> dict[str, Any]:
    """The body of a request for an install. Moorage chooses the road, unless one is named."""
    return {"source": "huggingface", "model": model, "target": target, **({"road": road} if road else {})}


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def all_installs(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        answer = client.get("/api/installs", params={"limit": 200, **query, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        found += answer.json()["installs"]
        cursor = answer.json()["next"]
        if cursor is None:
            return found


@dataclass
class Line:
    """What is known of one install. `held`: a state that was acknowledged, and that nobody has touched since."""

    id: str
    model: str
    target: str
    held: str | None = None
    attempt: int = 0
    lives: dict[int, int] = field(default_factory=dict)  # by attempt: in which life it ran
    cancels: int = 0  # asked for, acknowledged or not
    pressed: list[tuple[int, str]] = field(default_factory=list)  # in which life, what, and the answer
    perhaps_removed: bool = False


@dataclass
class Ledger:
    lines: dict[str, Line] = field(default_factory=dict)
    removed: dict[str, Line] = field(default_factory=dict)
    in_doubt: set[tuple[str, str]] = field(default_factory=set)  # model and target of requests that were cut off
    installed: set[tuple[str, str]] = field(default_factory=set)  # model and target, ever
    phases: Counter[str] = field(default_factory=Counter)  # in which runs were seen

    def note(self, install: dict[str, Any]) -> Line:
        id, model, target = install["id"], install["model"], install["target"]
        if id not in self.lines:
            self.lines[id] = Line(id, model, target)
        return self.lines[id]

    def check(self, installs: list[dict[str, Any]], life: int) -> None:
        """Hold what is listed against what was acknowledged."""
        listed = {install["id"]: install for install in installs}
        assert len(listed) == len(installs), "each is listed once"
        for line in list(self.lines.values()):
            if line.id not in listed:
                assert line.perhaps_removed, f"{line.id} is lost"
                self.removed[line.id] = self.lines.pop(line.id)
        for id, install in listed.items():
            assert id not in self.removed, f"{id} has come back"
            if id not in self.lines:
                assert (install["model"], install["target"]) in self.in_doubt, f"nobody asked for {id}"
            self._check(self.note(install), install, life)
        active = Counter((item["model"], item["target"]) for item in installs if item["state"] in ACTIVE)
        assert not [key for key, count in active.items() if count > 1], "one install for one question"

    def _check(self, line: Line, install: dict[str, Any], life: int) -> None:
        assert line.held in (None, install["state"]), (line, install)
        assert install["state"] != "failed", install
        assert install["attempt"] >= line.attempt, "attempts are counted up"
        line.attempt = install["attempt"]
        if install["state"] == "installed":
            self.installed.add((line.model, line.target))
        if install["state"] == "running":
            self.phases[str(install["phase"])] += 1
            ran = line.lives.setdefault(install["attempt"], life)
            assert ran == life, f"attempt {install['attempt']} of {line.id} ran before the kill and after it"


class Person:
    """Presses buttons at random, one after another, until the server is gone."""

    def __init__(self, url: str, voyage: Voyage) -> None:
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=30.0)
        self._voyage, self._ledger, self._chance = voyage, voyage.ledger, voyage.chance
        self._thread = threading.Thread(target=self._run, name="person", daemon=True)
        self._error: BaseException | None = None

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """After the server has ended; raises what the person found wrong."""
        self._thread.join(40)
        assert not self._thread.is_alive(), "a request hangs"
        self._client.close()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while True:
                self._press()
                time.sleep(self._chance.uniform(0.0, 0.15))
        except httpx.TransportError:
            return  # killed
        except BaseException as error:
            self._error = error

    def _press(self) -> None:
        installs = all_installs(self._client)
        self._ledger.check(installs, self._voyage.life)
        actions = {
            "ask": (6, ()),
            "pause": (4, ("scheduled", "queued", "running")),
            "resume": (5, ("paused", "waiting")),
            "cancel": (2, ACTIVE),
            "retry": (1, ("cancelled",)),
            "move": (4, ("queued", "paused")),
            "remove": (1, ("cancelled", "installed")),
        }
        action = self._chance.choices(list(actions), [weight for weight, _ in actions.values()])[0]
        fitting = [item for item in installs if item["state"] in actions[action][1]]
        if action == "ask":
            busy = Counter(item["target"] for item in installs if item["state"] in ACTIVE and item["state"] != "paused")
            target, road = self._chance.choice(self._voyage.ways)
            if busy[target] < 3:
                self._ask(target, road)
        elif fitting:
            self._steer(action, self._chance.choice(fitting), installs)

    def _ask(self, target: str, road: str | None) -> None:
        old = [line.model for line in self._ledger.lines.values() if line.target == target]
        if old and self._chance.random() < 0.2:
            model = self._chance.choice(old)
        else:
            model = self._voyage.harbour.boat(self._chance.randint(*self._voyage.sizes))
        body = asking_for(model, target, road)
        if self._chance.random() < 0.2:
            body["when"] = (datetime.now(UTC) + LATER).isoformat()
        self._ledger.in_doubt.add((model, target))
        answer = self._client.post("/api/llm/models/import", json=body)
        assert answer.status_code in (200, 202), answer.text
        self._ledger.note(answer.json())
        self._ledger.in_doubt.discard((model, target))

    def _steer(self, action: str, install: dict[str, Any], installs: list[dict[str, Any]]) -> None:
        line = self._ledger.lines[install["id"]]
        before, line.held = line.held, None
        line.cancels += action == "cancel"
        line.pressed.append((self._voyage.life, f"{action} {install['state']} {install['phase']}"))
        path = f"/api/installs/{line.id}"
        if action == "remove":
            line.perhaps_removed = True
            answer = self._client.delete(path)
        elif action == "move":
            others = [item["id"] for item in installs if item["state"] == "queued" and item["id"] != line.id]
            place = {"before": self._chance.choice(others)} if others and self._chance.random() < 0.5 else None
            answer = self._client.post(f"{path}/move", json=place or {"to": "front"})
        else:
            answer = self._client.post(f"{path}/{action}")
        assert answer.status_code in (200, 204, 409), (action, answer.status_code, answer.text)
        line.pressed.append((self._voyage.life, f"+ {answer.status_code}"))
        if answer.status_code == 409:  # it had moved on by itself
            line.held, line.perhaps_removed = before, False
        elif action == "remove":
            self._ledger.removed[line.id] = self._ledger.lines.pop(line.id)
        elif answer.json()["state"] in HELD:
            line.held = answer.json()["state"]


@dataclass
class Log:
    """What was measured."""

    kills: int = 0
    ready: list[float] = field(default_factory=list)  # seconds from the start of a process to its ready line
    resumed: list[float] = field(default_factory=list)  # seconds from there until work went on
    lost: list[int] = field(default_factory=list)  # bytes per kill that had been sent and were not kept

    def __str__(self) -> str:
        def worst(values: list[float]) -> str:
            return f"{max(values, default=0.0):.2f} s worst of {len(values)}"

        return (
            f"{self.kills} kills; ready: {worst(self.ready)}; resumed after: {worst(self.resumed)}; "
            f"lost per kill: {max(self.lost, default=0) / MB:.2f} MB worst, "
            f"{sum(self.lost) / max(1, len(self.lost)) / MB:.2f} MB on average"
        )


class Voyage:
    """One home through many lives of its server."""

    def __init__(self, home: Path, harbour: Harbour, seed: int, sizes: tuple[int, int]) -> None:
        self.home, self.harbour, self.sizes = home, harbour, sizes
        self.chance = random.Random(seed)
        self.ledger = Ledger()
        self.log = Log()
        self.life = 0
        self.ways: list[tuple[str, str | None]] = []

    @contextmanager
    def living(self) -> Iterator[Serving]:
        """A server that is starting; it is killed at the end of the block."""
        self.life += 1
        sent = {id: weights.sent for id, weights in self.harbour.weights.items()}
        with starting(self.home, self.harbour.environment) as running:
            yield running
            running.kill()
        self.log.kills += 1
        self.log.lost.append(
            sum(self._lost(id) for id, weights in self.harbour.weights.items() if weights.sent != sent.get(id, 0))
        )
        assert not [line for line in running.err if "Traceback" in line], running.err

    @contextmanager
    def open(self, running: Serving) -> Iterator[httpx.Client]:
        """Wait until it answers, and see that it complains about nothing."""
        running.wait_ready()
        with httpx.Client(base_url=running.url, trust_env=False, timeout=30.0) as client:
            assert client.get("/healthz").status_code == 200
            self.log.ready.append(time.monotonic() - running.started)
            assert client.get("/readyz").status_code == 200, client.get("/readyz").text
            assert not running.err, "nothing is wrong after a kill"
            yield client

    def save_target(self, client: httpx.Client) -> None:
        """Save the Ollama server, and find out which ways there are."""
        body = {"name": "Boathouse", "type": "ollama", "config": {"endpoint": self.harbour.ollama.url}}
        saved = client.post("/api/llm/providers", json=body)
        assert saved.status_code == 201, saved.text
        target = saved.json()["id"]
        self.ways = [("builtin", None), (target, "pull")]
        asked = asking_for(self.harbour.boat(MB), target, "import")
        plan = client.post("/api/llm/models/plan", json=asked).json()
        if plan["ok"]:
            self.ways.append((target, "import"))

    def ask(self, client: httpx.Client, model: str, way: tuple[str, str | None]) -> str:
        """Ask for a model; the install's id."""
        asked = asking_for(model, *way)
        answer = client.post("/api/llm/models/import", json=asked)
        assert answer.status_code == 202, answer.text
        return self.ledger.note(answer.json()).id

    def sail(self, seconds: float) -> None:
        """One life in which buttons are pressed, and its end `seconds` after it was ready."""
        with self.living() as running, self.open(running) as client:
            answers = time.monotonic()
            installs = all_installs(client)
            self.ledger.check(installs, self.life)
            if not self.ways:
                self.save_target(client)
            person = Person(running.url, self)
            person.begin()
            if any(item["state"] in ("queued", "running") for item in installs):
                self._resumes(client, running.started, answers, seconds)
            time.sleep(max(0.0, answers + seconds - time.monotonic()))
            running.kill()
            person.end()

    def sink(self, seconds: float) -> None:
        """A life that ends so many seconds after its first moment, ready or not."""
        with self.living():
            time.sleep(seconds)

    def arrive(self, seconds: float) -> None:
        """The last life: everything that should be installed is, in time, and is right."""
        self.life += 1
        self.harbour.pace.speed = self.harbour.ollama.pulls.speed = None
        with starting(self.home, self.harbour.environment) as running, self.open(running) as client:
            installs = all_installs(client)
            self.ledger.check(installs, self.life)
            for item in installs:
                if item["state"] == "paused":
                    self.ledger.lines[item["id"]].held = None
                    assert client.post(f"/api/installs/{item['id']}/resume").status_code == 200
            until = time.monotonic() + seconds
            while any(item["state"] in ACTIVE for item in installs):
                assert time.monotonic() < until, [item for item in installs if item["state"] in ACTIVE]
                time.sleep(0.1)
                installs = all_installs(client)
                self.ledger.check(installs, self.life)
            self._all_right(installs)
            until = time.monotonic() + 5  # what has ended is tidied up after that is told
            while self.left() and time.monotonic() < until:
                time.sleep(0.1)
        assert not [line for line in running.err if "Traceback" in line], running.err

    def _resumes(self, client: httpx.Client, started: float, answers: float, seconds: float) -> None:
        """Work goes on within 10 s, unless the life ends before: a file is asked for, or a run is past its plan."""
        while time.monotonic() < answers + seconds:
            asked = self.harbour.asked_since(started)
            if asked is None and any(item["phase"] not in (None, "planning") for item in all_installs(client)):
                asked = time.monotonic()
            if asked is not None:
                self.log.resumed.append(max(0.0, asked - answers))
                assert asked - answers < 10
                return
            assert time.monotonic() < answers + 10, "nothing goes on"
            time.sleep(0.02)

    def _lost(self, model: str) -> int:
        """How much of what was sent has to be sent again."""
        weights = self.harbour.weights[model]
        partial = self.home / "models" / "partial"
        try:
            kept = int(json.loads((partial / f"{weights.sha256}.json").read_bytes())["offset"])
        except FileNotFoundError:
            kept = 0
        return max(0, weights.position - kept) if (partial / f"{weights.sha256}.part").exists() else 0

    def _all_right(self, installs: list[dict[str, Any]]) -> None:
        assert {item["state"] for item in installs} <= {"installed", "cancelled"}, installs
        here, served = self._models_here(), self.harbour.served()
        for item in installs:
            if item["state"] == "installed":
                weights = self.harbour.weights[item["model"]]
                assert item["completed"] == item["total"] >= weights.size
                assert item["target"] != "builtin" or sha256_of(here[file_of(item["model"])]) == weights.sha256
                assert item["target"] == "builtin" or item["model"] in served

    def _models_here(self) -> dict[str, Path]:
        """The built-in engine's files by their names."""
        return {path.name: path for path in (self.home / "plugins").rglob("*.gguf")}

    def check_that_nothing_is_left(self) -> None:
        left = self.left()
        assert not left, "\n".join([*left, *map(str, self._about(left))])

    def left(self) -> list[str]:
        """Files and models of what was cancelled or cut off."""
        # What was installed once may stay when its record is removed from the history.
        wanted = {model for model, target in self.ledger.installed if target == "builtin"}
        hashes = {self.harbour.weights[model].sha256 for model in wanted}
        everything = [path for path in self.home.rglob("*") if path.is_file()]
        elsewhere = {model for model, target in self.ledger.installed if target != "builtin"}
        return [
            *(f"the built-in engine has {name}" for name in set(self._models_here()) - set(map(file_of, wanted))),
            *(f"the server has {model}" for model in self.harbour.served() - elsewhere),
            *(f"blob {path.name}" for path in everything if path.parent.name == "blobs" and path.name not in hashes),
            *(path.name for path in everything if path.parent.name == "partial" or ".tmp" in path.name),
            *(str(path) for path in self.home.rglob(".new-*")),
        ]

    def _about(self, left: list[str]) -> list[Line]:
        """What is known of the installs whose files were left."""
        text = " ".join(left)
        return [
            line
            for line in [*self.ledger.lines.values(), *self.ledger.removed.values()]
            if any(word in text for word in (self.harbour.weights[line.model].sha256, file_of(line.model), line.model))
        ]

    def fetched_again(self) -> int:
        """Bytes that were sent beyond the size of each file; not of those that were cancelled and asked for again."""
        untouched = {line.model for line in self.ledger.lines.values() if line.target == "builtin"}
        untouched -= {line.model for line in self.ledger.lines.values() if line.cancels}
        return sum(max(0, self.harbour.weights[model].sent - self.harbour.weights[model].size) for model in untouched)
