"""A part of a message, and what can be read of it.

* Whatever is not as it should be raises `Invalid` naming where it stands.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote_plus

from schemas.domain.errors import Invalid

_LONGEST_KEY: Final = 1_024  # bytes, as S3 has it
_SEPARATOR: Final = re.compile(r"[/\\]")
_NO_NAMES: Final = frozenset({".", ".."})  # stores refuse paths with such parts
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Part:
    """An object of JSON; `path` is where in the message it stands."""

    fields: Mapping[str, Any]
    path: str = ""

    @classmethod
    def of(cls, value: object, path: str = "") -> "Part":
        """`value` as a part."""
        if not isinstance(value, Mapping):
            raise Invalid(f"{path or 'the message'} is not an object", field=path or None)
        return cls(value, path)

    def at(self, name: str) -> str:
        """Where the field `name` stands."""
        return f"{self.path}.{name}" if self.path else name

    def within(self, name: str) -> "Part":
        """The object under `name`; an empty one if there is none."""
        value = self.fields.get(name)
        return Part.of({} if value is None else value, self.at(name))

    def several(self, name: str) -> "list[Part]":
        """The list of objects under `name`; an empty one if there is none."""
        return parts(self.fields.get(name), self.at(name))

    def text(self, name: str) -> str:
        """The text under `name`, which must be there."""
        value = self.maybe_text(name)
        if value is None:
            raise self.fault(name, "is missing")
        return value

    def maybe_text(self, name: str) -> str | None:
        """The text under `name`; an empty one is as good as none."""
        value = self.fields.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise self.fault(name, "is not a text")
        return value

    def count(self, name: str) -> int | None:
        """The whole number under `name`, which may be written as text."""
        value = self.fields.get(name)
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:  # noqa: PLR2004 - digits of a 64-bit number
            value = int(value)
        if value is None or value == "":
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.fault(name, f"is not a count: {value!r:.100}")
        return value

    def time(self, name: str) -> datetime | None:
        """The time under `name`, written as in ISO 8601; without a zone it is UTC."""
        text = self.maybe_text(name)
        if text is None:
            return None
        try:
            time = datetime.fromisoformat(text)
        except ValueError as error:
            raise self.fault(name, f"is not a time: {text!r:.100}") from error
        return time if time.tzinfo else time.replace(tzinfo=UTC)

    def version(self, name: str) -> str | None:
        """The version under `name`; S3 calls the one of an unversioned bucket `null`."""
        version = self.maybe_text(name)
        return None if version == "null" else version

    def fault(self, name: str, what: str) -> Invalid:
        """An error about the field `name`."""
        return Invalid(f"{self.at(name)} {what}", field=self.at(name))


def parts(value: object, path: str) -> list[Part]:
    """The objects in the list `value`; none if it is None."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Invalid(f"{path} is not a list", field=path)
    return [Part.of(item, f"{path}[{at}]") for at, item in enumerate(value)]


def checked_key(key: str) -> str:
    """`key`, if an object can have it."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise Invalid(f"the key {key!r:.100} is not Unicode", field="key") from error
    if not 0 < size <= _LONGEST_KEY:
        raise Invalid(f"the key has {size} bytes; 1 to {_LONGEST_KEY} are possible", field="key")
    if "\0" in key or not _NO_NAMES.isdisjoint(_SEPARATOR.split(key)):
        raise Invalid(f"no object can be asked for by the key {key!r}", field="key")
    return key


def decoded_key(key: str) -> str:
    """`key` as it was before it was form-url-encoded."""
    try:
        return checked_key(unquote_plus(key, errors="strict"))
    except UnicodeDecodeError as error:
        raise Invalid(f"the key {key!r:.100} is not encoded UTF-8", field="key") from error


def time_of_ns(ns: int) -> datetime | None:
    """`ns` nanoseconds after 1970, to the microsecond; None for 0."""
    if not ns:
        return None
    try:
        return _EPOCH + timedelta(microseconds=ns // 1_000)
    except OverflowError as error:
        raise Invalid(f"no time is {ns} ns after 1970") from error
