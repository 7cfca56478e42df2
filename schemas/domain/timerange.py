"""Timestamps and timeranges in integer time (TAMS 8.2, schemas `timestamp` and `timerange`).

* A timestamp is a whole number of nanoseconds; a float never holds media time.
* A bound of a timerange is a *cut*, a place between instants, counted in half-nanoseconds:
  the cut before instant `t` is `2t`, the cut after it is `2t + 1`. Inclusive and exclusive
  brackets thus fold into one integer, and two timeranges overlap exactly when
  `max(starts) < min(ends)`.
* "Never" (`()`) and "eternity" (`_`) are ordinary values, and every other text has one value.
* A text that cannot be meant is refused: an end before its start, and an instant with an
  exclusive marker, for which the specification wants inclusive ones.
"""

import re
from collections.abc import Iterable
from typing import Final

from schemas.domain.errors import Invalid
from schemas.domain.value import value

NS_PER_S: Final = 1_000_000_000

# Seconds are bounded as in the BBC's own library: 48 bits.
_MAX_SECONDS: Final = (1 << 48) - 1
_MAX_SECONDS_DIGITS: Final = 15
_BEGINNING: Final = -(1 << 100)
_END: Final = 1 << 100

_TIMESTAMP: Final = re.compile(r"(-)?(0|[1-9][0-9]*):(0|[1-9][0-9]{0,8})")
# The form nearly all timeranges have, [start_end), within the range of timestamps.
_USUAL: Final = re.compile(
    r"\[(0|[1-9][0-9]{0,13}):(0|[1-9][0-9]{0,8})_(0|[1-9][0-9]{0,13}):(0|[1-9][0-9]{0,8})\)"
)
_TIMERANGE: Final = re.compile(r"([\[(])?([-0-9:]+)?(_)?([-0-9:]+)?([\])])?")


def parse_timestamp(text: str) -> int:
    """The nanoseconds of `{sign?}{seconds}:{nanoseconds}`.

    Raises:
        Invalid: when `text` has another form or more than 48 bits of seconds.
    """
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise Invalid(f"{text!r} is not a timestamp of the form seconds:nanoseconds")
    sign, seconds, nanoseconds = match.groups()
    if len(seconds) > _MAX_SECONDS_DIGITS or int(seconds) > _MAX_SECONDS:
        raise Invalid(f"timestamp {text!r} is out of range: more than {_MAX_SECONDS} seconds")
    value = int(seconds) * NS_PER_S + int(nanoseconds)
    return -value if sign else value


def format_timestamp(ns: int) -> str:
    """`{sign?}{seconds}:{nanoseconds}` of a number of nanoseconds."""
    seconds, nanoseconds = divmod(abs(ns), NS_PER_S)
    return f"{'-' if ns < 0 else ''}{seconds}:{nanoseconds}"


