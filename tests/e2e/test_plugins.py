"""Plugins of strangers, by real entry points: the broken ones harm nobody, a good one needs no change of ours."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.api import Api, Watching, text_of
from tests.process import Serving, serving
from tests.world import SERVED, TOKEN, World
from tests.world import world as make_world

EXAMPLE = Path(__file__).parents[2] / "examples" / "moorage-echo"
PAGES = ("/", "/models", "/agents", "/agents/new", "/chat", "/installs", "/plugins", "/settings", "/settings/llm")
START_SECONDS = 15.0  # the host gives up on one that hangs after 3 s; a busy machine takes its time for the rest

BROKEN = {
    "fails-to-import": """
        raise RuntimeError("this plugin is not well")
    """,
    "needs-what-is-not-there": """
        import no_such_module_anywhere
    """,
    "hangs-at-import": """
        import time
        time.sleep(600)
    """,
    "hangs": """
        import time
        from moorage import hookimpl
        def _hang(*_):
            time.sleep(600)
        @hookimpl
        def register_config(): _hang()
        @hookimpl
        def register_provider(): _hang()
        @hookimpl
        def register_tools(): _hang()
        @hookimpl
        def model_catalog(): _hang()
        @hookimpl
        def search_models(query): _hang()
        @hookimpl
        def describe_model(ref): _hang()
        @hookimpl
        def list_models(provider): _hang()
        @hookimpl
        def complete(request): _hang()
        @hookimpl
        def plan_install(request): _hang()
        @hookimpl
        def install_model(plan): _hang()
        @hookimpl
        def remove_model(provider, model): _hang()
        @hookimpl
        def review_catalog(catalog): _hang()
        @hookimpl
        def discover_providers(): _hang()
        @hookimpl
        def on_event(event): _hang()
    """,
    "hangs-later": """
        import time
        from moorage import Capabilities, Config, ProviderSpec, hookimpl
        class C(Config):
            model: str = "m"
        @hookimpl
        def register_provider():
            return [ProviderSpec(type="tarpit", label="Tarpit", config=C, capabilities=Capabilities(chat=True))]
        @hookimpl
        def search_models(query): time.sleep(600)
        @hookimpl
        def list_models(provider): time.sleep(600)
        @hookimpl
        def review_catalog(catalog): time.sleep(600)
        @hookimpl
        def discover_providers(): time.sleep(600)
        @hookimpl
        def on_event(event): time.sleep(600)
    """,
    "raises": """
        from moorage import hookimpl
        @hookimpl
        def register_provider(): raise ValueError("register_provider raised")
    """,
    "raises-later": """
        from moorage import hookimpl
        @hookimpl
        def search_models(query): raise ValueError("search_models raised")
        @hookimpl
        def review_catalog(catalog): raise ValueError("review_catalog raised")
        @hookimpl
        def discover_providers(): raise ValueError("discover_providers raised")
    """,
    "raises-at-events": """
        from moorage import hookimpl
        @hookimpl
        def on_event(event): raise ValueError("on_event raised")
    """,
    "misspelt": """
        from moorage import hookimpl
        @hookimpl
        def serach_models(query): return None
    """,
    "asynchronous": """
        from moorage import hookimpl
        @hookimpl
        async def search_models(query): return None
    """,
    "exits": """
        import sys
        sys.exit(3)
    """,
    "sneaky": """
        from moorage import CatalogEntry, hookimpl
        @hookimpl
        def model_catalog():
            return {"huggingface": [CatalogEntry(model="acme/smuggled-model", label="Our best")]}
    """,
}
OTHER_VERSION = "from-the-future"
REASONS = {
    "fails-to-import": ("failed", "this plugin is not well"),
    "needs-what-is-not-there": ("failed", "no_such_module_anywhere"),
    "hangs-at-import": ("failed", "did not finish loading"),
    "hangs": ("failed", "did not return"),
    "hangs-later": ("ready", None),
    "raises": ("failed", "register_provider raised"),
    "raises-later": ("ready", None),
    "raises-at-events": ("ready", None),
    "misspelt": ("failed", "search_models"),
    "asynchronous": ("failed", "async"),
    "exits": ("failed", "SystemExit"),
    "sneaky": ("ready", None),
    OTHER_VERSION: ("incompatible", "v2"),
}


def distribution(folder: Path, name: str, group: str, source: str) -> None:
    """What an installed distribution is to Python: a module, and metadata with its entry point beside it."""
    module = f"stranger_{name.replace('-', '_')}"
    (folder / f"{module}.py").write_text(dedent(source))
    info = folder / f"{module}-1.2.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: stranger-{name}\nVersion: 1.2.3\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with make_world() as places:
        yield places


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory, world: World) -> Iterator[Serving]:
    """Moorage with all the broken plugins installed at once."""
    folder = tmp_path_factory.mktemp("strangers")
    for name, source in BROKEN.items():
        distribution(folder, name, "moorage.plugins.v1", source)
    distribution(folder, OTHER_VERSION, "moorage.plugins.v2", "raise SystemExit('imported in spite of its version')")
    env = {**world.environment, "HF_TOKEN": TOKEN, "PYTHONPATH": str(folder)}
    with serving(tmp_path_factory.mktemp("home"), env) as running:
        yield running


@pytest.fixture
def api(strangers: Serving) -> Iterator[Api]:
    with Api(strangers.url) as client:
        yield client


def test_it_starts_soon_and_says_what_failed(strangers: Serving) -> None:
    assert strangers.ready < START_SECONDS
    strangers.wait_for(lambda: any("from-the-future: incompatible" in line for line in strangers.err))
    assert any("fails-to-import: failed" in line for line in strangers.err)


@pytest.mark.parametrize("name", REASONS)
def test_states_and_reasons_are_shown(api: Api, name: str) -> None:
    state, reason = REASONS[name]
    plugin = next(item for item in api.get("/api/plugins")["plugins"] if item["name"] == name)
    assert (plugin["state"], plugin["firstParty"]) == (state, False)
    assert (plugin["distribution"], plugin["version"]) == (f"stranger-{name}", "1.2.3")
    card = api.page("/plugins").partition(f'id="plugin-{name}"')[2].partition("</section>")[0]
    assert card
    if reason is not None:
        assert reason in plugin["error"]
        assert reason in card
        assert plugin["hint"]


def test_a_traceback_is_kept_for_the_author(api: Api) -> None:
    plugin = next(item for item in api.get("/api/plugins")["plugins"] if item["name"] == "fails-to-import")
    assert "stranger_fails_to_import.py" in plugin["lastFailures"][0]["trace"]
    events = next(item for item in api.get("/api/plugins")["plugins"] if item["name"] == "raises-at-events")
    assert events["lastFailures"][-1]["hook"] == "on_event"


def test_ours_and_every_page_work(api: Api) -> None:
    states = {item["name"]: item["state"] for item in api.get("/api/plugins")["plugins"] if item["firstParty"]}
    assert states == dict.fromkeys(("catalog", "huggingface", "llamacpp", "ollama"), "ready")
    for path in PAGES:
        assert "<h1" in api.page(path), path
    assert api.client.get("/readyz").status_code == 200


def test_the_main_job_goes_on(api: Api) -> None:
    found = api.get("/api/llm/models/search", q="pilot", source="huggingface")
    assert [hit["id"] for hit in found["results"]] == [SERVED]
    everybody = api.get("/api/llm/models/search", q="pilot")
    told = {item["source"]: item for item in everybody["sources"]}
    assert told["huggingface"]["ok"]
    assert "search_models raised" in told["raises-later"]["error"]
    assert "did not answer" in told["hangs-later"]["error"] or "still busy" in told["hangs-later"]["error"]
    agent = api.post("/api/agents", {"name": "A", "llm": {"type": "huggingface", "model": SERVED}}, status=201)
    assert "Hello there" in text_of(api.chat(agent["id"], "Hello there"))


def test_a_smuggled_entry_is_a_violation_and_appears_nowhere(api: Api, strangers: Serving) -> None:
    catalog = api.get("/api/llm/catalog")
    assert catalog["catalog"]["huggingface"] == []
    violation = next(item for item in catalog["violations"] if item["plugin"] == "sneaky")
    assert violation["providerType"] == "huggingface"
    assert violation["message"] in api.page("/plugins").replace("&#39;", "'")
    told = next(event for event in api.events(last_id=0) if event.type == "catalog.violated")
    assert told.data["about"] == "sneaky"
    for path in (*PAGES, "/settings/llm/new?type=huggingface", "/models?q=smuggled", "/plugins"):
        assert "smuggled-model" not in api.page(path), path
    for path in ("/api/llm/catalog", "/api/plugins", "/api/llm/provider-types", "/v1/models", "/metrics"):
        assert "smuggled-model" not in api.client.get(path).text, path
    with Watching(strangers.url) as watching:
        api.post("/api/plugins/catalog/disable")
        assert api.get("/api/llm/catalog")["catalog"]["huggingface"] == [], "also without the policy plugin"
        api.post("/api/plugins/catalog/enable")
        watching.until(lambda event: event.type == "catalog.violated" and event.data["about"] == "sneaky", 10)


def test_safe_mode_leaves_strangers_out(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    for name in ("fails-to-import", "hangs-at-import", "sneaky"):
        distribution(folder, name, "moorage.plugins.v1", BROKEN[name])
    env = {"PYTHONPATH": str(folder)}
    with serving(tmp_path / "home", env, "--safe-mode") as running, Api(running.url) as api:
        assert running.ready < START_SECONDS / 2
        states = {item["name"]: item["state"] for item in api.get("/api/plugins")["plugins"]}
        assert {states[name] for name in ("fails-to-import", "hangs-at-import", "sneaky")} == {"disabled"}
        assert states["huggingface"] == "ready"
        assert api.get("/api/llm/catalog")["violations"] == []


# -- a good one -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Moorage with the example distribution, built and installed as anybody would install it, but offline."""
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*pip, "--disable-pip-version-check", "--no-cache-dir", "--target", str(folder), str(EXAMPLE)],
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    with serving(tmp_path_factory.mktemp("home"), {"PYTHONPATH": str(folder)}) as running:
        yield running


