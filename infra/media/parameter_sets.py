"""The parameter sets of H.264 and H.265: what a decoder must see before the first picture.

* MP4 keeps them apart from the pictures (`avcC`, `hvcC`); MPEG-TS and most other streams
  repeat them in front of the pictures. A segment must start with them to play by itself.
* H.264 and H.265 data here is in the form of Annex B: units, each behind a start code.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_START_CODE: Final = b"\x00\x00\x01"
_LONG_START_CODE: Final = b"\x00\x00\x00\x01"
_H264_SPS: Final = 7
_H264_DELIMITER: Final = 9
_HEVC_SPS: Final = 33
_HEVC_DELIMITER: Final = 35
_SPS_WITH_PROFILE_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class AvcProfile:
    """The three bytes that name an H.264 stream's profile, constraints and level."""

    profile: int
    flags: int
    level: int


def is_out_of_band(extradata: bytes | None) -> bool:
    """Whether `extradata` is an MP4 configuration record rather than Annex B units."""
    return bool(extradata) and not (extradata or b"").startswith((_START_CODE, _LONG_START_CODE))


def avc_profile(extradata: bytes | None) -> AvcProfile | None:
    """The profile in an `avcC` record, or in the first SPS of Annex B units."""
    if not extradata:
        return None
    sets = _avcc_sets(extradata) if is_out_of_band(extradata) else units(extradata)
    for unit in sets:
        if unit[0] & 0x1F == _H264_SPS and len(unit) >= _SPS_WITH_PROFILE_BYTES:
            return AvcProfile(profile=unit[1], flags=unit[2], level=unit[3])
    return None


def annex_b_sets(codec: str, extradata: bytes | None) -> bytes:
    """The parameter sets in `extradata` as Annex B units; empty when there are none."""
    if not extradata:
        return b""
    if not is_out_of_band(extradata):
        return extradata
    sets = _avcc_sets(extradata) if codec == "h264" else _hvcc_sets(extradata)
    return b"".join(_LONG_START_CODE + unit for unit in sets)


def with_sets(codec: str, picture: bytes, sets: bytes) -> bytes:
    """`picture` with `sets` in front of it, unless it brings parameter sets of its own.

    They go behind an access unit delimiter, which must come first.
    """
    sps, delimiter = _unit_types(codec)
    kinds = [_unit_type(codec, unit) for unit in units(picture)]
    if not sets or sps in kinds:
        return picture
    if kinds and kinds[0] == delimiter:
        end = picture.find(_START_CODE, len(_LONG_START_CODE))
        if end > 0:
            end -= picture[end - 1] == 0
            return picture[:end] + sets + picture[end:]
    return sets + picture


def units(data: bytes) -> Iterator[bytes]:
    """The units in Annex B `data`, without their start codes."""
    start = data.find(_START_CODE)
    while start >= 0:
        start += len(_START_CODE)
        end = data.find(_START_CODE, start)
        unit = data[start : end if end >= 0 else len(data)]
        if end >= 0:
            unit = unit.rstrip(b"\x00")
        if unit:
            yield unit
        start = end


def _unit_types(codec: str) -> tuple[int, int]:
    return (_H264_SPS, _H264_DELIMITER) if codec == "h264" else (_HEVC_SPS, _HEVC_DELIMITER)


def _unit_type(codec: str, unit: bytes) -> int:
    return unit[0] & 0x1F if codec == "h264" else unit[0] >> 1 & 0x3F


def _avcc_sets(record: bytes) -> list[bytes]:
    """The SPS and PPS of an `avcC` record (ISO/IEC 14496-15, 5.3.3.1)."""
    sets, position = [], 5
    for mask in (0x1F, 0xFF):
        for _ in range(_byte(record, position) & mask):
            size = int.from_bytes(record[position + 1 : position + 3], "big")
            sets.append(record[position + 3 : position + 3 + size])
            position += 2 + size
        position += 1
    return [s for s in sets if s]


def _hvcc_sets(record: bytes) -> list[bytes]:
    """The VPS, SPS and PPS of an `hvcC` record (ISO/IEC 14496-15, 8.3.3.1)."""
    sets, position = [], 23
    for _ in range(_byte(record, 22)):
        count = int.from_bytes(record[position + 1 : position + 3], "big")
        position += 3
        for _ in range(count):
            size = int.from_bytes(record[position : position + 2], "big")
            sets.append(record[position + 2 : position + 2 + size])
            position += 2 + size
    return [s for s in sets if s]


def _byte(record: bytes, position: int) -> int:
    return record[position] if position < len(record) else 0
