"""Buckets and schemas."""

from collections.abc import Mapping
from xml.sax.saxutils import escape

from infra.vast_local import protocol
from infra.vast_local.calls import Call, Listing
from infra.vast_local.listener import Response
from infra.vast_local.routes.parts import Command, Parts, Route


def head_bucket(parts: Parts, call: Call) -> Response:
    """Say whether the bucket exists."""
    parts.transactions.catalog.check_bucket(call.bucket)
    return Response()


def list_snapshots(parts: Parts, call: Call) -> Response:
    """List the snapshots of a bucket: there are none."""
    parts.transactions.catalog.check_bucket(call.bucket)
    name, prefix = escape(call.bucket), escape(call.parameters.get("prefix", ""))
    body = (
        f"<ListBucketResult><Name>{name}</Name><Prefix>{prefix}</Prefix>"
        "<Marker></Marker><IsTruncated>false</IsTruncated></ListBucketResult>"
    )
    return Response(body=body.encode(), headers={"Content-Type": "application/xml"})


def list_schemas(parts: Parts, call: Call) -> Response:
    """List the schemas directly below a bucket or schema."""
    with parts.transaction(call) as tx:
        tx.catalog.check_bucket(call.bucket)
        above = tx.catalog.find_schema(call.bucket, call.schema) if call.path else None
        missing = bool(call.path) and above is None
        parent = above.id if above else 0
        found = [] if missing else tx.catalog.schemas_in(call.bucket, parent)
    page, headers = Listing.of(call).select(found, [schema.name for schema in found])
    return Response(body=protocol.schemas(call.bucket, page), headers=headers)


def create_schema(parts: Parts, call: Call) -> Response:
    """Create a schema."""
    with parts.transaction(call) as tx:
        tx.catalog.check_bucket(call.bucket)
        parts.definitions.create_schema(tx, call.bucket, call.schema, call.text(0))
    return Response()


def alter_schema(parts: Parts, call: Call) -> Response:
    """Rename a schema or change its properties."""
    name = call.parameters.get("tabular-new-schema-name", "")
    with parts.transaction(call) as tx:
        parts.definitions.alter_schema(
            tx, call.bucket, call.schema, name=name, properties=call.text(0)
        )
    return Response()


def drop_schema(parts: Parts, call: Call) -> Response:
    """Drop an empty schema."""
    with parts.transaction(call) as tx:
        parts.definitions.drop_schema(tx, call.bucket, call.schema)
    return Response()


ROUTES: Mapping[Command, Route] = {
    ("HEAD", ""): head_bucket,
    ("GET", ""): list_snapshots,
    ("GET", "schema"): list_schemas,
    ("POST", "schema"): create_schema,
    ("PUT", "schema"): alter_schema,
    ("DELETE", "schema"): drop_schema,
}
