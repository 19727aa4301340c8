"""A small client of the HTTP API, as anybody could write it from API.md."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import httpx

SECONDS = 60.0


@dataclass(frozen=True)
class Event:
    type: str
    id: int
    data: Any


class Api:
    """JSON in, JSON out; every answer's status is checked."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, trust_env=False, timeout=SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def get(self, path: str, status: int = 200, **params: Any) -> Any:
        return self._json(self.client.get(path, params=params), status)

    def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        return self._json(self.client.post(path, **({} if body is None else {"json": body})), status)

    def put(self, path: str, body: Any, status: int = 200) -> Any:
        return self._json(self.client.put(path, json=body), status)

    def delete(self, path: str, status: int = 204, **params: Any) -> Any:
        return self._json(self.client.delete(path, params=params), status)

    def page(self, path: str) -> str:
        """The HTML of a page."""
        answer = self.client.get(path, follow_redirects=True)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:500])
        return answer.text

    def events(self, *, last_id: int | None = None) -> Iterator[Event]:
        """The host's events, as they come."""
        headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
        with self.client.stream("GET", "/api/events", headers=headers) as answer:
            assert answer.status_code == 200
            yield from _events(answer)

    def chat(self, agent: str, message: str, conversation: str | None = None) -> list[Event]:
        """All events of one answer; exactly one `end`, the last."""
        body = {"message": message, **({"conversation": conversation} if conversation else {})}
        with self.client.stream("POST", f"/api/agents/{agent}/chat", json=body) as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"].startswith("text/event-stream")
            got = list(_events(answer))
        assert [event.type for event in got].count("end") == 1
        assert got[-1].type == "end"
        return got

    @staticmethod
    def _json(answer: httpx.Response, status: int) -> Any:
        assert answer.status_code == status, (answer.status_code, answer.text[:2000])
        return answer.json() if answer.content else None


def _events(answer: httpx.Response) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if not line:
            if "data" in fields:
                yield Event(fields["event"], int(fields["id"]), json.loads(fields["data"]))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


def text_of(events: list[Event]) -> str:
    return "".join(event.data["delta"] for event in events if event.type == "text")


class Watching:
    """Collects the events of one Moorage on a thread of its own, from before the block to its end."""

    def __init__(self, url: str) -> None:
        self._api = Api(url)
        self.events: list[Event] = []
        self._changed = threading.Condition()
        self._open = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watching", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._open.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._api.client.close()
        self._thread.join(5)

    def until(self, condition: Callable[[Event], bool], seconds: float = SECONDS) -> Event:
        """The first event for which `condition` holds."""

        def found() -> Event | None:
            return next((event for event in self.events if condition(event)), None)

        with self._changed:
            assert self._changed.wait_for(lambda: found() is not None, seconds), [e.type for e in self.events]
        event = found()
        assert event is not None
        return event

    def _run(self) -> None:
        try:
            with self._api.client.stream("GET", "/api/events") as answer:
                lines = _events(answer)
                self._open.set()
                for event in lines:
                    with self._changed:
                        self.events.append(event)
                        self._changed.notify_all()
        except (httpx.HTTPError, httpx.StreamError, OSError, ValueError, RuntimeError):
            return  # the block has ended, or the server
