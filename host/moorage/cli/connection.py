"""The API that a command calls: of the server that runs, or of an application opened for this command."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from moorage.cli.tables import plain
from moorage.errors import MoorageError
from moorage.settings import load_settings

F = TypeVar("F", bound=Callable[..., Any])
EXIT_CODES = {400: 2, 401: 3, 402: 3, 403: 3, 404: 4, 409: 5, 413: 2, 415: 2, 422: 2, 429: 3, 502: 3, 503: 3}
PIPED_WIDTH = 100_000  # columns
EMBEDDED_PORT = 80  # the port of an application that is called without a socket


class ApiFailed(MoorageError):
    """The API answered with a problem; the exit code goes by its status."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        lines = [problem.get("detail") or problem.get("title") or f"The server answered {status}."]
        lines += [f"  {error['field']}: {error['message']}" for error in problem.get("errors", ())]
        hint = (
            "Make a token on the Settings page and set it as MOORAGE_TOKEN." if status == 401 else problem.get("hint")
        )
        super().__init__("\n".join(lines), hint=hint)
        self.exit_code = EXIT_CODES.get(status, 1)  # type: ignore[misc]  # the class default is for all others


class Api:
    """Calls of the HTTP API: JSON in, JSON out. `serving` tells whether a server answers, which lives on."""

    def __init__(self, client: Any, *, serving: bool) -> None:
        self._client = client
        self.serving = serving

    def get(self, path: str, **params: Any) -> Any:
        return self._call("GET", path, params={key: value for key, value in params.items() if value is not None})

    def post(self, path: str, body: Any = None) -> Any:
        return self._call("POST", path, json=body)

    def ask(self, path: str, body: Any) -> tuple[Any, bool]:
        """The answer to a POST, and whether it made something new."""
        response = self._client.request("POST", path, json=body)
        if response.status >= 400:
            raise _failure(response.status, response.content)
        return response.json(), response.status != 200

    def put(self, path: str, body: Any) -> Any:
        return self._call("PUT", path, json=body)

    def delete(self, path: str, **params: Any) -> None:
        self._call("DELETE", path, params=params)

    def all(self, path: str, key: str, **params: Any) -> list[Any]:
        """All pages of a list."""
        items: list[Any] = []
        cursor = None
        while True:
            page = self.get(path, limit=200, cursor=cursor, **params)
            items += page[key]
            cursor = page["next"]
            if cursor is None:
                return items

    def events(self, path: str, body: Any) -> Iterator[tuple[str, Any]]:
        """The events of a streamed answer."""
        with self._client.stream("POST", path, json=body) as response:
            if response.status >= 400:
                raise _failure(response.status, response.read())
            for event in response.events():
                yield event.event, json.loads(event.data)

    def _call(self, method: str, path: str, *, params: Any = None, json: Any = None) -> Any:
        response = self._client.request(method, path, params=params, json=json)
        if response.status >= 400:
            raise _failure(response.status, response.content)
        return response.json() if response.content else None


def _failure(status: int, body: bytes) -> ApiFailed:
    try:
        problem = json.loads(body)
    except ValueError:
        problem = {}
    return ApiFailed(status, problem if isinstance(problem, dict) else {})


@contextmanager
def connect(home: Path | None, *, works: bool = False) -> Iterator[Api]:
    """The API on this data directory. Without a server installs go on for this command only where it `works` on them:
    merely looking changes nothing.
    """
    from moorage.http import api_client
    from moorage.store.tinydb import read_holder

    settings = load_settings(home=home)
    holder = read_holder(settings.home)
    if holder is not None and holder.url:
        token = os.environ.get("MOORAGE_TOKEN")
        with api_client(holder.url, token=token) as client:
            yield Api(client, serving=True)
        return
    from moorage.cli.application import load_application
    from moorage.host import Host

    # In this process nobody else can call the application, so it needs no password.
    unlocked = settings.model_copy(update={"password": None, "password_file": None})
    with Host.open(unlocked, works=works) as host:
        app = load_application(host, EMBEDDED_PORT)
        with api_client(app=app) as client:
            yield Api(client, serving=False)


class Noun(click.Group):
    """A noun without a verb lists: `moorage models --json` is `moorage models list --json`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def api_command(function: F) -> F:
    """Gives a command `--home` and `--json`, and passes `api` and `out` to it."""
    return _with_api(function, lambda options: False)


def working_command(works: Callable[[dict[str, Any]], bool]) -> Callable[[F], F]:
    """The same for a command that, by its options, stays while installs run: they may run in its process."""
    return lambda function: _with_api(function, works)


def _with_api(function: F, works: Callable[[dict[str, Any]], bool]) -> F:
    @click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="Data directory.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
    @wraps(function)
    def wrapper(*args: Any, home: Path | None, as_json: bool, **options: Any) -> Any:
        with connect(home, works=works(options)) as api:
            return function(*args, api=api, out=Output(as_json), **options)

    return wrapper  # type: ignore[return-value]  # click's decorators keep the callable


class Output:
    """What a command prints: text for people, or JSON for programs."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        # Piped, a row is one line, however long: nothing is broken or cut for a width that nobody sees.
        self.console = Console() if sys.stdout.isatty() else Console(width=PIPED_WIDTH, soft_wrap=True)
        self.errors = Console(stderr=True, soft_wrap=not sys.stderr.isatty())

    def show(self, value: Any, text: Callable[[Any], Any]) -> None:
        """Print `value` as JSON, or `text(value)`: a string or something that rich can render."""
        if self.as_json:
            click.echo(json.dumps(value, indent=2, ensure_ascii=False))
            return
        rendered = text(value)
        if isinstance(rendered, str):
            rendered = plain(rendered)
        if rendered is not None:
            self.console.print(rendered, highlight=False, markup=False) if isinstance(rendered, str) else (
                self.console.print(rendered)
            )
