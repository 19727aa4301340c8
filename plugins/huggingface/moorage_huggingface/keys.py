"""What the saved token may do, from what the Hub says of it. Pure.

Source: https://huggingface.co/docs/hub/security-tokens, and the schema of `whoami-v2`.
"""

from __future__ import annotations

from moorage import KeyAbility, KeyCheck
from moorage_huggingface.wire import FineGrained, WhoAmI

KINDS = {"fineGrained": "fine-grained", "god": "full access"}
CLASSIC = ("read", "write", "god")
READ_PUBLIC = "Read public models"
READ_GATED = "Read gated models that its account was granted"
READ_PRIVATE = "Read private models"
INFERENCE = "Make calls to inference providers"
WRITE = "Change models"
_READS = {"repo.content.read", "repo.write"}
_INFERS = {"inference.serverless.write"}
_WRITES = {"repo.write"}


def key_check(who: WhoAmI) -> KeyCheck:
    token = who.auth.access_token
    role = token.role if token is not None else None
    kind = KINDS.get(role or "", role or who.auth.type or "unknown")
    if token is not None and role == "fineGrained":
        return _fine_grained(who.name, kind, token.fine_grained or FineGrained())
    if role not in CLASSIC:
        return _checked(who.name, kind, gated=None, private=None, inference=None, write=None)
    return _checked(who.name, kind, gated=True, private=True, inference=True, write=role != "read")


def _fine_grained(account: str, kind: str, token: FineGrained) -> KeyCheck:
    granted = {name for scope in token.scoped for name in scope.permissions} | {*token.everywhere}
    places = sorted(
        {scope.entity.name for scope in token.scoped if scope.entity.name and _READS & {*scope.permissions}}
    )
    everywhere = bool(_READS & {*token.everywhere})
    return _checked(
        account,
        kind,
        gated=token.can_read_gated,
        private=bool(_READS & granted),
        inference=bool(_INFERS & granted),
        write=bool(_WRITES & granted),
        notice=f"It reads private models of {', '.join(places)} only." if places and not everywhere else None,
    )


def _checked(
    account: str,
    kind: str,
    *,
    gated: bool | None,
    private: bool | None,
    inference: bool | None,
    write: bool | None,
    notice: str | None = None,
) -> KeyCheck:
    abilities = {READ_PUBLIC: True, READ_GATED: gated, READ_PRIVATE: private, INFERENCE: inference, WRITE: write}
    more = "It may also change models; one that only reads is enough here." if write else None
    return KeyCheck(
        account=account,
        kind=kind,
        abilities=tuple(KeyAbility(name=name, allowed=allowed) for name, allowed in abilities.items()),
        notice=" ".join(filter(None, (notice, more))) or None,
    )
