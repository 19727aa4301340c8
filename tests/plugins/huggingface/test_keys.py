"""What the Hub says of a token: whose it is, its kind, and what it may do."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import AuthFailed, BadAnswer, RateLimited, Unreachable
from moorage_huggingface.keys import INFERENCE, READ_GATED, READ_PRIVATE, READ_PUBLIC, WRITE, key_check
from moorage_huggingface.plugin import HuggingFacePlugin
from moorage_huggingface.wire import WhoAmI
from tests.fakes.faults import Fault, captive_portal, rate_limited
from tests.fakes.hub import FakeHub
from tests.fakes.repo import Token
from tests.plugins.huggingface.conftest import MakeContext


def scope(kind: str, name: str | None, *permissions: str) -> dict[str, Any]:
    named = {"name": name} if name else {}
    return {"entity": {"_id": "0" * 24, "type": kind, **named}, "permissions": list(permissions)}


def checked(access: dict[str, Any] | None, **auth: Any) -> tuple[str, dict[str, bool | None], str | None]:
    given = {"type": "access_token", **({"accessToken": access} if access else {}), **auth}
    check = key_check(WhoAmI.model_validate({"name": "ada", "type": "user", "auth": given, "orgs": []}))
    assert check.account == "ada"
    return check.kind, {each.name: each.allowed for each in check.abilities}, check.notice


def may(gated: bool | None, private: bool | None, inference: bool | None, write: bool | None) -> dict[str, bool | None]:
    return {READ_PUBLIC: True, READ_GATED: gated, READ_PRIVATE: private, INFERENCE: inference, WRITE: write}


@pytest.mark.parametrize(
    ("role", "kind", "write"), [("read", "read", False), ("write", "write", True), ("god", "full access", True)]
)
def test_classic_tokens_may_read_all_and_call(role: str, kind: str, write: bool) -> None:
    found = checked({"displayName": "laptop", "role": role, "createdAt": "2026-01-02T03:04:05.678Z"})
    assert found[:2] == (kind, may(True, True, True, write))
    assert (found[2] is not None) is write


@pytest.mark.parametrize(
    ("fine", "abilities", "word"),
    [
        ({"scoped": []}, may(None, False, False, False), None),
        ({"scoped": [], "canReadGatedRepos": False, "global": []}, may(False, False, False, False), None),
        ({"scoped": [], "canReadGatedRepos": True}, may(True, False, False, False), None),
        (
            {"scoped": [scope("user", "ada", "repo.content.read", "inference.serverless.write")]},
            may(None, True, True, False),
            "private models of ada only",
        ),
        (
            {"scoped": [scope("org", "acme", "repo.content.read"), scope("model", "eve/m", "repo.content.read")]},
            may(None, True, False, False),
            "acme, eve/m",
        ),
        (
            {"scoped": [scope("org", "acme", "repo.content.read")], "global": ["repo.content.read"]},
            may(None, True, False, False),
            None,
        ),
        ({"scoped": [scope("org", "acme", "inference.serverless.write")]}, may(None, False, True, False), None),
        ({"scoped": [], "global": ["inference.serverless.write"]}, may(None, False, True, False), None),
        ({"scoped": [], "global": ["discussion.write", "post.write"]}, may(None, False, False, False), None),
        (
            {"scoped": [scope("user", "ada", "repo.content.read", "repo.write", "inference.endpoints.infer.write")]},
            may(None, True, False, True),
            "one that only reads is enough",
        ),
        ({"scoped": [scope("resource-group", None, "repo.content.read")]}, may(None, True, False, False), None),
        (None, may(None, False, False, False), None),
    ],
)
def test_fine_grained_tokens_may_what_they_list(
    fine: dict[str, Any] | None, abilities: dict[str, bool | None], word: str | None
) -> None:
    kind, found, notice = checked({"role": "fineGrained", **({"fineGrained": fine} if fine is not None else {})})
    assert (kind, found) == ("fine-grained", abilities)
    assert word in (notice or "") if word else notice is None


@pytest.mark.parametrize(
    ("access", "auth", "kind"),
    [({"role": "newKind"}, {}, "newKind"), (None, {"type": "oauth"}, "oauth"), (None, {"type": None}, "unknown")],
)
def test_what_is_not_known_is_not_claimed(access: dict[str, Any] | None, auth: dict[str, Any], kind: str) -> None:
    assert checked(access, **auth)[:2] == (kind, may(None, None, None, None))


def test_it_is_one_call(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
    hub.tokens["hf_fine"] = Token("eve", role="fineGrained", granted={"acme/gated"}, may_infer=False)
    check = plugin.check_key(context(token="hf_fine"))
    assert check is not None
    assert (check.account, check.kind) == ("eve", "fine-grained")
    assert {each.name: each.allowed for each in check.abilities} == may(True, False, False, False)
    assert [(seen.path, seen.headers["authorization"]) for seen in hub.requests] == [
        ("/api/whoami-v2", "Bearer hf_fine")
    ]


def test_without_a_token_nobody_is_asked(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
    assert plugin.check_key(context()) is None
    assert hub.requests == []


@pytest.mark.parametrize("token", ["hf_unknown", "hf_revoked"])
def test_a_bad_token_is_said_once(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, token: str) -> None:
    with pytest.raises(AuthFailed, match="does not accept the saved token") as caught:
        plugin.check_key(context(token=token))
    assert "huggingface.co/settings/tokens" in (caught.value.hint or "")
    assert token not in f"{caught.value} {caught.value.hint}"
    assert len(hub.requests) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (rate_limited(seconds=60), RateLimited),
        (Fault(status=503, body="<html>"), Unreachable),
        (Fault(status=403, body={"error": "No."}), AuthFailed),
        (captive_portal(), BadAnswer),
        (Fault(status=200, body={"type": "user"}), BadAnswer),
        (Fault(status=200, body=[]), BadAnswer),
    ],
)
def test_what_fails_is_no_verdict(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, fault: Fault, kind: type[Exception]
) -> None:
    hub.faults.append(Fault(**{**vars(fault), "used": 0}))
    with pytest.raises(kind) as caught:
        plugin.check_key(context(token="hf_good"))
    assert type(caught.value) is kind
