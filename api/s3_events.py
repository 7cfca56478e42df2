"""`/notifications`: what object stores tell of their buckets.

* A notification is durable before it is acknowledged; otherwise the sender sends it again.
* The sender proves itself with a bearer token.
"""

from hmac import compare_digest

from flask import Flask, Response, request
from werkzeug.exceptions import Unauthorized

from api.context import ports
from api.responses import empty_response, json_response
from schemas.http.s3_events import from_seaweedfs
from tasks import ingest


def register_notifications(app: Flask, token: str) -> None:
    """Let `app` take notifications; an empty `token` asks for none."""

    @app.post("/notifications/seaweedfs")
    def seaweedfs() -> Response:
        """Take an event of SeaweedFS's filer webhook."""
        if token and not compare_digest(
            request.headers.get("Authorization", ""), f"Bearer {token}"
        ):
            raise Unauthorized("notifications need the listener's bearer token")
        ingest.accept(ports(), from_seaweedfs(request.get_json(force=True)))
        return empty_response(204)

    @app.get("/health")
    def health() -> Response:
        """Whether notifications can be made durable."""
        ports().jobs.ping()
        return json_response({"status": "ok"})
