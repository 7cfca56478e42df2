"""Changes of the catalog: schemas, tables, columns and projections.

* Check, claim, change: nothing is claimed before the request is known to be possible in
  this transaction's view, nothing is written before it is claimed.
* A definition and every name it takes or leaves are claimed exclusively, the schema
  around it is shared. Only what changes a table's shape claims the table's rows.
* A schema is dropped only when empty (409), a name taken once answers 409.
* What a table, or a projection of it, is sorted by first has an index. It is part of the shape
  of the table: DuckDB refuses to make one while others see older versions of the rows.
"""

import itertools
from collections.abc import Iterable
from dataclasses import replace

import duckdb
import pyarrow as pa

from infra.vast_local import types
from infra.vast_local.catalog import Column, Projection, Schema, Table
from infra.vast_local.claims import Claims
from infra.vast_local.errors import Conflict, Invalid
from infra.vast_local.transactions import Transaction

ROW_ID = "r"
"""Physical name of the row id column."""


class Definitions:
    """Creates, renames and drops the objects of the catalog."""

    def __init__(self, claims: Claims, first_id: int) -> None:
        """Number new objects from ``first_id`` on."""
        self._claims = claims
        self._ids = itertools.count(first_id)

    def create_schema(self, tx: Transaction, bucket: str, path: str, properties: str) -> None:
        """Create a schema; its parent must exist."""
        above, _, name = path.rpartition("/")
        parent = tx.catalog.schema(bucket, above).id if above else 0
        if not name:
            raise Invalid("a schema needs a name")
        if tx.catalog.find_schema(bucket, path):
            raise Conflict(f"schema {bucket}/{path} exists", "SchemaAlreadyExists")
        self._claims.share(tx.holder, ("schema", parent))
        self._claims.seize(tx.holder, ("schema name", bucket, parent, name))
        schema = Schema(next(self._ids), bucket, parent, name, properties)
        tx.define({("schema", schema.id): schema})

    def alter_schema(
        self, tx: Transaction, bucket: str, path: str, *, name: str, properties: str
    ) -> None:
        """Rename a schema (last segment) or change its properties, whichever is not empty."""
        schema = tx.catalog.schema(bucket, path)
        new = name.rpartition("/")[2] or schema.name
        if new != schema.name and any(
            sibling.name == new for sibling in tx.catalog.schemas_in(bucket, schema.parent)
        ):
            raise Conflict(f"schema {new} exists", "SchemaAlreadyExists")
        names = [("schema name", bucket, schema.parent, one) for one in {schema.name, new}]
        self._claims.seize(tx.holder, ("schema definition", schema.id), *names)
        changed = replace(schema, name=new, properties=properties or schema.properties)
        tx.define({("schema", schema.id): changed})

    def drop_schema(self, tx: Transaction, bucket: str, path: str) -> None:
        """Drop an empty schema."""
        schema = tx.catalog.schema(bucket, path)
        if tx.catalog.tables_in(schema) or tx.catalog.schemas_in(bucket, schema.id):
            raise Conflict(f"schema {bucket}/{path} is not empty", "SchemaNotEmpty")
        name = ("schema name", bucket, schema.parent, schema.name)
        own = ("schema definition", schema.id)
        self._claims.seize(tx.holder, ("schema", schema.id), own, name)
        tx.define({("schema", schema.id): None})

    def create_table(
        self,
        tx: Transaction,
        schema: Schema,
        name: str,
        fields: pa.Schema,
        *,
        sort_key: tuple[int, ...],
        properties: str,
    ) -> None:
        """Create a table; ``sort_key`` holds column positions."""
        if tx.catalog.find_table(schema, name):
            raise Conflict(f"table {name} exists", "TableAlreadyExists")
        _check_fields(fields, taken=())
        _check_sort_key(sort_key, len(fields))
        self._claims.share(tx.holder, ("schema", schema.id))
        self._claims.seize(tx.holder, ("table name", schema.id, name))
        columns = tuple(Column(i, bare(field)) for i, field in enumerate(fields))
        table = Table(next(self._ids), schema.id, name, columns, len(columns), sort_key, properties)
        body = ", ".join([f"{ROW_ID} BIGINT", *map(_definition, columns)])
        tx.cursor.execute(f"CREATE TABLE {table.physical} ({body})")
        _index(tx.cursor, table, table.indexed)
        tx.define({("table", table.id): table})

    def rename_table(self, tx: Transaction, table: Table, schema: Schema, name: str) -> None:
        """Rename a table, perhaps into another schema."""
        if tx.catalog.find_table(schema, name):
            raise Conflict(f"table {name} exists", "TableAlreadyExists")
        self._claims.share(tx.holder, ("schema", schema.id))
        names = ("table name", table.schema, table.name), ("table name", schema.id, name)
        self._claims.seize(tx.holder, ("table definition", table.id), *names)
        tx.define({("table", table.id): replace(table, schema=schema.id, name=name)})

    def sort_table(self, tx: Transaction, table: Table, positions: tuple[int, ...]) -> None:
        """Give an unsorted table a sort key, as column positions."""
        if table.sort_key:
            raise Invalid(f"table {table.name} is already sorted")
        _check_sort_key(positions, len(table.columns))
        key = tuple(table.columns[position].id for position in positions)
        self._reshape(tx, table, replace(table, sort_key=key))

    def set_properties(self, tx: Transaction, table: Table, properties: str) -> None:
        """Replace the properties of a table."""
        self._redefine(tx, replace(table, properties=properties))

    def number_rows_externally(self, tx: Transaction, table: Table, external: bool) -> Table:
        """Remember, at the first insert, whether clients supply ``vastdb_rowid``."""
        changed = replace(table, external_row_ids=external)
        self._redefine(tx, changed)
        return changed

    def drop_table(self, tx: Transaction, table: Table) -> None:
        """Drop a table and its rows."""
        name = ("table name", table.schema, table.name)
        self._claims.seize(tx.holder, ("rows", table.id), ("table definition", table.id), name)
        tx.cursor.execute(f"DROP TABLE {table.physical}")
        tx.define({("table", table.id): None})

    def add_columns(self, tx: Transaction, table: Table, fields: pa.Schema) -> None:
        """Append columns, NULL in every row there is."""
        _check_fields(fields, taken=table.by_name)
        self._claims.seize(tx.holder, ("rows", table.id), ("table definition", table.id))
        added = [Column(table.next_column + i, bare(field)) for i, field in enumerate(fields)]
        for column in added:
            tx.cursor.execute(f"ALTER TABLE {table.physical} ADD COLUMN {_definition(column)}")
        columns = (*table.columns, *added)
        changed = replace(table, columns=columns, next_column=table.next_column + len(added))
        tx.define({("table", table.id): changed})

    def rename_column(self, tx: Transaction, table: Table, name: str, new: str) -> None:
        """Rename a column."""
        column = table.column(name)
        if new in table.by_name:
            raise Conflict(f"table {table.name} has a column {new}")
        renamed = Column(column.id, column.field.with_name(new))
        columns = tuple(renamed if one.id == column.id else one for one in table.columns)
        projections = tuple(_renamed(one, name, new) for one in table.projections)
        self._redefine(tx, replace(table, columns=columns, projections=projections))

    def drop_columns(self, tx: Transaction, table: Table, names: list[str]) -> None:
        """Drop columns; those of the sort key or of a projection stay (409)."""
        doomed = {table.column(name).id for name in names}
        used = {name for one in table.projections for name in (*one.sorted, *one.unsorted)}
        if doomed.intersection(table.sort_key) or used.intersection(names):
            raise Conflict("a sorted column or a column of a projection cannot be dropped")
        self._claims.seize(tx.holder, ("rows", table.id), ("table definition", table.id))
        _drop_indexes(tx.cursor, table, table.indexed)
        for id_ in doomed:
            tx.cursor.execute(f"ALTER TABLE {table.physical} DROP COLUMN c{id_}")
        _index(tx.cursor, table, table.indexed)
        columns = tuple(column for column in table.columns if column.id not in doomed)
        tx.define({("table", table.id): replace(table, columns=columns)})

    def create_projection(
        self, tx: Transaction, table: Table, name: str, sorted_: list[str], unsorted: list[str]
    ) -> None:
        """Create a projection over existing columns."""
        for column in (*sorted_, *unsorted):
            table.column(column)
        if not sorted_:
            raise Invalid("a projection needs a sorted column")
        if any(one.name == name for one in table.projections):
            raise Conflict(f"projection {name} exists")
        made = Projection(next(self._ids), name, tuple(sorted_), tuple(unsorted))
        self._reshape(tx, table, replace(table, projections=(*table.projections, made)))

    def rename_projection(self, tx: Transaction, table: Table, name: str, new: str) -> None:
        """Rename a projection."""
        found = table.projection(name)
        if any(one.name == new for one in table.projections):
            raise Conflict(f"projection {new} exists")
        kept = tuple(replace(p, name=new) if p is found else p for p in table.projections)
        self._redefine(tx, replace(table, projections=kept))

    def drop_projection(self, tx: Transaction, table: Table, name: str) -> None:
        """Drop a projection."""
        found = table.projection(name)
        kept = tuple(one for one in table.projections if one is not found)
        self._reshape(tx, table, replace(table, projections=kept))

    def _reshape(self, tx: Transaction, table: Table, changed: Table) -> None:
        """Change what a table or its projections are sorted by."""
        gone = [column for column in table.indexed if column not in changed.indexed]
        new = [column for column in changed.indexed if column not in table.indexed]
        if gone or new:
            self._claims.seize(tx.holder, ("rows", table.id))
        self._redefine(tx, changed)
        _drop_indexes(tx.cursor, table, gone)
        _index(tx.cursor, table, new)

    def _redefine(self, tx: Transaction, table: Table) -> None:
        self._claims.seize(tx.holder, ("table definition", table.id))
        tx.define({("table", table.id): table})


