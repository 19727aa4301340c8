"""Every command takes an id, a slug or a name, and says so when a name is not enough."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from moorage.cli.tables import table
from tests.process import Commands, Ended
from tests.world import REAL, SERVED, World

Here = Callable[..., Ended]


def test_agents_and_providers_by_any_name(here: Here) -> None:
    provider = here("providers", "add", "ollama", "--name", "Workshop server", "--json").json["id"]
    for given in (provider, "workshop-server", "Workshop server"):
        agent = here("agents", "create", "Polly Parrot", "--provider", given, "--model", "m", "--json").json
        assert agent["llm"]["provider"] == provider
        assert here("agents", "remove", agent["slug" if given == provider else "name"], "--json").json == {
            "removed": agent["id"]
        }
    assert here("providers", "models", "Workshop server").code == 3, "known, and does not answer"
    assert here("models", "remove", "x", "--target", "Workshop server").code == 3
    assert here("models", "remove", "x", "--target", "Workshop").err.startswith("There is no target Workshop.")
    assert here("providers", "remove", "Workshop server").out == "Workshop server was removed.\n"


def test_a_name_of_two_is_refused_with_their_ids(here: Here) -> None:
    ids = [here("agents", "create", "Polly", "--provider", "builtin", "--model", "m", "--json").json for _ in range(2)]
    done = here("agents", "remove", "Polly")
    assert done.code == 2
    assert all(agent["id"] in done.err for agent in ids)
    assert done.err.startswith("2 agents are called Polly: ")
    assert here("agents", "remove", ids[0]["slug"]).code == 0


def test_plugins_and_tokens_by_name(here: Here) -> None:
    assert here("plugins", "disable", "Ollama", "--json").json["state"] == "disabled"
    here("tokens", "create", "notebook")
    assert here("tokens", "revoke", "notebook").out == "notebook was revoked.\n"
    assert here("tokens").out.startswith("No tokens yet.")


def test_a_target_by_name_and_a_plan_in_words(moorage: Commands, world: World) -> None:
    made = moorage.json(
        "providers", "add", "ollama", "--name", "Workshop server", "--set", f"endpoint={world.ollama.url}"
    )
    planned = moorage("install", REAL, "--target", "Workshop server", "--plan")
    assert planned.out.startswith("Download, then import into Workshop server: "), "Ollama does not know this mirror"
    pulled = moorage("install", REAL, "--target", "Workshop server", "--plan", "--road", "pull")
    assert pulled.out.startswith("Workshop server pulls it by itself: ")
    done = moorage.json("install", REAL, "--target", "workshop-server", "--no-watch")
    assert done["target"] == made["id"]


def test_a_search_without_a_hit_says_what_to_try(moorage: Commands) -> None:
    assert moorage("search", "nothing-is-called-so").out == "No model matches. Try fewer words or filters.\n"


def test_piped_rows_are_whole_lines(moorage: Commands) -> None:
    made = moorage.json("providers", "add", "huggingface", "--name", "N" * 70, "--set", f"model={SERVED}")
    rows = [line for line in moorage("providers").out.splitlines() if made["id"] in line]
    assert len(rows) == 1
    assert "N" * 70 in rows[0]
    assert SERVED in rows[0]


def test_a_row_is_one_line_and_ids_stay_whole_on_a_narrow_terminal() -> None:
    from rich.console import Console

    made = table(("id", "name", "reason"), [("provider-204979b44835", "Pilot " * 9, "first\nsecond")], empty="None.")
    console = Console(width=40, record=True, file=None, force_terminal=False)
    with console.capture() as drawn:
        console.print(made)
    assert "provider-204979b44835" in drawn.get()
    wide = Console(width=200)
    with wide.capture() as drawn:
        wide.print(made)
    assert "first second" in drawn.get()


def test_doctor_names_the_plugin_that_failed(here: Here, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "moorage_broken.py").write_text("raise RuntimeError('out of order')\n")
    info = tmp_path / "moorage_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: moorage-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[moorage.plugins.v1]\nbroken = moorage_broken\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    done = here("doctor", "--json")
    checks = {check["check"]: check for check in done.json["checks"]}
    assert not checks["plugins"]["ok"]
    assert checks["plugins"]["detail"].endswith("not well: broken (failed)")
