"""What an HLS media playlist says of the segments it names (RFC 8216).

* Entries are found by the key their address leads to, seen from the playlist's own key; an address
  on another server leads nowhere.
* A date (`EXT-X-PROGRAM-DATE-TIME`) holds for its entry and is counted on from there, up to the
  next date or discontinuity.
* The entries around an entry are those it can be placed by: all of them in a playlist without
  dates, those without a discontinuity between in one with dates.
* Byte ranges are noted, and not understood. A master playlist has no entries.
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final
from urllib.parse import unquote, urlsplit

from schemas.domain.errors import Invalid
from schemas.domain.keys import Moment, parse_iso
from schemas.domain.timerange import NS_PER_S

# Entries before and after one that it is placed by, and how many of all others.
_NEAR: Final = 20
_FAR: Final = 50
_EXTINF: Final = re.compile(r"(\d+)(\.\d+)?\s*(,.*)?")


@dataclass(frozen=True, slots=True)
class Entry:
    """One segment of a playlist; `duration_ns` is None where it is rounded to seconds."""

    key: str
    offset_ns: int
    duration_ns: int | None
    date: Moment | None = None
    init_key: str | None = None
    byte_range: bool = False
    near: tuple[tuple[str, int], ...] = ()


def entries(text: str, own_key: str) -> dict[str, Entry]:
    """The entries of the playlist `text` that stands under `own_key`, by key.

    Raises:
        Invalid: when it is no playlist.
    """
    if not text.lstrip("\ufeff").startswith("#EXTM3U"):
        raise Invalid("it does not begin with #EXTM3U")
    runs = list(_runs(text.splitlines(), own_key))
    dated = any(entry.date is not None for run in runs for entry in run)
    groups = runs if dated else [[entry for run in runs for entry in run]]
    return {
        entry.key: replace(entry, near=_around(group, index))
        for group in groups
        for index, entry in enumerate(group)
    }


def _around(group: list[Entry], index: int) -> tuple[tuple[str, int], ...]:
    first, last = max(0, index - _NEAR), index + 1 + _NEAR
    others = group[:first] + group[last:]
    nearby = group[first:index] + group[index + 1 : last] + others[:: len(others) // _FAR + 1]
    return tuple((entry.key, entry.offset_ns) for entry in nearby)


def _runs(lines: list[str], own_key: str) -> Iterator[list[Entry]]:
    """Entries with no discontinuity between them."""
    run: list[Entry] = []
    offset, length, exact = 0, 0, False
    date: Moment | None = None
    init_key: str | None = None
    ranged = init_ranged = False
    for line in (each.strip() for each in lines):
        tag, _, value = line.partition(":")
        match tag:
            case "#EXTINF":
                length, exact = _length(value)
            case "#EXT-X-PROGRAM-DATE-TIME":
                date = parse_iso(value)
            case "#EXT-X-DISCONTINUITY":
                yield run
                run, date = [], None
            case "#EXT-X-BYTERANGE":
                ranged = True
            case "#EXT-X-MAP":
                uri = re.search(r'URI="([^"]*)"', value)
                init_key = _key(uri[1], own_key) if uri else None
                init_ranged = "BYTERANGE=" in value
            case _ if line and not line.startswith("#") and length:
                if (key := _key(line, own_key)) is not None:
                    duration = length if exact else None
                    broken = ranged or init_ranged
                    run.append(Entry(key, offset, duration, date, init_key, broken))
                offset += length
                if date is not None:
                    date = Moment(date.ns + length, date.precision_ns)
                length, ranged = 0, False
    yield run


def _length(value: str) -> tuple[int, bool]:
    """Nanoseconds of an `EXTINF`, and whether it is more exact than whole seconds."""
    match = _EXTINF.fullmatch(value)
    if match is None:
        raise Invalid(f"#EXTINF:{value} has no duration")
    return int(Decimal(match[1] + (match[2] or "")) * NS_PER_S), match[2] is not None


def _key(address: str, own_key: str) -> str | None:
    """The key that an address in the playlist leads to; None for another server's."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc or parts.path.startswith("/"):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(own_key), unquote(parts.path)))
    return None if path.startswith("..") else path
