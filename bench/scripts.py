"""What clients do; see `bench.load`.

A segment is known by its flow and its *place*: segment 7 of a flow lies from second 7 to second 8,
and the id of its object follows from both. So a driver can tell from numbers alone what must be
listed. The ids are spread as random ones are, in no order that a table could profit from.
"""

import math
import time
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

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
    first: int = 0  # where all lanes begin, counted in segments
    stride: int = 1  # from one place to the next
    stored: bool = False
    read: bool = False  # whether to look for what was just acknowledged
    acknowledged: "array[int]" = field(default_factory=lambda: array("q"))

    def step(self, number: int, to: Connection) -> None:
        start = self.first + (number * self.lanes + self.lane) * self.per_post
        places = range(start * self.stride, (start + self.per_post) * self.stride, self.stride)
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
class RegisterAnywhere:
    """Registers one segment at a time in whichever of many flows."""

    flow_ids: Sequence[str]
    lane: int
    lanes: int
    acknowledged: list[tuple[str, int]] = field(default_factory=list)

    def step(self, number: int, to: Connection) -> None:
        place = number * self.lanes + self.lane
        flow_id = Random(place).choice(self.flow_ids)
        body = offers(flow_id, [place])
        to.send("register", b"POST", segments_path(flow_id), body)
        self.acknowledged.append((flow_id, place))


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
        query = f"limit={self.limit}&reverse_order={str(self.reverse).lower()}{self.query}"
        self.bodies = list(to.pages("page", segments_path(self.flow_id), query))

    @property
    def items(self) -> list[dict[str, str]]:
        """All that was read last."""
        return [item for body in self.bodies for item in orjson.loads(body)]


@dataclass
class Delete:
    """Deletes the segments of a flow."""

    flow_id: str

    def step(self, number: int, to: Connection) -> None:  # noqa: ARG002 - it is always the same
        began = time.perf_counter()
        delete(to, segments_path(self.flow_id))
        to.timing["delete"].append(time.perf_counter() - began)


def delete(to: Connection, path: bytes) -> None:
    """Have segments deleted, and follow the deletion to its end."""
    answer = to.send("ask to delete", b"DELETE", path, expected=(202, 204))
    if answer.status == 202:
        place = b"/" + answer.headers[b"location"].split(b"/", 3)[3]
        while (state := orjson.loads(to.get("follow", place).body)["status"]) != "done":
            if state == "error":
                raise Unexpected(f"{place.decode()} failed")
            time.sleep(0.05)


@dataclass
class Race:
    """Offers, in each round, a segment that overlaps those of all other clients."""

    flow_id: str
    lane: int
    rounds: int = 0
    won: list[tuple[str, str]] = field(default_factory=list)  # objects and timeranges
    won_rounds: "array[int]" = field(default_factory=lambda: array("q"))

    def step(self, number: int, to: Connection) -> None:
        fraction = self.lane * 100_000_000
        when = f"[{number * 2}:{fraction}_{number * 2 + 1}:{fraction})"
        name = object_id(self.flow_id, number * 100 + self.lane)
        body = orjson.dumps(
            {
                "object_id": name,
                "timerange": when,
                "get_urls": [{"label": "elsewhere", "url": f"http://media.example/{name}"}],
            }
        )
        path = segments_path(self.flow_id)
        answer = to.send("register", b"POST", path, body, expected=(201, 400))
        self.rounds = number + 1
        if answer.status == 201:
            self.won.append((name, when))
            self.won_rounds.append(number)
        elif b"overlap" not in answer.body:
            raise Unexpected(answer.body.decode())


@dataclass
class Life:
    """When a segment was there: each moment as it was asked for and as it was acknowledged."""

    place: int
    asked: float
    there: float
    asked_away: float = math.inf
    gone: float = math.inf


