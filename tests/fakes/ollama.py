"""An Ollama server on loopback: lists, shows, pulls, creates, copies, deletes, chats, and fails as the real one does.

Facts: the reference on Ollama, section by section. `FakeOllama(models=[OllamaModel("qwen3:8b")])` has that model
installed. Names pull from `registry`: a `MemoryRegistry`, or a `FakeHub` for `hf.co/...`.
Knobs: `pulls` (speed, silences, faults), `chats.manner`, `blobs`, `creations`, and `faults` for any answer.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import urlsplit

from tests.fakes import ollama_openai
from tests.fakes.faults import Fault, FaultyExchange, FaultyServer
from tests.fakes.ollama_chat import Chats, base_details, whole_chat
from tests.fakes.ollama_create import Blobs, Creations
from tests.fakes.ollama_models import ModelStore, OllamaModel
from tests.fakes.ollama_names import HOST, Name
from tests.fakes.ollama_pull import Pulls
from tests.fakes.ollama_registry import MemoryRegistry, Registry
from tests.fakes.ollama_show import show
from tests.fakes.ollama_stream import EndOfLines, Refused, answer_lines, go_time, read_json
from tests.fakes.server import Exchange, Seen

HUB_HOSTS = ("hf.co", "huggingface.co")
HEAD_PATHS = ("/", "/api/version", "/api/tags")
ORIGIN = re.compile(
    r"https?://(localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(:\d+)?|(app|file|tauri|vscode-(webview|file))://.*"
)
Handler = Callable[[FaultyExchange], None]


class FakeOllama(FaultyServer):
    """Looks like the version it is given; `restart` keeps the port."""

    def __init__(
        self,
        version: str = "0.32.15",
        models: Iterable[OllamaModel | str] = (),
        *,
        registry: Registry | None = None,
        port: int = 0,
    ) -> None:
        super().__init__(port)
        self.version = version
        self.store = ModelStore(models)
        self.library = MemoryRegistry()  # what names without a host are pulled from
        self.registry: Registry = registry or self.library  # what hf.co/... is pulled from
        self.pulls = Pulls(self.store, self._registry_at)
        self.blobs = Blobs(self.store)
        self.creations = Creations(self.store, merges_shards=self.since(0, 30))
        self.chats = Chats(self.store, self._numbers)
        self.route("GET", "/", lambda exchange: exchange.text(200, "Ollama is running"))
        self.route("GET", "/api/version", lambda exchange: exchange.json(200, {"version": self.version}))
        self._api("GET", "/api/tags", self._tags)
        self._api("GET", "/api/ps", self._ps)
        self._api("POST", "/api/show", self._show)
        self._api("POST", "/api/pull", self._pull)
        self._api("POST", "/api/create", self._create)
        self._api("DELETE", "/api/delete", self._delete)
        self._api("POST", "/api/copy", self._copy)
        self._api("HEAD", "/api/blobs/(?P<digest>.+)", self.blobs.check)
        self._api("POST", "/api/blobs/(?P<digest>.+)", self.blobs.create)
        self._api("POST", "/api/chat", self._chat)
        self._api("POST", "/api/generate", self._generate)
        self._api("GET", "/v1/models", self._v1_models)
        self._api("GET", "/v1/models/(?P<name>.+)", self._v1_model)
        self._api("POST", "/v1/chat/completions", self._v1_chat)

    @property
    def _numbers(self) -> tuple[int, ...]:
        numbers = tuple(int(part) for part in re.findall(r"\d+", self.version.partition("-")[0]))
        return numbers if any(numbers) else (999,)  # 0.0.0 is a build of the newest source

    def since(self, *version: int) -> bool:
        return self._numbers >= version

    def restart(self, *, prune: bool = False) -> Self:
        """Stop, forget what is loaded and, with `prune`, the unfinished downloads, and start on the same port."""
        self._port = self.port
        self.stop()
        self.stopping = threading.Event()
        self.chats.loaded.clear()
        if prune:
            self.store.prune()
        return self.start()

    # Errors

    def receive(self, seen: Seen, chunks: Any) -> bytes:
        if seen.method == "POST" and seen.path.startswith("/api/blobs/"):
            return self.blobs.receive(seen, chunks)
        return super().receive(seen, chunks)

    def admit(self, exchange: FaultyExchange) -> bool:
        headers, path = exchange.seen.headers, exchange.seen.path
        origin = headers.get("origin")
        if not host_is_allowed(headers.get("host", "")) or (origin and not ORIGIN.fullmatch(origin)):
            exchange.headers(403, {"Content-Length": "0"})
            return False
        if exchange.seen.method == "HEAD" and path not in HEAD_PATHS and not path.startswith("/api/blobs/"):
            self.unknown_path(exchange)
            return False
        return True

    def unknown_path(self, exchange: Exchange) -> None:
        allowed = sorted({method for method, pattern, _ in self._routes if pattern.fullmatch(exchange.seen.path)})
        if allowed:
            exchange.send(405, b"405 method not allowed", "text/plain", {"Allow": ", ".join(allowed)})
        else:
            exchange.send(404, b"404 page not found", "text/plain")

    def _api(self, method: str, pattern: str, handler: Handler) -> None:
        def guarded(exchange: Exchange) -> None:
            assert isinstance(exchange, FaultyExchange)
            try:
                handler(exchange)
            except Refused as refusal:
                v1 = exchange.seen.path.startswith("/v1/")
                body = ollama_openai.error_body(refusal) if v1 else {"error": refusal.text}
                exchange.json(refusal.status, body)

        self.route(method, pattern, guarded)

    def _name(self, body: dict[str, Any], text: str = "invalid model name") -> Name:
        asked = body.get("model") or body.get("name") or ""
        name = Name.parse(asked)
        if name is None:
            raise Refused(400, text.format(name=asked))
        return name

    def _find(self, name: Name, text: str) -> OllamaModel:
        model = self.store.models.get(name.key)
        if model is None:
            raise Refused(404, text)
        return model

    # Models

    def _registry_at(self, host: str) -> Registry | None:
        return {HOST: self.library, **dict.fromkeys(HUB_HOSTS, self.registry)}.get(host)

    def _details(self, model: OllamaModel) -> dict[str, Any]:
        details = base_details(model)
        if self.since(0, 30):
            lengths = {"context_length": model.context_length, "embedding_length": model.embedding_length}
            details |= {key: value for key, value in lengths.items() if value}
        return details

    def _row(self, model: OllamaModel) -> dict[str, Any]:
        row: dict[str, Any] = {"name": model.name, "model": model.name, "modified_at": go_time(model.modified)}
        if model.remote_host:
            row |= {"remote_model": model.parsed.model, "remote_host": model.remote_host}
        row |= {"size": model.size, "digest": model.digest, "details": self._details(model)}
        return row | ({"capabilities": list(model.capabilities)} if self.since(0, 30) else {})

    def _tags(self, exchange: FaultyExchange) -> None:
        exchange.json(200, {"models": [self._row(model) for model in self.store.newest_first()]})

    def _ps(self, exchange: FaultyExchange) -> None:
        exchange.json(200, {"models": [one.row() for one in self.chats.running()]})

    def _show(self, exchange: FaultyExchange) -> None:
        body = read_json(exchange)
        if not (body.get("model") or body.get("name")):
            raise Refused(400, "model is required")
        name = self._name(body)
        model = self._find(name, f"model '{name.shortest}' not found")
        exchange.json(200, show(model, self._details(model), is_verbose=bool(body.get("verbose"))))

    def _delete(self, exchange: FaultyExchange) -> None:
        body = read_json(exchange)
        name = self._name(body, 'name "{name}" is invalid')
        model = self._find(name, f"model '{body.get('model') or body.get('name')}' not found")
        self.chats.unload(model)
        self.store.remove(model)
        exchange.headers(200, {"Content-Length": "0"})

    def _copy(self, exchange: FaultyExchange) -> None:
        body = read_json(exchange)
        source = self._name({"model": body.get("source")}, 'source "{name}" is invalid')
        target = self._name({"model": body.get("destination")}, 'destination "{name}" is invalid')
        model = self._find(source, f'model "{body["source"]}" not found')
        values = {key: value for key, value in vars(model).items() if key != "parsed"}
        self.store.install(
            OllamaModel(**{**values, "name": self.store.canonical(target).shortest, "modified": datetime.now(UTC)})
        )
        exchange.headers(200, {"Content-Length": "0"})

    def _pull(self, exchange: FaultyExchange) -> None:
        body = read_json(exchange)
        name = self._name(body)
        self._lines(exchange, body, self.pulls.lines(exchange, name), split_every=self.pulls.split_every)

    def _create(self, exchange: FaultyExchange) -> None:
        body = read_json(exchange)
        self._lines(exchange, body, self.creations.lines(exchange, self._name(body), body))

    def _lines(self, exchange: Exchange, body: dict[str, Any], lines: Any, split_every: int | None = None) -> None:
        as_stream = body.get("stream") is not False
        answer_lines(exchange, lines, as_stream=as_stream, whole=lambda every: every[-1], split_every=split_every)

    # Chat

    def _chat(self, exchange: FaultyExchange) -> None:
        body = read_json(exchange)
        answer_lines(
            exchange,
            self.chats.lines(exchange, body),
            as_stream=body.get("stream") is not False,
            whole=whole_chat,
            split_every=self.chats.manner.split_every,
        )

    def _generate(self, exchange: FaultyExchange) -> None:
        """The same answers in the older form: `response` and `thinking` in place of a message."""
        body = read_json(exchange)
        said = [("system", body.get("system")), ("user", body.get("prompt"))]
        messages = [{"role": role, "content": content} for role, content in said if content]
        asked = {**body, "messages": messages if body.get("prompt") else []}

        def plain(line: dict[str, Any]) -> dict[str, Any]:
            message = line["message"]
            texts = {"response": message["content"]} | (
                {"thinking": message["thinking"]} if "thinking" in message else {}
            )
            return {key: value for key, value in line.items() if key != "message"} | texts

        def lines() -> Any:
            for line in self.chats.lines(exchange, asked):
                yield plain(line) if isinstance(line, dict) and as_stream else line

        as_stream = body.get("stream") is not False
        answer_lines(exchange, lines(), as_stream=as_stream, whole=lambda every: plain(whole_chat(every)))

    # OpenAI's form

    def _v1_entry(self, model: OllamaModel) -> dict[str, Any]:
        created = int(model.modified.timestamp())
        return {"id": model.name, "object": "model", "created": created, "owned_by": model.parsed.namespace}

    def _v1_models(self, exchange: FaultyExchange) -> None:
        entries = [self._v1_entry(model) for model in self.store.newest_first()]
        exchange.json(200, {"object": "list", "data": entries or None})

    def _v1_model(self, exchange: FaultyExchange) -> None:
        asked = exchange.match["name"]
        exchange.json(200, self._v1_entry(self._find(self._name({"model": asked}), f"model '{asked}' not found")))

    def _v1_chat(self, exchange: FaultyExchange) -> None:
        body = read_json(exchange)
        base = {"id": "chatcmpl-732", "created": 1_780_944_539, "model": body.get("model")}
        with closing(self.chats.lines(exchange, ollama_openai.native(body))) as lines:
            first = next(lines, None)
            if not body.get("stream"):
                exchange.json(200, ollama_openai.whole([*([first] if first else []), *lines], base))
                return
            with suppress(EndOfLines):
                exchange.stream(ollama_openai.events(lines, first, body, base), "text/event-stream")
                return
        exchange.hang_up()


def host_is_allowed(host: str) -> bool:
    """What a server that is bound to loopback accepts as `Host`."""
    name = (urlsplit(f"//{host}").hostname or "").lower()
    with suppress(ValueError):
        address = ipaddress.ip_address(name)
        return address.is_loopback or address.is_private or address.is_unspecified
    own = name in ("", "localhost", socket.gethostname().lower())
    return own or name.endswith((".localhost", ".local", ".internal"))


def busy(times: int | None = 1) -> Fault:
    """More requests wait than the server's queue holds."""
    text = "server busy, please try again.  maximum pending requests exceeded"
    return Fault("/api/(chat|generate)", times=times, status=503, body={"error": text})


def load_failure(text: str = "model requires more system memory (9.1 GiB) than is available (3.2 GiB)") -> Fault:
    return Fault("/api/(chat|generate)", times=None, status=500, body={"error": text})
