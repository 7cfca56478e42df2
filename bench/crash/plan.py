"""What is done to a store, chosen by a seed: requests, files, and the moments of the kills."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

from tests.making import segment, stamp

CLIENTS = 8

_SIZES = (1, 1, 1, 1, 2, 5, 20, 100)
_RIVALS = 0.05  # of segments and files take half of their predecessor's time
_REPEATED = 0.05
_FOLLOWED = 0.3
_DOOMED = 0.05  # of files name no flow that exists, or no time
_DROPPED_FROM_MS = 10**9  # on the timelines: where segments of files are, away from the others


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment to be, from `start` to `end` in milliseconds."""

    flow_id: str
    object_id: str
    start: int
    end: int

    @property
    def timerange(self) -> str:
        return f"[{stamp(self.start)}_{stamp(self.end)})"

    def body(self) -> dict[str, Any]:
        url = f"http://elsewhere.example/{self.object_id}"
        return segment(self.object_id, self.start, self.end, get_urls=[{"label": "x", "url": url}])


@dataclass(frozen=True, slots=True)
class Request:
    """One POST; `followed` asks for a job, `repeats` says how often it is sent once answered."""

    pieces: Sequence[Piece]
    followed: bool
    repeats: int


@dataclass(frozen=True, slots=True)
class Drop:
    """One file; a doomed one cannot become a segment. Its object id is its key."""

    piece: Piece
    metadata: Mapping[str, str]
    doomed: bool
    times: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done to a store, the same for the same seed."""

    requests: Sequence[Sequence[Request]]  # by client
    drops: Sequence[Drop]
    kills: Sequence[float]  # when, as fractions of the segments answered; some at once

    @property
    def pieces(self) -> Iterator[Piece]:
        for requests in self.requests:
            for request in requests:
                yield from request.pieces


def plan(rng: Random, flows: Sequence[str], segments: int, files: int, kills: int) -> Plan:
    """A plan for a store in which `flows` are and nothing else."""
    lanes: dict[tuple[str, int], list[Piece]] = defaultdict(list)
    for piece in _pieces(rng, flows, segments, 0, "o"):
        lanes[piece.flow_id, rng.randrange(2)].append(piece)  # two clients to a flow
    requests: list[list[Request]] = [[] for _ in range(CLIENTS)]
    for number, pieces in enumerate(lanes.values()):
        requests[number % CLIENTS] += _requests(rng, pieces)
    for each in requests:
        each.sort(key=lambda request: request.pieces[0].start)
    drops = [_drop(rng, piece) for piece in _pieces(rng, flows, files, _DROPPED_FROM_MS, "drop/")]
    moments = [rng.uniform(0.02, 0.95) for _ in range(kills)]
    return Plan(requests, drops, sorted(rng.choices(moments, k=kills)))


def _pieces(
    rng: Random, flows: Sequence[str], count: int, first: int, prefix: str
) -> Iterator[Piece]:
    """Segments of a second, one after the other in each flow, of which some come half too soon."""
    for number in range(count):
        start = first + number // len(flows) * 1_000
        start -= 500 if rng.random() < _RIVALS and number >= len(flows) else 0
        object_id = f"{prefix}{UUID(int=rng.getrandbits(128), version=4)}"
        yield Piece(flows[number % len(flows)], object_id, start, start + 1_000)


def _requests(rng: Random, pieces: Sequence[Piece]) -> Iterator[Request]:
    place = 0
    while place < len(pieces):
        part = pieces[place : place + rng.choice(_SIZES)]
        place += len(part)
        yield Request(part, rng.random() < _FOLLOWED, 1 + (rng.random() < _REPEATED))


def _drop(rng: Random, piece: Piece) -> Drop:
    metadata = {"tams-flow-id": piece.flow_id, "tams-timerange": piece.timerange}
    doomed = rng.random() < _DOOMED
    if doomed:
        name, value = rng.choice(
            [
                ("tams-flow-id", str(UUID(int=rng.getrandbits(128), version=4))),
                ("tams-timerange", "[2:0_1:0)"),
            ]
        )
        metadata[name] = value
    return Drop(piece, metadata, doomed, 1 + (rng.random() < _REPEATED))