@dataclass
class Drift:
    """Registers segments at given places, and now and then deletes one of them."""

    flow_id: str
    places: Sequence[int]
    deletes: bool
    lives: list[Life] = field(default_factory=list)

    def step(self, number: int, to: Connection) -> None:
        if self.deletes and number % 2:
            life = Random(number).choice([each for each in self.lives if each.gone == math.inf])
            life.asked_away = time.perf_counter()
            when = timerange(life.place, life.place)
            delete(to, segments_path(self.flow_id, f"timerange={when}"))
            life.gone = time.perf_counter()
            return
        place = self.places[len(self.lives)]
        asked = time.perf_counter()
        to.send("register", b"POST", segments_path(self.flow_id), offers(self.flow_id, [place]))
        self.lives.append(Life(place, asked, time.perf_counter()))


@dataclass
class Passage:
    """What was read of a flow from one end to the other, and when."""

    began: float
    ended: float
    reverse: bool
    pages: int
    places: Sequence[int]


@dataclass
class ReadOver:
    """Reads a flow over and over, and keeps which places it was shown."""

    flow_id: str
    limit: int
    reverse: bool
    passages: list[Passage] = field(default_factory=list)

    def step(self, number: int, to: Connection) -> None:
        pages = Pages(self.flow_id, self.limit, self.reverse)
        began = time.perf_counter()
        pages.step(number, to)
        ended = time.perf_counter()
        places = array("q", map(place_of, pages.items))
        self.passages.append(Passage(began, ended, self.reverse, len(pages.bodies), places))


@dataclass
class Mixed:
    """Lists mostly, registers often, and changes metadata now and then."""

    listed: ListSpans
    registered: Register

    def step(self, number: int, to: Connection) -> None:
        chance = Random(self.listed.seed * 7_000_003 + number).random()
        if chance < 0.70:
            self.listed.step(number, to)
        elif chance < 0.95:
            self.registered.step(number, to)
        else:
            path = f"/flows/{self.registered.flow_id}/label".encode()
            label = orjson.dumps(f"label {number}")
            to.send("metadata", b"PUT", path, label, expected=(204,))


@dataclass
class Drop:
    """Drops files into a bucket at a steady pace; they say themselves where they belong."""

    flow_id: str
    s3: dict[str, str]
    files: int
    per_second: float
    put: "array[float]" = field(default_factory=lambda: array("d"))  # when each was stored

    def step(self, number: int, to: Connection) -> None:  # noqa: ARG002 - it is done once, not here
        import boto3  # noqa: PLC0415 - only this client needs it

        client = boto3.client(
            "s3",
            endpoint_url=self.s3["endpoint"],
            region_name=self.s3["region"],
            aws_access_key_id=self.s3["access_key"],
            aws_secret_access_key=self.s3["secret_key"],
        )
        client.head_bucket(Bucket=self.s3["bucket"])
        began = time.perf_counter()
        for place in range(self.files):
            time.sleep(max(0.0, began + place / self.per_second - time.perf_counter()))
            asked = time.perf_counter()
            client.put_object(
                Bucket=self.s3["bucket"],
                Key=drop_key(self.flow_id, place),
                Body=b"x" * 188,
                Metadata={
                    "tams-flow-id": self.flow_id,
                    "tams-timerange": timerange(place, place),
                },
            )
            self.put.append(time.perf_counter())
            to.timing["put"].append(time.perf_counter() - asked)


def drop_key(flow_id: str, place: int) -> str:
    """The key of a dropped file, which is the id of its object."""
    return f"drop/{flow_id}/{place:06}.ts"


@dataclass
class Watch:
    """Lists a flow over and over until as many places as are wanted have been seen."""

    flow_id: str
    wanted: int
    patience_s: float
    seen: dict[int, float] = field(default_factory=dict)  # when each was first listed

    def step(self, number: int, to: Connection) -> None:  # noqa: ARG002 - it is done once
        deadline, first = time.perf_counter() + self.patience_s, 0
        while len(self.seen) < self.wanted and time.perf_counter() < deadline:
            query = f"timerange=[{first}:0_)&limit=1000&accept_get_urls="
            items = orjson.loads(to.get("look", segments_path(self.flow_id, query)).body)
            now = time.perf_counter()
            for item in items:
                self.seen.setdefault(place_of(item), now)
            while first in self.seen:
                first += 1
            time.sleep(0.01)
