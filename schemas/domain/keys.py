"""Key templates: what the key of a dropped object says, in one line.

* `{camera}/{start:ms}_{duration:ms}.ts` is text with fields. A field matches one or more characters
  other than `/`, as few as do; what comes after the colon says how a time is written.
* `start`, `end` and `duration` are times: decimal numbers of `s`, `ms`, `us` or `ns`; but for a
  duration also `iso` (ISO 8601, basic or extended) and `tai` (`seconds:nanoseconds`), since 1970.
* `flow` is a UUID, `sequence` a whole number. Any other name is the template's own.
* `{*}` matches anything within a part of the path, `{**}` anything at all.
* UTC is counted as POSIX does: every day has 86 400 seconds, and a leap second (`:60`) is the
  second after it. A time without a zone is UTC. TAI, 37 s ahead of UTC, is taken as it stands.
* A time is as precise as it is written.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from string import Formatter
from typing import Final

from schemas.domain.errors import Invalid
from schemas.domain.identifiers import UUID_PATTERN
from schemas.domain.timerange import NS_PER_S, parse_timestamp

UNITS: Final[Mapping[str, int]] = {"s": NS_PER_S, "ms": 1_000_000, "us": 1_000, "ns": 1}
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_ISO: Final = (
    r"(?P<year>\d{4})[-/_]?(?P<month>\d\d)[-/_]?(?P<day>\d\d)[Tt_/ -]?"
    r"(?P<hour>\d\d)[:/_-]?(?P<minute>\d\d)[:/_-]?(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?"
    r"(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?)?"
)
_NUMBER: Final = r"\d{1,30}(?:\.\d{1,9})?"
_WRITTEN: Final[Mapping[str, str]] = {
    **dict.fromkeys(UNITS, _NUMBER),
    "iso": re.sub(r"\?P<\w+>", "?:", _ISO),
    "tai": r"\d{1,15}:\d{1,9}",
}
_TIMES: Final[Mapping[str, Collection[str]]] = {
    "start": _WRITTEN,
    "end": _WRITTEN,
    "duration": UNITS,
}
_SHAPES: Final = {"flow": f"(?i:{UUID_PATTERN})", "sequence": r"\d{1,18}"}
_ANYTHING: Final = {"*": r"[^/]*?", "**": r".*?"}
_LEAP_SECOND: Final = 60


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as it was written: nanoseconds, and how far apart neighbouring times would be."""

    ns: int
    precision_ns: int


@dataclass(frozen=True, slots=True)
class KeyTemplate:
    """How keys say things; see the module.

    Raises:
        Invalid: from the constructor, when `text` is no such template.
    """

    text: str

    def __post_init__(self) -> None:
        _compiled(self.text)

    @property
    def fields(self) -> frozenset[str]:
        """The names of its fields."""
        return frozenset(_compiled(self.text)[1])

    def match(self, key: str) -> dict[str, str] | None:
        """What the fields are in `key`; None when it is not of this form."""
        regex, specs = _compiled(self.text)
        found = regex.fullmatch(key)
        return None if found is None else {name: found[f"_{name}"] for name in specs}

    def moment(self, found: Mapping[str, str], name: str) -> Moment | None:
        """The time called `name` among the fields found; None when the template has none.

        Raises:
            Invalid: when it is no time of the calendar.
        """
        spec = _compiled(self.text)[1].get(name)
        return None if spec is None else parse_moment(found[name], spec)


