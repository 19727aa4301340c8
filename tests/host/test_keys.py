"""What a saved key may do: asked once, and again only when settings change."""

from __future__ import annotations

import pytest

from moorage import AuthFailed, KeyAbility, KeyCheck, hookimpl
from moorage.errors import Missing, Unsupported
from tests.conftest import MakeHost


class Service:
    def __init__(self) -> None:
        self.calls = 0
        self.answer: KeyCheck | AuthFailed | None = KeyCheck(
            account="ada", kind="read", abilities=(KeyAbility(name="Read gated models", allowed=True),)
        )

    @hookimpl
    def check_key(self) -> KeyCheck | None:
        self.calls += 1
        if isinstance(self.answer, AuthFailed):
            raise self.answer
        return self.answer


class Mute:
    @hookimpl
    def search_models(self) -> None:
        return None


def test_it_is_asked_once_a_minute_and_remembered_for_a_day(make_host: MakeHost) -> None:
    service = Service()
    host = make_host(plugins={"service": service, "mute": Mute()}, only=True)
    now = [0.0]
    host.keys._kept._now = lambda: now[0]
    assert host.keys.known("service") is None
    first = host.keys.check("service")
    assert first is not None
    assert (first.account, first.abilities) == ("ada", (KeyAbility(name="Read gated models", allowed=True),))
    assert first.checked_at is not None
    assert host.keys.check("service") == host.keys.known("service") == first
    assert service.calls == 1
    now[0] = 61.0
    assert host.keys.known("service") == first
    assert service.calls == 1
    host.keys.check("service")
    assert service.calls == 2, "who has given it a permission wants to see that"
    host.plugins.disable("mute")
    assert host.keys.known("service") is None, "settings and plugins that change may change what it may do"


def test_an_answer_about_the_key_before_is_not_kept(make_host: MakeHost) -> None:
    service = Service()
    host = make_host(plugins={"service": service}, only=True)
    answer = service.answer

    def changed_meanwhile() -> KeyCheck | None:
        host.keys._kept.clear()
        assert not isinstance(answer, AuthFailed)
        return answer

    host.plugins._records["service"].hooks["check_key"] = lambda **_: changed_meanwhile()
    assert host.keys.check("service") is not None
    assert host.keys.known("service") is None


def test_no_key_and_a_refused_key_are_not_kept(make_host: MakeHost) -> None:
    service = Service()
    host = make_host(plugins={"service": service}, only=True)
    service.answer = None
    assert host.keys.check("service") is None
    service.answer = AuthFailed("It is not accepted.")
    with pytest.raises(AuthFailed):
        host.keys.check("service")
    service.answer = KeyCheck(account="ada", kind="write")
    found = host.keys.check("service")
    assert found is not None
    assert found.kind == "write"
    assert service.calls == 3


def test_a_plugin_that_cannot_tell(make_host: MakeHost) -> None:
    host = make_host(plugins={"mute": Mute()}, only=True)
    with pytest.raises(Unsupported, match="mute cannot do this"):
        host.keys.check("mute")
    with pytest.raises(Missing):
        host.keys.check("nobody")
