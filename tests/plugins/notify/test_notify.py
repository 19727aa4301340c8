"""The example that posts a webhook: what is told, in which words, once, and with nobody waiting for it."""

from __future__ import annotations

import ast
import importlib.util
import io
import logging
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from moorage.errors import InvalidInput
from moorage.host import Host
from moorage.http import RedactingFilter
from tests.conftest import MakeHost
from tests.fakes.hub import FakeHub
from tests.fakes.ollama_gguf import make_gguf
from tests.fakes.repo import Repo
from tests.fakes.server import Exchange, FakeServer

EXAMPLE = Path(__file__).parents[3] / "examples" / "moorage-notify"
PROJECT = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
SECONDS = 15.0
MODEL = "harbour/Skiff-GGUF"
SECRET = "T0001-secret-of-the-hook"


class Chat(FakeServer):
    """A chat service that takes messages at a secret address."""

    def __init__(self) -> None:
        super().__init__()
        self.status = 200
        self.stalls = False
        self.route("POST", f"/hooks/{SECRET}", self._take)

    @property
    def webhook(self) -> str:
        return f"{self.url}/hooks/{SECRET}"

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [seen.json for seen in list(self.requests)]

    def _take(self, exchange: Exchange) -> None:
        if self.stalls:
            exchange.sleep(60)
        headers = {"Location": "/elsewhere"} if self.status in (302, 307) else {}
        exchange.send(self.status, b"ok", "text/plain", headers)


@pytest.fixture
def chat() -> Iterator[Chat]:
    with Chat() as running:
        yield running


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the example, as its distribution would bring it."""
    spec = importlib.util.spec_from_file_location("moorage_notify", EXAMPLE / "moorage_notify.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "moorage_notify", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def plugin(example: ModuleType) -> object:
    """What its entry point names."""
    module, _, name = PROJECT["entry-points"]["moorage.plugins.v1"]["notify"].partition(":")
    assert module == example.__name__
    return getattr(example, name)  # type: ignore[no-any-return]  # a class, which the host makes an object of


@pytest.fixture
def host(make_host: MakeHost, plugin: object, chat: Chat) -> Host:
    made = make_host(plugins={"notify": plugin}, only=True)
    assert made.plugins.get("notify").state == "needs-config"
    made.plugins.save_config("notify", {"webhook": chat.webhook})
    assert made.plugins.get("notify").state == "ready"
    return made


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that Moorage logs."""
    written = io.StringIO()
    handler, logger = logging.StreamHandler(written), logging.getLogger("moorage")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield written
    logger.removeHandler(handler)
    logger.setLevel(level)


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def last(host: Host, chat: Chat) -> dict[str, Any]:
    """The message about the last of the events: whatever was to be told before has been told by then."""
    before = len(chat.requests)
    host.events.publish("install.installed", "the-last", model="the/last", name="last")
    wait_for(lambda: any(message["install"] == "the-last" for message in chat.messages[before:]))
    return chat.messages[-1]


def told(host: Host, chat: Chat) -> list[dict[str, Any]]:
    last(host, chat)
    return [message for message in chat.messages if message["install"] != "the-last"]


# -- what is told -----------------------------------------------------------------------------------------------------

CASES = [
    ("install.installed", {"model": MODEL, "name": "skiff"}, f"{MODEL} was installed."),
    ("install.failed", {"code": "not-found", "message": "It is gone."}, f"{MODEL} could not be installed: It is gone."),
    ("install.waiting", {"reason": "disk", "message": "No room."}, f"{MODEL} waits for you (disk): No room."),
    ("install.waiting", {"reason": "sign-in", "message": "Gated."}, f"{MODEL} waits for you (sign-in): Gated."),
    (
        "install.updated",
        {"model": MODEL, "revision": "abc", "rule": "tell"},
        f"A newer revision of {MODEL} was found.",
    ),
    (
        "install.updated",
        {"model": MODEL, "revision": "abc", "rule": "install"},
        f"A newer revision of {MODEL} was found. It will be installed.",
    ),
]


@pytest.mark.parametrize(("kind", "data", "text"), CASES)
def test_what_is_told(host: Host, chat: Chat, kind: Any, data: dict[str, str], text: str) -> None:
    host.events.publish("install.started", "install-1", model=MODEL, target="builtin")
    event = host.events.publish(kind, "install-1", **data)
    (message,) = told(host, chat)
    fixed = {"text": text, "event": kind, "install": "install-1", "at": event.at.isoformat(), "model": MODEL}
    assert message == {**data, **fixed}
    assert chat.requests[0].headers["content-type"] == "application/json"


