"""Puts the blueprints together into the two WSGI applications."""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from flask import Flask
from werkzeug.routing import PathConverter, UUIDConverter

from api import (
    dead_letters,
    deletion,
    events,
    flows,
    health,
    ingest_rules,
    job_events,
    jobs,
    objects,
    profiles,
    scans,
    segments,
    service,
    sources,
    storage,
    timeline,
    webhooks,
)
from api.context import EXTENSION
from api.cors import allow_origins
from api.errors import register_errors
from api.following import let_follow
from api.idempotency import register_idempotency
from api.links import serve_at
from api.openapi import TamsApi
from api.options import Options
from api.requests import refuse_malformed
from api.s3_events import MOST_BYTES, register_notifications
from schemas.domain.identifiers import UUID_PATTERN
from tasks.ports import Intake, Ports

_BLUEPRINTS: Final = (
    service,
    profiles,
    webhooks,
    sources,
    flows,
    storage,
    segments,
    timeline,
    objects,
    deletion,
    ingest_rules,
    jobs,
    job_events,
    events,
    scans,
    dead_letters,
    health,
)

_DESCRIPTION: Final = """\
A Time-addressable Media Store: an index of media by time, after TAMS 8.2 of the BBC.
`/events`, `/jobs`, `/ingest-rules`, `/ingest-problems`, `/ingest-scans`, `/health`,
`/flows/{flowId}/timeline` and what is below `/service/webhooks/{webhookId}` are extensions to it.
"""

_UUID: Final = f"^{UUID_PATTERN}$"


class IdConverter(UUIDConverter):
    """A UUID in a path, as text; a path with any other text does not exist."""

    regex = UUID_PATTERN

    def to_python(self, value: str) -> Any:  # noqa: ANN401 - the base class wants a UUID
        """The text as it is."""
        return value

    def to_url(self, value: Any) -> str:  # noqa: ANN401
        """The text as it is."""
        return str(value)


class TextConverter(PathConverter):
    """The rest of a path, whatever is in it: the id of an object, the name of a tag."""

    regex = "(?s:.+)"
    part_isolating = False

    def to_url(self, value: str) -> str:
        """One part of a path, so that `..` in it stays what it is."""
        return quote(value, safe="")


class PlainFlask(Flask):
    """Flask whose functions are all plain ones, so that none need be looked at before its call."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function as it is."""
        return func


def create_app(ports: Ports, options: Options = Options()) -> Flask:  # noqa: B008 - it is frozen
    """The TAMS API over `ports`; `/docs` shows its OpenAPI document, `/openapi.json`."""
    app = _flask(ports)
    allow_origins(app, options.cors_origins)
    serve_at(app, options)
    refuse_malformed(app)
    app.config.update(
        API_TITLE="TAMS",
        API_VERSION=service.API_VERSION,
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
        OPENAPI_SWAGGER_UI_PATH="/docs",
        OPENAPI_SWAGGER_UI_URL="/static/swagger-ui/",
        OPENAPI_SWAGGER_UI_CONFIG={"validatorUrl": None},  # it would be asked over the internet
        API_SPEC_OPTIONS={
            "info": {
                "description": _DESCRIPTION,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            **({"servers": [{"url": options.public_url}]} if options.public_url else {}),
        },
    )
    register_idempotency(app)
    let_follow(app, ports)
    api = TamsApi(app, ports.limits)
    api.register_converter(IdConverter, lambda _: {"type": "string", "pattern": _UUID})
    for module in _BLUEPRINTS:
        api.register_blueprint(module.blueprint)
    return app


def create_listener(ports: Intake, token: str) -> Flask:
    """The listener for bucket notifications, which must carry `token` if it is not empty."""
    app = _flask(ports)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    register_notifications(app, token)
    return app


def _flask(ports: Intake) -> Flask:
    app = PlainFlask("api")
    app.extensions[EXTENSION] = ports
    app.url_map.converters |= {
        "id": IdConverter,
        "object_id": TextConverter,
        "text": TextConverter,
    }
    app.url_map.merge_slashes = False  # a text may have several in a row
    register_errors(app)
    return app
