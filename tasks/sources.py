"""Reading sources and describing them; they are made by their flows."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from schemas.domain import event
from schemas.domain.changes import Changes
from schemas.domain.collections import NO_COLLECTIONS, Collections
from schemas.domain.errors import SourceNotFound
from schemas.domain.identifiers import SourceId
from schemas.domain.query import Page, SourceQuery, page_from, position
from schemas.domain.source import Source
from tasks.flows import collections, collections_around, is_collected_by
from tasks.ports import Ports, Snapshot


def get(ports: Ports, source_id: SourceId) -> tuple[Source, Collections]:
    """A source, and who collects whom.

    Raises:
        SourceNotFound: when there is no such source.
    """
    with ports.metadata.read() as snapshot:
        source = existing(snapshot, source_id)
        return source, collections_around(snapshot, sources=[source_id])


def find(ports: Ports, source_id: SourceId) -> Source:
    """A source by itself; raises SourceNotFound when there is no such source."""
    with ports.metadata.read() as snapshot:
        return existing(snapshot, source_id)


def existing(snapshot: Snapshot, source_id: SourceId) -> Source:
    """The source called `source_id`; raises SourceNotFound when there is none."""
    source = snapshot.sources([source_id]).get(source_id)
    if source is None:
        raise SourceNotFound(f"source {source_id} does not exist")
    return source


def change(ports: Ports, source_id: SourceId, edit: Callable[[Source], Source], *, by: str) -> None:
    """Put what `edit` makes of a source in its place, if that is another source.

    Raises:
        SourceNotFound: when there is no such source.
        TamsError: whatever `edit` raises.
    """
    now = ports.clock.now()
    written: Source | None = None

    def decide(snapshot: Snapshot) -> tuple[Changes, None]:
        nonlocal written
        known = existing(snapshot, source_id)
        if known == written:  # an earlier attempt did commit
            return Changes(), None
        edited = edit(known)
        if edited is known:
            return Changes(), None
        written = replace(edited, updated=now, updated_by=by)
        return Changes(replace=(written,), told=(event.source_updated(written),)), None

    ports.metadata.transact(decide)


def listing(ports: Ports, query: SourceQuery) -> tuple[Page[Source], Collections]:
    """The sources a query asks for, and who collects whom."""
    with ports.metadata.read() as snapshot:
        asked = {"label": query.label, "format": query.format}
        columns = {name: value for name, value in asked.items() if value is not None}
        all_collected = NO_COLLECTIONS if query.collected_by is None else collections(snapshot)
        found = snapshot.sources_in_order(query.listing, columns)
        wanted = (source for source in found if _matches(source, query, all_collected))
        page = page_from(wanted, _ORDERS[query.listing.sort_by], query.listing)
        return page, collections_around(snapshot, sources=[source.id for source in page.items])


_ORDERS: Mapping[str, Callable[[Source], tuple[int, int | str, str]]] = {
    "created": lambda source: position(source.created, source.id),
    "updated": lambda source: position(source.updated, source.id),
    "label": lambda source: position(source.label, source.id),
}


def _matches(source: Source, query: SourceQuery, collected: Collections) -> bool:
    return query.tags(source.tags or {}) and is_collected_by(
        collected.sources_collected_by.get(source.id, ()), query.collected_by
    )
