"""Flatbuffers without generated classes: tables are read and written by slot number.

* Reading is lazy and copies only what is asked for; ``reading`` around it turns what a
  malformed buffer provokes into a 400.
* Thousands of tables that look alike, such as the terms of an IN, are read together.
* Writing takes a table as a list of ``(slot, value)`` and builds it depth first.
* Slot numbers count from 0 in the order of the schema, unions take two (type, value).
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from struct import Struct
from typing import Any, ClassVar

import flatbuffers
import numpy as np
import numpy.typing as npt

from infra.vast_local.errors import Invalid

_U16, _U32, _I32, _I64 = Struct("<H"), Struct("<I"), Struct("<i"), Struct("<q")


class Table:
    """One table of a buffer, read by slot."""

    __slots__ = ("_buffer", "_position", "_size", "_vtable")

    def __init__(self, buffer: bytes, position: int) -> None:
        """Take the table at a byte position of the buffer."""
        self._buffer = buffer
        self._position = position
        self._vtable = position - _I32.unpack_from(buffer, position)[0]
        self._size: int = _U16.unpack_from(buffer, self._vtable)[0]

    def scalar(self, slot: int, form: Struct) -> int:
        """Return the scalar of a slot, unpacked with ``form``, 0 when absent."""
        at = self._at(slot)
        return form.unpack_from(self._buffer, at)[0] if at else 0

    def byte(self, slot: int) -> int:
        """Return an unsigned byte, 0 when absent."""
        at = self._at(slot)
        return self._buffer[at] if at else 0

    def uint(self, slot: int) -> int:
        """Return an unsigned 32-bit integer, 0 when absent."""
        at = self._at(slot)
        return _U32.unpack_from(self._buffer, at)[0] if at else 0

    def blob(self, slot: int) -> bytes:
        """Return a string or byte vector as bytes, empty when absent."""
        at = self._at(slot)
        if not at:
            return b""
        return _pointed_blob(self._buffer, at)

    def text(self, slot: int) -> str:
        """Return a string, empty when absent."""
        return self.blob(slot).decode()

    def place(self, slot: int) -> int:
        """Return the byte position of a slot's value, or of what points at it; 0 when absent."""
        return self._at(slot)

    def table(self, slot: int) -> "Table":
        """Return the table a slot points at; ``IndexError`` when absent."""
        at = self._at(slot)
        if not at:
            raise IndexError(f"slot {slot} is empty")
        return Table(self._buffer, at + _U32.unpack_from(self._buffer, at)[0])

    def tables(self, slot: int) -> "list[Table]":
        """Return a vector of tables, empty when absent."""
        buffer = self._buffer
        return [Table(buffer, at) for at in self.places(slot)]

    def places(self, slot: int) -> list[int]:
        """Return the byte positions of a vector's tables, none when absent."""
        at = self._at(slot)
        if not at:
            return []
        start = at + _U32.unpack_from(self._buffer, at)[0] + 4
        length = _U32.unpack_from(self._buffer, start - 4)[0]
        if start + 4 * length > len(self._buffer):
            raise IndexError("a vector runs past the end of the buffer")
        offsets = struct.unpack_from(f"<{length}I", self._buffer, start)
        return [start + 4 * i + offset for i, offset in enumerate(offsets)]

    def read_together(self, places: list[int]) -> "Tables":
        """Return the tables at byte positions of this buffer, to be read together."""
        return Tables(self._buffer, np.array(places, np.int64))

    def _at(self, slot: int) -> int:
        entry = 4 + 2 * slot
        if entry >= self._size:
            return 0
        offset: int = _U16.unpack_from(self._buffer, self._vtable + entry)[0]
        return offset and self._position + offset


@dataclass(frozen=True, slots=True)
class IntegerAt:
    """A signed 64-bit integer at a byte position, in whichever buffer it is read from."""

    SIZE: ClassVar[int] = 8

    place: int

    def read(self, buffer: bytes) -> int:
        """Return the integer."""
        return _I64.unpack_from(buffer, self.place)[0]  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class TextAt:
    """A string that a byte position points at, in whichever buffer it is read from."""

    SIZE: ClassVar[int] = 4

    place: int

    def start(self, buffer: bytes) -> int:
        """Return where the string begins, its length first."""
        return self.place + _U32.unpack_from(buffer, self.place)[0]  # type: ignore[no-any-return]

    def read(self, buffer: bytes) -> str:
        """Return the string."""
        return _pointed_blob(buffer, self.place).decode()


def _pointed_blob(buffer: bytes, at: int) -> bytes:
    start = at + _U32.unpack_from(buffer, at)[0] + 4
    end = start + _U32.unpack_from(buffer, start - 4)[0]
    if end > len(buffer):
        raise IndexError("a string runs past the end of the buffer")
    return buffer[start:end]


class Irregular(Exception):
    """Tables that were to be read together are not alike; read them one by one."""