def test_nothing_else_is_told(host: Host, chat: Chat) -> None:
    host.events.publish("install.requested", "install-1", model=MODEL, target="builtin")
    host.events.publish("install.started", "install-1", model=MODEL, target="builtin")
    for completed in range(50):
        host.events.publish("install.progressed", "install-1", phase="downloading", completed=completed, total=50)
    host.events.publish("install.waiting", "install-1", reason="network", message="No answer.")
    host.events.publish("install.changed", "install-1", state="paused")
    host.events.publish("model.removed", "builtin", model="skiff")
    host.events.publish("settings.saved", "host")
    assert told(host, chat) == []


@pytest.mark.parametrize(("kind", "data", "text"), CASES)
def test_each_kind_can_be_switched_off(host: Host, chat: Chat, kind: Any, data: dict[str, str], text: str) -> None:
    setting = kind.removeprefix("install.")
    host.plugins.save_config("notify", {setting: False})
    assert host.plugins.config("notify").values["webhook"]["set"]
    host.events.publish(kind, "install-1", **data)
    host.events.publish("install.failed" if setting == "installed" else "install.installed", "install-2")
    wait_for(lambda: chat.requests)
    assert [message["install"] for message in chat.messages] == ["install-2"]


ODD: list[dict[str, Any]] = [
    {},
    {"model": None, "message": 5, "reason": ["disk"], "rule": {}},
    {"model": "", "message": "", "reason": "disk", "text": "x", "event": "x", "install": "x", "at": "x"},
    {"model": "half \ud800 a character", "message": "\x00\n\r\u2028", "reason": "disk", "rule": "?"},
    {"model": "m" * 10_000, "message": object(), "reason": "sign-in", "revision": float("nan"), "n": 2**70},
]


