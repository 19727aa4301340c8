"""The measurements themselves are run by hand: here, that they can be, and that the report says what it should."""

from __future__ import annotations

import importlib
from pathlib import Path

import httpx
import pytest
from benchmarks.crowd import crowd
from benchmarks.measure import Row, percentile, spread
from benchmarks.processes import child

from tests.fakes.hub import FakeHub

FOLDER = Path(__file__).parents[2] / "benchmarks"
MEASURED = ("chat", "download", "durable", "many", "pages", "search", "size", "start")


def test_every_file_can_be_imported_and_every_measurement_has_rows() -> None:
    modules = {path.stem: importlib.import_module(f"benchmarks.{path.stem}") for path in FOLDER.glob("*.py")}
    assert all(callable(modules[name].rows) for name in MEASURED)


@pytest.mark.parametrize(
    ("value", "least", "aim", "met"),
    [(7.9, False, "< 8 ms", "yes"), (8.0, False, "< 8 ms", "**no**"), (9.0, True, "> 8 ms", "yes")],
)
def test_a_row_says_whether_its_aim_is_met(value: float, least: bool, aim: str, met: str) -> None:
    line = Row("it", "shown", value, 8, "ms", least=least).line()
    assert line == f"| it | shown | {aim} | {met} |  |"


def test_numbers() -> None:
    assert spread([3.0, 1.0, 2.0], "ms") == "2.0 ms (1.0 to 3.0, n=3)"
    assert percentile(list(range(101)), 95) == pytest.approx(95, abs=1)


def test_the_crowd_has_every_page(tmp_path: Path) -> None:
    with FakeHub() as hub, crowd(tmp_path / "home", hub.url) as (url, paths), httpx.Client(base_url=url) as client:
        assert len(paths) > 15
        assert {path: client.get(path).status_code for path in paths} == dict.fromkeys(paths, 200)


def test_a_service_beside_ends_with_its_block() -> None:
    with child("slow_router", 2, 100) as router:
        answer = httpx.post(f"{router['url']}/v1/chat/completions", json={"stream": True})
        assert answer.text.count('"content"') == 2
        assert answer.text.endswith("data: [DONE]\n\n")
    with pytest.raises(httpx.ConnectError):
        httpx.get(router["url"])
