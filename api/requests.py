"""What every request must be, whatever it asks for.

* Path and query are UTF-8 without NUL; what is not is refused, since mended it would mean another
  thing.
* A body is at most `LONGEST_BODY` bytes (413), not compressed (415), and there as a whole: what
  the web server could not read to the end is not taken for a shorter body.
"""

from typing import Final
from urllib.parse import unquote_to_bytes

from flask import Flask, request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from schemas.domain.errors import Invalid

LONGEST_BODY: Final = 16 << 20


def refuse_malformed(app: Flask) -> None:
    """Have `app` refuse what no operation could mean anything by."""
    app.config["MAX_CONTENT_LENGTH"] = LONGEST_BODY
    app.before_request(_require_text)
    app.before_request(_require_plain_body)


def body() -> bytes:
    """The body of the request.

    Raises:
        Invalid: when it ended before its `Content-Length`.
        RequestEntityTooLarge: when it is too long.
    """
    data, length = request.get_data(), request.content_length
    if length is None and len(data) >= LONGEST_BODY:  # where werkzeug cuts a chunked one
        raise RequestEntityTooLarge
    if length is not None and len(data) < length:
        raise Invalid(f"the body ended after {len(data)} of {length} bytes")
    return data


def _require_text() -> None:
    path = request.environ["PATH_INFO"].encode("latin-1")
    for part, raw in (("path", path), ("query string", unquote_to_bytes(request.query_string))):
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            raise Invalid(f"the {part} is not UTF-8: {error}") from error
        if "\0" in text:
            raise Invalid(f"the {part} holds a NUL character")


def _require_plain_body() -> None:
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.lower() != "identity":
        raise UnsupportedMediaType(f"a body in content coding {coding!r} cannot be read")
