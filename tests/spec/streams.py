"""Streams of server-sent events, as a client reads them."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

_PATIENCE_S = 60.0


class Events:
    """The events of an open stream."""

    def __init__(self, response: httpx.Response) -> None:
        self.lines = response.iter_lines()
        self.last_id = ""

    def __next__(self) -> tuple[str, dict[str, Any]]:
        found: dict[str, str] = {}
        deadline = time.monotonic() + _PATIENCE_S
        for line in self.lines:
            name, _, value = line.partition(": ")
            found |= {name: value} if name else {}
            assert time.monotonic() < deadline, "nothing but signs of life"
            if line:
                continue
            self.last_id = found.get("id", self.last_id)
            if "data" in found:
                return found["event"], json.loads(found["data"])
            found = {}
        raise StopIteration

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        return self


@contextmanager
def opened(api: httpx.Client, path: str, **headers: str) -> Iterator[Events]:
    with api.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        yield Events(response)
