"""The fake Hub is believable where the official client, unchanged, is content with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    BadRequestError,
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.fakes.faults import Fault, rate_limited
from tests.fakes.hub import FakeHub
from tests.fakes.repo import Repo
from tests.fakes_tests.hub_fixture import WEIGHTS

TINY = "acme/tiny-chat-GGUF"


def api(hub: FakeHub, token: str | bool = False) -> HfApi:
    return HfApi(endpoint=hub.url, token=token)


def ids(hub: FakeHub, **query: Any) -> list[str]:
    return [model.id for model in api(hub).list_models(**query)]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"search": "TINY chat"}, [TINY]),
        ({"search": "tiny instruct"}, []),
        ({"filter": ["gguf", "license:apache-2.0", "id"]}, [TINY]),
        ({"filter": ["gguf", "license:mit"]}, []),
        ({"pipeline_tag": "text-generation"}, ["meta/big-instruct", TINY]),
        ({"author": "meta"}, ["meta/big-instruct"]),
        ({"apps": ["ollama", "llama.cpp"]}, [TINY]),
        ({"gated": True, "author": "acme"}, ["acme/gated-granted"]),
        ({"gated": False, "filter": "gguf"}, [TINY]),
        ({"inference": "warm"}, ["meta/big-instruct"]),
        ({"inference_provider": "all"}, ["meta/big-instruct"]),
        ({"inference_provider": "cohere"}, []),
        ({"num_parameters": "min:2B,max:4B"}, [TINY]),
        ({"num_parameters": "min:6B"}, ["meta/big-instruct"]),
    ],
)
def test_every_filter_is_applied(hub: FakeHub, query: dict[str, Any], found: list[str]) -> None:
    assert ids(hub, **query) == found


def test_sorting_is_descending(hub: FakeHub) -> None:
    assert ids(hub, sort="downloads")[:3] == ["meta/big-instruct", TINY, "acme/gated-granted"]
    assert ids(hub, sort="created_at")[0] == TINY
    assert ids(hub, sort="last_modified")[0] == "meta/big-instruct"


def test_pages_follow_the_link_header_and_hold_each_model_once(hub: FakeHub) -> None:
    hub.add(*(Repo(f"many/m{n:03}", {}, downloads=n % 7) for n in range(95)))
    hub.max_page = 10
    found = ids(hub, author="many", sort="downloads")
    assert len(found) == len(set(found)) == 95
    assert len(hub.seen("GET", "/api/models")) == 10


def test_expand_gives_exactly_what_was_asked(hub: FakeHub) -> None:
    [model] = api(hub).list_models(search="big", expand=["inferenceProviderMapping", "gated", "siblings"])
    assert model.gated == "manual"
    assert [entry.provider for entry in model.inference_provider_mapping or []] == ["novita", "groq"]
    assert [sibling.rfilename for sibling in model.siblings or []] == ["config.json", "model.safetensors"]
    assert model.downloads is None
    with pytest.raises(BadRequestError):
        list(api(hub).list_models(expand=["nonsense"]))  # type: ignore[list-item]  # wrong on purpose


def test_details_carry_sizes_and_hashes(hub: FakeHub) -> None:
    info = api(hub).model_info(TINY, files_metadata=True)
    assert info.sha == hub.repos[TINY].sha
    assert info.gguf is not None
    assert info.gguf["total"] == 3_000_000_000
    by_name = {sibling.rfilename: sibling for sibling in info.siblings or []}
    assert by_name["README.md"].size == 7
    weights = by_name["tiny-Q4_K_M.gguf"]
    assert weights.lfs is not None
    assert (weights.size, weights.lfs.sha256) == (
        WEIGHTS.size,
        hub.repos[TINY].commits[0].files[weights.rfilename].blob.sha256,
    )
    mapping = api(hub).model_info("meta/big-instruct", expand=["inferenceProviderMapping"]).inference_provider_mapping
    assert [entry.provider for entry in mapping or []] == ["novita", "groq"]


@pytest.mark.parametrize("old", ["tiny-chat", "acme/tinychat-old", "ACME/Tiny-Chat-gguf"])
def test_old_and_misspelt_ids_redirect(hub: FakeHub, old: str) -> None:
    assert api(hub).model_info(old).id == TINY


def test_trees_paths_and_refs(hub: FakeHub) -> None:
    tree = list(api(hub).list_repo_tree(TINY, recursive=True, expand=True))
    assert [entry.path for entry in tree] == ["README.md", "config", "config/params.json", "tiny-Q4_K_M.gguf"]
    assert [entry.path for entry in api(hub).list_repo_tree(TINY, "config")] == ["config/params.json"]
    [found] = api(hub).get_paths_info(TINY, ["tiny-Q4_K_M.gguf", "missing"], expand=True)
    assert found.lfs.size == WEIGHTS.size  # type: ignore[union-attr]  # a file, not a folder
    assert api(hub).list_repo_refs(TINY).branches[0].target_commit == hub.repos[TINY].sha
    with pytest.raises(RemoteEntryNotFoundError):
        list(api(hub).list_repo_tree(TINY, "README.md"))


def test_a_large_tree_comes_in_pages(hub: FakeHub) -> None:
    hub.add(Repo("many/files", {f"f{n:04}.txt": b"x" for n in range(120)}))
    assert len(list(api(hub).list_repo_tree("many/files", expand=True))) == 120
    assert len(hub.seen("GET", "/api/models/many/files/tree/main")) == 3


def test_a_large_file_comes_from_the_cdn_without_the_token(hub: FakeHub, tmp_path: Path) -> None:
    path = hf_hub_download(TINY, "tiny-Q4_K_M.gguf", endpoint=hub.url, token="hf_good", cache_dir=tmp_path)
    assert Path(path).read_bytes() == hub.repos[TINY].commits[0].files["tiny-Q4_K_M.gguf"].blob.read()
    assert hub.cdn.seen("GET", ".*")
    assert hub.cdn.authorizations == []
    [asked] = hub.seen("HEAD", f"/{TINY}/resolve/.*")
    assert asked.headers["authorization"] == "Bearer hf_good"


def test_a_small_file_comes_over_a_relative_redirect(hub: FakeHub, tmp_path: Path) -> None:
    path = hf_hub_download(TINY, "config/params.json", endpoint=hub.url, token=False, cache_dir=tmp_path)
    assert Path(path).read_bytes() == b"{}"
    assert hub.cdn.requests == []


def test_a_snapshot_is_the_whole_repository(hub: FakeHub, tmp_path: Path) -> None:
    folder = Path(snapshot_download(TINY, endpoint=hub.url, token=False, cache_dir=tmp_path))
    for name, file in hub.repos[TINY].commits[0].files.items():
        assert (folder / name).read_bytes() == file.blob.read()


def test_a_broken_download_is_resumed_by_range(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100_000)
    hub.cdn.faults.append(Fault(method="GET", end_after=1_000_000))
    path = hf_hub_download(TINY, "tiny-Q4_K_M.gguf", endpoint=hub.url, token=False, cache_dir=tmp_path)
    assert Path(path).read_bytes() == hub.repos[TINY].commits[0].files["tiny-Q4_K_M.gguf"].blob.read()
    first, second = hub.cdn.seen("GET", ".*")
    assert "range" not in first.headers
    assert second.headers["range"].startswith("bytes=")


def test_whoami(hub: FakeHub) -> None:
    assert api(hub, "hf_good").whoami()["name"] == "ada"
    assert api(hub, "hf_fine").whoami()["auth"]["accessToken"]["role"] == "fineGrained"
    for bad in ("hf_old", "hf_nobody"):
        with pytest.raises(HfHubHTTPError) as caught:
            api(hub, bad).whoami()
        assert caught.value.response.status_code == 401


def test_gates(hub: FakeHub, tmp_path: Path) -> None:
    def download(repo: str, token: str | bool) -> str:
        name = "m-Q8_0.gguf" if repo == "acme/gated-granted" else "config.json"
        return hf_hub_download(repo, name, endpoint=hub.url, token=token, cache_dir=tmp_path)

    assert api(hub).model_info("meta/big-instruct", files_metadata=True).gated == "manual"
    assert list(api(hub).list_repo_tree("meta/big-instruct"))
    for token, status in ((False, 401), ("hf_nobody", 401), ("hf_good", 403)):
        with pytest.raises(GatedRepoError) as caught:
            download("meta/big-instruct", token)
        assert caught.value.response.status_code == status
    assert Path(download("acme/gated-granted", "hf_good")).read_bytes() == b"GGUF-granted"


def test_what_is_missing(hub: FakeHub) -> None:
    with pytest.raises(RepositoryNotFoundError):
        api(hub, "hf_good").model_info("acme/nothing")
    with pytest.raises(RepositoryNotFoundError):
        api(hub, "hf_good").model_info("acme/secret")
    assert api(hub, "hf_fine").model_info("acme/secret").private is True
    with pytest.raises(RevisionNotFoundError):
        api(hub).model_info(TINY, revision="no/such")
    with pytest.raises(RemoteEntryNotFoundError):
        hf_hub_download(TINY, "missing.gguf", endpoint=hub.url, token=False)
    with pytest.raises(DisabledRepoError):
        api(hub).model_info("acme/withdrawn")
    with pytest.raises(HfHubHTTPError) as caught:  # the client maps it to "not found" over https only
        api(hub).model_info("acme/nothing")
    assert caught.value.server_message == "Invalid username or password."


def test_a_bad_token_breaks_public_repositories_too(hub: FakeHub) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        api(hub, "hf_nobody").model_info(TINY)
    assert caught.value.server_message == "Invalid credentials in Authorization header"


def test_rate_limits_are_understood(hub: FakeHub) -> None:
    hub.faults.append(rate_limited("/api/models/.*", seconds=17))
    with pytest.raises(HfHubHTTPError, match="Retry after 17 seconds"):
        api(hub).model_info(TINY)
    hub.quotas["api"] = 0
    with pytest.raises(HfHubHTTPError, match="'api' rate limit"):
        api(hub).model_info(TINY)
