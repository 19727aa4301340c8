"""The web application: pages for people, an HTTP API for programs."""

from __future__ import annotations

from flask import Flask

from moorage.errors import MoorageError
from moorage.host import Host
from moorage_web import pages
from moorage_web.current import EXTENSION


def create_app(host: Host, *, port: int) -> Flask:
    """The WSGI application for a host; `port` is the one it is called by."""
    app = Flask(__name__)
    app.extensions[EXTENSION] = host
    pages.prepare(app)
    for blueprint in pages.blueprints():
        app.register_blueprint(blueprint)

    @app.errorhandler(MoorageError)
    def failed(error: MoorageError) -> tuple[str, int]:
        return pages.error_page(error), error.status

    return app
