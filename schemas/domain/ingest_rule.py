"""What a dropped object means, as an operator says it.

* A rule is for keys below a prefix of a bucket, or for those of them that a template matches; of
  several the one with the lowest priority number is used, and of these the oldest.
* It names a flow by id, or by a name from which an id follows, always the same; what the key says
  may be part of either. It may say how to create that flow when the first object of it appears.
* It lists the ways to find the time, to be tried in turn; a playlist is the last of them, because
  objects wait for it.
* An init segment is the one it names, or the latest in the directory of the fragments.
* It says what to do when the encoder restarts, and whether objects stay or move.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NewType
from uuid import NAMESPACE_URL, uuid5

from schemas.domain.errors import Invalid
from schemas.domain.identifiers import FlowId, parse_uuid
from schemas.domain.keys import KeyTemplate, filled, names_in
from schemas.domain.placing import Restart
from schemas.domain.timerange import NS_PER_S

RuleId = NewType("RuleId", str)

# What can be named beside the fields of the key template: the path up to the last slash.
DIRECTORY: Final = "directory"
YEAR_2000_NS: Final = 946_684_800 * NS_PER_S


class Way(StrEnum):
    """A way to find the time of an object."""

    METADATA = "metadata"
    KEY = "key"
    MEDIA = "media"
    PLAYLIST = "playlist"


class Keep(StrEnum):
    """Where objects are kept."""

    IN_PLACE = "in-place"
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class Target:
    """The flow objects belong to: `id` or `name`, texts with fields; `create` says how to make it.

    `create` is a flow without its id; without a source id, the source follows from the flow's.
    """

    id: str | None = None
    name: str | None = None
    create: Mapping[str, Any] | None = None

    def flow_id(self, found: Mapping[str, str]) -> FlowId:
        """The flow of an object whose key says `found`; raises Invalid when that is no UUID."""
        if self.name is not None:
            return FlowId(derived("flow", filled(self.name, found)))
        assert self.id is not None
        return FlowId(parse_uuid(filled(self.id, found).lower(), field="flow.id"))

    def document(self, flow_id: FlowId, found: Mapping[str, str]) -> dict[str, Any] | None:
        """The flow to create for an object whose key says `found`; None if none is to be."""
        if self.create is None:
            return None
        named = self.name if self.name is not None else flow_id
        source = {"source_id": derived("source", filled(named, found))}
        document: dict[str, Any] = {"id": flow_id, **source, **_filled(self.create, found)}
        return document


@dataclass(frozen=True, slots=True)
class IngestRule:
    """One rule; times in nanoseconds, an `origin_ns` of None stands for the first arrival.

    Raises:
        Invalid: from the constructor, naming the field, when it cannot be applied.
    """

    id: RuleId
    bucket: str
    flow: Target
    created: datetime
    label: str = ""
    enabled: bool = True
    priority: int = 100
    prefix: str = ""
    key: KeyTemplate | None = None
    init: str | None = None
    times: tuple[Way, ...] = (Way.METADATA, Way.KEY, Way.MEDIA)
    origin_ns: int | None = None
    sequence_duration_ns: int | None = None
    restart: Restart = Restart.CONTINUE
    tolerance_ns: int = 600 * NS_PER_S
    not_before_ns: int = YEAR_2000_NS
    ahead_ns: int = 86_400 * NS_PER_S
    check_media: bool = True
    keep: Keep = Keep.IN_PLACE

    def __post_init__(self) -> None:
        known = {DIRECTORY} | (self.key.fields if self.key else frozenset())
        if (self.flow.id is None) == (self.flow.name is None):
            raise Invalid("flow: one of id and name must be given", field="flow")
        for field, texts in (
            ("flow.id", [self.flow.id]),
            ("flow.name", [self.flow.name]),
            ("flow.create", _texts(self.flow.create)),
            ("init", [self.init]),
        ):
            for text in texts:
                if text is not None and (unknown := names_in(text) - known):
                    raise Invalid(
                        f"{field}: {text!r} names {{{min(unknown)}}}, and the key template has no "
                        "such field",
                        field=field,
                    )
        if self.flow.id is not None and not names_in(self.flow.id):
            parse_uuid(self.flow.id, field="flow.id")
        if not self.times or len(set(self.times)) != len(self.times):
            raise Invalid("times: must name at least one way, and none twice", field="times")
        if Way.PLAYLIST in self.times[:-1]:
            raise Invalid(
                "times: playlist must come last, since objects wait for theirs", field="times"
            )
        if "sequence" in known and self.sequence_duration_ns is None:
            raise Invalid(
                "sequence_duration: must be set, as the key template has a sequence number",
                field="sequence_duration",
            )

    def match(self, bucket: str, key: str) -> dict[str, str] | None:
        """What `key` says; None if the rule is not for it."""
        if not self.enabled or bucket != self.bucket or not key.startswith(self.prefix):
            return None
        rest = key[len(self.prefix) :]
        found = self.key.match(rest) if self.key else {}
        return None if found is None else {DIRECTORY: rest.rpartition("/")[0], **found}

    def covers(self, bucket: str, key: str) -> bool:
        """Whether `key` is below its prefix, so that it may be about objects of the rule."""
        return self.enabled and bucket == self.bucket and key.startswith(self.prefix)


def in_order(rules: Iterable[IngestRule]) -> list[IngestRule]:
    """`rules` as they are tried."""
    return sorted(rules, key=lambda rule: (rule.priority, rule.created, rule.id))


def derived(kind: str, name: str) -> str:
    """The id that follows from a name: a UUID (version 5) of `tams:{kind}:{name}`."""
    return str(uuid5(NAMESPACE_URL, f"tams:{kind}:{name}"))


def _filled(value: Any, found: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    match value:
        case str():
            return filled(value, found)
        case dict():
            return {name: _filled(inside, found) for name, inside in value.items()}
        case list():
            return [_filled(inside, found) for inside in value]
        case _:
            return value


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for inside in value.values():
                yield from _texts(inside)
        case list():
            for inside in value:
                yield from _texts(inside)
