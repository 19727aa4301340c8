"""Every command as a process: what it prints, where it prints it, and how it exits."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from moorage.cli import COMMANDS
from tests.fakes.faults import Fault
from tests.process import Commands, Ended, arguments, environment, serving
from tests.world import REAL, SERVED, TOKEN, World

WRONG_USE = [
    ("nonsense",),
    ("search", "--limit", "0", "x"),
    ("search", "--sort", "beauty", "x"),
    ("search",),
    ("search", "x", "--min-parameters", "lots"),
    ("search", "x", "--min-parameters", "4B", "--max-parameters", "1B"),
    ("install",),
    ("install", REAL, "--at", "yesterday"),
    ("providers", "add", "ollama", "--set", "endpoint"),
    ("providers", "add", "ollama", "--set", "endpoint=not a url"),
    ("providers", "add", "no-such-type"),
    ("agents", "create", "A", "--provider", "builtin", "--model", "m", "--tool", "no-such-tool"),
    ("agents", "create", "A"),
    ("agents", "create", "A", "--instructions-file", "/no/such/file"),
    ("plugins", "config", "huggingface", "--set", "nonsense=1"),
    ("serve", "--port", "70000"),
    ("serve", "--host", "0.0.0.0"),
    ("serve", "--home", __file__),
]


@pytest.mark.parametrize("args", WRONG_USE, ids=" ".join)
def test_wrong_use_exits_2_and_says_why(here: Callable[..., Ended], args: tuple[str, ...]) -> None:
    done = here(*args)
    assert done.code == 2, (done.out, done.err)
    assert done.err.strip()
    assert done.out == ""


NOT_FOUND = [
    ("chat", "nobody", "Hello"),
    ("providers", "test", "nobody"),
    ("providers", "models", "nobody"),
    ("providers", "remove", "nobody"),
    ("agents", "remove", "nobody"),
    ("installs", "cancel", "nobody"),
    ("installs", "watch", "nobody"),
    ("installs", "remove", "nobody"),
    ("models", "remove", "nobody"),
    ("plugins", "enable", "nobody"),
    ("plugins", "config", "nobody"),
    ("tokens", "revoke", "nobody"),
]


@pytest.mark.parametrize("args", NOT_FOUND, ids=" ".join)
def test_what_is_not_there_exits_4(here: Callable[..., Ended], args: tuple[str, ...]) -> None:
    done = here(*args)
    assert done.code == 4, (done.out, done.err)
    assert done.err.strip()


def test_help_and_version(here: Callable[..., Ended]) -> None:
    for args in (("--help",), ("--version",), *((name, "--help") for name in COMMANDS)):
        done = here(*args)
        assert (done.code, done.err) == (0, "")
        assert done.out.strip()
    assert "7 the data directory is in use" in " ".join(here("--help").out.split())


def test_services_that_cannot_be_reached_are_named(offline: Commands) -> None:
    done = offline("search", "anything", ok=False)
    assert done.code == 3
    assert "127.0.0.1" in done.err
    doctor = offline("doctor", "--json", ok=False)
    assert doctor.code == 1
    checks = {check["check"]: check for check in doctor.json["checks"]}
    assert not checks["search"]["ok"]
    assert "127.0.0.1" in checks["search"]["detail"]
    assert checks["store"]["ok"]
    assert checks["plugin huggingface"]["ok"]
    assert "!!" in offline("doctor", ok=False).out


def test_doctor_in_a_world_that_is_well(moorage: Commands) -> None:
    done = moorage("doctor")
    assert "!!" not in done.out
    assert "source huggingface" in done.out


def test_a_wrong_environment_is_named_without_a_traceback(tmp_path: Path) -> None:
    for name, value in (("MOORAGE_PORT", "many"), ("MOORAGE_PARALLEL_INSTALLS", "-3"), ("MOORAGE_LOG_LEVEL", "LOUD")):
        done = Commands(tmp_path / name, {name: value})("serve", "--safe-mode", ok=False)
        assert done.code == 2, (name, done.out, done.err)
        assert f"{name} must be" in done.err
        assert "environment variable" in done.err


def test_providers(moorage: Commands, world: World) -> None:
    assert {"huggingface", "ollama", "llamacpp"} <= {
        item["type"] for item in moorage.json("providers", "types")["providerTypes"]
    }
    made = moorage.json("providers", "add", "huggingface", "--name", "Pilot", "--set", f"model={SERVED}")
    listed = moorage("providers")
    assert made["id"] in listed.out
    assert "Pilot" in listed.out
    assert moorage.json("providers", "test", made["id"])["ok"] is True
    world.router.faults.append(Fault("/v1/chat/completions", status=401, body={"error": "Invalid credentials"}))
    failed = moorage("providers", "test", made["id"], ok=False)
    assert failed.code == 3
    assert "Failed at the key" in failed.out
    assert [model["name"] for model in moorage.json("providers", "models", made["id"])["models"]] == [SERVED]
    assert moorage.json("providers", "remove", made["id"]) == {"removed": made["id"]}
    assert made["id"] not in moorage("providers").out
    conflict = moorage("providers", "remove", "builtin", ok=False)
    assert conflict.code == 5
    assert conflict.err.strip()


def test_a_secret_is_asked_for_and_never_shown(moorage: Commands) -> None:
    add = ("providers", "add", "huggingface", "--name", "Own", "--set", f"model={SERVED}", "--secret", "apiKey")
    done = moorage(*add, "--json", input="hf_secret_of_this_test_9876\n")
    assert done.err == ""
    assert "hf_secret" not in done.out
    assert done.json["config"]["apiKey"] == {"set": True, "hint": "…9876"}


def test_a_secret_that_is_not_there_is_wrong_use(here: Callable[..., Ended]) -> None:
    done = here("providers", "add", "huggingface", "--set", "model=a/b", "--secret", "apiKey")
    assert done.code == 2
    assert "apiKey" in done.err


def test_a_talk_that_failed_exits_3(moorage: Commands, world: World) -> None:
    moorage("agents", "create", "A", "--type", "huggingface", "--model", SERVED)
    world.router.faults.append(Fault("/v1/chat/completions", status=500, body={"error": "out of order"}, times=None))
    talk = moorage("chat", "A", input="Hello\n", ok=False)
    assert talk.code == 3
    assert talk.err.strip()


@pytest.mark.engine
def test_progress_is_drawn_on_a_terminal_and_never_on_stdout(moorage: Commands, world: World) -> None:
    world.hub.cdn.faults.append(Fault(bytes_per_second=80_000_000))
    terminal, side = os.openpty()
    process = subprocess.Popen(
        arguments("install", REAL, "--target", "builtin", "--home", str(moorage.home)),
        env=environment({**moorage.env, "TERM": "xterm"}),
        stdout=subprocess.PIPE,
        stderr=side,
        text=True,
    )
    os.close(side)
    drawn = b""
    with contextlib.suppress(OSError):  # the other side is closed: how a terminal ends
        while piece := os.read(terminal, 4096):
            drawn += piece
    os.close(terminal)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, (out, drawn)
    assert b"downloading" in drawn
    assert b"MB" in drawn
    assert out.startswith(f"{REAL}:Q4_1 is installed on Built-in engine.")
    assert "\x1b" not in out


def test_plugins(offline: Commands) -> None:
    states = {item["name"]: item["state"] for item in offline.json("plugins")}
    assert states == dict.fromkeys(("catalog", "huggingface", "llamacpp", "ollama"), "ready")
    assert "ready" in offline("plugins", "list").out
    assert offline.json("plugins", "disable", "ollama")["state"] == "disabled"
    assert {item["name"]: item["state"] for item in offline.json("plugins")}["ollama"] == "disabled"
    assert offline.json("plugins", "enable", "ollama")["state"] == "ready"
    view = offline.json("plugins", "config", "huggingface")
    assert view["sources"]["hubEndpoint"] == "environment"
    refused = offline("plugins", "config", "huggingface", "--set", "hubEndpoint=http://127.0.0.1:2", ok=False)
    assert refused.code == 5
    assert "environment" in refused.err


def test_models(moorage: Commands) -> None:
    shown = moorage.json("models", "show", REAL)
    assert shown["gate"]["state"] == "open"
    assert "Q4_1" in moorage("models", "show", REAL).out
    assert moorage("models", "show", "no/such-model", ok=False).code == 4
    assert "No models are installed yet" in moorage("models").out


def test_a_plan_does_nothing(moorage: Commands) -> None:
    planned = moorage("install", REAL, "--plan", "--target", "builtin")
    assert planned.out.startswith("Download, then import into the built-in engine: ")
    assert "\nDisk: " in planned.out
    assert "\nLicence: " in planned.out
    assert moorage.json("installs") == []
    gated = moorage("install", "northwind/Breeze-1B-GGUF", "--plan", "--target", "builtin", ok=False)
    assert gated.code == 3
    assert "Problem:" in gated.out
    refused = moorage("install", "northwind/Breeze-1B-GGUF", "--target", "builtin", ok=False)
    assert refused.code == 2
    assert "licence" in refused.err


def test_installs_are_steered(moorage: Commands, world: World) -> None:
    world.hub.cdn.faults.append(Fault(times=None, bytes_per_second=2_000_000))
    with serving(moorage.home, moorage.env):
        started = moorage.json("install", REAL, "--target", "builtin", "--no-watch")
        id = started["id"]
        assert started["state"] in ("queued", "running")
        assert moorage.json("installs", "pause", id)["state"] == "paused"
        assert "paused" in moorage("installs").out
        assert moorage("installs", "retry", id, ok=False).code == 5
        assert moorage.json("installs", "resume", id)["state"] in ("queued", "running")
        assert moorage.json("installs", "cancel", id)["state"] == "cancelled"
        assert [item["id"] for item in moorage.json("installs", "list", "--state", "cancelled")] == [id]
        assert moorage.json("installs", "list", "--state", "running") == []
        assert moorage.json("installs", "retry", id)["state"] in ("queued", "running")
        story = moorage("installs", "show", id).out
        assert "Paused." in story
        assert "Cancelled." in story
        moorage("installs", "cancel", id)
        ended = moorage("installs", "watch", id, ok=False)
        assert ended.code == 3, "watching what did not get installed"
        moorage("installs", "remove", id)
        assert moorage.json("installs") == []


def test_installs_for_later(moorage: Commands, world: World) -> None:
    asked = ("install", REAL, "--target", "builtin")
    alone = moorage(*asked, "--window", "01:00-01:01", "--days", "mon,Tuesday", "--time-zone", "Europe/Berlin")
    assert "scheduled" in alone.out
    assert "moorage serve" in alone.err, "nobody is there at that time"
    again = moorage(*asked, "--at", "2099-05-21T01:00:00Z")
    assert "asked for before" in again.err
    assert "not changed" in again.err
    install = moorage.json("installs")[0]
    assert install["when"]["window"] == {
        "from": "01:00",
        "to": "01:01",
        "days": ["mon", "tue"],
        "timeZone": "Europe/Berlin",
    }
    moorage("installs", "cancel", install["id"])
    with serving(moorage.home, moorage.env):
        later = moorage.json(*asked, "--at", "2099-05-21T01:00:00Z")
        assert (later["state"], later["startsAt"]) == ("scheduled", "2099-05-21T01:00:00.000Z")
        assert moorage(*asked, "--at", "2001-01-01", ok=False).code == 2
        moved = moorage.json("installs", "reschedule", later["id"], "--at", "2098-05-21T01:00:00Z")
        assert moved["startsAt"] == "2098-05-21T01:00:00.000Z"
        assert moorage("installs", "retry", later["id"], ok=False).err.count("started, paused") == 1
        started = moorage.json("installs", "start", later["id"])
        assert started["state"] in ("queued", "running")
        assert moorage("installs", "watch").code == 0
        watched = moorage(*asked, "--on-update", "tell")
        assert "a newer revision is told" in watched.out
        assert "a newer revision is told" in moorage("installs", "show", later["id"]).out
        assert moorage.json(*asked, "--on-update", "nothing")["when"] == "now"


def test_looking_changes_nothing(moorage: Commands, world: World) -> None:
    """Without a server nothing goes on by a command that only looks or steers."""
    asked = moorage("install", REAL, "--target", "builtin", "--no-watch")
    assert "moorage serve" in asked.err
    fetched = len(world.hub.cdn.requests)
    (install,) = moorage.json("installs")
    assert (install["state"], install["attempt"]) == ("queued", 0)
    assert "does not run" in moorage("installs").err
    assert moorage.json("installs", "show", install["id"])["attempt"] == 0
    moorage("disk")
    moorage("agents")
    moorage("installs", "pause", install["id"])
    moorage("installs", "resume", install["id"])
    assert len(world.hub.cdn.requests) == fetched
    assert moorage("installs", "watch").code == 0
    assert moorage.json("installs")[0]["state"] == "installed"


def test_settings(offline: Commands) -> None:
    changed = offline.json(
        "settings", "set", "bandwidthLimit=5000000", "quietHours=08:00-18:00", "timeZone=Europe/Berlin"
    )
    assert (changed["bandwidthLimit"], changed["quietHours"]) == (5_000_000, {"from": "08:00", "to": "18:00"})
    assert "08:00-18:00" in offline("settings").out
    assert offline.json("settings", "set", "quietHours=")["quietHours"] is None
    assert offline("settings", "set", "timeZone=Mars", ok=False).code == 2
    assert offline("settings", "set", "sails=3", ok=False).code == 2


def test_the_disk(moorage: Commands, world: World) -> None:
    world.hub.cdn.faults.append(Fault(times=None, end_after=1_000_000))
    with serving(moorage.home, moorage.env):
        id = moorage.json("install", REAL, "--target", "builtin", "--no-watch")["id"]
        moorage("installs", "pause", id)
        held = moorage.json("disk")
        assert all(file["installs"] == [id] for file in held["files"])
        assert "0 B were freed" in moorage("disk", "clean").out
        assert "settings, conversations" in moorage("disk").out
        moorage("installs", "cancel", id)
        assert moorage.json("disk")["files"] == []


def test_an_install_that_fails_exits_3(moorage: Commands, world: World) -> None:
    world.hub.cdn.faults.append(Fault(times=None, flip_at=1_000_000))
    done = moorage("install", REAL, "--target", "builtin", ok=False)
    assert done.code == 3
    assert "damaged" in done.out
    assert "Id: " in done.out


def test_json_is_alone_on_stdout(moorage: Commands) -> None:
    """Whatever else there is to say (a source that fails, progress) goes to stderr."""
    for args in (("search", "skiff"), ("installs",), ("agents",), ("tokens",), ("models",), ("doctor",), ("plugins",)):
        done = moorage(*args, "--json")
        json.loads(done.out)
        assert done.err == "", (args, done.err)


def test_a_reader_that_leaves_is_no_error(moorage: Commands) -> None:
    for more in ((), ("--json",)):
        process = subprocess.Popen(
            arguments("search", "--gguf", "--home", str(moorage.home), *more),
            env=environment(moorage.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
        process.stderr.close()
        assert (process.wait(30), said) == (1, ""), "as click has it for every command"


def test_ctrl_c_stops_a_command_without_a_traceback(moorage: Commands, world: World) -> None:
    world.hub.cdn.faults.append(Fault(times=None, bytes_per_second=1_000_000))
    process = subprocess.Popen(
        arguments("install", REAL, "--target", "builtin", "--home", str(moorage.home)),
        env=environment(moorage.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 20
    while not world.hub.cdn.requests and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=15)
    assert process.returncode == 130, (out, err)
    assert "Traceback" not in err
    assert "Stopped." in err
    left = moorage.json("installs")
    assert left[0]["state"] in ("queued", "running"), "it goes on with the next start"


def test_a_password_asks_commands_for_a_token(moorage: Commands) -> None:
    alone = Commands(moorage.home, {**moorage.env, "MOORAGE_PASSWORD": "a long enough password"})
    token = alone("tokens", "create", "scripts").out.strip()
    assert token.startswith("mrg_")
    with serving(alone.home, alone.env):
        refused = moorage("agents", ok=False)
        assert refused.code == 3
        assert "MOORAGE_TOKEN" in refused.err
        assert Commands(moorage.home, {"MOORAGE_TOKEN": token}).json("agents") == []
        assert token not in moorage("tokens", ok=False).out
    assert TOKEN not in json.dumps(alone.json("plugins", "config", "huggingface"))
