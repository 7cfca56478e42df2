"""What clients do; see `bench.load`.

A segment is known by its flow and its *place*: segment 7 of a flow lies from second 7 to second 8,
and the id of its object follows from both. So a driver can tell from numbers alone what must be
listed. The ids are spread as random ones are, in no order that a table could profit from.
"""

import time
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from urllib.parse import quote

import orjson

from bench.load import Connection, Unexpected

_SPREAD = 0x9E3779B97F4A7C15  # odd, so that no two places of a flow have the same id


def object_id(flow_id: str, place: int) -> str:
    """The id of the object at `place`."""
    mixed = (place * _SPREAD + int(flow_id[:8], 16) * _SPREAD * _SPREAD) & 0xFFFF_FFFF_FFFF_FFFF
    return f"{mixed:016x}-{flow_id[:18]}"


def timerange(first: int, last: int) -> str:
    """From the beginning of a place to the end of another."""
    return f"[{first}:0_{last + 1}:0)"


def segments_path(flow_id: str, query: str = "") -> bytes:
    return f"/flows/{flow_id}/segments{'?' if query else ''}{query}".encode()


def span_path(flow_id: str, first: int, last: int, *, urls: bool = False) -> bytes:
    """The path that lists exactly these places."""
    limit, without = last - first + 1, "" if urls else "&accept_get_urls="
    return segments_path(flow_id, f"timerange={timerange(first, last)}&limit={limit}{without}")


def offer(flow_id: str, place: int, *, stored: bool = False) -> str:
    """A segment as it is posted; its object lies elsewhere unless it is `stored` here."""
    name = object_id(flow_id, place)
    start = f'{{"object_id":"{name}","timerange":"{timerange(place, place)}"'
    if stored:
        return start + "}"
    url = f"http://media.example/{name}"
    return f'{start},"get_urls":[{{"label":"elsewhere","url":"{url}"}}]}}'


def offers(flow_id: str, places: Iterable[int], *, stored: bool = False) -> bytes:
    """The body of a POST: one segment, or a list."""
    texts = [offer(flow_id, place, stored=stored) for place in places]
    return (texts[0] if len(texts) == 1 else f"[{','.join(texts)}]").encode()


@dataclass
class Register:
    """Registers the next segments of a flow, in turn with the other clients in its lanes."""

    flow_id: str
    lane: int = 0
    lanes: int = 1
    per_post: int = 1
    first: int = 0  # the place all lanes begin at
    stored: bool = False
    read: bool = False  # whether to look for what was just acknowledged
    acknowledged: "array[int]" = field(default_factory=lambda: array("q"))

    def step(self, number: int, to: Connection) -> None:
        start = self.first + (number * self.lanes + self.lane) * self.per_post
        places = range(start, start + self.per_post)
        if self.stored:
            names = [object_id(self.flow_id, place) for place in places]
            body = orjson.dumps({"object_ids": names})
            to.send("allocate", b"POST", f"/flows/{self.flow_id}/storage".encode(), body)
        body = offers(self.flow_id, places, stored=self.stored)
        to.send("register", b"POST", segments_path(self.flow_id), body)
        self.acknowledged.extend(places)
        if self.read:
            answer = to.get("read", span_path(self.flow_id, places[0], places[-1]))
            require(answer.body, self.flow_id, places)


@dataclass
class ListSpans:
    """Lists as many segments as a span has, somewhere in a flow."""

    flow_id: str
    size: int  # of the flow
    span: int
    seed: int
    urls: bool = False

    def step(self, number: int, to: Connection) -> None:
        first = Random(self.seed * 1_000_003 + number).randrange(self.size - self.span)
        path = span_path(self.flow_id, first, first + self.span - 1, urls=self.urls)
        body = to.get("list", path).body
        found = body.count(b'"object_id"')
        if found != self.span or timerange(first, first).encode() not in body:
            raise Unexpected(f"{path.decode()} listed {found} segments: {body[:200].decode()}")


@dataclass
class Ask:
    """Asks the same over and over: for floors."""

    path: bytes
    post: bytes = b""

    def step(self, number: int, to: Connection) -> None:  # noqa: ARG002 - it is always the same
        if self.post:
            to.send("ask", b"POST", self.path, self.post)
        else:
            to.get("ask", self.path)


@dataclass
class PutFlows:
    """Makes flows, one after the other."""

    flow_ids: Sequence[str]
    body: bytes  # of a flow, whose id is FLOW

    def step(self, number: int, to: Connection) -> None:
        flow_id = self.flow_ids[number]
        body = self.body.replace(b"FLOW", flow_id.encode())
        to.send("create", b"PUT", f"/flows/{flow_id}".encode(), body)


def require(body: bytes, flow_id: str, places: Sequence[int]) -> None:
    """Raises Unexpected when a list is anything but these segments."""
    found = [(item["object_id"], item["timerange"]) for item in orjson.loads(body)]
    expected = [(object_id(flow_id, place), timerange(place, place)) for place in places]
    if found != expected:
        raise Unexpected(f"{flow_id} lists {found[:3]}..., not {expected[:3]}...")


def place_of(item: dict[str, str]) -> int:
    """The place of a listed segment."""
    return int(item["timerange"][1:].partition(":")[0])


@dataclass
class Pages:
    """Reads a flow from one end to the other, a page at a time, and keeps what it read."""

    flow_id: str
    limit: int
    reverse: bool = False
    query: str = "&accept_get_urls="
    bodies: list[bytes] = field(default_factory=list)

    def step(self, number: int, to: Connection) -> None:  # noqa: ARG002 - it is always the same
        self.bodies = []
        query = f"limit={self.limit}&reverse_order={str(self.reverse).lower()}{self.query}"
        path = segments_path(self.flow_id, query)
        while True:
            answer = to.get("page", path)
            self.bodies.append(answer.body)
            key = answer.headers.get(b"x-paging-nextkey")
            if key is None:
                return
            path = segments_path(self.flow_id, f"{query}&page={quote(key)}")

    @property
    def items(self) -> list[dict[str, str]]:
        """All that was read last."""
        return [item for body in self.bodies for item in orjson.loads(body)]


@dataclass
class Delete:
    """Deletes the segments of a flow and follows the deletion to its end."""

    flow_id: str

    def step(self, number: int, to: Connection) -> None:  # noqa: ARG002 - it is always the same
        began = time.perf_counter()
        answer = to.send("ask", b"DELETE", segments_path(self.flow_id), expected=(202, 204))
        if answer.status == 202:
            path = b"/" + answer.headers[b"location"].split(b"/", 3)[3]
            while (state := orjson.loads(to.get("follow", path).body)["status"]) != "done":
                if state == "error":
                    raise Unexpected(f"{path.decode()} failed")
                time.sleep(0.05)
        to.timing["delete"].append(time.perf_counter() - began)