@value(order=True)
class TimeRange:
    """The time between two cuts, `start` and `end`, in half-nanoseconds.

    Timeranges sort by start, then end. Every empty one equals `NEVER`.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.start >= self.end and (self.start, self.end) != (0, 0):
            object.__setattr__(self, "start", 0)
            object.__setattr__(self, "end", 0)

    @classmethod
    def parse(cls, text: str) -> "TimeRange":
        """The timerange that `text` means.

        Raises:
            Invalid: when `text` is no timerange, ends before it starts, or is an instant
                with an exclusive marker.
        """
        if usual := _USUAL.fullmatch(text):
            start_s, start_ns, end_s, end_ns = map(int, usual.groups())
            start, end = start_s * NS_PER_S + start_ns, end_s * NS_PER_S + end_ns
            if start < end:
                return cls(2 * start, 2 * end)
        match = _TIMERANGE.fullmatch(text)
        if match is None or text in {"", "[", "]", "(", ")"}:
            raise Invalid(f"{text!r} is not a timerange such as [0:0_10:0)")
        opening, first, separator, last, closing = match.groups()
        if not separator:
            return cls._without_separator(text, opening, first, last, closing)
        start = _BEGINNING if first is None else _cut(first, after=opening == "(")
        end = _END if last is None else _cut(last, after=closing != ")")
        if start < end:
            return cls(start, end)
        if first is not None and last is not None and _cut(first) == _cut(last):
            raise Invalid(f"timerange {text!r} is an instant, which cannot use ( or )")
        raise Invalid(f"timerange {text!r} ends before it starts")

    @classmethod
    def _without_separator(
        cls,
        text: str,
        opening: str | None,
        first: str | None,
        last: str | None,
        closing: str | None,
    ) -> "TimeRange":
        if first is None or last is not None:
            if text == "()":
                return NEVER
            raise Invalid(f"{text!r} is not a timerange such as [0:0_10:0)")
        instant = cls.instant(parse_timestamp(first))
        if opening == "(" or closing == ")":
            raise Invalid(f"timerange {text!r} is an instant, which cannot use ( or )")
        return instant

    @classmethod
    def half_open(cls, start_ns: int, end_ns: int) -> "TimeRange":
        """From `start_ns` up to, not including, `end_ns`: `[start_end)`."""
        return cls(2 * start_ns, 2 * end_ns)

    @classmethod
    def instant(cls, ns: int) -> "TimeRange":
        """The single moment `[ns]`."""
        return cls(2 * ns, 2 * ns + 1)

    @classmethod
    def hull(cls, ranges: Iterable["TimeRange"]) -> "TimeRange":
        """The smallest timerange that contains all of `ranges`; never, if all are empty."""
        filled = [r for r in ranges if r]
        if not filled:
            return NEVER
        return cls(min(r.start for r in filled), max(r.end for r in filled))

    def __bool__(self) -> bool:
        return self.start < self.end

    def __str__(self) -> str:
        if not self:
            return "()"
        if self == ETERNITY:
            return "_"
        if self.bounded and self.start % 2 == 0 and self.end == self.start + 1:
            return f"[{format_timestamp(self.start // 2)}]"
        opening = closing = first = last = ""
        if self.start != _BEGINNING:
            opening, first = "(" if self.start % 2 else "[", format_timestamp(self.start // 2)
        if self.end != _END:
            closing, last = "]" if self.end % 2 else ")", format_timestamp(self.end // 2)
        return f"{opening}{first}_{last}{closing}"

    @property
    def bounded(self) -> bool:
        """Whether it has both a beginning and an end."""
        return self.start != _BEGINNING and self.end != _END

    @property
    def start_ns(self) -> int:
        """The timestamp at its start, whether or not included."""
        return self.start // 2

    @property
    def end_ns(self) -> int:
        """The timestamp at its end, whether or not included."""
        return self.end // 2

    @property
    def duration_ns(self) -> int:
        """The time between its bounds, in nanoseconds; zero for an instant."""
        return self.end_ns - self.start_ns

    def overlaps(self, other: "TimeRange") -> bool:
        """Whether some moment is in both."""
        return max(self.start, other.start) < min(self.end, other.end)

    def contains(self, other: "TimeRange") -> bool:
        """Whether every moment of `other` is in this one too."""
        return not other or (self.start <= other.start and other.end <= self.end)

    def intersection(self, other: "TimeRange") -> "TimeRange":
        """The moments that are in both."""
        return TimeRange(max(self.start, other.start), min(self.end, other.end))

    def shifted(self, offset_ns: int) -> "TimeRange":
        """The same timerange, `offset_ns` later; an open bound stays open."""
        if not self:
            return NEVER
        return TimeRange(
            self.start if self.start == _BEGINNING else self.start + 2 * offset_ns,
            self.end if self.end == _END else self.end + 2 * offset_ns,
        )


NEVER: Final = TimeRange(0, 0)
ETERNITY: Final = TimeRange(_BEGINNING, _END)


def _cut(text: str, *, after: bool = False) -> int:
    return 2 * parse_timestamp(text) + after
