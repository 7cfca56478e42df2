"""`Idempotency-Key`: a POST that is repeated is answered, not done again.

* The first request with a key is done, and its answer kept for a day; who repeats it gets the same
  answer, with `Idempotency-Replayed: true`. The same request has the same method, path, query, body
  and principal; another one with the same key is refused.
* A repeat that comes while the first still goes on waits a little for its answer, then is 503.
* Answers of 500 and more are not kept, since trying again may do better; nor are very large ones.
* What a client prefers (`Prefer`) is of no account: the answer is the one given first.
"""

import logging
from hashlib import sha256
from typing import Any, Final

import orjson
from flask import Flask, Response, g, request

from api.context import PRINCIPAL, ports
from api.requests import body
from schemas.domain.errors import Invalid, Unavailable

log = logging.getLogger(__name__)

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"

_LONGEST: Final = 255
_KEPT_HEADERS: Final = ("Content-Type", "Location", "Retry-After", "Preference-Applied")
_ERRORS: Final = 500


def register_idempotency(app: Flask) -> None:
    """Heed the header with every POST."""
    app.before_request(_begin)
    app.after_request(_finish)


def _begin() -> Response | None:
    """Take the request on, unless it was made before; then its answer.

    Raises:
        Invalid: when the key is none, or belongs to another request.
        Unavailable: when the first request still goes on.
    """
    given = request.headers.get(HEADER)
    if given is None or request.method != "POST" or request.url_rule is None:
        return None
    fingerprint = _fingerprint()  # first, since a body that is left unread ends the connection
    if not (0 < len(given) <= _LONGEST and given.isascii() and given.isprintable()):
        raise Invalid(
            f"{HEADER} must have 1 to {_LONGEST} printable ASCII characters", field=HEADER
        )
    key, answers = _digest(PRINCIPAL, given), ports().answers
    kept = answers.begin(key, fingerprint)
    if kept is not None and kept.answer is None and kept.fingerprint == fingerprint:
        answers.wait(key, ports().limits.async_after_s)
        kept = answers.begin(key, fingerprint)
    if kept is None:
        g.idempotency = (key, fingerprint)
        return None
    if kept.fingerprint != fingerprint:
        raise Invalid(f"{HEADER} {given!r} was used for another request", field=HEADER)
    if kept.answer is None:
        raise Unavailable(f"the first request with {HEADER} {given!r} still goes on")
    return _replayed(kept.answer)


def _finish(response: Response) -> Response:
    """Keep the answer to a request that was taken on."""
    taken_on = g.pop("idempotency", None)
    if taken_on is None:
        return response
    key, fingerprint = taken_on
    try:
        if response.status_code >= _ERRORS:
            ports().answers.drop(key, fingerprint)
        else:
            ports().answers.keep(key, fingerprint, _packed(response))
    except Unavailable as error:  # it is done all the same, and the client may know
        log.warning("the answer to a request with %s is not kept: %s", HEADER, error)
    return response


def _fingerprint() -> str:
    query = request.query_string.decode("latin-1")
    return _digest(request.method, request.path, query, body())


def _digest(*parts: str | bytes) -> str:
    digest = sha256()
    for part in parts:
        text = part.encode() if isinstance(part, str) else part
        digest.update(len(text).to_bytes(8) + text)
    return digest.hexdigest()


def _packed(response: Response) -> bytes:
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    head = orjson.dumps({"status": response.status_code, "headers": headers})
    return head + b"\n" + response.get_data()


def _replayed(answer: bytes) -> Response:
    head, _, body = answer.partition(b"\n")
    kept = orjson.loads(head)
    response = Response(body, kept["status"])
    del response.headers["Content-Type"]
    response.headers.update({**kept["headers"], REPLAYED: "true"})
    return response


# How the OpenAPI document describes this, of every POST.
PARAMETER: Final[dict[str, Any]] = {
    "in": "header",
    "name": HEADER,
    "description": "Makes the request repeatable: for a day, the same request with the same key "
    "gets the answer of the first. The same key with another request is 400.",
    "schema": {"type": "string", "minLength": 1, "maxLength": _LONGEST, "pattern": "^[ -~]*$"},
}
REPLAYED_HEADERS: Final[dict[str, Any]] = {
    REPLAYED: {
        "description": f"`true` when this is the answer to an earlier request with that {HEADER}.",
        "schema": {"type": "boolean"},
    },
}
