"""`moorage serve` as a process: how it starts, what it refuses, and how it ends, however it ends."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.api import Api, Watching, text_of
from tests.fakes.faults import Fault
from tests.fakes.ollama_gguf import make_gguf
from tests.fakes.repo import Repo
from tests.process import Commands, arguments, environment, serving
from tests.world import REAL, TOKEN, World

END_SECONDS = 3.0


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """What happens in another process gives no event to wait for."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_it_says_where_it_is_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as running:
        assert running.url.startswith("http://127.0.0.1:")
        assert running.ready < 5
        with Api(running.url) as api:
            assert api.get("/healthz")["status"] == "ok"
            assert "<title>" in api.page("/")
        assert running.interrupt() < END_SECONDS
        assert running.process.returncode == 0
    assert running.out[-1] == "Moorage has stopped."
    assert not any("Traceback" in line for line in running.err), running.err
    assert not (tmp_path / "home" / "holder.json").exists()


def test_it_ends_though_streams_are_open(tmp_path: Path, world: World) -> None:
    from tests.fakes.router_models import Manner

    world.router.manner = Manner(first_delay=60)
    with serving(tmp_path / "home", {**world.environment, "HF_TOKEN": TOKEN}) as running:
        with Watching(running.url) as watching, Api(running.url) as api:
            agent = api.post(
                "/api/agents",
                {"name": "A", "llm": {"type": "huggingface", "model": "harbour/Pilot-8B-Instruct"}},
                status=201,
            )

            def ask() -> None:
                # It may end with an error of the connection or with an answer that lacks its end.
                with suppress(httpx.HTTPError, AssertionError), Api(running.url) as other:
                    other.chat(agent["id"], "Hello")

            asking = threading.Thread(target=ask, daemon=True)
            asking.start()
            watching.until(lambda event: event.type == "chat.started")
            until(lambda: bool(world.router.seen("POST", "/v1/chat/completions")))
            assert running.interrupt() < END_SECONDS
            asking.join(5)
        assert running.process.returncode == 0
        until(lambda: world.router.seen("POST", "/v1/chat/completions")[-1].closed_at is not None, 3)
    assert not any("Traceback" in line for line in running.err), running.err


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = Commands(tmp_path / "home", {})("serve", "--port", str(port), ok=False)
    assert done.code == 8
    assert f"127.0.0.1:{port}" in done.err
    assert "--port" in done.err


def test_an_address_of_another_machine_is_named(tmp_path: Path) -> None:
    env = {"MOORAGE_PASSWORD": "a long password", "MOORAGE_ALLOWED_HOSTS": "boat.example"}
    done = Commands(tmp_path / "home", env)("serve", "--host", "203.0.113.7", "--port", "0", ok=False)
    assert done.code == 8
    assert "203.0.113.7" in done.err
    assert "--host" in done.err


