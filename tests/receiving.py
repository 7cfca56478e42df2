"""A receiver of webhooks for tests: a real HTTP server that answers as the test says."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from threading import Condition, Thread
from time import monotonic
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request, as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def event(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass(frozen=True)
class Answer:
    """What to answer: a status and headers."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


OK = Answer()


class Receiver:
    """A server on loopback; `answer` may block, fail, or say anything."""

    def __init__(self, context: SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[Received], Answer | None] = lambda _: OK
        self._arrived = Condition()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def take(self, received: Received) -> Answer | None:
        with self._arrived:
            self.received.append(received)
            self._arrived.notify_all()
        return self.answer(received)

    def wait_for(self, wanted: Callable[[list[Received]], bool], timeout_s: float = 60) -> None:
        """Wait until what arrived is as `wanted`."""
        with self._arrived:
            arrived = self._arrived.wait_for(lambda: wanted(self.received), timeout_s)
        assert arrived, [each.event["event_type"] for each in self.received]

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.01)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def receiving(tls: SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver, for as long as the context lasts."""
    receiver = Receiver(tls)
    thread = Thread(target=receiver.serve)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.stop()
        thread.join()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
    block_on_close = False  # a test may let one of them hang

    def handle_error(self, *_: object) -> None:
        """A client that goes away is what some tests are about."""


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = receiver.take(Received(self.path, headers, body, monotonic()))
            if answer is None:  # it hangs up
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in {"Content-Length": "0", **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
