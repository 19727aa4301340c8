"""The import rules of the design, read from the source: who may import what."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import moorage

ROOT = Path(__file__).parents[2]
HOST = ROOT / "host" / "moorage"
PLUGINS = sorted(path for path in (ROOT / "plugins").glob("*/moorage_*") if path.is_dir())
WEB = ROOT / "web" / "moorage_web"
# Each library is imported in one place of the host.
ONE_PLACE = {
    "httpx": ["http"],
    "httpcore": ["http"],
    "tinydb": ["store"],
    "apscheduler": ["schedule/timer.py"],
    "pluggy": ["plugins", "hookspecs.py"],
    "granian": ["server.py"],
    "cryptography": ["secrets.py"],
    "click": ["cli"],
    "rich": ["cli"],
}
WEB_MAY = {"moorage.host", "moorage.models", "moorage.errors", "moorage.events"}


def imports(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(module, names) of every import in a file, also those inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, ()
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, tuple(alias.name for alias in node.names)


def files(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.py"))
    assert found
    return found


def test_contracts_of_import_linter_hold() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("library", sorted(ONE_PLACE))
def test_a_library_is_imported_in_one_place_of_the_host(library: str) -> None:
    allowed = [HOST / place for place in ONE_PLACE[library]]
    for path in files(HOST):
        if any(place == path or place in path.parents for place in allowed):
            continue
        used = [module for module, _ in imports(path) if module.partition(".")[0] == library]
        assert not used, f"{path.relative_to(ROOT)} imports {library}"


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda path: path.name)
def test_plugins_import_the_public_surface_only(folder: Path) -> None:
    for path in files(folder):
        for module, names in imports(path):
            top = module.partition(".")[0]
            assert top != "moorage" or module == "moorage", f"{path.relative_to(ROOT)} imports {module}"
            assert top not in ("httpx", "httpcore", "flask", "pluggy"), f"{path.relative_to(ROOT)} imports {module}"
            if module == "moorage":
                hidden = set(names) - set(moorage.__all__)
                assert not hidden, f"{path.relative_to(ROOT)} imports {hidden}, which moorage does not export"


def test_web_reaches_the_host_through_its_front_door() -> None:
    for path in files(WEB):
        for module, _ in imports(path):
            if module == "moorage" or module.startswith("moorage."):
                allowed = any(module == door or module.startswith(f"{door}.") for door in WEB_MAY)
                assert allowed, f"{path.relative_to(ROOT)} imports {module}"


def test_no_file_of_the_drawer_kind() -> None:
    for folder in (HOST, WEB, *PLUGINS):
        for path in files(folder):
            assert path.stem not in ("utils", "helpers", "common", "misc"), path


def test_importing_does_nothing() -> None:
    """No thread, no folder, no connection while modules are imported."""
    script = """
import builtins, importlib, os, pathlib, pkgutil, socket, sys, threading
import orjson, pydantic, flask, httpx, tinydb, granian, pluggy, click, rich.console  # theirs is not our business
import granian.server.embed, rich.progress, rich.table, platformdirs, pydantic_settings, filelock, packaging
def refuse(what):
    def stop(*a, **k):
        raise SystemExit(f"{name} does {what} at import: {a}")
    return stop
for package in sys.argv[1:]:
    name = package
    importlib.import_module(package)
threading.Thread.start = refuse("start a thread")
socket.socket.connect = refuse("connect")
os.mkdir = refuse("make a folder")
for package in sys.argv[1:]:
    for info in pkgutil.walk_packages(sys.modules[package].__path__, package + "."):
        name = info.name
        if name.endswith("__main__"):
            continue
        importlib.import_module(name)
"""
    packages = ["moorage", "moorage_web", *(path.name for path in PLUGINS)]
    result = subprocess.run([sys.executable, "-c", script, *packages], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_environment_is_read_in_functions_only() -> None:
    for folder in (HOST, WEB, *PLUGINS):
        for path in files(folder):
            for statement in ast.parse(path.read_text()).body:
                if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
                    continue
                assert "os.environ" not in ast.unparse(statement), f"{path.relative_to(ROOT)}:{statement.lineno}"
