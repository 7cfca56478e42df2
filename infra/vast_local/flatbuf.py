"""Flatbuffers without generated classes: tables are read and written by slot number.

* Reading is lazy and copies only what is asked for; ``reading`` around it turns what a
  malformed buffer provokes into a 400.
* Writing takes a table as a list of ``(slot, value)`` and builds it depth first.
* Slot numbers count from 0 in the order of the schema, unions take two (type, value).
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from struct import Struct

import flatbuffers

from infra.vast_local.errors import Invalid

_U8, _U16, _U32, _I32 = Struct("<B"), Struct("<H"), Struct("<I"), Struct("<i")


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
        start = at + _U32.unpack_from(self._buffer, at)[0]
        length = _U32.unpack_from(self._buffer, start)[0]
        return self._buffer[start + 4 : start + 4 + length]

    def text(self, slot: int) -> str:
        """Return a string, empty when absent."""
        return self.blob(slot).decode()

    def table(self, slot: int) -> "Table":
        """Return the table a slot points at; ``IndexError`` when absent."""
        at = self._at(slot)
        if not at:
            raise IndexError(f"slot {slot} is empty")
        return Table(self._buffer, at + _U32.unpack_from(self._buffer, at)[0])

    def tables(self, slot: int) -> "list[Table]":
        """Return a vector of tables, empty when absent."""
        at = self._at(slot)
        if not at:
            return []
        start = at + _U32.unpack_from(self._buffer, at)[0]
        length = _U32.unpack_from(self._buffer, start)[0]
        if start + 4 + 4 * length > len(self._buffer):
            raise IndexError("a vector runs past the end of the buffer")
        places = range(start + 4, start + 4 + 4 * length, 4)
        return [Table(self._buffer, at + _U32.unpack_from(self._buffer, at)[0]) for at in places]

    def _at(self, slot: int) -> int:
        entry = 4 + 2 * slot
        if entry >= self._size:
            return 0
        offset: int = _U16.unpack_from(self._buffer, self._vtable + entry)[0]
        return offset and self._position + offset


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
