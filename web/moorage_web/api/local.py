"""Models on this machine and on the servers that can install."""

from __future__ import annotations

from moorage.models import Model, Storage, Target
from moorage_web.arguments import Line, Query
from moorage_web.current import host
from moorage_web.operations import Routes

api = Routes("local")


class LocalModels(Model):
    targets: tuple[Target, ...]


class CleanedUp(Model):
    """`freed` in bytes."""

    freed: int
    storage: Storage


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


@api.get("/api/local/storage", answer=Storage)
def storage() -> Storage:
    """What the data directory holds: models, files on their way, and the rest."""
    return host().storage.view()


@api.post("/api/local/storage/clean-up", answer=CleanedUp)
def clean_up() -> CleanedUp:
    """Remove the files that nothing needs."""
    freed = host().storage.clean()
    return CleanedUp(freed=freed, storage=host().storage.view())
