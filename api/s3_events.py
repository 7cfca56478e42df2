"""`/notifications`: what object stores tell of their buckets, in any dialect.

* A notification is durable before it is acknowledged; otherwise the sender sends it again.
* So is a message that cannot be read: to send it again would help nobody.
* The sender proves itself with a token: as bearer, or as the password of any user, which is all
  that SNS can do, once it has been asked for it.
"""

from hmac import compare_digest
from typing import Final

from flask import Flask, Response, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from api.context import ports
from api.responses import empty_response, json_response
from tasks import notices

MOST_BYTES: Final = 1_048_576


def register_notifications(app: Flask, token: str) -> None:
    """Let `app` take notifications; an empty `token` asks for none."""

    @app.post("/notifications")
    def notify() -> Response:
        """Take what a store tells."""
        _require(token)
        notices.take(ports(), request.get_data(), "webhook")
        return empty_response(204)

    @app.route("/notifications", methods=["HEAD"])
    def probe() -> Response:
        """Tell a store that asks first, as RustFS does, whether it would be heard."""
        ports().jobs.ping()
        return empty_response(204)

    @app.get("/health")
    def health() -> Response:
        """Whether notifications can be made durable."""
        ports().jobs.ping()
        return json_response({"status": "ok"})


def _require(token: str) -> None:
    given = request.authorization
    secret = (given.token or given.password) if given else None
    if token and not compare_digest((secret or "").encode(), token.encode()):
        raise Unauthorized(
            "notifications need the listener's token",
            www_authenticate=WWWAuthenticate("basic", {"realm": "notifications"}),
        )
