"""What is in the repository belongs to everyone: no place of one machine, and no package registry, in any file."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT

# Put together here, so that this file does not name them.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"),
        ("crates", "io"),
        ("anaconda", "org"),
    )
]
# Ollama's own home stands in its messages, wherever it runs.
MACHINE = re.compile(r"""(?:^|(?<=[\s"'`(=:\[]))/(?:work|root|home|Users|mnt)/(?!\.ollama)[\w.-]+""", re.M)


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name for name in listed.decode().split("\0") if name]
    found = [path for path in paths if path.is_file() and path.suffix not in (".png", ".gguf")]
    assert len(found) > 100
    return found


@pytest.mark.parametrize("registry", REGISTRIES)
def test_no_registry_is_named(registry: str) -> None:
    assert not [str(path.relative_to(ROOT)) for path in tracked() if registry in path.read_text(errors="replace")]


def test_no_place_of_this_machine_is_named() -> None:
    named = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked()
        for match in MACHINE.finditer(path.read_text(errors="replace"))
    }
    assert not named


def test_a_place_of_a_machine_is_found() -> None:
    assert MACHINE.search("see " + "/".join(("", "home", "somebody", "file")))
    assert not MACHINE.search("https://example.org/home/page")
