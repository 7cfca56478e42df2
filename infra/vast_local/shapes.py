"""Requests that come again with other values are recognised, not decoded.

* A shape is all bytes of a request before its texts, but for the places of its values. What was
  decoded of it holds for every request with those bytes.
* That nothing else of a request matters is tried when a shape is learned: with other bytes in
  those places, and nothing behind, it has to be decoded as the same.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from infra.vast_local.errors import Refused
from infra.vast_local.flatbuf import IntegerAt, TextAt

_MOST_SHAPES = 64
"""Shapes kept; the oldest goes first."""

_LONGEST = 1 << 14
"""Bytes up to which a request is worth it."""

_MOST_PLACES = 64
"""Values up to which it is."""

T = TypeVar("T")

Place = IntegerAt | TextAt


@dataclass(frozen=True, slots=True)
class _Shape(Generic[T]):
    pieces: tuple[tuple[int, int, bytes], ...]
    decoded: T


class Shapes(Generic[T]):
    """What was decoded of requests, by shape."""

    def __init__(self) -> None:
        """Know none."""
        self._known: tuple[_Shape[T], ...] = ()

    def find(self, body: bytes) -> T | None:
        """Return what a request like this one was decoded as."""
        for shape in self._known:
            for start, end, piece in shape.pieces:
                if body[start:end] != piece:
                    break
            else:
                return shape.decoded
        return None

    def learn(
        self, body: bytes, places: Sequence[Place], decoded: T, decode: Callable[[bytes], T]
    ) -> None:
        """Remember what a request was decoded as, if others can be recognised by it."""
        if len(body) > _LONGEST or len(places) > _MOST_PLACES:
            return
        texts = [place.start(body) for place in places if isinstance(place, TextAt)]
        head = body[: min(texts, default=len(body))]
        holes = sorted({(place.place, place.place + place.SIZE) for place in places})
        try:
            if decode(_blanked(head, holes)) != decoded:
                return
        except (IndexError, struct.error, UnicodeDecodeError, Refused):
            return
        starts = [0, *(end for _, end in holes)]
        ends = [*(start for start, _ in holes), len(head)]
        pieces = [(a, b, head[a:b]) for a, b in zip(starts, ends, strict=True) if a < b]
        self._known = (*self._known[-_MOST_SHAPES + 1 :], _Shape(tuple(pieces), decoded))


def _blanked(head: bytes, holes: Sequence[tuple[int, int]]) -> bytes:
    blanked = bytearray(head)
    for start, end in holes:
        blanked[start:end] = b"\xff" * (end - start)
    return bytes(blanked)
