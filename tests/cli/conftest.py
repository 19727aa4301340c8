"""Commands on an empty data directory, with and without the demo world."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from moorage.cli import main
from tests.process import Commands, Ended, environment
from tests.world import TOKEN, World
from tests.world import world as make_world


@pytest.fixture
def world() -> Iterator[World]:
    with make_world() as places:
        yield places


@pytest.fixture
def offline(tmp_path: Path) -> Commands:
    """Commands that reach no service at all."""
    return Commands(tmp_path / "home", {})


@pytest.fixture
def moorage(tmp_path: Path, world: World) -> Commands:
    return Commands(tmp_path / "home", {**world.environment, "HF_TOKEN": TOKEN})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs a command in this process, where the many small cases cost little; it reaches no service."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    for name, value in environment({"MOORAGE_HOME": str(tmp_path / "home")}).items():
        monkeypatch.setenv(name, value)

    def run(*args: str) -> Ended:
        monkeypatch.setattr("sys.argv", ["moorage", *args])
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        else:
            code = 0
        assert isinstance(code, int)
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return run
