"""Creating, replacing and listing flows.

* A flow brings its source into being; a later flow of that source must fit it.
* A flow may only collect flows that exist, and as the other flows of its source do.
* A flow may link to a profile that exists.
* A source that loses its last flow to another source vanishes.
* New flows, their sources and the flows they collect are claimed by name, so that two requests
  never make the same one twice, and none vanishes while another request relies on it. A flow that
  is replaced needs no name for that: its row is one that only one of two can change.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from schemas.domain import event, source
from schemas.domain import flow as flow_rules
from schemas.domain.changes import Changes
from schemas.domain.collections import NO_COLLECTIONS, Collections, require_agreement
from schemas.domain.errors import FlowNotFound, Invalid
from schemas.domain.flow import Flow
from schemas.domain.identifiers import FlowId, ProfileId, SourceId
from schemas.domain.profile import Profile
from schemas.domain.query import FlowQuery, Page, page_from, position
from schemas.domain.source import Source
from schemas.domain.timerange import TimeRange
from tasks.ports import Ports, Snapshot

# Filters of GET /flows that name a column; the others are looked up in the document.
_COLUMNS = frozenset({"source_id", "format", "status"})


def put(
    ports: Ports, flow_id: FlowId, document: Mapping[str, Any], *, by: str
) -> tuple[Flow, bool]:
    """Create or replace a flow; the flow, and whether it is new.

    Raises:
        Invalid: when the flow does not fit its source, or what it links to or collects does not
            exist.
        ReadOnly: when the flow exists and refuses changes.
        BeingDeleted: when a flow of that name is not gone yet.
    """
    version, now = ports.ids.new(), ports.clock.now()

    def decide(snapshot: Snapshot) -> tuple[Changes, tuple[Flow, bool]]:
        known = snapshot.flows([flow_id], going=True).get(flow_id)
        if known is not None and known.metadata_updated == now:  # an earlier attempt did commit
            return Changes(), (known, known.created == now)
        profile = _profile(snapshot, document.get("profile_id"))
        flow = flow_rules.put(known, flow_id, document, profile, by=by, version=version, now=now)
        return _changes(snapshot, known, flow), (flow, known is None)

    done = ports.metadata.transact(decide)
    ports.takers.discard(flow_id)
    return done


def change(ports: Ports, flow_id: FlowId, edit: Callable[[Flow], Flow], *, by: str) -> None:
    """Put what `edit` makes of a flow in its place, if that is another flow.

    Raises:
        FlowNotFound: when there is no such flow.
        Invalid: when the flow then collects what does not exist, or not as its source does.
        TamsError: whatever `edit` raises.
    """
    version, now = ports.ids.new(), ports.clock.now()

    def decide(snapshot: Snapshot) -> tuple[Changes, None]:
        known = existing(snapshot, flow_id)
        if known.metadata_version == version:  # an earlier attempt did commit
            return Changes(), None
        edited = edit(known)
        if edited is known:
            return Changes(), None
        flow = replace(edited, metadata_updated=now, updated_by=by, metadata_version=version)
        if flow.collection == known.collection:
            return Changes(replace=(flow,), told=(event.flow_updated(flow),)), None
        return _changes(snapshot, known, flow), None

    ports.metadata.transact(decide)
    ports.takers.discard(flow_id)


def find(ports: Ports, flow_id: FlowId) -> Flow:
    """A flow by itself; raises FlowNotFound when there is no such flow."""
    with ports.metadata.read() as snapshot:
        return existing(snapshot, flow_id)


def get(ports: Ports, flow_id: FlowId, within: TimeRange) -> tuple[Flow, TimeRange, Collections]:
    """A flow, the hull of its segments that overlap `within`, and who collects it.

    Raises:
        FlowNotFound: when there is no such flow.
    """
    with ports.metadata.read() as snapshot:
        flow = existing(snapshot, flow_id)
        whole = flow.content.timerange
        hull = whole if within.contains(whole) else snapshot.hull(flow_id, within)
        return flow, hull, collections_around(snapshot, flows=[flow_id])


def existing(snapshot: Snapshot, flow_id: FlowId) -> Flow:
    """The flow called `flow_id`; raises FlowNotFound when there is none."""
    flow = snapshot.flows([flow_id]).get(flow_id)
    if flow is None:
        raise FlowNotFound(f"flow {flow_id} does not exist")
    return flow


def listing(ports: Ports, query: FlowQuery) -> tuple[Page[Flow], Collections]:
    """The flows a query asks for, and who collects them."""
    with ports.metadata.read() as snapshot:
        columns = {name: value for name, value in query.equal.items() if name in _COLUMNS}
        all_collected = NO_COLLECTIONS if query.collected_by is None else collections(snapshot)
        found = snapshot.flows_in_order(query.listing, columns)
        wanted = (flow for flow in found if _matches(flow, query, all_collected))
        page = page_from(wanted, _ORDERS[query.listing.sort_by], query.listing)
        return page, collections_around(snapshot, flows=[flow.id for flow in page.items])


def collections_around(
    snapshot: Snapshot, *, flows: Iterable[FlowId] = (), sources: Collection[SourceId] = ()
) -> Collections:
    """Who collects these flows, and who and what these sources; right for no others."""
    encodings = snapshot.encodings(sources) if sources else []
    own = snapshot.flows([each.flow_id for each in encodings if each.collects])
    members = {FlowId(member.id) for flow in own.values() for member in flow.collection}
    source_of = {flow.id: flow.source_id for flow in snapshot.flows(members).values()}
    source_of |= {each.flow_id: each.source_id for each in encodings}
    collecting = snapshot.collecting({*flows, *(each.flow_id for each in encodings)})
    return Collections.derive((own | {flow.id: flow for flow in collecting}).values(), source_of)


def collections(snapshot: Snapshot) -> Collections:
    """Who collects whom, of all flows and sources."""
    collecting = snapshot.all_flows({"collects": True})
    members = {FlowId(member.id) for flow in collecting for member in flow.collection}
    known = snapshot.flows(members) if members else {}
    return Collections.derive(collecting, {flow.id: flow.source_id for flow in known.values()})


_ORDERS: Mapping[str, Callable[[Flow], tuple[int, int | str, str]]] = {
    "created": lambda flow: position(flow.created, flow.id),
    "metadata_updated": lambda flow: position(flow.metadata_updated, flow.id),
    "label": lambda flow: position(flow.label, flow.id),
}


def _profile(snapshot: Snapshot, profile_id: str | None) -> Profile | None:
    """The profile a document links to; an empty id links to none."""
    if not profile_id:
        return None
    profile = snapshot.profiles([ProfileId(profile_id)]).get(ProfileId(profile_id))
    if profile is None:
        raise Invalid(f"profile {profile_id} does not exist", field="profile_id")
    return profile


def _changes(snapshot: Snapshot, known: Flow | None, flow: Flow) -> Changes:
    """What it takes to have `flow` in the place of `known`, if it fits what it refers to."""
    if flow.collection:
        _require_collection_fits(snapshot, flow)
    known_source = snapshot.sources([flow.source_id]).get(flow.source_id)
    if known_source is not None:
        flow_rules.require_source_fits(flow, known_source)
    left = _left(snapshot, known) if known and known.source_id != flow.source_id else ()
    new = () if known_source else (_source_of(flow),)
    return Changes(
        add=(*new, *(() if known else (flow,))),
        replace=(flow,) if known else (),
        remove=left,
        claim=_claims(known, flow, new=bool(new), ended=bool(left)),
        told=(
            *map(event.source_created, new),
            event.flow_updated(flow) if known else event.flow_created(flow),
            *(_gone(snapshot, each, flow.metadata_updated) for each in left),
        ),
    )


def _claims(known: Flow | None, flow: Flow, *, new: bool, ended: bool) -> frozenset[str]:
    """The names to claim to put `flow` in the place of `known`.

    `new` is whether its source comes into being, `ended` whether the one it leaves vanishes.
    """
    names = {f"flow/{member.id}" for member in flow.collection}
    if flow.collection:  # flows of one source are to agree on what they collect
        names.add(source.name_of(flow.source_id))
    if known is None or known.source_id != flow.source_id:
        names.add(f"flow/{flow.id}")
        joined = source.name_of(flow.source_id) if new else source.part_for(flow.id, flow.source_id)
        names.add(joined)
    if known is not None and known.source_id != flow.source_id:
        names.add(source.name_of(known.source_id))
        names |= source.parts_of(known.source_id) if ended else set()
    return frozenset(names)


def _require_collection_fits(snapshot: Snapshot, flow: Flow) -> None:
    """Raises Invalid when `flow` collects what does not exist, or not as its source does."""
    collecting = snapshot.all_flows({"source_id": flow.source_id, "collects": True})
    others = [other for other in collecting if other.id != flow.id]
    members = {FlowId(member.id) for each in (flow, *others) for member in each.collection}
    source_of = {each.id: each.source_id for each in snapshot.flows(members).values()}
    missing = {member.id for member in flow.collection} - source_of.keys()
    if missing:
        raise Invalid(
            f"flow_collection names flows that do not exist: {_listed(missing)}",
            field="flow_collection",
        )
    require_agreement(flow, others, source_of | {flow.id: flow.source_id})


def _left(snapshot: Snapshot, flow: Flow) -> tuple[Source, ...]:
    """The source that `flow` leaves, if no other flow is of it."""
    if len(snapshot.encodings([flow.source_id])) > 1:
        return ()
    return tuple(snapshot.sources([flow.source_id]).values())


def _gone(snapshot: Snapshot, gone: Source, now: datetime) -> event.Happening:
    collected = collections_around(snapshot, sources=[gone.id])
    return event.source_deleted(gone.id, collected.of(None, gone.id), now)


def _source_of(flow: Flow) -> Source:
    return Source(
        flow.source_id,
        flow.format,
        created=flow.metadata_updated,
        created_by=flow.updated_by,
        updated=flow.metadata_updated,
        updated_by=flow.updated_by,
        label=flow.label,
        description=flow.document.get("description"),
    )


def _matches(flow: Flow, query: FlowQuery, collected: Collections) -> bool:
    return (
        all(_value(flow, name) == value for name, value in query.equal.items())
        and query.tags(flow.tags)
        and _has_content(flow, query.timerange)
        and is_collected_by(collected.flows_collected_by.get(flow.id, ()), query.collected_by)
    )


def is_collected_by(collectors: Iterable[str], wanted: frozenset[str] | None) -> bool:
    """Whether `collectors` pass the filter `collected_by_ids`; empty wants there to be none."""
    if wanted is None:
        return True
    return bool(wanted & set(collectors)) if wanted else not set(collectors)


def _has_content(flow: Flow, timerange: TimeRange | None) -> bool:
    if timerange is None:
        return True
    content = flow.content.timerange
    return content.overlaps(timerange) if timerange else not content


def _value(flow: Flow, name: str) -> object:
    """The value a filter compares; those of the essence parameters have a default."""
    essence = flow.document.get("essence_parameters") or {}
    if name == "init_segments":
        return flow.init_segments
    if name in {"frame_width", "frame_height"}:
        return essence.get(name)
    return flow.document.get(name)


def _listed(ids: Iterable[str]) -> str:
    return ", ".join(sorted(ids))