@pytest.mark.parametrize("data", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("kind", ["installed", "failed", "waiting", "updated"])
def test_odd_events_are_told_as_far_as_they_go(host: Host, chat: Chat, kind: str, data: dict[str, Any]) -> None:
    host.events.publish(f"install.{kind}", "odd \ud800", **data)  # type: ignore[arg-type]
    messages = told(host, chat)
    waits_for_nobody = kind == "waiting" and data.get("reason") not in ("disk", "sign-in")
    assert len(messages) == (0 if waits_for_nobody else 1)
    for message in messages:
        assert message["event"] == f"install.{kind}"
        assert message["install"] == "odd ?"
        assert 0 < len(message["text"]) < 1200
        assert "\n" not in message["text"]
    assert host.plugins.get("notify").last_failures == ()


def test_a_strangers_text_calls_nobody_and_links_nowhere(host: Host, chat: Chat) -> None:
    text = "<!channel> @all see <http://bad.example|here>"
    host.events.publish("install.failed", "install-1", code="error", message=text)
    (message,) = told(host, chat)
    assert not set("<>@") & set(message["text"])
    assert message["message"] == text, "the facts are as they are"


def test_models_of_old_installs_are_forgotten(host: Host, chat: Chat, example: ModuleType) -> None:
    for number in range(example.KEPT + 1):
        host.events.publish("install.started", f"install-{number}", model=f"a/{number}", target="builtin")
        if number % 500 == 0:
            last(host, chat)  # no faster than it hears
    host.events.publish("install.failed", "install-0", code="error", message="No.")
    host.events.publish("install.failed", f"install-{example.KEPT}", code="error", message="No.")
    texts = [message["text"] for message in told(host, chat)]
    assert texts == ["A model could not be installed: No.", f"a/{example.KEPT} could not be installed: No."]


# -- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [302, 400, 404, 410, 429, 500, 503])
def test_a_refusal_is_logged_and_shown_and_not_repeated(host: Host, chat: Chat, log: io.StringIO, status: int) -> None:
    chat.status = status
    host.events.publish("install.installed", "install-1", model=MODEL, name="skiff")
    wait_for(lambda: host.plugins.get("notify").last_failures)
    chat.status = 200
    assert len(told(host, chat)) == 1, "once"
    (failure,) = host.plugins.get("notify").last_failures
    assert (failure.hook, failure.trace) == ("on_event", None)
    assert str(status) in failure.message
    assert "install.installed of install-1 was not told" in log.getvalue()
    wait_for(lambda: "install.installed of the-last was told" in log.getvalue())
    assert SECRET not in failure.message


def test_a_slow_webhook_is_given_up_and_delays_nobody(
    host: Host, chat: Chat, example: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example, "SECONDS", 0.3)
    chat.stalls = True
    began = time.monotonic()
    for number in range(3):
        host.events.publish("install.installed", f"install-{number}", model=MODEL, name="skiff")
    host.preferences.save({"contextLength": 8192})
    assert time.monotonic() - began < 0.3
    wait_for(lambda: len(host.plugins.get("notify").last_failures) == 3)
    chat.stalls = False
    assert [message["install"] for message in told(host, chat)] == ["install-0", "install-1", "install-2"]


def test_nobody_there(make_host: MakeHost, plugin: object, log: io.StringIO) -> None:
    with Chat() as gone:
        webhook = gone.webhook
    host = make_host(plugins={"notify": plugin}, only=True)
    host.plugins.save_config("notify", {"webhook": webhook})
    host.events.publish("install.installed", "install-1", model=MODEL, name="skiff")
    wait_for(lambda: host.plugins.get("notify").last_failures)
    assert "was not told" in log.getvalue()
    assert host.plugins.get("notify").state == "ready"


def test_closing_does_not_wait_for_a_webhook(host: Host, chat: Chat) -> None:
    chat.stalls = True
    host.events.publish("install.installed", "install-1", model=MODEL, name="skiff")
    wait_for(lambda: chat.requests)
    began = time.monotonic()
    host.close()
    assert time.monotonic() - began < 3.0
    wait_for(lambda: not any("notify" in thread.name for thread in threading.enumerate()))


# -- its settings -----------------------------------------------------------------------------------------------------


def test_the_webhook_is_kept_like_a_key(host: Host, chat: Chat, log: io.StringIO, tmp_path: Path) -> None:
    for handler in logging.getLogger("moorage").handlers:
        handler.addFilter(RedactingFilter(host.secrets.known_values))
    host.events.publish("install.installed", "install-1", model=MODEL, name="skiff")
    assert len(told(host, chat)) == 1
    chat.status = 500
    host.events.publish("install.installed", "install-2", model=MODEL, name="skiff")
    wait_for(lambda: host.plugins.get("notify").last_failures)
    assert "was told" in log.getvalue()
    seen = [host.plugins.config("notify").model_dump_json(), host.plugins.get("notify").model_dump_json()]
    assert not [text for text in (*seen, log.getvalue()) if SECRET in text]
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("value", ["no address", "ftp://chat.example/hook", "chat.example/hook"])
def test_what_is_no_address_is_refused(host: Host, value: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        host.plugins.save_config("notify", {"webhook": value})
    (error,) = refused.value.errors
    assert error.field == "values.webhook"
    assert "web address" in error.message
    assert value not in error.message


def test_the_environment_sets_it(make_host: MakeHost, plugin: object, chat: Chat) -> None:
    host = make_host(plugins={"notify": plugin}, only=True, environment={"MOORAGE_NOTIFY_WEBHOOK": chat.webhook})
    view = host.plugins.config("notify")
    assert (host.plugins.get("notify").state, view.sources["webhook"]) == ("ready", "environment")
    assert SECRET not in view.model_dump_json()
    assert last(host, chat)["text"] == "the/last was installed."


# -- in real life -----------------------------------------------------------------------------------------------------


def test_real_installs_are_told(make_host: MakeHost, plugin: object, chat: Chat) -> None:
    """One that ends well, and one that is found to be something else, through the built-in engine's target."""
    with FakeHub() as hub:
        for name, content in (("Skiff", make_gguf(padding=bytes(1000))), ("Wreck", b"no model" * 1000)):
            hub.add(Repo(f"harbour/{name}-GGUF", {"m-Q4_K_M.gguf": content}, gguf={"architecture": "llama"}))
        host = make_host(plugins={"notify": plugin}, environment={"HF_ENDPOINT": hub.url})
        host.plugins.save_config("notify", {"webhook": chat.webhook})
        ids = [
            host.installs.request("huggingface", f"harbour/{name}-GGUF", target="builtin")[0].id
            for name in ("Skiff", "Wreck")
        ]
        wait_for(lambda: len(chat.messages) == 2)
        good, bad = sorted(chat.messages, key=lambda message: ids.index(message["install"]))
    assert (good["event"], good["text"]) == ("install.installed", f"{MODEL} was installed.")
    assert good["name"] == host.installs.get(ids[0]).model_name
    assert bad["event"] == "install.failed"
    assert bad["text"].startswith("harbour/Wreck-GGUF could not be installed: ")
    assert bad["code"]


def test_its_author_imported_moorage_only() -> None:
    imported = set()
    for node in ast.walk(ast.parse((EXAMPLE / "moorage_notify.py").read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    assert {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names} == {
        "moorage",
        "pydantic",
    }
