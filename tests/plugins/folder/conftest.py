"""The example as its distribution would bring it, a folder, and what a plugin may use."""

from __future__ import annotations

import importlib.util
import logging
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from moorage import ModelDetail, ModelFile, ModelRef, PluginContext, SearchPage, SearchQuery
from moorage.http import CallScope, HttpDoor

EXAMPLE = Path(__file__).parents[3] / "examples" / "moorage-folder"
PROJECT = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("moorage_folder", EXAMPLE / "moorage_folder.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "moorage_folder", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def plugin(example: ModuleType) -> Any:
    """What its entry point names."""
    module, _, name = PROJECT["entry-points"]["moorage.plugins.v1"]["folder"].partition(":")
    assert module == example.__name__
    return getattr(example, name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "my models"
    path.mkdir()
    return path


@dataclass
class Shore:
    """The plugin and its folder, without a host."""

    plugin: Any
    folder: Path
    context: PluginContext
    scope: CallScope

    def put(self, name: str, content: bytes = b"GGUF") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def search(self, text: str = "", **fields: Any) -> SearchPage:
        page = self.plugin.search_models(SearchQuery(text=text, **fields), self.context)
        assert isinstance(page, SearchPage)
        return page

    def ids(self, text: str = "", **fields: Any) -> list[str]:
        return [hit.id for hit in self.search(text, **fields).results]

    def describe(self, id: str, revision: str | None = None) -> ModelDetail:
        detail = self.plugin.describe_model(ModelRef(source="folder", id=id, revision=revision), self.context)
        assert isinstance(detail, ModelDetail)
        return detail

    def file(self, id: str) -> ModelFile:
        (file,) = self.describe(id).files
        return file


MakeShore = Callable[[Path], Shore]


@pytest.fixture
def make_shore(plugin: Any, example: ModuleType, tmp_path: Path) -> Iterator[MakeShore]:
    door = HttpDoor()

    def make(folder: Path) -> Shore:
        scope = CallScope(20.0)
        data = tmp_path / "data"
        data.mkdir(exist_ok=True)

        def no_fetch(parts: object) -> Any:
            raise AssertionError("a source fetches nothing")

        context = PluginContext(
            plugin="folder",
            config=example.FolderConfig(folder=str(folder)),
            http=door.client("provider", scope=scope),
            fetch=no_fetch,
            data_dir=data,
            log=logging.getLogger("moorage.plugin.folder"),
            deadline=20.0,
            cancelled=lambda: scope.cancelled,
        )
        return Shore(plugin(), folder, context, scope)

    yield make
    door.close()


@pytest.fixture
def shore(make_shore: MakeShore, folder: Path) -> Shore:
    return make_shore(folder)
