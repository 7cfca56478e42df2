"""What is on the timeline of a flow, and what is missing from it.

* Gaps are worked out of the segments on request: a count kept with the flow would have to be right
  after every late segment and deletion, and could not answer for a timerange.
* Arrivals and refused overlaps, which the segments do not tell, are kept with the flow.
"""

from dataclasses import replace

from schemas.domain.coverage import Coverage, CoverageQuery
from schemas.domain.flow import Flow
from schemas.domain.identifiers import FlowId
from schemas.domain.query import Page, encoded
from schemas.domain.timerange import TimeRange
from tasks.flows import existing
from tasks.listing import after
from tasks.ports import Ports


def get(
    ports: Ports, flow_id: FlowId, query: CoverageQuery, page_key: str | None
) -> tuple[Flow, Coverage, Page[TimeRange]]:
    """A flow, the coverage of a timerange, and a page of its gaps.

    Raises:
        FlowNotFound: when there is no such flow.
        Invalid: when the page key belongs to another list.
    """
    query = replace(query, after=after(page_key))
    with ports.metadata.read() as snapshot:
        flow = existing(snapshot, flow_id)
        coverage = snapshot.coverage(flow_id, query)
    next_key = encoded([coverage.gaps[-1].end]) if coverage.more else None
    return flow, coverage, Page(coverage.gaps, next_key, query.limit)
