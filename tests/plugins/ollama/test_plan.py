"""By which road a file gets onto an Ollama server, under which name, and what is said before it is tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from moorage import Disk, Gate, InstallPlan, InstallRequest, ModelDetail, ModelFile, Provider, Unreachable
from moorage_ollama.config import OllamaProvider
from moorage_ollama.names import same_name
from moorage_ollama.plan import is_here, plan
from tests.plugins.ollama.conftest import model_detail, model_file


def target(endpoint: str = "http://127.0.0.1:11434") -> Provider:
    return Provider(id="p", name="Ollama", type="ollama", config=OllamaProvider(endpoint=endpoint))


def never_asked() -> str:
    raise AssertionError("this plan has nothing to ask the server")


def planned(
    model: ModelDetail,
    file: ModelFile,
    *,
    version: Callable[[], str] | None = never_asked,
    at: str = "http://127.0.0.1:11434",
    **fields: Any,
) -> InstallPlan:
    return plan(InstallRequest(target=target(at), model=model, file=file, **fields), version)


def test_the_tag_is_the_quantisation() -> None:
    file = model_file("m-Q4_K_M.gguf", "Q4_K_M", size=123)
    plan = planned(model_detail("org/m-GGUF", file, model_file("m-Q8_0.gguf", "Q8_0")), file)
    assert plan.ok
    assert (plan.name, plan.road, plan.bytes) == ("hf.co/org/m-GGUF:Q4_K_M", "pull", 123)
    assert plan.road_reason == "The Ollama server can pull this file from the Hub by itself."
    assert plan.disk == Disk(free=None, needed=123, ok=True)  # it is the server's disk, and may be far away
    assert plan.note is None


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        # The label would be ambiguous, or the Hub would read another one: the file name is never wrong.
        ((("m-UD-Q4_K_M.gguf", "UD-Q4_K_M"), ("m-Q4_K_M.gguf", "Q4_K_M")), ("UD-Q4_K_M", "m-Q4_K_M.gguf")),
        ((("a-Q8_0.gguf", "Q8_0"), ("b-Q8_0.gguf", "Q8_0")), ("a-Q8_0.gguf", "b-Q8_0.gguf")),
        ((("m-fp16.gguf", "F16"),), ("m-fp16.gguf",)),
        ((("m-Q4_0_4_4.gguf", "Q4_0_4_4"), ("m-Q4_0.gguf", "Q4_0")), ("m-Q4_0_4_4.gguf", "m-Q4_0.gguf")),
        ((("TriLM-q4.gguf", None),), ("TriLM-q4.gguf",)),
        ((("m-q5_k_m.gguf", "Q5_K_M"),), ("Q5_K_M",)),
    ],
)
def test_the_tag_names_one_file_only(names: tuple[tuple[str, str | None], ...], wanted: tuple[str, ...]) -> None:
    files = [model_file(name, label) for name, label in names]
    model = model_detail("org/m", *files)
    assert tuple(planned(model, file).name.removeprefix("hf.co/org/m:") for file in files) == wanted


LONG = "x" * 90
SHARDED = model_file("m-Q8_0-00001-of-00002.gguf", "Q8_0", shards=("a", "b"))
ONE = model_file("m-Q8_0.gguf", "Q8_0")


@pytest.mark.parametrize(
    ("id", "file", "code", "words"),
    [
        ("org/m", SHARDED, "sharded", "2 parts"),
        ("org/m", model_file("Q8_0/m.gguf", "Q8_0"), "folder", "folders"),
        ("org/m", model_file(f"{LONG}.gguf"), "name-too-long", "95 characters"),
        (f"org/{LONG}", model_file("m-Q8_0.gguf", "Q8_0"), "name-too-long", "90 characters"),
        ("org.io/m", model_file("m-Q8_0.gguf", "Q8_0"), "name", "dot"),
        ("gpt2", model_file("m-Q8_0.gguf", "Q8_0"), "name", "owner/name"),
        ("org/m", model_file("my model.gguf"), "name", "characters"),
        ("org/m", model_file("mmproj-m.gguf", role="projector"), "not-a-model", "not a model"),
    ],
)
def test_what_ollama_cannot_pull_is_said_before_it_is_tried(id: str, file: ModelFile, code: str, words: str) -> None:
    plan = planned(model_detail(id, file), file, road="pull")
    assert plan.road == "pull"
    assert [problem.code for problem in plan.problems] == [code]
    assert words in plan.problems[0].message
    assert plan.problems[0].hint is not None


# The road


@pytest.mark.parametrize(
    ("id", "file", "fields", "limits", "road", "words"),
    [
        ("org/m", ONE, {}, (), "pull", "by itself"),
        ("org/m", ONE, {"url": None}, (), "pull", "by itself"),
        ("org/m", ONE, {"gate": Gate(state="open")}, (), "pull", "by itself"),
        ("org/m", SHARDED, {}, (), "import", "2 parts"),
        ("org/m", model_file("Q8_0/m.gguf", "Q8_0"), {}, (), "import", "folders"),
        ("org/m", model_file(f"{LONG}.gguf"), {}, (), "import", "95 characters"),
        ("org.io/m", ONE, {}, (), "import", "dot"),
        ("gpt2", ONE, {}, (), "import", "owner/name"),
        ("org/m", ONE, {"gated": "auto", "gate": Gate(state="open")}, (), "import", "is gated"),
        ("org/m", ONE, {"gated": "manual", "gate": Gate(state="accept-licence")}, (), "import", "is gated"),
        ("org/m", ONE, {"gate": Gate(state="sign-in")}, (), "import", "is gated"),
        ("org/m", ONE, {"private": True, "gate": Gate(state="open")}, (), "import", "is private"),
        ("org/m", ONE, {}, ("a bandwidth limit",), "import", "obeys a bandwidth limit."),
        ("org/m", ONE, {}, ("a bandwidth limit", "quiet hours"), "import", "a bandwidth limit and quiet hours."),
        ("org/m", ONE, {"url": "https://mirror.example/org/m"}, (), "import", "from mirror.example"),
        ("org/m", ONE, {"source": "elsewhere", "url": None}, (), "import", "cannot pull from elsewhere"),
    ],
)
def test_the_road_that_is_chosen_and_why(
    id: str, file: ModelFile, fields: dict[str, Any], limits: tuple[str, ...], road: str, words: str
) -> None:
    plan = planned(model_detail(id, file, **fields), file, limits=limits, version=lambda: "0.32.5")
    assert plan.ok
    assert plan.road == road
    assert words in (plan.road_reason or "")
    assert (plan.road_reason or "").endswith(".")
    # An install that is planned again asks for the road of its first plan: that is no other wish.
    again = planned(model_detail(id, file, **fields), file, limits=limits, version=lambda: "0.32.5", road=plan.road)
    assert again == plan


@pytest.mark.parametrize("road", ["pull", "import"])
def test_a_wish_is_obeyed(road: Any) -> None:
    limits = ("quiet hours",) if road == "pull" else ()
    plan = planned(model_detail("org/m", ONE), ONE, road=road, limits=limits)
    assert plan.ok
    assert plan.road == road
    assert (plan.road_reason or "").startswith("You asked for this road.")
    assert plan.name == "hf.co/org/m:Q8_0"


def test_a_pull_of_a_gated_model_is_the_business_of_who_asks_for_it() -> None:
    plan = planned(model_detail("org/m", ONE, gated="auto"), ONE, road="pull")
    assert plan.ok  # the server's key may be known to the Hub
    assert "own key" in (plan.note or "")


def test_another_source_cannot_be_pulled_from() -> None:
    plan = planned(model_detail("org/m", ONE, source="elsewhere"), ONE, road="pull")
    assert [problem.code for problem in plan.problems] == ["not-from-the-hub"]
    assert "import" in (plan.problems[0].hint or "")


def test_a_pull_past_a_mirror_and_past_limits_says_so() -> None:
    model = model_detail("org/m", ONE, url="https://mirror.example/org/m")
    plan = planned(model, ONE, road="pull", limits=("quiet hours",))
    assert plan.ok
    assert "mirror" in (plan.note or "")
    assert "limits" in (plan.note or "")


def test_what_is_no_model_cannot_be_imported_either() -> None:
    file = model_file("mmproj-m.gguf", role="projector")
    for road in (None, "import"):
        plan = planned(model_detail("org/m", file), file, road=road)
        assert [problem.code for problem in plan.problems] == ["not-a-model"]


# What an import costs


@pytest.mark.parametrize(
    ("endpoint", "here", "needed"),
    [
        ("http://127.0.0.1:11434", 0, 2000),
        ("http://localhost:11434", 300, 1700),
        ("http://[::1]:11434", 1000, 1000),
        ("http://192.168.1.5:11434", 300, 700),
        ("https://ollama.example", 1000, 0),
    ],
)
def test_an_import_needs_room_here_and_on_this_machine_twice(endpoint: str, here: int, needed: int) -> None:
    plan = planned(model_detail("org/m", ONE), ONE, road="import", already_here=here, at=endpoint)
    assert plan.disk == Disk(free=None, needed=needed, ok=True)
    assert plan.already_here == here
    assert (plan.note or "").startswith("Takes its space twice for a while: ")


def test_a_model_that_could_see_is_said_to_come_without_its_eyes() -> None:
    """A pull brings the projector along by itself; an import brings the one file."""
    model = model_detail("org/m", ONE, model_file("mmproj-m.gguf", role="projector"))
    assert "projector" in (planned(model, ONE, road="import").note or "")
    assert planned(model, ONE).note is None


def test_a_pull_needs_nothing_that_is_here() -> None:
    assert planned(model_detail("org/m", ONE), ONE, already_here=300).already_here == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "ollama.localhost", "[::1]"])
def test_this_machine(host: str) -> None:
    assert is_here(f"http://{host}:11434")


@pytest.mark.parametrize(("calls", "tools"), [(True, "yes"), (False, "no"), (None, "unknown")])
def test_tools_are_foreseen(calls: bool | None, tools: str) -> None:
    assert planned(model_detail("org/m", ONE, calls_tools=calls), ONE).tools == tools


# Whether the server is new enough for parts


@pytest.mark.parametrize(
    ("version", "problems", "note"),
    [
        ("0.30.0", [], ""),
        ("v0.32.5", [], ""),
        ("0.33.0-rc2", [], ""),
        ("1.0", [], ""),
        ("0.29.9", ["ollama-too-old"], ""),
        ("0.5.4", ["ollama-too-old"], ""),
        ("0.0.0", [], "(0.0.0) says nothing"),
        ("nightly", [], "(nightly) says nothing"),
        ("0.3x", [], "(0.3x) says nothing"),
    ],
)
def test_parts_need_a_server_that_is_new_enough(version: str, problems: list[str], note: str) -> None:
    plan = planned(model_detail("org/m", SHARDED), SHARDED, version=lambda: version)
    assert [problem.code for problem in plan.problems] == problems
    assert note in (plan.note or "")
    for problem in plan.problems:
        assert version in problem.message
        assert "0.30" in problem.message
        assert "Update Ollama" in (problem.hint or "")


def test_a_first_look_leaves_open_what_the_server_would_have_to_be_asked() -> None:
    plan = planned(model_detail("org/m", SHARDED), SHARDED, version=None, ask_target=False)
    assert (plan.ok, plan.road) == (True, "import")
    assert "version" not in (plan.note or "").replace("Some versions", "")


def test_a_server_that_is_off_is_no_problem_of_the_plan() -> None:
    def off() -> str:
        raise Unreachable("Nothing answers at http://127.0.0.1:11434.")

    plan = planned(model_detail("org/m", SHARDED), SHARDED, version=off)
    assert plan.ok
    assert "could not be asked for its version (Nothing answers" in (plan.note or "")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("hf.co/Org/M:Q8_0", "hf.co/org/m:q8_0", True),
        ("tiny", "registry.ollama.ai/library/tiny:latest", True),
        ("hf.co/org/m", "hf.co/org/m:latest", True),
        ("hf.co/org/m:Q8_0", "hf.co/org/m:Q4_0", False),
        ("localhost:5000/org/m", "localhost:5000/org/m:latest", True),
    ],
)
def test_names_are_compared_as_ollama_compares_them(one: str, other: str, same: bool) -> None:
    assert same_name(one, other) is same
