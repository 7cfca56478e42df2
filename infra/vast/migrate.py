"""Brings the database to the shape the store needs; run at every start, changes nothing twice.

* The number of shards is fixed when a store is made: flows hash onto it, and two shards must
  never hold the same flow.
"""

from vastdb import errors

from infra.settings import VastSettings
from infra.vast.retry import retried
from infra.vast.session import Database, Transaction
from infra.vast.store import CLAIM_SLOTS
from schemas.domain.errors import Invalid, Unavailable
from schemas.tables.definitions import CLAIMS, SHARDS, TABLES


def migrate(database: Database, settings: VastSettings, shards: int) -> list[str]:
    """Create what is missing of schema, tables and fixed rows; the names of tables created.

    Raises:
        Invalid: when the store was made with another number of shards.
        Unavailable: when the database does not answer, or the bucket does not exist.
    """

    def create() -> list[str]:
        with database.transaction() as transaction:
            return _create_tables(transaction, settings)

    def fill() -> None:
        with database.transaction() as transaction:
            _fill(transaction, shards)

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


def _fill(transaction: Transaction, shards: int) -> None:
    table = transaction.table(SHARDS)
    present = table.select(["shard"]).num_rows
    if not present:
        table.insert([{"shard": n, "position": "0-0", "epoch": 0} for n in range(shards)])
    elif present != shards:
        raise Invalid(
            f"this store was made with {present} shards: set TAMS_SHARDS={present}, not {shards}"
        )
    claims = transaction.table(CLAIMS)
    if not claims.select(["slot"]).num_rows:
        claims.insert([{"slot": n, "touched": 0} for n in range(CLAIM_SLOTS)])
