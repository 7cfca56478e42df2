"""Brings the database to the shape the store needs; run at every start, changes nothing twice.

* A table made by an earlier version gets the columns it lacks; what they would hold of rows that
  are there already is worked out from the others.
* A projection has every column of its table, or the database would not answer from it; one that
  lacks a column is made anew.
* The number of shards is fixed when a store is made: flows hash onto it, and two shards must
  never hold the same flow.
"""

from collections import Counter
from typing import Final

import orjson
import pyarrow as pa
from vastdb import errors

from infra.settings import MOST_SHARDS, VastSettings
from infra.vast.prepared import ROW_ID
from infra.vast.retry import retried
from infra.vast.session import Database, Transaction
from infra.vast.store import CLAIM_SLOTS
from schemas.domain.changes import ShardCursor
from schemas.domain.errors import Invalid, Unavailable
from schemas.tables.definitions import (
    EVENT_LOG,
    FLOWS,
    MEMBERS,
    OBJECTS,
    PROJECTIONS,
    SEGMENTS,
    TABLES,
)
from schemas.tables.rows import (
    NO_STATUS,
    flow_from,
    links_of,
    shard_key,
    slot_key,
    to_row,
)

_CURSORS: Final = "shards"
_FORMER: Final = {_CURSORS, "claims"}


def migrate(database: Database, settings: VastSettings, shards: int) -> list[str]:
    """Create what is missing of schema, tables, columns, projections and fixed rows.

    Returns the names of the tables created, of columns added as `table.column`, and of
    projections as `table/projection`.

    Raises:
        Invalid: when the store was made with another number of shards.
        Unavailable: when the database does not answer, or the bucket does not exist.
    """

    def create() -> list[str]:
        with database.transaction() as transaction:
            return [
                *_create_tables(transaction, settings),
                *_add_columns(transaction, settings),
                *_add_projections(transaction, settings),
            ]

    def fill() -> None:
        with database.transaction() as transaction:
            _take_over(transaction, settings)
            _fill(transaction, shards)
            _count_references(transaction)
            _say_status(transaction)
            _link_members(transaction)

    created = retried(create)
    retried(fill)
    return created


def _create_tables(transaction: Transaction, settings: VastSettings) -> list[str]:
    try:
        bucket = transaction.sdk.bucket(settings.bucket)
    except errors.MissingBucket as error:
        raise Unavailable(f"VAST Database has no bucket {settings.bucket!r}") from error
    schema = bucket.schema(settings.schema, fail_if_missing=False) or bucket.create_schema(
        settings.schema
    )
    existing = set(schema.tablenames())
    missing = [name for name in TABLES if name not in existing]
    for name in missing:
        schema.create_table(name, TABLES[name])
    return missing


def _add_columns(transaction: Transaction, settings: VastSettings) -> list[str]:
    schema = transaction.sdk.bucket(settings.bucket).schema(settings.schema)
    added = []
    for name, wanted in TABLES.items():
        table = schema.table(name)
        present = set(table.arrow_schema.names)
        missing = [field for field in wanted if field.name not in present]
        if missing:
            table.add_column(pa.schema(missing))
            added += [f"{name}.{field.name}" for field in missing]
    return added


def _add_projections(transaction: Transaction, settings: VastSettings) -> list[str]:
    schema = transaction.sdk.bucket(settings.bucket).schema(settings.schema)
    added = []
    for name, wanted in PROJECTIONS.items():
        table = schema.table(name)
        present = {found.name: found for found in table.projections(include_stats=False)}
        columns = set(TABLES[name].names)
        for projection, key in wanted.items():
            if projection in present:
                if columns <= set(present[projection].columns().names):
                    continue
                present[projection].drop()
            table.create_projection(projection, list(key), sorted(columns.difference(key)))
            added.append(f"{name}/{projection}")
    return added


def _count_references(transaction: Transaction) -> None:
    """Count the references to objects that were registered before objects counted them."""
    table = transaction.table(OBJECTS)
    uncounted = table.select(["id"], null="references").to_pylist()
    if not uncounted:
        return
    segments = transaction.table(SEGMENTS).select(["object_id"])["object_id"]
    inits = table.select(["init_object_id"])["init_object_id"]
    counts = Counter(segments.to_pylist()) + Counter(inits.drop_null().to_pylist())
    table.update([{ROW_ID: row[ROW_ID], "references": counts[row["id"]]} for row in uncounted])


def _say_status(transaction: Transaction) -> None:
    """Say the status of flows that were put before it had a column."""
    table = transaction.table(FLOWS)
    unsaid = table.select(["document"], null="status").to_pylist()
    status = {
        row[ROW_ID]: orjson.loads(row["document"]).get("status")
        for row in unsaid
        if row["document"] is not None  # rows of shards and slots have none
    }
    if status:
        table.update([{ROW_ID: key, "status": said or NO_STATUS} for key, said in status.items()])


def _link_members(transaction: Transaction) -> None:
    """Say which flows collect which that were put before there was a table of it."""
    members = transaction.table(MEMBERS)
    if members.select(["flow_id"], limit=1).num_rows:
        return
    collecting = transaction.table(FLOWS).select(equal={"collects": True}).to_pylist()
    links = [link for row in collecting for link in links_of(flow_from(row))]
    if links:
        members.insert(links)


def _take_over(transaction: Transaction, settings: VastSettings) -> None:
    """Move the cursors from tables that they and claims had of their own; these are dropped."""
    schema = transaction.sdk.bucket(settings.bucket).schema(settings.schema)
    former = [name for name in schema.tablenames() if name in _FORMER]
    if _CURSORS in former:
        found = schema.table(_CURSORS).select(["shard", "position", "epoch"]).read_all()
        transaction.table(FLOWS).insert([to_row(ShardCursor(**row)) for row in found.to_pylist()])
    for name in former:
        schema.table(name).drop()


def _fill(transaction: Transaction, shards: int) -> None:
    table = transaction.table(FLOWS)
    keys = [shard_key(shard) for shard in range(MOST_SHARDS)]
    present = table.select(["id"], isin=("id", keys)).num_rows
    if not present:
        table.insert([to_row(ShardCursor(shard, "0-0", 0)) for shard in range(shards)])
    elif present != shards:
        raise Invalid(
            f"this store was made with {present} shards: set TAMS_SHARDS={present}, not {shards}"
        )
    if not table.select(["id"], equal={"id": slot_key(0)}).num_rows:
        slots = [{"id": slot_key(slot), "position": ""} for slot in range(CLAIM_SLOTS)]
        table.insert(slots)
    log = transaction.table(EVENT_LOG)
    if not log.select(["last"]).num_rows:
        log.insert([{"first": 1, "last": 0}])