@pytest.fixture
def echo_api(echo: Serving) -> Iterator[Api]:
    with Api(echo.url) as client:
        yield client


def test_its_author_imported_moorage_only() -> None:
    imported = set()
    for path in EXAMPLE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
    outside = {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names}
    assert outside == {"moorage", "pydantic"}


def test_its_card_is_there(echo_api: Api) -> None:
    plugin = next(item for item in echo_api.get("/api/plugins")["plugins"] if item["name"] == "echo")
    assert (plugin["state"], plugin["distribution"], plugin["version"]) == ("ready", "moorage-echo", "1.0.0")
    card = echo_api.page("/plugins").partition('id="plugin-echo"')[2].partition("</section>")[0]
    assert "moorage-echo" in card
    assert "shout" in card


def test_its_form_is_rendered_and_checked(echo_api: Api) -> None:
    types = {item["type"]: item for item in echo_api.get("/api/llm/provider-types")["providerTypes"]}
    assert types["echo"]["plugin"] == "echo"
    assert set(types["echo"]["schema"]["properties"]) == {"model", "greeting"}
    assert types["echo"]["optionsSchema"]["properties"]["repeat"]["maximum"] == 5
    form = echo_api.page("/settings/llm/new?type=echo")
    for text in ("Voice", "Greeting", "plain, loud or backwards", 'name="config.greeting"'):
        assert text in form, text
    fields = {"type": "echo", "name": "Parrot", "config.model": "loud", "config.greeting": "x" * 81, "_action": "save"}
    refused = echo_api.client.post("/settings/llm", data=fields)
    assert refused.status_code in (400, 422)
    assert "80" in refused.text
    assert 'value="loud"' in refused.text, "what was typed stays"
    problem = echo_api.post(
        "/api/llm/providers", {"name": "P", "type": "echo", "config": {"greeting": "x" * 81, "pitch": 1}}, status=400
    )
    assert {error["field"] for error in problem["errors"]} == {"config.greeting", "config.pitch"}
    assert [item["type"] for item in echo_api.get("/api/llm/providers")["providers"]] == ["llamacpp"]


