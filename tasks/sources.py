"""Reading sources; they are made by their flows."""

from collections.abc import Callable, Mapping

from schemas.domain.collections import Collections
from schemas.domain.errors import SourceNotFound
from schemas.domain.identifiers import SourceId
from schemas.domain.query import Page, SourceQuery, page_of, position
from schemas.domain.source import Source
from tasks.flows import collections, is_collected_by
from tasks.ports import Ports


def get(ports: Ports, source_id: SourceId) -> tuple[Source, Collections]:
    """A source, and who collects whom.

    Raises:
        SourceNotFound: when there is no such source.
    """
    with ports.metadata.read() as snapshot:
        source = snapshot.sources([source_id]).get(source_id)
        if source is None:
            raise SourceNotFound(f"source {source_id} does not exist")
        return source, collections(snapshot)


def listing(ports: Ports, query: SourceQuery) -> tuple[Page[Source], Collections]:
    """The sources a query asks for, and who collects whom."""
    with ports.metadata.read() as snapshot:
        found, collected = snapshot.all_sources(), collections(snapshot)
    wanted = [source for source in found if _matches(source, query, collected)]
    return page_of(wanted, _ORDERS[query.listing.sort_by], query.listing), collected


_ORDERS: Mapping[str, Callable[[Source], tuple[int, int | str, str]]] = {
    "created": lambda source: position(source.created, source.id),
    "updated": lambda source: position(source.updated, source.id),
    "label": lambda source: position(source.label, source.id),
}


def _matches(source: Source, query: SourceQuery, collected: Collections) -> bool:
    return (
        query.label in {None, source.label}
        and query.format in {None, source.format}
        and query.tags(source.tags or {})
        and is_collected_by(collected.sources_collected_by.get(source.id, ()), query.collected_by)
    )
