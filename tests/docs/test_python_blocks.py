"""The Python in the documentation compiles, what is complete runs, and what is quoted stands where it says."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from moorage import NotFound, SearchQuery
from tests.conftest import MakeHost
from tests.docs.markdown import ROOT, Block, blocks
from tests.fakes.repo import Token
from tests.fakes.router import FakeRouter
from tests.fakes.router_models import RouterModel

PYTHON = blocks("python")
COMPLETE = [block for block in PYTHON if block.mark == "complete"]
QUOTED = [block for block in PYTHON if block.mark.startswith("from ")]
ECHO = ROOT / "examples" / "moorage-echo"


def place(block: Block) -> str:
    return block.place


@pytest.mark.parametrize("block", [block for block in PYTHON if block not in QUOTED], ids=place)
def test_it_compiles(block: Block) -> None:
    compile(block.text, block.place, "exec", dont_inherit=True)


@pytest.mark.parametrize("block", COMPLETE, ids=place)
def test_it_runs(block: Block, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", block.text]
    environment = {**os.environ, "PYTHONPATH": str(ECHO)}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("block", QUOTED, ids=place)
def test_it_is_quoted_exactly(block: Block) -> None:
    assert block.text in (ROOT / block.mark.removeprefix("from ")).read_text()


def test_the_pieces_of_the_page_are_the_file_that_it_tests(tmp_path: Path) -> None:
    """Whoever puts them one below the other has all of the example, and the page's test passes."""
    pieces = [block.text for block in QUOTED if block.mark == "from examples/moorage-echo/moorage_echo.py"]
    (tmp_path / "moorage_echo.py").write_text("\n\n".join(pieces))
    rest = (ECHO / "moorage_echo.py").read_text()
    for piece in pieces:
        rest = rest.replace(piece, "")
    assert not rest.strip()
    (tested,) = [block for block in COMPLETE if "import moorage_echo" in block.text]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-c", tested.text]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("block", [block for block in COMPLETE if 'type="echo", label' in block.text], ids=place)
def test_the_small_plugins_answer(block: Block, make_host: MakeHost) -> None:
    host = make_host(plugins={"echo": plugin(block)}, only=True)
    result = host.providers.test(type="echo", config={})
    assert result.ok, result
    assert result.reply


def test_the_small_source_answers(make_host: MakeHost) -> None:
    (block,) = [block for block in COMPLETE if "def search_models" in block.text]
    host = make_host(plugins={"quay": plugin(block)}, only=True)
    found = host.search.search(SearchQuery(text="PILOT"))
    assert [(hit.source, hit.id) for hit in found.results] == [("quay", "harbour/Pilot")]
    assert len(host.search.search(SearchQuery(author="harbour", sort="updated")).results) == 2
    for fields in ({"author": "else"}, {"license": "mit"}, {"gated": False}, {"format": "gguf"}, {"min_parameters": 0}):
        assert host.search.search(SearchQuery.model_validate(fields)).results == (), fields
    assert host.search.describe("quay", "harbour/Skiff").revision == "2026-01-31"
    with pytest.raises(NotFound):
        host.search.describe("quay", "harbour/Tug")


def test_the_plugin_for_a_real_service_answers(make_host: MakeHost) -> None:
    (block,) = [block for block in COMPLETE if 'type="lighthouse"' in block.text]
    host = make_host(plugins={"lighthouse": plugin(block)}, only=True)
    with FakeRouter() as router:
        router.add(RouterModel(id="harbour/Pilot"))
        router.tokens = {"key-of-the-harbour": Token("harbour")}
        config = {"endpoint": f"{router.url}/v1", "model": "harbour/Pilot", "apiKey": "key-of-the-harbour"}
        result = host.providers.test(type="lighthouse", config=config)
        assert result.ok, result
        refused = host.providers.test(type="lighthouse", config={**config, "apiKey": "another-key"})
    assert refused.error is not None
    assert refused.error.part == "key"


def plugin(block: Block) -> types.ModuleType:
    module = types.ModuleType("plugin_of_the_documentation")
    exec(compile(block.text, block.place, "exec", dont_inherit=True), vars(module))
    return module