def test_its_models_chat_tool_and_option_work(echo_api: Api) -> None:
    provider = echo_api.post(
        "/api/llm/providers",
        {"name": "Parrot", "type": "echo", "config": {"model": "loud", "greeting": "Squawk"}},
        status=201,
    )
    try:
        result = echo_api.post("/api/llm/providers/test", {"id": provider["id"]})
        assert result["ok"], result
        offered = echo_api.get(f"/api/llm/providers/{provider['id']}/models")["models"]
        assert [model["name"] for model in offered] == ["plain", "loud", "backwards"]
        assert "Parrot" in echo_api.page("/settings/llm")
        page = echo_api.page("/agents/new")
        assert "Parrot" in page
        assert "shout" in page
        agent = echo_api.post(
            "/api/agents",
            {
                "name": "Polly",
                "llm": {"provider": provider["id"]},
                "options": {"repeat": 2},
                "tools": ["shout"],
            },
            status=201,
        )
        assert "How often" in echo_api.page(f"/agents/{agent['id']}")
        bad = {"name": "B", "llm": {"provider": provider["id"]}, "options": {"repeat": 6}}
        problem = echo_api.post("/api/agents", bad, status=400)
        assert problem["errors"][0]["field"] == "options.repeat"
        assert text_of(echo_api.chat(agent["id"], "ahoy")).split() == ["Squawk", "AHOY", "AHOY"]
        events = echo_api.chat(agent["id"], "shout land in sight")
        result = next(event.data for event in events if event.type == "tool-result")
        assert (result["ok"], result["content"]) == (True, "LAND IN SIGHT")
        assert events[-1].data == {"state": "complete"}
        answer = echo_api.post(
            "/v1/chat/completions",
            {"model": "parrot/backwards", "messages": [{"role": "user", "content": "abc"}]},
        )
        assert answer["choices"][0]["message"]["content"].split() == ["Squawk", "cba"]
        assert json.dumps(answer)
    finally:
        for agent in echo_api.get("/api/agents")["agents"]:
            echo_api.delete(f"/api/agents/{agent['id']}")
        echo_api.delete(f"/api/llm/providers/{provider['id']}")
