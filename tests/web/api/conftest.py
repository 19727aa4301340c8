"""The API of a host with two plugins of its own: one that answers chats, one that searches and installs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from moorage.host import Host
from moorage_web import create_app
from tests.conftest import MakeHost
from tests.host.scripted import Scripted
from tests.web.api.dock import Dock

PORT = 8642
ORIGIN = f"http://127.0.0.1:{PORT}"


class Api:
    """Requests in process, as a program on this machine sends them."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.app = create_app(host, port=PORT)

    def call(self, method: str, path: str, **options: Any) -> TestResponse:
        with self.app.test_client() as client:
            return client.open(path, method=method, base_url=ORIGIN, buffered=True, **options)

    def get(self, path: str, **options: Any) -> Any:
        return self._json("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        return self._json("POST", path, **({} if body is None else {"json": body}), **options)

    def put(self, path: str, body: Any, **options: Any) -> Any:
        return self._json("PUT", path, json=body, **options)

    def delete(self, path: str, **options: Any) -> Any:
        return self._json("DELETE", path, **options)

    def fields(self, method: str, path: str, status: int = 400, **options: Any) -> dict[str, str]:
        """The wrong fields that a refused request names."""
        response = self.call(method, path, **options)
        assert response.status_code == status, response.text
        assert response.content_type == "application/problem+json"
        problem = response.json
        assert set(problem) >= {"type", "title", "status", "detail"}
        assert problem["status"] == status
        return {error["field"]: error["message"] for error in problem.get("errors", ())}

    def _json(self, method: str, path: str, status: int | None = None, **options: Any) -> Any:
        response = self.call(method, path, **options)
        if status is None:
            assert response.status_code < 300, response.text
        else:
            assert response.status_code == status, response.text
        return response.json if response.data else None


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture
def dock() -> Iterator[Dock]:
    made = Dock()
    yield made
    made.go.set()


@pytest.fixture
def host(make_host: MakeHost, scripted: Scripted, dock: Dock) -> Host:
    return make_host(plugins={"scripted": scripted, "dock": dock}, only=True)


@pytest.fixture
def api(host: Host) -> Api:
    return Api(host)


@pytest.fixture
def provider(api: Api) -> dict[str, Any]:
    made: dict[str, Any] = api.post("/api/llm/providers", {"name": "Tide", "type": "scripted", "config": {}})
    return made


@pytest.fixture
def agent(api: Api, provider: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = api.post("/api/agents", {"name": "Harbour Master", "llm": {"provider": provider["id"]}})
    return made


@pytest.fixture
def target(api: Api) -> str:
    made = api.post("/api/llm/providers", {"name": "Pier", "type": "dock", "config": {}})
    return str(made["id"])
