"""What an installation takes on disk without the engine, package by package: `python -m benchmarks.size`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from benchmarks.measure import Row, report

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements" / "run.txt"
OWN = ("host", "web", "plugins")
# What the aim leaves out: these, and what they need.
GIVEN = ("cryptography", "cffi", "pycparser", "pydantic", "pydantic-core", "annotated-types", "granian")


def rows() -> Iterator[Row]:
    sizes = dict(sorted(packages().items(), key=lambda item: -item[1]))
    given = sum(size for name, size in sizes.items() if name in GIVEN)
    own = sum(path.stat().st_size for folder in OWN for path in (ROOT / folder).rglob("*") if _ships(path))
    whole = sum(sizes.values()) + own
    beyond = (whole - given) / 1e6
    yield Row("installed without the engine", f"{whole / 1e6:.1f} MB", note="Moorage and all that it needs")
    yield Row("of it, beyond cryptography, pydantic, granian", f"{beyond:.1f} MB", beyond, 60, "MB")
    yield Row("size of Moorage itself", f"{own / 1e6:.2f} MB")
    for name, size in sizes.items():
        yield Row(f"size of {name}", f"{size / 1e6:.2f} MB", note="given" if name in GIVEN else "")


def packages() -> dict[str, int]:
    """Bytes of each package in the lock file, by its own record of files; byte code that was compiled since counts."""
    found = {}
    for name in re.findall(r"^([A-Za-z0-9._-]+)==", LOCK.read_text(), re.MULTILINE):
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:  # of another platform
            continue
        paths = {Path(str(file.locate())) for file in files}
        found[name] = sum(path.stat().st_size for path in paths if path.is_file())
    return found


def _ships(path: Path) -> bool:
    return path.is_file() and path.suffix != ".pyc"


if __name__ == "__main__":
    report(rows())
