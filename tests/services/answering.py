"""A web server for tests of what the store asks of others."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

LARGE = 20 << 20  # several parts of an upload to S3


class Answers(BaseHTTPRequestHandler):
    """A server of a few paths that remembers who was asked for."""

    hosts: list[str]

    def do_GET(self) -> None:
        self.hosts.append(self.headers["Host"])
        match self.path.partition("?")[0]:
            case "/redirect":
                self._answer(302, location="http://169.254.169.254/")
            case "/encoded":
                self._answer(200, content_encoding="gzip")
            case "/short":
                self._answer(200, b"half", content_length="8")
            case "/content":
                self._answer(200, b"content" * 50_000)
            case "/large":
                self._answer(200, bytes(LARGE))
            case "/cut":
                self._answer(200, bytes(LARGE), content_length=str(LARGE + 1))
            case path:
                self._answer(int(path[1:]))

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content_length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[str]]]:
    """A server on loopback: its port, and the hosts it is asked for."""
    hosts: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Asked", (Answers,), {"hosts": hosts}))
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port, hosts
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
