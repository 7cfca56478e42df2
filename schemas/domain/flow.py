"""A flow: one encoding of a source, as a sequence of segments (schemas `flow-put`, `flow-get`).

* `document` is what the client put, whole; the store reads the few fields its rules need.
* What the store manages itself (times, the timerange, `collected_by`) is ignored on input.
* A flow that is read-only refuses every change to it and its segments.
* A flow shares the format of its source.
* A flow that links to a profile has its technical fields from there, and they cannot be changed
  one by one; an empty `profile_id` ends that, and leaves the flow the fields it has.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from schemas.domain.errors import BeingDeleted, Invalid, ReadOnly
from schemas.domain.identifiers import DeletionId, FlowId, ProfileId, SourceId
from schemas.domain.inflow import NOTHING_YET, Inflow
from schemas.domain.profile import TECHNICAL, Profile, technical
from schemas.domain.source import Source, Tags
from schemas.domain.timerange import NEVER, TimeRange

# Fields of `flow-common` that the store keeps apart from the document.
MANAGED: Final = frozenset(
    {
        "id",
        "created",
        "metadata_updated",
        "segments_updated",
        "metadata_version",
        "created_by",
        "updated_by",
        "timerange",
        "collected_by",
    }
)


@dataclass(frozen=True, slots=True)
class Member:
    """A flow or source that is part of a collection, and its part in it."""

    id: str
    role: str | None = None


@dataclass(frozen=True, slots=True)
class Encoding:
    """That there is a flow of a source, and whether it collects others."""

    flow_id: FlowId
    source_id: SourceId
    collects: bool


@dataclass(frozen=True, slots=True)
class Content:
    """What a flow holds: the hull of its segments and their number."""

    timerange: TimeRange = NEVER
    segments: int = 0


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow; `document` is its JSON without the fields the store manages.

    A flow with a `deletion` is going: nobody is shown it any more.
    """

    id: FlowId
    document: Mapping[str, Any]
    created: datetime
    created_by: str
    metadata_updated: datetime
    updated_by: str
    metadata_version: str
    segments_updated: datetime | None = None
    content: Content = Content()
    deletion: DeletionId | None = None
    inflow: Inflow = NOTHING_YET

    @property
    def source_id(self) -> SourceId:
        """The source it is an encoding of."""
        return SourceId(self.document["source_id"])

    @property
    def format(self) -> str:
        """Its content format, a URN."""
        return str(self.document["format"])

    @property
    def profile_id(self) -> ProfileId | None:
        """The profile its technical fields are from."""
        return self.document.get("profile_id")

    @property
    def container(self) -> str | None:
        """The MIME type of its media objects, needed before any can be stored."""
        return self.document.get("container")

    @property
    def label(self) -> str | None:
        """Its short name for people."""
        return self.document.get("label")

    @property
    def tags(self) -> Tags:
        """Its tags."""
        return self.document.get("tags") or {}

    @property
    def read_only(self) -> bool:
        """Whether it refuses changes."""
        return bool(self.document.get("read_only"))

    @property
    def status(self) -> str | None:
        """What its owner says of its content (schema `flow-common`)."""
        return self.document.get("status")

    @property
    def usual_interval_ms(self) -> int | None:
        """The usual time between arrivals of segments; None as long as nothing tells it."""
        declared = self.document.get("segment_duration")
        if declared is None:
            return self.inflow.usual_interval_ms(None)
        rate = int(declared["numerator"]), int(declared.get("denominator", 1))
        return self.inflow.usual_interval_ms(rate[0] * 1_000 // rate[1])

    @property
    def init_segments(self) -> bool:
        """Whether its media objects need an init segment each."""
        return bool((self.document.get("essence_parameters") or {}).get("init_segments"))

    @property
    def collection(self) -> tuple[Member, ...]:
        """The flows it collects, in order."""
        items = self.document.get("flow_collection") or ()
        return tuple(Member(item["id"], item.get("role")) for item in items)

    def field(self, name: str) -> Any:  # noqa: ANN401 - JSON
        """The value of a field; None when it is not set."""
        return self.document.get(name)

    def with_field(self, name: str, value: object) -> "Flow":
        """This flow with another value of a field; None takes the field away.

        Raises:
            Invalid: when the flow has that field from a profile, or cannot collect that.
            ReadOnly: when the flow refuses changes, to anything but `read_only`.
        """
        if name != "read_only":
            self.require_writable()
        if name in TECHNICAL and self.profile_id:
            raise Invalid(
                f"flow {self.id} has its {name} from profile {self.profile_id}: unlink it first, "
                'by putting the flow with "profile_id": ""',
                field=name,
            )
        if value is None and name not in self.document:
            return self
        document = {**self.document, name: value}
        if value is None:
            del document[name]
        changed = replace(self, document=document)
        changed.require_collectable()
        return changed

    def require_collectable(self) -> None:
        """Raises Invalid when the flow collects itself, or another one twice."""
        members = [member.id for member in self.collection]
        if self.id in members:
            raise Invalid(f"flow {self.id} cannot collect itself", field="flow_collection")
        twice = [each for each, times in Counter(members).items() if times > 1]
        if twice:
            raise Invalid(
                f"flow_collection names flows more than once: {', '.join(twice)}",
                field="flow_collection",
            )

    def require_writable(self) -> None:
        """Raises ReadOnly when the flow refuses changes."""
        if self.read_only:
            raise ReadOnly(f"flow {self.id} is read-only")

    def require_container(self) -> str:
        """Its container; raises Invalid when none is set."""
        if not self.container:
            raise Invalid(f"flow {self.id} has no container set", field="container")
        return self.container


def put(
    known: Flow | None,
    flow_id: FlowId,
    document: Mapping[str, Any],
    profile: Profile | None = None,
    *,
    by: str,
    version: str,
    now: datetime,
) -> Flow:
    """The flow after a PUT of `document`; `known` is what it was before, if it existed.

    `profile` is the one the document links to. `version` is its `metadata_version`, unless the
    client gives another than it has.

    Raises:
        Invalid: when the document names another flow, says nothing technical of a new one, or
            collects what it cannot.
        ReadOnly: when the flow refuses changes.
        BeingDeleted: when a flow of that name is not gone yet.
    """
    if document.get("id") not in {None, flow_id}:
        raise Invalid(f"id {document['id']} is not the flow of the path, {flow_id}", field="id")
    own = {name: value for name, value in document.items() if name not in MANAGED}
    kept = _with_technical(own, known, profile)
    given = document.get("metadata_version")
    if given and (known is None or given != known.metadata_version):
        version = given
    creator, updater = document.get("created_by"), document.get("updated_by") or by
    if known is not None and known.deletion is not None:
        raise BeingDeleted(f"flow {flow_id} is still being deleted; put it again a little later")
    if known is None:
        flow = Flow(flow_id, kept, now, creator or by, now, updater, version)
    else:
        known.require_writable()
        flow = replace(
            known,
            document=kept,
            created_by=creator or known.created_by,
            metadata_updated=now,
            updated_by=updater,
            metadata_version=version,
        )
    flow.require_collectable()
    return replace(flow, inflow=flow.inflow.under(flow.status, now))


def without_member(flow: Flow, member: FlowId, *, by: str, version: str, now: datetime) -> Flow:
    """`flow` once `member` is not there to be collected any more."""
    kept = [item for item in flow.document["flow_collection"] if item["id"] != member]
    return replace(
        flow,
        document={**flow.document, "flow_collection": kept},
        metadata_updated=now,
        updated_by=by,
        metadata_version=version,
    )


def require_source_fits(flow: Flow, source: Source) -> None:
    """Raises Invalid when `flow` cannot be an encoding of `source`."""
    if flow.format != source.format:
        raise Invalid(
            f"source {source.id} has format {source.format}, not {flow.format}", field="format"
        )


def _with_technical(
    document: Mapping[str, Any], known: Flow | None, profile: Profile | None
) -> Mapping[str, Any]:
    """`document` with the technical fields of its profile, or those it says to keep."""
    if profile is not None:
        return {**document, **profile.technical}
    own = {name: value for name, value in document.items() if name != "profile_id"}
    if technical(own):
        return own
    if known is None:
        raise Invalid("format must be set, or a profile_id", field="format")
    return {**own, **technical(known.document)}
