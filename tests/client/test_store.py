"""The HTTP client: what it repeats, what it refuses, and how it says so."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from schemas.domain.timerange import ETERNITY
from workers.client.store import Slot, Store, StoreError

FLOW = "6f1c7a53-5d0e-4b8e-9b0a-3f8f7b7c6a11"


@contextmanager
def answering(*answers):
    """A server that gives these answers (status, headers, body) one after the other."""
    waiting = list(answers)
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append((self.command, self.path, dict(self.headers), body))
            status, headers, content = waiting.pop(0)
            content = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = _answer  # noqa: N815 - the server's own names

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with Store(f"http://127.0.0.1:{server.server_port}") as store:
            yield store, seen
    finally:
        server.shutdown()
        server.server_close()


def test_a_busy_store_is_asked_again():
    busy = (503, {"Retry-After": "0"}, {"summary": "the database is down"})

    with answering(busy, busy, (200, {}, {"id": FLOW})) as (store, seen):
        assert store.flow(FLOW) == {"id": FLOW}
    assert len(seen) == 3


def test_a_store_that_stays_busy_is_an_error_with_its_reason():
    busy = (503, {"Retry-After": "0"}, {"summary": "the database is down"})

    with (
        answering(*[busy] * 6) as (store, _),
        pytest.raises(StoreError, match="the database is down") as caught,
    ):
        store.flow(FLOW)
    assert caught.value.status == 503


def test_a_refusal_names_the_field_and_is_not_repeated():
    refusal = (400, {}, {"type": "Invalid", "summary": "must be a timerange", "field": "timerange"})

    with (
        answering(refusal) as (store, seen),
        pytest.raises(StoreError, match=r"must be a timerange \(timerange\)") as caught,
    ):
        store.register(FLOW, [])
    assert (caught.value.status, caught.value.field, len(seen)) == (400, "timerange", 1)


def test_a_flow_that_does_not_exist_is_none():
    with answering((404, {}, {"summary": "no such flow"})) as (store, _):
        assert store.flow(FLOW) is None


def test_an_absent_store_is_said_to_be_absent():
    with Store("http://127.0.0.1:9") as store, pytest.raises(StoreError, match="does not answer"):
        store.flow(FLOW)


def test_pages_are_followed_to_the_last():
    first = (200, {"Link": f'</flows/{FLOW}/segments?page=2>; rel="next"'}, [{"n": 1}, {"n": 2}])
    second = (200, {}, [{"n": 3}])

    with answering(first, second) as (store, seen):
        assert [s["n"] for s in store.segments(FLOW, ETERNITY)] == [1, 2, 3]
    assert seen[1][1] == f"/flows/{FLOW}/segments?page=2"


def test_failed_segments_of_a_bulk_are_returned():
    failed = {"failed_segments": [{"object_id": "a", "error": {"summary": "overlaps"}}]}

    with answering((200, {}, failed), (201, {}, b"")) as (store, _):
        assert store.register(FLOW, [{}]) == failed["failed_segments"]
        assert store.register(FLOW, [{}]) == []


def test_an_upload_sends_what_the_slot_tells(tmp_path):
    (tmp_path / "object").write_bytes(b"media")

    with answering((503, {"Retry-After": "0"}, b""), (200, {}, b"")) as (store, seen):
        slot = Slot("id", f"{store.api_url}/put", {"Content-Type": "video/mp2t", "x-a": "b"})
        store.upload(slot, tmp_path / "object")
    _, _, headers, body = seen[1]
    assert (headers["Content-Type"], headers["x-a"], body) == ("video/mp2t", "b", b"media")
    assert headers["Content-Length"] == "5"


def test_a_download_that_is_refused_leaves_no_file(tmp_path):
    with (
        answering((403, {}, b"<Error/>")) as (store, _),
        pytest.raises(StoreError, match="403"),
    ):
        store.download("/object?signature=1", tmp_path / "object")
    assert not (tmp_path / "object").exists()
