"""Which web pages may use the API from a browser (Fetch standard, CORS protocol).

* A page of an allowed origin may read every answer, errors included, and the headers that TAMS
  answers with.
* A preflight is answered whatever the path and method, without credentials: whether they exist is
  for the request itself to find out.
* Answers differ by origin, and say so to caches, also where no origin was named.
"""

import re
from typing import Final

from flask import Flask, Response, request

from api.responses import empty_response

_METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
_ALLOWED: Final = "Authorization, Content-Type, Prefer, Idempotency-Key, Last-Event-ID"
_EXPOSED: Final = (
    "Link, Location, X-Paging-Limit, X-Paging-Count, X-Paging-NextKey, X-Paging-Reverse-Order, "
    "X-Paging-Timerange, ETag, Retry-After, Preference-Applied, "
    "Idempotency-Replayed"
)
_PREFLIGHT_S: Final = 600


def allow_origins(app: Flask, origins: tuple[str, ...]) -> None:
    """Let web pages of `origins` use `app`.

    In an origin, a port `*` is any port, and `*.` before a host any subdomain; `*` alone is any
    origin.
    """
    anybody = "*" in origins
    known = re.compile("|".join(map(_pattern, origins)) if origins else "(?!)")

    @app.before_request
    def preflight() -> Response | None:
        asks = "Origin" in request.headers and "Access-Control-Request-Method" in request.headers
        return empty_response(204) if request.method == "OPTIONS" and asks else None

    @app.after_request
    def allow(response: Response) -> Response:
        if not anybody:
            response.headers.add("Vary", "Origin")
        origin = request.headers.get("Origin", "")
        if anybody or known.fullmatch(origin):
            response.headers["Access-Control-Allow-Origin"] = "*" if anybody else origin
            if request.method == "OPTIONS":
                response.headers["Access-Control-Allow-Methods"] = _METHODS
                response.headers["Access-Control-Allow-Headers"] = _ALLOWED
                response.headers["Access-Control-Max-Age"] = str(_PREFLIGHT_S)
            else:
                response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        return response


def _pattern(origin: str) -> str:
    known = re.escape(origin).replace(r"://\*\.", r"://[a-z0-9.-]+\.")
    return re.sub(r":\\\*$", lambda _: r"(:\d+)?", known)
