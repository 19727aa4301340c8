"""HTTP to one Ollama server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError

from moorage import BadAnswer, Http, HttpResponse, Unreachable
from moorage_ollama.failures import answer_error
from moorage_ollama.rules import IMPORT_RULES, PULL_RULES, USE_RULES, Rule
from moorage_ollama.wire import Installed, Running, Shown, Tags, Version, Wire

W = TypeVar("W", bound=Wire)
TAGS_SECONDS = 18.0  # the first list after a start waits for the server's own cache
MALFORMED = 3


class OllamaClient:
    """Raises the errors of `moorage`; NotFound for a model that is not installed."""

    def __init__(self, http: Http, endpoint: str) -> None:
        self._http = http
        self.endpoint = endpoint

    def version(self, timeout: float = 5.0) -> str:
        """`0.32.5`; the one question that only Ollama answers."""
        return self._read(self._request("GET", "/api/version", timeout=timeout), Version).version

    def tags(self) -> tuple[Installed, ...]:
        """The installed models, newest first."""
        return self._read(self._request("GET", "/api/tags", timeout=TAGS_SECONDS), Tags).models or ()

    def loaded(self) -> frozenset[str]:
        """Names of the models that are in memory."""
        models = self._read(self._request("GET", "/api/ps", timeout=TAGS_SECONDS), Running).models or ()
        return frozenset(model.name for model in models)

    def show(self, name: str) -> Shown:
        return self._read(self._request("POST", "/api/show", {"model": name}, name=name, timeout=15.0), Shown)

    def delete(self, name: str) -> None:
        self._request("DELETE", "/api/delete", {"model": name}, name=name)

    @contextmanager
    def pull(self, name: str, *, idle_timeout: float) -> Iterator[Iterator[dict[str, Any]]]:
        """The lines of a pull. Leaving the block stops the download, unless somebody else pulls the same."""
        body = {"model": name, "stream": True}
        with self._stream("/api/pull", body, name, first=60.0, idle=idle_timeout, rules=PULL_RULES) as lines:
            yield lines

    def has_blob(self, digest: str) -> bool:
        """Whether the server holds a file; `digest` is `sha256:<hex>`."""
        try:
            return self._http.request("HEAD", f"{self.endpoint}/api/blobs/{digest}", timeout=TAGS_SECONDS).status == 200
        except Unreachable as error:
            raise self._not_there(error) from None

    def send_blob(self, digest: str, pieces: Iterable[bytes], size: int, *, name: str, silence: float) -> None:
        """Give the server a file of `size` bytes. `silence`: seconds in which it may take nothing, and say nothing.

        The server checks the digest. It may answer before it has read everything, when it has the file or no room.
        """
        sent = self._http.stream(
            "POST",
            f"{self.endpoint}/api/blobs/{digest}",
            headers={"Content-Length": str(size), "Content-Type": "application/octet-stream"},
            content=pieces,
            first_timeout=silence,
            idle_timeout=silence,
        )
        with sent as answer:
            if answer.status >= 400:
                raise answer_error(answer, answer.read(), endpoint=self.endpoint, name=name, rules=IMPORT_RULES)

    @contextmanager
    def create(self, name: str, files: Mapping[str, str], *, idle_timeout: float) -> Iterator[Iterator[dict[str, Any]]]:
        """The lines of making a model of files that were sent; `files` are their digests by file name."""
        body = {"model": name, "files": dict(files), "stream": True}
        first = idle_timeout
        with self._stream("/api/create", body, name, first=first, idle=idle_timeout, rules=IMPORT_RULES) as lines:
            yield lines

    @contextmanager
    def chat(self, body: dict[str, Any]) -> Iterator[Iterator[dict[str, Any]]]:
        """The lines of an answer. Leaving the block stops the model.

        Silence is normal: before the first line the model is loaded and the prompt read, and a tool call comes as one
        line once it is written to its end.
        """
        with self._stream("/api/chat", body, str(body["model"]), first=600.0, idle=600.0) as lines:
            yield lines

    def _request(
        self, method: str, path: str, body: Any = None, *, name: str = "the model", timeout: float | None = None
    ) -> HttpResponse:
        try:
            answer = self._http.request(method, self.endpoint + path, json=body, timeout=timeout)
        except Unreachable as error:
            raise self._not_there(error) from None
        if answer.status >= 400:
            raise answer_error(answer, answer.content, endpoint=self.endpoint, name=name)
        return answer

    @contextmanager
    def _stream(
        self,
        path: str,
        body: dict[str, Any],
        name: str,
        *,
        first: float,
        idle: float,
        rules: tuple[Rule, ...] = USE_RULES,
    ) -> Iterator[Iterator[dict[str, Any]]]:
        with ExitStack() as stack:
            opened = self._http.stream("POST", self.endpoint + path, json=body, first_timeout=first, idle_timeout=idle)
            try:
                stream = stack.enter_context(opened)
            except Unreachable as error:
                raise self._not_there(error) from None
            if stream.status >= 400:
                raise answer_error(stream, stream.read(), endpoint=self.endpoint, name=name, rules=rules)
            if "html" in stream.headers.get("content-type", ""):
                raise BadAnswer(f"{self.endpoint} answered with a page, not as Ollama does.", hint="Check the address.")
            yield self._objects(stream.lines())

    def _objects(self, lines: Iterator[bytes]) -> Iterator[dict[str, Any]]:
        """One JSON object a line; a few broken lines are passed over."""
        malformed = 0
        for line in lines:
            if not line.strip():
                continue
            try:
                parsed = orjson.loads(line)
            except orjson.JSONDecodeError:
                parsed = None
            if isinstance(parsed, dict):
                yield parsed
                continue
            malformed += 1
            if malformed > MALFORMED:
                raise BadAnswer(f"The stream from {self.endpoint} is broken.", hint="Try again.")

    def _read(self, answer: HttpResponse, kind: type[W]) -> W:
        try:
            return kind.model_validate(answer.json())
        except ValidationError:
            raise BadAnswer(
                f"{self.endpoint} does not answer as Ollama does.", hint="Check that the address is the one of Ollama."
            ) from None

    def _not_there(self, error: Unreachable) -> Unreachable:
        text = str(error) if self.endpoint in str(error) else f"{error} ({self.endpoint})"
        return Unreachable(text, hint="See that Ollama runs there (`ollama serve`) and that the address is right.")
