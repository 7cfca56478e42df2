"""What a client prefers (RFC 7240)."""

from flask import request


def respond_async() -> bool:
    """Whether the client would rather not wait for the outcome."""
    preferences = ",".join(request.headers.getlist("Prefer")).split(",")
    return any(part.split(";")[0].strip().lower() == "respond-async" for part in preferences)
