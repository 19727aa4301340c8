"""What a start does not load: libraries that the first page has no use for cost time and memory in every process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LATER = ("rich", "pygments", "jsonschema", "apscheduler", "prometheus_client", "cryptography", "markdown_it", "nh3")
FIRST_PAGE = """
import json, sys
from pathlib import Path
from moorage.cli.serve import load_application
from moorage.host import Host
from moorage.server import Server
from moorage.settings import load_settings

with Host.open(load_settings(home=Path(sys.argv[1]))) as host:
    page = load_application(host, 80).test_client().get("/", base_url="http://127.0.0.1")
    print(json.dumps([page.status_code, page.get_data(as_text=True)[:15], sorted(sys.modules)]))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The modules of a process that has shown its first page."""
    home = tmp_path_factory.mktemp("start") / "home"
    environment = {**os.environ, "OLLAMA_HOST": "http://127.0.0.1:61999", "HF_ENDPOINT": "http://127.0.0.1:61999"}
    command = [sys.executable, "-c", FIRST_PAGE, str(home)]
    done = subprocess.run(
        command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    status, start, modules = json.loads(done.stdout)
    assert (status, start) == (200, "<!doctype html>")
    return set(modules)


@pytest.mark.parametrize("library", LATER)
def test_the_first_page_comes_without(library: str, loaded: set[str]) -> None:
    assert library not in loaded


def test_what_it_comes_with(loaded: set[str]) -> None:
    """So that the test above would notice a library that is there under another name."""
    assert {"httpx", "flask", "granian", "pydantic", "moorage_huggingface.plugin", "moorage_web"} <= loaded
