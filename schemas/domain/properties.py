"""Single properties of flows and sources, which can be read and changed on their own.

* Some that are not set have a value all the same; the others do not exist then.
* Taking away what is not there changes nothing, but a tag has to be there to be taken away.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self, TypeVar

from schemas.domain.errors import NotSet

_UNSET: Final[Mapping[str, Any]] = {"tags": {}, "read_only": False, "flow_collection": []}


class Described(Protocol):
    """A flow or a source."""

    @property
    def id(self) -> str:
        """Its name."""

    def field(self, name: str) -> Any:  # noqa: ANN401 - JSON
        """The value of a field; None when it is not set."""

    def with_field(self, name: str, value: Any) -> Self:  # noqa: ANN401
        """It with another value of a field; None takes the field away."""


T = TypeVar("T", bound=Described)


@dataclass(frozen=True, slots=True)
class Property:
    """A field."""

    name: str

    @property
    def path(self) -> str:
        """What messages call it."""
        return self.name

    def of(self, thing: Described) -> Any:  # noqa: ANN401 - JSON
        """Its value; raises NotSet when it has none."""
        value = thing.field(self.name)
        if value is not None:
            return value
        if self.name not in _UNSET:
            raise NotSet(f"{_called(thing)} exists, but has no {self.name}", field=self.path)
        return _UNSET[self.name]

    def put(self, thing: T, value: object) -> T:
        """`thing` with that value."""
        return thing.with_field(self.name, value)

    def without(self, thing: T) -> T:
        """`thing` without the field; itself when there is none."""
        return thing.with_field(self.name, None)


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag among the tags."""

    name: str

    @property
    def path(self) -> str:
        """What messages call it."""
        return f"{TAGS.name}.{self.name}"

    def of(self, thing: Described) -> Any:  # noqa: ANN401 - JSON
        """Its value; raises NotSet when there is no such tag."""
        tags = TAGS.of(thing)
        if self.name not in tags:
            raise NotSet(f"{_called(thing)} exists, but has no tag {self.name!r}", field=self.path)
        return tags[self.name]

    def put(self, thing: T, value: object) -> T:
        """`thing` with that value of the tag."""
        return TAGS.put(thing, {**TAGS.of(thing), self.name: value})

    def without(self, thing: T) -> T:
        """`thing` without the tag; raises NotSet when there is no such tag."""
        rest = {name: value for name, value in TAGS.of(thing).items() if name != self.name}
        changed = TAGS.put(thing, rest)
        self.of(thing)
        return changed


TAGS: Final = Property("tags")


def _called(thing: Described) -> str:
    return f"{type(thing).__name__.lower()} {thing.id}"
