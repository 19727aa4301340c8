"""Every answer that was recorded, and our own of each shape of the reference, is read as what it is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import SecretStr

from moorage import (
    AuthFailed,
    BadAnswer,
    CreditsGone,
    Gate,
    Gated,
    InvalidConfig,
    ModelHit,
    NotFound,
    RateLimited,
    Unreachable,
    Unsupported,
)
from moorage_huggingface import mapping
from moorage_huggingface.keys import key_check
from moorage_huggingface.problems import LONGEST, Refusal, hub_error, router_error
from moorage_huggingface.rates import rates
from moorage_huggingface.wire import HubModel, RouterModel, TreeEntry, WhoAmI
from tests.plugins.huggingface.recordings import DATA, answers, body_of, label, read

HUB = "https://hub.example"
Kind = Literal["list", "model", "tree", "entries", "whoami", "router list", "router model", "redirect", "error", "chat"]


def answer(path: Path) -> dict[str, Any]:
    value = read(path)
    return {"headers": {}} | (value["response"] if isinstance(value, dict) else {"status": 200, "body_json": value})


def body(path: Path) -> Any:
    return answer(path).get("body_json")


def kind(path: Path) -> Kind:
    """By what is in it alone."""
    said, value = answer(path), body(path)
    if said["status"] >= 400:
        return "error"
    if said["status"] >= 300:
        return "redirect"
    if isinstance(value, list):
        first = value[0]
        return "tree" if "path" in first else "entries" if "entry" in first else "list"
    if value is None or "choices" in value:
        return "chat"
    if "auth" in value:
        return "whoami"
    if value.get("object") == "list":
        return "router list"
    return "router model" if value.get("object") == "model" else "model"


FILES = [path for folder in ("hub", "router") for path in answers(f"{folder}/**/*.json")]
OF_KIND: dict[Kind, list[Path]] = {}
for _path in FILES:
    OF_KIND.setdefault(kind(_path), []).append(_path)


def each(wanted: Kind) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", OF_KIND.get(wanted, []), ids=label)


def test_every_kind_is_among_them() -> None:
    ours = Counter(kind(path) for path in FILES if label(path).startswith("own/"))
    assert set(ours) == {*Kind.__args__} - {"chat", "entries"}  # type: ignore[attr-defined]
    if DATA.exists():
        recorded = Counter(kind(path) for path in FILES if not label(path).startswith("own/"))
        assert recorded["model"] >= 20
        assert recorded["error"] >= 10
        assert min(recorded[wanted] for wanted in ("tree", "entries", "redirect", "router list", "chat")) >= 1


def check_hit(hit: ModelHit, said: dict[str, Any]) -> None:
    """What is said is there, and what is absent is None: nothing is made up."""
    assert (hit.id, hit.url) == (said["id"], f"{HUB}/{said['id']}")
    assert hit.author == said.get("author", said["id"].partition("/")[0] if "/" in said["id"] else None)
    assert (hit.downloads, hit.likes, hit.task) == (
        said.get("downloads"),
        said.get("likes"),
        said.get("pipeline_tag"),
    )
    assert hit.gated == said.get("gated", False)
    assert hit.revision == said.get("sha")
    for ours, theirs in ((hit.updated_at, "lastModified"), (hit.created_at, "createdAt")):
        assert (f"{ours:%Y-%m-%dT%H:%M:%S}" if ours else None) == (said[theirs][:19] if theirs in said else None)
    gguf, tensors = said.get("gguf") or {}, said.get("safetensors") or {}
    assert hit.parameters == (gguf.get("total") or tensors.get("total"))
    assert hit.context_length == gguf.get("context_length")
    assert hit.has_gguf is (bool(gguf) or "gguf" in said.get("tags", ()))
    licence = [tag for tag in said.get("tags", ()) if tag.startswith("license:")]
    assert hit.license == (licence[0].removeprefix("license:") if licence else None)
    served = said.get("inferenceProviderMapping")
    if served is None:
        assert hit.served_by is None
    else:
        named = served.items() if isinstance(served, dict) else ((entry["provider"], entry) for entry in served)
        assert {one.provider: one.status for one in hit.served_by or ()} == {n: e["status"] for n, e in named}


@each("list")
def test_lists(path: Path) -> None:
    for said in body(path):
        check_hit(mapping.hit(HubModel.model_validate(said), HUB), said)


@each("model")
def test_models(path: Path) -> None:
    said = body(path)
    model = HubModel.model_validate(said)
    check_hit(mapping.hit(model, HUB), said)
    detail = mapping.detail(model, revision="abc", files=(), hub=HUB, gate=Gate(), served=(), token=None)
    assert detail.architecture == (said.get("gguf") or {}).get("architecture")
    template = (said.get("gguf") or {}).get("chat_template")
    assert detail.calls_tools is (None if template is None else "tools" in template)
    assert (detail.private, model.disabled) == (said.get("private", False), said.get("disabled", False))


@each("tree")
def test_trees(path: Path) -> None:
    check_files(body(path))


@each("entries")
def test_entries_of_several_repositories(path: Path) -> None:
    said = [item["entry"] for item in body(path)]
    check_files(said)
    found = mapping.model_files([TreeEntry.model_validate(entry) for entry in said], str)
    assert all(file.quantization is not None and file.role == "model" for file in found)


def check_files(said: list[dict[str, Any]]) -> None:
    entries = [TreeEntry.model_validate(entry) for entry in said]
    assert [entry.path for entry in entries] == [entry["path"] for entry in said]
    parts = {part.name: part for file in mapping.model_files(entries, str) for part in file.parts}
    wanted = {entry["path"]: entry for entry in said if entry["path"].endswith(".gguf")}
    assert set(parts) == set(wanted)
    for name, entry in wanted.items():
        assert (parts[name].size, parts[name].sha256) == (entry["size"], entry["lfs"]["oid"])
    kept = mapping.worth_keeping(entries)
    assert mapping.model_files(kept, str) == mapping.model_files(entries, str)
    assert kept
    assert all(entry.type == "file" for entry in kept)


@each("whoami")
def test_accounts(path: Path) -> None:
    said = body(path)
    check = key_check(WhoAmI.model_validate(said))
    role = said["auth"]["accessToken"]["role"]
    assert check.account == said["name"]
    assert check.kind == {"fineGrained": "fine-grained", "god": "full access"}.get(role, role)
    assert len(check.abilities) == 5


def router_entry(said: dict[str, Any]) -> None:
    model = RouterModel.model_validate(said)
    served = {one.provider: one for one in mapping.served_by(HubModel(id=said["id"]), model)}
    assert set(served) == {one["provider"] for one in said.get("providers", ())}
    for theirs in said.get("providers", ()):
        ours, pricing = served[theirs["provider"]], theirs.get("pricing", {})
        assert (ours.status, ours.context_length, ours.tools, ours.input_price, ours.output_price) == (
            theirs.get("status"),
            theirs.get("context_length"),
            theirs.get("supports_tools"),
            pricing.get("input"),
            pricing.get("output"),
        )
    offered = mapping.provider_model(model)
    live = [one for one in said.get("providers", ()) if one["status"] != "error"]
    assert offered.context_length == max((one.get("context_length", 0) for one in live), default=0) or not live
    sees = "image" in said.get("architecture", {}).get("input_modalities", ())
    assert ("vision" in (offered.capabilities or ())) is (sees and bool(live))


@each("router list")
def test_lists_of_the_router(path: Path) -> None:
    for said in body(path)["data"]:
        router_entry(said)


@each("router model")
def test_models_of_the_router(path: Path) -> None:
    router_entry(body(path))


@each("redirect")
def test_redirects_stay_within_the_origin(path: Path) -> None:
    """They are relative, and lose the question: `Hub.model` asks again under the name that they lead to."""
    location = answer(path)["headers"]["location"]
    assert location.startswith("/api/models/")
    assert "?" not in location
    assert location in answer(path)["body_text"]


@each("error")
def test_refusals_are_one_short_line(path: Path) -> None:
    said = answer(path)
    found = Refusal(said["status"], said["headers"], body_of(said), SecretStr("hf_secret_of_the_question"))
    assert 0 < len(found.said) <= LONGEST + 1
    assert "\n" not in found.said
    assert not found.said.lstrip().startswith(("{", "[", "<"))
    for error in (hub_error(found, "harbour/m"), router_error(found, model="harbour/m", own=False)):
        assert str(error)
        assert "hf_secret" not in f"{error} {error.hint}"


# What our own of each row are, as the reference has them (§2.5 and §4).
ROWS: dict[str, tuple[type[Exception], str]] = {
    "hub/error_401_missing_anonymous": (NotFound, "does not exist, or is private"),
    "hub/error_404_missing_signed_in": (NotFound, "does not exist, or is private"),
    "hub/error_401_unknown_token": (AuthFailed, "does not accept the saved token"),
    "hub/error_401_gated": (Gated, "sign in"),
    "hub/error_403_gated": (Gated, "licence is not accepted"),
    "hub/error_403_gated_pending": (Gated, "access has not been granted"),
    "hub/error_403_gated_rejected": (Gated, "refused your account"),
    "hub/error_404_no_file": (NotFound, "no such file"),
    "hub/error_404_no_revision": (NotFound, "no such revision"),
    "hub/error_403_disabled": (NotFound, "disabled"),
    "hub/error_429_used_up": (RateLimited, "57 s"),
    "hub/error_429_other": (RateLimited, "9 s"),
    "hub/error_400_bad_expand": (BadAnswer, "Invalid expand value"),
    "hub/error_409_exists": (BadAnswer, "already created"),
    "hub/error_500_list_of_errors": (Unreachable, "Internal error"),
    "router/error_401_string": (AuthFailed, "does not accept"),
    "router/error_402_credits": (CreditsGone, "credits"),
    "router/error_400_not_supported": (Unsupported, "No inference provider"),
    "router/error_404_not_found": (NotFound, "does not exist"),
    "router/error_404_does_not_exist": (NotFound, "does not exist"),
    "router/error_500_server": (Unreachable, "Internal server error"),
    "router/error_400_list": (Unsupported, "model_kwargs"),
    "router/error_422_fastapi": (Unsupported, "value is too large"),
    "router/error_400_object": (Unsupported, "not allowed now"),
    "router/error_422_text": (Unsupported, "Failed to deserialize"),
    "router/error_422_tgi": (Unsupported, "cannot be empty"),
    "router/error_410_dropped": (Unsupported, "no longer served"),
    "router/error_410_old_host": (InvalidConfig, "no longer in use"),
}


@pytest.mark.parametrize("path", [p for p in OF_KIND["error"] if label(p).startswith("own/")], ids=label)
def test_each_row_is_its_own_kind(path: Path) -> None:
    name = label(path).removeprefix("own/").removesuffix(".json")
    expected, words = ROWS[name]
    said = answer(path)
    found = Refusal(said["status"], said["headers"], body_of(said), SecretStr("hf_key") if "signed" in name else None)
    error = (
        hub_error(found, "harbour/Pilot-7B-GGUF")
        if name.startswith("hub/")
        else router_error(found, model="harbour/x", own=False)
    )
    assert type(error) is expected
    assert words in str(error)
    if isinstance(error, Gated):
        assert error.url == "https://huggingface.co/harbour/Pilot-7B-GGUF"


def test_every_row_has_its_file() -> None:
    assert {label(p).removeprefix("own/").removesuffix(".json") for p in OF_KIND["error"] if "own/" in label(p)} == {
        *ROWS
    }


@pytest.mark.parametrize("path", [p for p in FILES if "ratelimit" in answer(p)["headers"]], ids=label)
def test_every_limit_is_read(path: Path) -> None:
    headers = answer(path)["headers"]
    (rate,) = rates(headers)
    assert f'"{rate.bucket}";r={rate.remaining};t={rate.resets_in:.0f}' == headers["ratelimit"]
    assert f'"fixed window";"{rate.bucket}";q={rate.limit};w={rate.window:.0f}' == headers["ratelimit-policy"]
