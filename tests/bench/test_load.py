"""Cheap clients do what costly ones would."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.load import Connection, Unexpected, drive
from bench.scripts import Ask


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    refusals = 0

    def do_GET(self) -> None:
        busy, Handler.refusals = Handler.refusals > 0, Handler.refusals - 1
        status = 503 if busy else 404 if self.path == "/absent" else 200
        self.send_response(status)
        if self.path.startswith("/list") and "page=" not in self.path:
            self.send_header("X-Paging-NextKey", "a/b")
        body = self.path.encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """A test prints nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def to(url: str) -> Iterator[Connection]:
    connection = Connection(url)
    yield connection
    connection.close()


def test_a_connection_is_used_again(to: Connection) -> None:
    assert to.get("a", b"/one").body == b"/one"
    assert to.send("b", b"POST", b"/two", b"x" * 100_000).body == b"x" * 100_000
    assert to.get("a", b"/three").body == b"/three"
    assert {kind: len(each) for kind, each in to.timing.items()} == {"a": 2, "b": 1}


def test_pages_are_followed_to_the_last(to: Connection) -> None:
    pages = list(to.pages("page", b"/list", "limit=2"))

    assert pages == [b"/list?limit=2", b"/list?limit=2&page=a/b"]


def test_an_answer_that_nobody_expects_is_raised(to: Connection) -> None:
    with pytest.raises(Unexpected, match=r"GET /absent .* 404"):
        to.get("a", b"/absent")


def test_503_is_asked_again_and_counted(to: Connection) -> None:
    Handler.refusals = 2

    assert to.get("a", b"/one").status == 200
    assert to.retries == 2
    assert len(to.timing["a"]) == 1


def test_clients_are_processes_that_begin_at_once(url: str) -> None:
    used = iter([{"api": 1.0}, {"api": 3.5}])

    done = drive(url, [Ask(b"/one"), Ask(b"/two", b"{}")], steps=3, cpu=lambda: next(used))

    assert len(done.timing("ask")) == 6
    assert done.timing("ask") == sorted(done.timing("ask"))
    assert done.rate("ask") == done.rate() > 0
    assert done.rate("something else") == 0
    assert done.cpu_s["api"] == 2.5
    assert done.cpu_s["clients"] > 0


def test_a_client_that_fails_ends_the_run(url: str) -> None:
    with pytest.raises(Unexpected, match=r"GET /absent .* 404"):
        drive(url, [Ask(b"/one"), Ask(b"/absent")], seconds=60, warm_up_s=0)
