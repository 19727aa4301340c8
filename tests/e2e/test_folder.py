"""The folder example as a distribution: a second source beside the Hub, from its search to a model that answers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.api import Api, Watching, text_of
from tests.process import Commands, Serving, serving
from tests.world import REAL, TOKEN, World, real_model

EXAMPLE = Path(__file__).parents[2] / "examples" / "moorage-folder"
MODEL = "folder/SmolLM2-135M-Instruct"


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built and installed, found by its entry point, like that of anybody."""
    place = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*pip, "--disable-pip-version-check", "--no-cache-dir", "--target", str(place), str(EXAMPLE)],
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return place


@dataclass
class Place:
    """A running Moorage, its data directory and its environment, and the folder."""

    running: Serving
    home: Path
    env: dict[str, str]
    folder: Path
    api: Api


@pytest.fixture
def place(tmp_path: Path, world: World, distribution: Path) -> Iterator[Place]:
    folder, model = tmp_path / "my models", real_model()
    (folder / "SmolLM2-135M-Instruct").mkdir(parents=True)
    shutil.copyfile(model, folder / "SmolLM2-135M-Instruct" / model.name)
    env = {**world.environment, "HF_TOKEN": TOKEN, "PYTHONPATH": str(distribution), "MOORAGE_FOLDER": str(folder)}
    with serving(tmp_path / "home", env) as running, Api(running.url) as api:
        yield Place(running, tmp_path / "home", env, folder, api)


def install(place: Place, **wanted: Any) -> Any:
    """The install, when it has ended well."""
    with Watching(place.running.url) as watching:
        asked = place.api.post("/api/llm/models/import", {"source": "folder", "model": MODEL, **wanted}, status=202)
        ended = watching.until(lambda event: event.type in ("install.installed", "install.failed"))
    done = place.api.get(f"/api/installs/{asked['id']}")
    assert (ended.type, done["state"]) == ("install.installed", "installed"), done
    return done


def test_it_stands_beside_the_hub_everywhere(place: Place) -> None:
    plugin = next(item for item in place.api.get("/api/plugins")["plugins"] if item["name"] == "folder")
    assert (plugin["state"], plugin["distribution"], plugin["version"]) == ("ready", "moorage-folder", "1.0.0")
    found = place.api.get("/api/llm/models/search", q="smollm2")
    assert [(hit["source"], hit["id"]) for hit in found["results"]] == [("folder", MODEL), ("huggingface", REAL)]
    assert [(status["source"], status["ok"]) for status in found["sources"]] == [
        ("folder", True),
        ("huggingface", True),
    ]
    for source, id in (("folder", MODEL), ("huggingface", REAL)):
        alone = place.api.get("/api/llm/models/search", q="smollm2", source=source)
        assert [hit["id"] for hit in alone["results"]] == [id]
    assert [
        hit["id"] for hit in place.api.get("/api/llm/models/search", q="smollm2", author="lighthouse")["results"]
    ] == [REAL], "what a folder cannot say it does not match"
    commands = Commands(place.home, place.env)
    assert {hit["id"] for hit in commands.json("search", "smollm2")["results"]} == {MODEL, REAL}
    assert commands.json("install", MODEL, "--source", "folder", "--plan")["ok"]
    page = place.api.page("/models?q=smollm2")
    assert MODEL in page
    assert REAL in page


def test_a_folder_that_is_gone_hurts_no_other_source(place: Place) -> None:
    shutil.rmtree(place.folder)
    found = place.api.get("/api/llm/models/search", q="smollm2")
    assert [hit["id"] for hit in found["results"]] == [REAL]
    told = {status["source"]: status for status in found["sources"]}
    assert told["huggingface"]["ok"]
    assert not told["folder"]["ok"]
    assert told["folder"]["error"] == f"There is no folder {place.folder}."
    assert "MOORAGE_FOLDER" in told["folder"]["hint"]


@pytest.mark.engine
def test_from_the_folder_into_the_built_in_engine_and_chat(place: Place) -> None:
    api, size = place.api, real_model().stat().st_size
    detail = api.get("/api/llm/models/detail", source="folder", id=MODEL)
    (file,) = detail["files"]
    assert (file["name"], file["size"], file["quantization"]) == (real_model().name, size, "Q4_1")
    assert len(file["sha256"]) == 64
    assert detail["gate"]["state"] == "open"
    hub = api.get("/api/llm/models/detail", source="huggingface", id=REAL)
    assert file["sha256"] == hub["files"][0]["sha256"], "the same file is known as the same"
    asked = {"source": "folder", "model": MODEL, "target": "builtin"}
    plan = api.post("/api/llm/models/plan", asked)
    assert (plan["road"], plan["ok"], plan["bytes"], plan["problems"]) == ("import", True, size, [])
    done = install(place, target="builtin")
    assert (done["completed"], done["total"], done["attempt"], done["warning"]) == (size, size, 1, None)
    assert done["proof"]["chat"]["ok"]
    llm = {"provider": "builtin", "model": done["modelName"]}
    options = {"temperature": 0.0, "maxTokens": 24}
    agent = api.post("/api/agents", {"name": "Deckhand", "llm": llm, "options": options}, status=201)
    shutil.rmtree(place.folder)
    events = api.chat(agent["id"], "Say hello to the crew in one short sentence.")
    assert text_of(events).strip(), "the model is a copy of its own"
    assert events[-1].data == {"state": "complete"}


def test_from_the_folder_onto_an_ollama_server_and_chat(place: Place, world: World) -> None:
    api = place.api
    made = {"name": "Galley", "type": "ollama", "config": {"endpoint": world.ollama.url}}
    target = api.post("/api/llm/providers", made, status=201)["id"]
    wanted = {"source": "folder", "model": MODEL, "target": target}
    plan = api.post("/api/llm/models/plan", wanted)
    assert (plan["road"], plan["ok"], plan["roadReason"]) == ("import", True, "Ollama cannot pull from folder.")
    refused = api.post("/api/llm/models/plan", {**wanted, "road": "pull"})
    assert [problem["code"] for problem in refused["problems"]] == ["not-from-the-hub"]
    done = install(place, target=target)
    assert (done["road"], done["completed"]) == ("import", done["total"])
    assert done["proof"]["chat"]["ok"]
    offered = api.get(f"/api/llm/providers/{target}/models")["models"]
    assert [model["name"] for model in offered] == [done["modelName"]] == [plan["name"]]
    agent = api.post(
        "/api/agents", {"name": "Cook", "llm": {"provider": target, "model": done["modelName"]}}, status=201
    )
    assert "Ahoy out there" in text_of(api.chat(agent["id"], "Ahoy out there"))
