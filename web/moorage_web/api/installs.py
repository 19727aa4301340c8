"""Installs: looking at them and steering them. They are asked for at /api/llm/models/import."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from moorage.errors import FieldError, InvalidInput
from moorage.models import Install, Model, State, TimelineEntry, WhenUpdated
from moorage_web.arguments import Body, Line, Paging
from moorage_web.current import host
from moorage_web.operations import Routes
from moorage_web.when import WhenField

api = Routes("installs")


class InstallFilter(Paging):
    """`state` may be given several times."""

    state: tuple[State, ...] = ()


class InstallList(Model):
    installs: tuple[Install, ...]
    next: str | None


class Timeline(Model):
    entries: tuple[TimelineEntry, ...]


class Steering(Body):
    """`generation` as the install had it when it was looked at: if somebody has steered it since, this is a 409."""

    generation: int | None = None


class Place(Steering):
    before: Line | None = None
    to: Literal["front"] | None = None

    @model_validator(mode="after")
    def _one(self) -> Place:
        if (self.before is None) == (self.to is None):
            raise InvalidInput("Say where to.", errors=(FieldError("to", "give either before or to"),))
        return self


class Rule(Body):
    when: WhenUpdated | None


class NewTime(Steering):
    when: WhenField


@api.get("/api/installs", query=InstallFilter, answer=InstallList)
def list_installs(query: InstallFilter) -> InstallList:
    """All installs, newest first."""
    page = host().installs.list(query.state, limit=query.limit, cursor=query.cursor)
    return InstallList(installs=page.items, next=page.next)


@api.get("/api/installs/<id:install_id>", answer=Install)
def get_install(install_id: str) -> Install:
    """One install, with its progress."""
    return host().installs.get(install_id)


@api.get("/api/installs/<id:install_id>/timeline", answer=Timeline)
def get_timeline(install_id: str) -> Timeline:
    """What happened to an install, oldest first."""
    return Timeline(entries=host().installs.timeline(install_id))


@api.post("/api/installs/<id:install_id>/pause", answer=Install, body=Steering, body_optional=True)
def pause_install(install_id: str, body: Steering) -> Install:
    """Pause; what was fetched is kept."""
    return host().installs.pause(install_id, body.generation)


@api.post("/api/installs/<id:install_id>/resume", answer=Install, body=Steering, body_optional=True)
def resume_install(install_id: str, body: Steering) -> Install:
    """Go on with a paused one, or with one that waits."""
    return host().installs.resume(install_id, body.generation)


@api.post("/api/installs/<id:install_id>/start", answer=Install, body=Steering, body_optional=True)
def start_install(install_id: str, body: Steering) -> Install:
    """Begin a scheduled one now."""
    return host().installs.start(install_id, body.generation)


@api.post("/api/installs/<id:install_id>/reschedule", answer=Install, body=NewTime)
def reschedule_install(install_id: str, body: NewTime) -> Install:
    """Give an install that does not run another time."""
    return host().installs.reschedule(install_id, body.when, body.generation)


@api.post("/api/installs/<id:install_id>/on-update", answer=Install, body=Rule)
def set_update_rule(install_id: str, body: Rule) -> Install:
    """What happens when a newer revision of an installed model appears; null is nothing."""
    return host().installs.on_update(install_id, body.when)


@api.post("/api/installs/<id:install_id>/cancel", answer=Install, body=Steering, body_optional=True)
def cancel_install(install_id: str, body: Steering) -> Install:
    """Stop, and remove what was fetched."""
    return host().installs.cancel(install_id, body.generation)


@api.post("/api/installs/<id:install_id>/retry", answer=Install, body=Steering, body_optional=True)
def retry_install(install_id: str, body: Steering) -> Install:
    """Try one that failed or was cancelled again."""
    return host().installs.retry(install_id, body.generation)


@api.post("/api/installs/<id:install_id>/move", body=Place, answer=Install)
def move_install(install_id: str, body: Place) -> Install:
    """Change the order of the queue."""
    return host().installs.move(install_id, before=body.before, generation=body.generation)


@api.delete("/api/installs/<id:install_id>")
def remove_install(install_id: str) -> None:
    """Take an install that has ended out of the history."""
    host().installs.remove(install_id)
