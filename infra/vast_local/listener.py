"""HTTP/1.1, as much of it as clients of the protocol speak.

* One thread per connection that blocks on its socket: measured here at a third of the
  latency of a worker pool fed by a selector, and half that of the standard handler.
* Every method may carry a body, sized by Content-Length; a chunked request is refused.
* A response is bytes with a Content-Length, or an iterator of bytes sent in chunks, unless they
  are so few that all of them are at hand before the first is sent.
* There is exactly one ``Server`` header; clients read the version of the protocol from it.
"""

import logging
import socket
import socketserver
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from io import BufferedIOBase

from infra.vast_local.errors import CannotStart, Invalid

SERVER = "vast 5.5.0.1"
"""The version the server claims to be; clients choose their requests by it."""

MAX_HEAD_BYTES = 64 << 10
MAX_BODY_BYTES = 5 << 20
"""The protocol's limit, which clients keep by cutting what they send."""

_PHRASES = {int(status): status.phrase for status in HTTPStatus}

MAX_DRAINED_BYTES = 64 << 20
"""A body larger than allowed, up to this, is read and answered; a larger one is cut off."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """A request; header names are in lower case, ``target`` is as it was sent."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """A response; an iterator as body is sent as it comes."""

    status: int = 200
    body: bytes | Iterator[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Callable[[Request], Response]


class _Malformed(Exception):
    """The bytes on the connection are no request this server reads."""


class _TooLarge(Exception):
    """The request was read to its end and thrown away; the connection goes on."""


class Listener(socketserver.ThreadingTCPServer):
    """A listening socket whose connections answer requests with ``answer``."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, host: str, port: int, answer: Answer) -> None:
        """Bind; ``CannotStart`` when the address cannot be had."""
        self.answer = answer
        try:
            super().__init__((host, port), _Connection)
        except OSError as error:
            raise CannotStart(f"cannot listen on {host}:{port}: {error.strerror}") from error

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Log what broke a connection, a client that went away being nothing special."""
        del request
        _log.exception("connection from %s broke", client_address)


class _Connection(socketserver.StreamRequestHandler):
    """One connection, request after request."""

    disable_nagle_algorithm = True
    server: Listener

    def handle(self) -> None:
        """Answer until the client closes the connection or must be asked to."""
        try:
            while self._answer_one():
                pass
        except _Malformed as error:
            _log.info("closing a connection: %s", error)
            _send(self.connection, Response(400, headers={"Connection": "close"}), head_only=False)
        except (ConnectionError, TimeoutError) as error:
            _log.debug("a client went away: %s", error)

    def _answer_one(self) -> bool:
        """Answer one request; tell whether another may follow."""
        try:
            request = _read(self.rfile)
        except _TooLarge as error:
            refusal = Invalid(str(error), "EntityTooLarge")
            _send(self.connection, Response(refusal.status, refusal.xml()), head_only=False)
            return True
        if request is None:
            return False
        response = self.server.answer(request)
        _send(self.connection, response, head_only=request.method == "HEAD")
        return request.headers.get("connection", "").lower() != "close"


def _read(stream: BufferedIOBase) -> Request | None:
    line = stream.readline(MAX_HEAD_BYTES)
    if not line:
        return None
    try:
        method, target, version = line.decode("latin-1").split()
    except ValueError as error:
        raise _Malformed("bad request line") from error
    if version != "HTTP/1.1":
        raise _Malformed(f"{version} is not spoken")
    headers = _read_headers(stream)
    if "transfer-encoding" in headers:
        raise _Malformed("a request body must have a Content-Length")
    return Request(method, target, headers, _read_body(stream, headers))


def _read_body(stream: BufferedIOBase, headers: Mapping[str, str]) -> bytes:
    text = headers.get("content-length", "0")
    if not text.isdecimal() or int(text) > MAX_DRAINED_BYTES:
        raise _Malformed(f"Content-Length {text} is out of range")
    length = int(text)
    if length > MAX_BODY_BYTES:
        while length > 0 and (part := stream.read(min(length, MAX_HEAD_BYTES))):
            length -= len(part)
        raise _TooLarge(f"a body is at most {MAX_BODY_BYTES} bytes")
    body = stream.read(length)
    if len(body) != length:
        raise _Malformed("the body is cut short")
    return body


def _read_headers(stream: BufferedIOBase) -> dict[str, str]:
    headers: dict[str, str] = {}
    size = 0
    while (line := stream.readline(MAX_HEAD_BYTES)) not in {b"\r\n", b"\n"}:
        size += len(line)
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or size > MAX_HEAD_BYTES:
            raise _Malformed("bad header")
        headers[name.lower()] = value.strip()
    return headers


def _send(connection: socket.socket, response: Response, *, head_only: bool) -> None:
    body = response.body
    length = len(body) if isinstance(body, bytes) else None
    if head_only:
        connection.sendall(_head(response, length))
    elif isinstance(body, bytes):
        connection.sendall(_head(response, length) + body)
    else:
        _send_parts(connection, response, body)


def _head(response: Response, length: int | None) -> bytes:
    """Return the head of a response whose body is so long, or comes in chunks."""
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    own = "".join([f"{name}: {value}\r\n" for name, value in response.headers.items()])
    line = f"HTTP/1.1 {response.status} {_PHRASES[response.status]}"
    return f"{line}\r\nServer: {SERVER}\r\n{framing}\r\n{own}\r\n".encode("latin-1")


def _send_parts(connection: socket.socket, response: Response, parts: Iterator[bytes]) -> None:
    """Send the parts of a body, small ones together, without chunks if that is all of it."""
    pending: list[bytes] = []
    size, is_begun = 0, False
    for part in parts:
        pending.append(part)
        size += len(part)
        if size > MAX_HEAD_BYTES:
            head = b"" if is_begun else _head(response, None)
            connection.sendall(b"".join([head, *_chunk(pending, size)]))
            pending, size, is_begun = [], 0, True
    if is_begun:
        last = _chunk(pending, size) if size else []
        connection.sendall(b"".join([*last, b"0\r\n\r\n"]))
    else:
        connection.sendall(b"".join([_head(response, size), *pending]))


def _chunk(parts: Iterable[bytes], size: int) -> list[bytes]:
    return [b"%x\r\n" % size, *parts, b"\r\n"]
