"""The settings of the host: defaults, what was saved, and what the environment decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moorage.errors import Conflict, InvalidInput
from tests.conftest import MakeHost


def test_defaults_say_that_they_are(make_host: MakeHost) -> None:
    view = make_host(only=True).preferences.view()
    assert (view.time_zone, view.context_length, view.proxy, view.version) == ("UTC", 4096, None, 0)
    assert set(view.sources.values()) == {"default"}


def test_what_is_saved_is_kept(make_host: MakeHost, tmp_path: Path) -> None:
    host = make_host(only=True, home=tmp_path)
    subscription = host.events.subscribe()
    saved = host.preferences.save({"timeZone": "Europe/Berlin", "contextLength": 8192}, 0)
    assert (saved.time_zone, saved.sources["timeZone"], saved.sources["contextLength"]) == (
        "Europe/Berlin",
        "file",
        "file",
    )
    assert saved.sources["proxy"] == "default"
    event = subscription.get(5)
    assert event is not None
    assert (event.type, event.about) == ("settings.saved", "host")
    host.close()
    again = make_host(only=True, home=tmp_path).preferences
    assert again.current.time_zone == "Europe/Berlin"
    # The whole object is saved: what is left out goes back to its default.
    assert again.save({}, again.view().version).sources["timeZone"] == "default"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"timeZone": "Middle/Earth"}, "timeZone"),
    ({"timeZone": "../etc/passwd"}, "timeZone"),
    ({"contextLength": 1}, "contextLength"),
    ({"parallelInstalls": 0}, "parallelInstalls"),
    ({"bandwidthLimit": -5}, "bandwidthLimit"),
    ({"quietHours": {"from": "25:00", "to": "06:00"}}, "quietHours.from"),
    ({"quietHours": {"from": "01:00"}}, "quietHours.to"),
    ({"proxy": "socks9://x"}, "proxy"),
    ({"defaultTarget": "nowhere"}, "defaultTarget"),
    ({"colour": "blue"}, "colour"),
]


@pytest.mark.parametrize(("values", "field"), WRONG, ids=[field + str(n) for n, (_, field) in enumerate(WRONG)])
def test_what_is_wrong_is_named_and_nothing_is_saved(make_host: MakeHost, values: dict[str, Any], field: str) -> None:
    host = make_host(only=True)
    with pytest.raises(InvalidInput) as refused:
        host.preferences.save({"contextLength": 8192, **values}, 0)
    assert [error.field for error in refused.value.errors] == [field]
    assert host.preferences.view().version == 0
    assert host.preferences.current.context_length == 4096


def test_a_stale_version_is_a_conflict(make_host: MakeHost) -> None:
    host = make_host(only=True)
    host.preferences.save({"contextLength": 8192}, 0)
    with pytest.raises(Conflict):
        host.preferences.save({"contextLength": 2048}, 0)
    assert host.preferences.current.context_length == 8192


def test_the_environment_wins_and_cannot_be_changed(make_host: MakeHost, tmp_path: Path) -> None:
    host = make_host(only=True, home=tmp_path)
    host.preferences.save({"contextLength": 8192, "proxy": "http://127.0.0.1:3128"}, 0)
    host.close()
    given = {"MOORAGE_CONTEXT_LENGTH": "2048", "HTTPS_PROXY": "http://127.0.0.1:3129"}
    host = make_host(only=True, home=tmp_path, environment=given)
    view = host.preferences.view()
    assert (view.context_length, view.proxy) == (2048, "http://127.0.0.1:3129")
    assert (view.sources["contextLength"], view.sources["proxy"]) == ("environment", "environment")
    with pytest.raises(Conflict, match="MOORAGE_CONTEXT_LENGTH"):
        host.preferences.save({"contextLength": 4096}, view.version)
    # The form sends all of it back; what the environment sets and what was saved under it both stay.
    sent = view.model_dump(mode="json", by_alias=True, exclude={"sources", "version"})
    host.preferences.save({**sent, "timeZone": "Asia/Tokyo"}, view.version)
    host.close()
    current = make_host(only=True, home=tmp_path).preferences.current
    assert (current.context_length, current.proxy, current.time_zone) == (8192, "http://127.0.0.1:3128", "Asia/Tokyo")


def test_our_own_names_win_over_those_that_others_use(make_host: MakeHost, tmp_path: Path) -> None:
    both = {"MOORAGE_PROXY": "http://127.0.0.1:1111", "HTTPS_PROXY": "http://127.0.0.1:2222"}
    assert make_host(only=True, environment=both).preferences.current.proxy == "http://127.0.0.1:1111"
    blank = {"MOORAGE_PROXY": " ", "HTTPS_PROXY": "http://127.0.0.1:2222"}
    host = make_host(only=True, environment=blank, home=tmp_path / "other")
    assert host.preferences.current.proxy == "http://127.0.0.1:2222"


def test_an_environment_that_is_wrong_stops_the_start(make_host: MakeHost) -> None:
    for name, value in (
        ("MOORAGE_PARALLEL_INSTALLS", "many"),
        ("HTTPS_PROXY", "nonsense"),
        ("HTTPS_PROXY", "http://p:99999"),
    ):
        with pytest.raises(InvalidInput, match=f"{name} (must|cannot)"):
            make_host(only=True, environment={name: value})


def test_a_default_target_is_used(make_host: MakeHost) -> None:
    host = make_host()
    assert host.local.default_target() == "builtin"
    made = host.providers.create("Galley", "ollama", {"endpoint": "http://127.0.0.1:65527"})
    assert host.local.default_target() == "builtin", "the server does not answer"
    host.preferences.save({"defaultTarget": made.id})
    assert host.local.default_target() == made.id
    host.providers.delete(made.id)
    assert host.local.default_target() == "builtin", "what was chosen is gone"


LOGIN = "ada:hunter2"


def test_the_login_of_a_proxy_is_a_secret(make_host: MakeHost, tmp_path: Path) -> None:
    host = make_host(home=tmp_path)
    view = host.preferences.save({"proxy": f"http://{LOGIN}@127.0.0.1:3128"})
    assert view.proxy == "http://…@127.0.0.1:3128"
    assert host.preferences.current.proxy == f"http://{LOGIN}@127.0.0.1:3128"
    assert "hunter2" in host.secrets.known_values(), "so that no log and no error shows it"
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes(), path
    host.close()
    host = make_host(home=tmp_path)
    assert host.preferences.current.proxy == f"http://{LOGIN}@127.0.0.1:3128"
    host.preferences.save({"proxy": view.proxy, "contextLength": 8192})
    assert host.preferences.current.proxy == f"http://{LOGIN}@127.0.0.1:3128", "sent back as it was shown"
    host.preferences.save({"proxy": "http://…@127.0.0.1:3129"})
    assert "hunter2" not in (host.preferences.current.proxy or ""), "another proxy never gets it"
    host.preferences.save({"proxy": f"http://{LOGIN}@127.0.0.1:3128"})
    host.preferences.save({"proxy": "http://127.0.0.1:3128"})
    assert host.preferences.current.proxy == "http://127.0.0.1:3128"
    assert host.preferences.save({"proxy": None}).proxy is None


def test_the_login_of_a_proxy_of_the_environment_is_not_shown(make_host: MakeHost) -> None:
    host = make_host(environment={"HTTPS_PROXY": f"http://{LOGIN}@127.0.0.1:3128"})
    view = host.preferences.view()
    assert (view.proxy, view.sources["proxy"]) == ("http://…@127.0.0.1:3128", "environment")
    assert host.preferences.save({**view.model_dump(by_alias=True, include={"proxy"}), "contextLength": 8192})


@pytest.mark.parametrize(
    "proxy", ["http://[::1", "http://proxy:99999", "http://@", "socks5://proxy:1080", "proxy:3128"]
)
def test_a_proxy_that_cannot_work_is_not_saved(make_host: MakeHost, proxy: str) -> None:
    host = make_host()
    with pytest.raises(InvalidInput) as caught:
        host.preferences.save({"proxy": proxy})
    assert [item.field for item in caught.value.errors] == ["proxy"]
    assert caught.value.errors[0].message.startswith("cannot be used: ")
    assert host.preferences.current.proxy is None
