"""What kind of file of the MP4 family something is, by its outermost boxes.

* An init segment describes the media of fragments (`moov`) and holds none; a fragment holds media
  (`moof`) that cannot be read without it.
* Only the headers of boxes are read.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

from schemas.domain.ingest import Shape

_BEGINS: Final = {b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"prft", b"emsg", b"free"}
_HEADER: Final = 8
_LARGE: Final = 16
_MOST: Final = 64


def shape(file: BinaryIO) -> Shape:
    """What `file` is; it is at its beginning afterwards."""
    found = set()
    for name in _boxes(file):
        found.add(name)
        if b"moof" in found or b"mdat" in found:
            break
    file.seek(0)
    if b"moof" in found:
        return Shape.FRAGMENTED if b"moov" in found else Shape.FRAGMENT
    return Shape.INIT if b"moov" in found and b"mdat" not in found else Shape.WHOLE


def _boxes(file: BinaryIO) -> Iterator[bytes]:
    position = 0
    for count in range(_MOST):
        file.seek(position)
        header = file.read(_LARGE)
        if len(header) < _HEADER:
            return
        size, name = struct.unpack_from(">I4s", header)
        if count == 0 and name not in _BEGINS:
            return
        yield name
        if size == 1 and len(header) == _LARGE:
            (size,) = struct.unpack_from(">Q", header, _HEADER)
        if size < _HEADER:
            return
        position += size