def sweep(cursor: duckdb.DuckDBPyConnection, tables: Iterable[Table]) -> None:
    """Drop physical tables the catalog does not know, and index what has no index yet."""
    known = {table.physical for table in tables}
    names = cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    for (name,) in names:
        if name[0] == "t" and name[1:].isdigit() and name not in known:
            cursor.execute(f"DROP TABLE {name}")
    found = {
        name for (name,) in cursor.execute("SELECT index_name FROM duckdb_indexes()").fetchall()
    }
    for table in tables:
        _index(cursor, table, [c for c in table.indexed if _index_name(table, c) not in found])


def _index(cursor: duckdb.DuckDBPyConnection, table: Table, columns: Iterable[Column]) -> None:
    for column in columns:
        name = _index_name(table, column)
        cursor.execute(f"CREATE INDEX {name} ON {table.physical} ({column.physical})")


def _drop_indexes(
    cursor: duckdb.DuckDBPyConnection, table: Table, columns: Iterable[Column]
) -> None:
    for column in columns:
        cursor.execute(f"DROP INDEX {_index_name(table, column)}")


def _index_name(table: Table, column: Column) -> str:
    return f"{table.physical}_{column.physical}"


def bare(field: pa.Field) -> pa.Field:
    """Return a field without its metadata: name, type and nullability are what is stored."""
    return field.remove_metadata()


def _definition(column: Column) -> str:
    type_ = types.sql(types.storage(column.field.type))
    plain = " USING COMPRESSION uncompressed" if type_ == "VARCHAR" else ""
    return f"{column.physical} {type_}{plain}"


def _check_fields(fields: pa.Schema, taken: object) -> None:
    seen = set()
    for field in fields:
        if field.name in seen or field.name in taken:  # type: ignore[operator]
            raise Conflict(f"there are two columns named {field.name}")
        if not field.name or field.name == "$row_id":
            raise Invalid(f"a column cannot be named {field.name!r}")
        seen.add(field.name)
        types.check_field(field)


def _check_sort_key(positions: tuple[int, ...], columns: int) -> None:
    if any(not 0 <= position < columns for position in positions):
        raise Invalid("a sorting key names a column that does not exist")
    if len(set(positions)) != len(positions):
        raise Invalid("a sorting key names a column twice")


def _renamed(projection: Projection, old: str, new: str) -> Projection:
    def rename(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(new if name == old else name for name in names)

    return replace(
        projection, sorted=rename(projection.sorted), unsorted=rename(projection.unsorted)
    )