class Tables:
    """Many tables of one kind, read together: each step is a handful of operations on arrays.

    Everything must be where writers put it, aligned and present, or it is ``Irregular``.
    """

    __slots__ = ("_buffer", "_bytes", "_positions", "_words")

    def __init__(self, buffer: bytes, positions: "Positions") -> None:
        """Take the tables at byte positions of the buffer."""
        self._buffer = buffer
        self._bytes = np.frombuffer(buffer, np.uint8)
        self._words = np.frombuffer(buffer, "<u4", len(buffer) // 4)
        self._positions = positions

    def byte(self, slot: int) -> int:
        """Return the byte all of them have."""
        return _only(self._bytes[_inside(self._at(slot))])

    def uint(self, slot: int) -> int:
        """Return the unsigned 32-bit integer all of them have, 0 when all lack it."""
        at, there = self._find(slot)
        return _only(np.where(there, self._word(at), 0))

    def blobs(self, slot: int) -> list[bytes]:
        """Return the strings or byte vectors of all."""
        starts = self._pointed(self._at(slot))
        ends = starts + 4 + self._word(starts)
        buffer = self._buffer
        return [buffer[a:b] for a, b in zip((starts + 4).tolist(), ends.tolist(), strict=True)]

    def integers(self, slot: int) -> list[int]:
        """Return the signed 64-bit integers of all, 0 where absent."""
        at, there = self._find(slot)
        value = self._word(at + 4) << 32 | self._word(at)
        return np.where(there, value, 0).tolist()  # type: ignore[no-any-return]

    def table(self, slot: int) -> "Tables":
        """Return the tables a slot points at."""
        return Tables(self._buffer, self._pointed(self._at(slot)))

    def vector(self, slot: int, length: int) -> "list[Tables]":
        """Return the tables of vectors that are all this long: the first of all, and so on."""
        starts = self._pointed(self._at(slot))
        if (self._word(starts) != length).any():
            raise Irregular
        entries = (starts + 4 + 4 * i for i in range(length))
        return [Tables(self._buffer, self._pointed(entry)) for entry in entries]

    def _at(self, slot: int) -> "Positions":
        at, there = self._find(slot)
        if not there.all():
            raise Irregular
        return at

    def _find(self, slot: int) -> "tuple[Positions, npt.NDArray[np.bool_]]":
        """Return where the slots are, and which are there; the others are somewhere harmless."""
        positions = self._positions
        vtables = positions - self._word(positions).astype(np.uint32).view(np.int32)
        entries = vtables + 4 + 2 * slot
        is_long = _half(self._bytes, vtables) > 4 + 2 * slot
        offsets = np.where(is_long, _half(self._bytes, np.where(is_long, entries, 0)), 0)
        there = offsets > 0
        return np.where(there, positions + offsets, 0), there

    def _pointed(self, at: "Positions") -> "Positions":
        return at + self._word(at)

    def _word(self, at: "Positions") -> "Positions":
        if (at & 3).any():
            raise Irregular
        words: Positions = self._words[_inside(at) >> 2].astype(np.int64)
        return words


Positions = npt.NDArray[np.int64]


def _half(buffer: npt.NDArray[np.uint8], at: Positions) -> Positions:
    return buffer[_inside(at)].astype(np.int64) | buffer[at + 1].astype(np.int64) << 8


def _inside(at: Positions) -> Positions:
    """Return the positions; they must not count from the end, as they would in an array."""
    if (at < 0).any():
        raise IndexError("a table lies before the beginning of the buffer")
    return at


def _only(values: npt.NDArray[Any]) -> int:
    if (values != values[0]).any():
        raise Irregular
    return int(values[0])


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Refuse with 400 what turns out to be malformed while it is read."""
    try:
        yield
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise Invalid(f"{what} cannot be decoded: {error}") from error


def root(buffer: bytes) -> Table:
    """Return the root table of a buffer."""
    return Table(buffer, _U32.unpack_from(buffer, 0)[0])


@dataclass(frozen=True, slots=True)
class Scalar:
    """A fixed-width value to write: ``kind`` is int64, uint64 or uint16."""

    kind: str
    value: int


@dataclass(frozen=True, slots=True)
class Record:
    """A table to write: its values in slot order."""

    values: "tuple[Value, ...]"


Value = str | bool | Scalar | Record | list[Record]


def record(*values: Value) -> Record:
    """Return a table to write, values in slot order."""
    return Record(values)


def encode(table: Record) -> bytes:
    """Return the finished buffer of a root table."""
    builder = flatbuffers.Builder(256)
    builder.Finish(_write(builder, table))
    return bytes(builder.Output())


def _write(builder: flatbuffers.Builder, table: Record) -> int:
    offsets = {
        slot: _reference(builder, value)
        for slot, value in enumerate(table.values)
        if isinstance(value, (str, Record, list))
    }
    builder.StartObject(len(table.values))
    for slot, value in enumerate(table.values):
        if slot in offsets:
            builder.PrependUOffsetTRelativeSlot(slot, offsets[slot], 0)
        elif isinstance(value, bool):
            builder.PrependBoolSlot(slot, value, 0)
        elif isinstance(value, Scalar):
            _SCALARS[value.kind](builder, slot, value.value, 0)
    return builder.EndObject()  # type: ignore[no-any-return]


def _reference(builder: flatbuffers.Builder, value: str | Record | list[Record]) -> int:
    if isinstance(value, str):
        return builder.CreateString(value)  # type: ignore[no-any-return]
    if isinstance(value, Record):
        return _write(builder, value)
    items = [_write(builder, item) for item in value]
    builder.StartVector(4, len(items), 4)
    for item in reversed(items):
        builder.PrependUOffsetTRelative(item)
    return builder.EndVector()  # type: ignore[no-any-return]


_SCALARS = {
    "int64": flatbuffers.Builder.PrependInt64Slot,
    "uint64": flatbuffers.Builder.PrependUint64Slot,
}