def parse_moment(text: str, spec: str) -> Moment:
    """The time that `text` is, written as `spec` says: a unit, `iso`, or `tai`.

    Raises:
        Invalid: when it is none.
    """
    if spec == "tai":
        return Moment(parse_timestamp(text), 1)
    if spec == "iso":
        return parse_iso(text)
    unit, fraction = UNITS[spec], text.partition(".")[2]
    return Moment(int(Decimal(text) * unit), max(1, unit // 10 ** len(fraction)))


def parse_iso(text: str) -> Moment:
    """The time of an ISO 8601 text, as nanoseconds since 1970; UTC if it names no zone.

    Raises:
        Invalid: when it is no time of the calendar.
    """
    match = re.fullmatch(_ISO, text)
    if match is None:
        raise Invalid(f"{text!r} is not an ISO 8601 time such as 2026-11-25T19:29:13Z")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    leap = second == _LEAP_SECOND
    try:
        whole = datetime(year, month, day, hour, minute, second - leap, tzinfo=UTC)
    except ValueError as error:
        raise Invalid(f"{text!r} is no time of the calendar: {error}") from error
    fraction = match["fraction"] or ""
    seconds = (whole - EPOCH) // timedelta(seconds=1) + leap - _zone_s(match["zone"])
    return Moment(seconds * NS_PER_S + int(fraction.ljust(9, "0")), NS_PER_S // 10 ** len(fraction))


def since_epoch_ns(moment: datetime) -> int:
    """A moment of the wall clock as nanoseconds since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1) * 1_000


def filled(text: str, found: Mapping[str, str]) -> str:
    """`text` with every `{name}` in it replaced; `{{` is a brace.

    Raises:
        Invalid: when it names a field that was not found, or cannot be read.
    """
    parts = []
    for literal, name, _ in _parsed(text):
        parts.append(literal)
        if name is not None:
            if name not in found:
                raise Invalid(f"{text!r} names {{{name}}}, which the key does not say")
            parts.append(found[name])
    return "".join(parts)


def names_in(text: str) -> set[str]:
    """The fields that `text` names; raises Invalid when it cannot be read."""
    return {name for _, name, _ in _parsed(text) if name is not None}


def order_of(key: str) -> tuple[str, tuple[int, ...]]:
    """How `key` stands among others of its series: the text around its numbers, and these.

    Keys with the same text around their numbers are of one series, in the order of the numbers.
    """
    numbers = re.findall(r"\d+", key)
    return re.sub(r"\d+", "#", key), tuple(int(number) for number in numbers)


def _zone_s(zone: str | None) -> int:
    """How many seconds a zone is ahead of UTC."""
    if zone is None or zone in "Zz":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3_600 + int(digits[2:]) * 60
    return -seconds if zone[0] == "-" else seconds


def _parsed(text: str) -> Iterator[tuple[str, str | None, str]]:
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise Invalid(f"{text!r} has a brace without its partner: {error}") from error
    for literal, name, spec, conversion in parts:
        if conversion:
            raise Invalid(f"{text!r} has a field with '!', which means nothing here")
        yield literal, name, spec or ""


@lru_cache(maxsize=1_024)
def _compiled(text: str) -> tuple[re.Pattern[str], Mapping[str, str]]:
    regex, specs = "", {}
    for literal, name, spec in _parsed(text):
        regex += re.escape(literal)
        if name is None:
            continue
        if name in _ANYTHING and not spec:
            regex += _ANYTHING[name]
            continue
        if not name.isidentifier():
            raise Invalid(f"{text!r} has a field without a proper name: {{{name}}}")
        if name in specs:
            raise Invalid(f"{text!r} has the field {{{name}}} twice")
        regex += f"(?P<_{name}>{_shape(text, name, spec)})"
        specs[name] = spec
    if {"end", "duration"} <= specs.keys():
        raise Invalid(f"{text!r} has both an end and a duration")
    if "start" in specs and "sequence" in specs:
        raise Invalid(f"{text!r} has both a start and a sequence number")
    if "start" not in specs and {"end", "duration"} & specs.keys():
        raise Invalid(f"{text!r} has an end or a duration and no start")
    return re.compile(regex, re.DOTALL), specs


def _shape(text: str, name: str, spec: str) -> str:
    """The regular expression of a field."""
    if name in _TIMES:
        if spec not in _TIMES[name]:
            known = ", ".join(_TIMES[name])
            raise Invalid(f"{text!r} does not say how {name} is written: one of {known}")
        return _WRITTEN[spec]
    if spec:
        raise Invalid(f"{text!r} says {spec!r} of {name}, which is no time")
    return _SHAPES.get(name, r"[^/]+?")