def test_a_second_process_is_told_who_holds_the_home(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as running:
        port = running.url.rpartition(":")[2]
        for asked in ("0", port):
            done = Commands(tmp_path / "home", {})("serve", "--port", asked, ok=False)
            assert done.code == 7, done.err
            assert str(running.process.pid) in done.err
            assert running.url in done.err


def test_other_machines_need_a_password_and_names(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = Commands(home, {})("serve", "--port", "0", "--host", "0.0.0.0", ok=False)
    assert done.code == 2
    for name in ("MOORAGE_PASSWORD", "MOORAGE_PASSWORD_FILE", "MOORAGE_ALLOWED_HOSTS"):
        assert name in done.err
    half = Commands(home, {"MOORAGE_HOST": "0.0.0.0", "MOORAGE_PASSWORD": "a long password"})("serve", ok=False)
    assert (half.code, "MOORAGE_ALLOWED_HOSTS" in half.err) == (2, True)
    assert not home.exists(), "nothing was opened"
    open_env = {"MOORAGE_PASSWORD": "a long password", "MOORAGE_ALLOWED_HOSTS": "boat.example"}
    with serving(home, open_env, "--host", "0.0.0.0") as running, Api(running.url) as api:
        api.get("/api/agents", status=401)


def test_safe_mode_says_so(tmp_path: Path) -> None:
    with serving(tmp_path / "home", None, "--safe-mode") as running, Api(running.url) as api:
        assert {plugin["state"] for plugin in api.get("/api/plugins")["plugins"]} == {"ready"}


def test_an_unreachable_hub_is_named_in_the_console(tmp_path: Path) -> None:
    with serving(tmp_path / "home", {"HF_ENDPOINT": "http://127.0.0.1:65528"}) as running:
        running.wait_for(lambda: any("127.0.0.1:65528" in line for line in running.err))
        with Api(running.url) as api:
            assert "127.0.0.1:65528" in api.page("/?q=anything")


@pytest.mark.engine
@pytest.mark.parametrize("how", ["ctrl-c", "kill"])
def test_the_engine_ends_with_the_host(tmp_path: Path, world: World, how: str) -> None:
    with serving(tmp_path / "home", world.environment) as running, Api(running.url) as api:
        with Watching(running.url) as watching:
            api.post("/api/llm/models/import", {"source": "huggingface", "model": REAL, "target": "builtin"}, 202)
            watching.until(lambda event: event.type == "install.installed")
        name = api.get("/api/installs")["installs"][0]["modelName"]
        agent = api.post("/api/agents", {"name": "A", "llm": {"provider": "builtin", "model": name}}, status=201)
        assert text_of(api.chat(agent["id"], "Hello"))
        children = psutil.Process(running.process.pid).children(recursive=True)
        assert children, "the engine is a process of its own"
        if how == "kill":
            running.kill()
        else:
            assert running.interrupt() < END_SECONDS
        _, alive = psutil.wait_procs(children, timeout=5)
        assert alive == []
    assert how == "kill" or running.out[-1] == "Moorage has stopped."


@pytest.mark.crash
def test_an_install_goes_on_after_kill_9(tmp_path: Path, world: World) -> None:
    content = make_gguf(padding=os.urandom(24_000_000))
    world.hub.add(Repo("skipper/Slow-GGUF", {"Slow-Q4_K_M.gguf": content}, gguf={"architecture": "llama"}))
    throttle = Fault(times=1, bytes_per_second=3_000_000)
    world.hub.cdn.faults.append(throttle)
    home = tmp_path / "home"
    asked = {"source": "huggingface", "model": "skipper/Slow-GGUF", "target": "builtin"}
    digest = hashlib.sha256(content).hexdigest()
    sidecar = home / "models" / "partial" / f"{digest}.json"

    with serving(home, world.environment) as running, Api(running.url) as api:
        id = api.post("/api/llm/models/import", asked, status=202)["id"]
        until(sidecar.exists)
        until(lambda: api.get(f"/api/installs/{id}")["completed"] > 4_000_000)
        running.kill()
    before = len(world.hub.cdn.requests)

    with serving(home, world.environment) as running, Api(running.url) as api:
        until(lambda: api.get(f"/api/installs/{id}")["state"] in ("installed", "failed"), 30)
        done = api.get(f"/api/installs/{id}")
        # The weights are noise, so the model cannot answer; its file is right all the same.
        assert (done["state"], done["completed"]) == ("installed", len(content)), done
        assert done["attempt"] == 2
        assert done["warning"]["code"] == "does-not-answer"
        assert [item["id"] for item in api.get("/api/installs")["installs"]] == [id]
        finished = home / "models" / "blobs" / digest
        assert hashlib.sha256(finished.read_bytes()).hexdigest() == digest
        assert list((home / "models" / "partial").glob("*.part")) == []
    assert len(world.hub.cdn.requests) > before


def test_sigterm_is_a_clean_end_too(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as running:
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(END_SECONDS) == 0


def test_ctrl_c_while_it_starts(tmp_path: Path) -> None:
    process = subprocess.Popen(
        arguments("serve", "--port", "0", "--home", str(tmp_path / "home")),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until((tmp_path / "home").exists)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert "Traceback" not in err
    assert process.returncode in (0, 130)
