"""Home: find a model; what runs, what needs attention, and what was talked about."""

from __future__ import annotations

from flask import Blueprint, render_template, request, stream_template
from flask.typing import ResponseReturnValue

from moorage_web.current import host
from moorage_web.pages import finding, fragment

pages = Blueprint("home", __name__)


@pages.get("/")
def home() -> ResponseReturnValue:
    kind = fragment()
    if kind == "status":
        return render_template("fragments/status.html")
    find = finding.page("/")
    if kind in finding.FRAGMENTS:
        return finding.fragment(kind, find)
    conversations = host().chat.list(limit=5).items
    agents = host().agents.list(limit=200).items
    return stream_template(
        "pages/home.html",
        active="home",
        conversations=conversations,
        agents={agent.id: agent.name for agent in agents},
        providers=host().providers.list(limit=6).items,
        attention=[item for item in host().installs.list(("failed", "waiting"), limit=20).items if not item.rests][:3],
        target_names=host().local.names(),
        drafts=host().providers.discovered(),
        first_visit=not conversations and not request.args,
        memory=host().local.this_machine(),
        notices=host().store.notices,
        find=find,
    )
