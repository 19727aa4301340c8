"""`moorage searches …`: what it prints, and how it exits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from moorage.cli.searches import _bytes
from tests.fakes.faults import Fault
from tests.fakes.repo import Repo
from tests.process import Commands, Ended
from tests.world import World

WRONG_USE = [
    ("searches", "save"),
    ("searches", "save", "a"),
    ("searches", "save", "a", "skiff", "--per-day", "21"),
    ("searches", "save", "a", "skiff", "--max-size", "huge"),
    ("searches", "save", "a", "skiff", "--days", "mon"),
    ("searches", "save", "a", "skiff", "--window", "01:00-01:00"),
    ("searches", "save", "a", "skiff", "--min-parameters", "lots"),
    ("searches", "save", "a", "skiff", "--sort", "beauty"),
]
NOT_FOUND = [("searches", verb, "nobody") for verb in ("show", "run", "read", "remove")]


@pytest.mark.parametrize("args", WRONG_USE, ids=" ".join)
def test_wrong_use_exits_2_and_says_why(here: Callable[..., Ended], args: tuple[str, ...]) -> None:
    done = here(*args)
    assert (done.code, done.out) == (2, ""), (done.out, done.err)
    assert done.err.strip()


@pytest.mark.parametrize("args", NOT_FOUND, ids=" ".join)
def test_what_is_not_there_exits_4(here: Callable[..., Ended], args: tuple[str, ...]) -> None:
    assert here(*args).code == 4


def test_empty_lists_say_what_to_do(here: Callable[..., Ended]) -> None:
    assert "moorage searches save NAME" in here("searches").out
    assert here("searches", "news").out.strip() == "Nothing new."
    assert here("searches", "--json").out.strip() == "[]"


@pytest.mark.parametrize(("text", "bytes"), [("8GB", 8 * 10**9), ("1.5 gb", 15 * 10**8), ("700M", 7 * 10**8), ("5", 5)])
def test_sizes(text: str, bytes: int) -> None:
    assert _bytes(text) == bytes


def test_from_saving_to_removing(moorage: Commands, world: World) -> None:
    saved = moorage("searches", "save", "Boats", "boat", "--gguf", "--max-parameters", "4B", "--sort", "likes")
    assert "Boats was saved as search-" in saved.out
    assert "boat, format gguf, at most 4.0B, by likes" in saved.out
    assert "nothing by itself" in saved.out
    assert "moorage serve" in saved.err
    [listed] = moorage.json("searches")
    assert (listed["name"], listed["unread"], listed["query"]["maxParameters"]) == ("Boats", 0, 4 * 10**9)
    facts = {"total": 10**9, "architecture": "llama"}
    world.hub.add(Repo("harbour/Boat-1B-GGUF", {"Boat-Q4_K_M.gguf": b"GGUF"}, gguf=facts, created=datetime.now(UTC)))
    found = moorage("searches", "run", "Boats")
    assert "harbour/Boat-1B-GGUF" in found.out
    assert [item["find"]["id"] for item in moorage.json("searches", "news")] == ["harbour/Boat-1B-GGUF"]
    shown = moorage("searches", "show", listed["id"])
    assert "Asks for: boat" in shown.out
    assert "harbour/Boat-1B-GGUF" in shown.out
    moorage("searches", "read", "Boats")
    assert moorage("searches", "run", "Boats").out.strip() == "Nothing new."
    assert moorage.json("searches", "show", "Boats")["news"][0]["read"] is True
    moorage("searches", "save", "Boats", "boat", "--not-daily")
    assert "2 saved searches are called Boats" in moorage("searches", "show", "Boats", ok=False).err
    moorage("searches", "remove", listed["id"])
    assert [item["nextRunAt"] for item in moorage.json("searches")] == [None]


def test_a_rule(moorage: Commands, world: World) -> None:
    rule = ("--install-on", "Built-in engine", "--max-size", "8GB", "--per-day", "2", "--window", "01:00-06:00")
    made = moorage.json("searches", "save", "Boats", "boat", *rule, "--time-zone", "Europe/Berlin", "--tight")
    assert made["rule"] == {
        "target": "builtin",
        "maxPerDay": 2,
        "maxBytes": 8 * 10**9,
        "tightToo": True,
        "window": {"from": "01:00", "to": "06:00", "days": [], "timeZone": "Europe/Berlin"},
    }
    assert moorage.json("searches", "save", "Plain", "boat", "--install")["rule"]["maxPerDay"] == 1
    said = moorage("searches", "show", "Boats").out
    assert "up to 2 a day on Built-in engine, files up to 8.0 GB, also what fits tightly, between 01:00" in said
    world.hub.add(Repo("harbour/Boat-1B-GGUF", {"README.md": b"soon"}, created=datetime.now(UTC)))
    assert "no GGUF file, so it cannot be installed. It is tried again." in moorage("searches", "run", "Boats").out


def test_a_source_that_does_not_answer_exits_3(moorage: Commands, world: World) -> None:
    moorage("searches", "save", "Boats", "boat")
    world.hub.faults.append(Fault(r".*/api/models.*", times=None, status=500))
    done = moorage("searches", "run", "Boats", ok=False)
    assert done.code == 3
    assert done.err.startswith("huggingface: ")
