"""Fields of requests: texts, numbers and lists as TAMS writes them.

* JSON types are taken at their word: a number in quotes is not a number.
* In a query string everything is text, and a list is separated by commas.
* A field of a kind of its own has its schema in `documented`, for the OpenAPI document.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar

from marshmallow import ValidationError, fields, validate

from schemas.domain.errors import Invalid
from schemas.domain.identifiers import UUID_PATTERN
from schemas.domain.query import TagFilter
from schemas.domain.timerange import TimeRange, parse_timestamp

T = TypeVar("T")

_NAME = r"[0-9A-Za-z!#$%&'*+.^_`|~-]+"
_NOT_MIME = "{input!r} is not a MIME type such as video/mp2t"
MIME_TYPE = validate.Regexp(
    r"^(application|audio|font|example|image|message|model|multipart|text|video|x-(?:"
    rf"{_NAME}))/({_NAME})\Z",
    error=_NOT_MIME,
)
MIME_LIKE = validate.Regexp(r"^[^\s/]+/[^\s/]+\Z", error=_NOT_MIME)
UUID = validate.Regexp(rf"^{UUID_PATTERN}\Z", error="{input!r} is not a UUID in lower case")
WEB_URL = validate.Regexp(
    r"^https?://[^\s/?#]+[^\s]*\Z", error="{input!r} is not an http or https URL"
)
FORMATS = (
    "urn:x-nmos:format:video",
    "urn:x-tam:format:image",
    "urn:x-nmos:format:audio",
    "urn:x-nmos:format:data",
    "urn:x-nmos:format:multi",
)
FORMAT = validate.OneOf(FORMATS, error="{input!r} is not one of {choices}")


_TIMESTAMP = "-?(0|[1-9][0-9]*):(0|[1-9][0-9]{0,8})"


class TimeRangeField(fields.Field[TimeRange]):
    """A timerange text (schema `timerange`)."""

    documented: ClassVar[Mapping[str, Any]] = {
        "type": "string",
        "pattern": rf"^(\(\)|[\[(]?({_TIMESTAMP}(_({_TIMESTAMP})?)?|_({_TIMESTAMP})?)[\])]?)$",
    }

    def _serialize(
        self, value: TimeRange | None, attr: str | None, obj: object, **_: Any
    ) -> str | None:
        return None if value is None else str(value)

    def _deserialize(self, value: object, attr: str | None, data: object, **_: Any) -> TimeRange:
        return _parsed(TimeRange.parse, value)


class TimestampField(fields.Field[int]):
    """A timestamp text (schema `timestamp`), as nanoseconds."""

    documented: ClassVar[Mapping[str, Any]] = {"type": "string", "pattern": f"^{_TIMESTAMP}$"}

    def _deserialize(self, value: object, attr: str | None, data: object, **_: Any) -> int:
        return _parsed(parse_timestamp, value)


class MomentField(fields.AwareDateTime):
    """A moment as RFC 3339 writes it, its zone included."""

    documented: ClassVar[Mapping[str, Any]] = {"type": "string", "format": "date-time"}

    def _deserialize(self, value: object, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        if not isinstance(value, str):
            raise ValidationError("Not a text.")
        try:
            return super()._deserialize(value, attr, data, **kwargs).astimezone(UTC)
        except OverflowError as error:
            raise ValidationError("Out of range: the years are 1 to 9999.") from error


class StrictInteger(fields.Integer):
    """A JSON number without a fraction, within 64 bits."""

    def _deserialize(self, value: object, attr: str | None, data: Any, **kwargs: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValidationError("Not an integer.")
        if not -(1 << 63) <= value < 1 << 63:
            raise ValidationError("Out of range: an integer has 64 bits.")
        return value


class StrictBoolean(fields.Boolean):
    """A JSON `true` or `false`."""

    def _deserialize(self, value: object, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("Not true or false.")
        return value


class QueryBoolean(fields.Boolean):
    """`true` or `false` in a query string."""

    truthy = {"true"}  # noqa: RUF012 - as marshmallow declares them
    falsy = {"false"}  # noqa: RUF012


class QueryInteger(fields.Integer):
    """A whole number in a query string, within 64 bits."""

    def _deserialize(self, value: object, attr: str | None, data: Any, **kwargs: Any) -> int:
        text = str(value)
        if re.fullmatch("-?[0-9]{1,20}", text) is None:
            raise ValidationError("Not an integer.")
        if not -(1 << 63) <= int(text) < 1 << 63:
            raise ValidationError("Out of range: an integer has 64 bits.")
        return int(text)


class PageLimit(QueryInteger):
    """How many items of a list make a page."""


class TagField(fields.Field[Any]):
    """The value of a tag: a text, or a list of texts."""

    documented: ClassVar[Mapping[str, Any]] = {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
    }

    def _deserialize(self, value: object, attr: str | None, data: object, **_: Any) -> Any:
        if not _is_tag(value):
            raise ValidationError("Neither a text nor a list of texts.")
        return value


class TagsField(fields.Field[Mapping[str, Any]]):
    """Tags by name (schema `tags`)."""

    documented: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": TagField.documented,
    }

    def _deserialize(self, value: object, attr: str | None, data: object, **_: Any) -> Any:
        if not isinstance(value, dict):
            raise ValidationError("Not an object of tags.")
        for name, tag in value.items():
            if not _is_tag(tag):
                raise ValidationError(f"Tag {name!r} is neither a text nor a list of texts.")
        return value


class CommaList(fields.Field[frozenset[str]]):
    """Texts separated by commas in a query string; an empty text is an empty set."""

    def __init__(self, each: str = "[^,]+", **kwargs: Any) -> None:
        """`each` is the form of an item, a regular expression."""
        super().__init__(**kwargs)
        self.documented = {"type": "string", "pattern": f"^({each}(,{each})*)?$"}

    def _deserialize(
        self,
        value: object,
        attr: str | None,
        data: object,
        **_: Any,
    ) -> frozenset[str]:
        text = str(value)
        if re.fullmatch(self.documented["pattern"], text) is None:
            raise ValidationError(
                f"{text!r} is not a list of the form {self.documented['pattern']}"
            )
        return frozenset(text.split(",")) if text else frozenset()


def tag_filter(query: Mapping[str, Any], prefix: str) -> TagFilter:
    """The filters `{prefix}.{name}` and `{prefix}_exists.{name}` of a query string.

    Raises:
        ValidationError: when a value is not of the form the specification gives it.
    """
    values, exists = {}, {}
    for parameter, text in query.items():
        kind, dot, name = parameter.partition(".")
        try:
            if dot and kind == prefix:
                values[name] = CommaList().deserialize(text)
            elif dot and kind == f"{prefix}_exists":
                exists[name] = bool(QueryBoolean().deserialize(text))
        except ValidationError as error:
            raise ValidationError({parameter: error.messages}) from error
    return TagFilter(values, exists)


def time_text(moment: datetime) -> str:
    """A moment as RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _is_tag(value: object) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(item, str) for item in value)
    )


def _parsed(parse: Callable[[str], T], value: object) -> T:
    if not isinstance(value, str):
        raise ValidationError("Not a text.")
    try:
        return parse(value)
    except Invalid as error:
        raise ValidationError(str(error)) from error
