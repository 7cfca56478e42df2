"""`/sources`: what the flows are encodings of."""

from flask import Response

from api.blueprint import Blueprint
from api.context import ports
from api.paging import ORDERED_PAGING_HEADERS, paging_headers
from api.properties import OF_SOURCES, Owner, add_properties
from api.responses import json_response
from schemas.domain.identifiers import SourceId
from schemas.domain.query import SourceQuery
from schemas.http.queries import SourceQuerySchema
from schemas.http.sources import SourceSchema, source_json
from tasks import sources

blueprint = Blueprint("Sources", __name__, description="What flows are encodings of.")


@blueprint.route("/sources")
@blueprint.arguments(SourceQuerySchema, location="query")
@blueprint.response(200, SourceSchema(many=True), headers=ORDERED_PAGING_HEADERS)
@blueprint.operation("GET_sources", 400, 503)
def list_sources(query: SourceQuery) -> Response:
    """List sources."""
    page, collections = sources.listing(ports(), query)
    return json_response(
        [source_json(source, collections) for source in page.items],
        headers=paging_headers(page, reverse_order=query.listing.reverse_order),
    )


@blueprint.route("/sources/<id:source_id>")
@blueprint.response(200, SourceSchema)
@blueprint.operation("GET_sources-sourceId", 404, 503)
def get_source(source_id: SourceId) -> Response:
    """Describe one source."""
    return json_response(source_json(*sources.get(ports(), source_id)))


add_properties(blueprint, Owner("source", sources.find, sources.change), OF_SOURCES)
