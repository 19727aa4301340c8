"""Models on this machine and on the servers that can install."""

from __future__ import annotations

from moorage.models import Model, Target
from moorage_web.arguments import Line, Query
from moorage_web.current import host
from moorage_web.operations import Routes

api = Routes("local")


class LocalModels(Model):
    targets: tuple[Target, ...]


class Installed(Query):
    target: Line
    name: Line


@api.get("/api/local/models", answer=LocalModels)
def local_models() -> LocalModels:
    """What is installed, by target; one that does not answer says why."""
    return LocalModels(targets=tuple(host().local.targets()))


@api.delete("/api/local/models", query=Installed)
def remove_model(query: Installed) -> None:
    """Take an installed model off its target."""
    host().local.remove(query.target, query.name)
