"""The catalog: buckets, schemas, tables and columns as one immutable value.

* A transaction reads the catalog it found at its begin, plus its own changes; nothing
  here touches DuckDB except ``load`` and ``save``.
* Changes are whole objects by id (``None`` removes). Applying them to a later catalog is
  safe because claims keep two open transactions off the same object and name.
* Names are the client's and case-sensitive; physical names are ``t<id>`` and ``c<id>``,
  so a rename is a change of the catalog alone.
* Schemas nest; a schema is found by walking its path from the bucket.
"""

import json
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import duckdb
import pyarrow as pa

from infra.vast_local.errors import Missing
from infra.vast_local.types import is_indexable


@dataclass(frozen=True, slots=True)
class Schema:
    """A named collection of tables and schemas; ``parent`` is a schema id or 0."""

    id: int
    bucket: str
    parent: int
    name: str
    properties: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its physical number within the table and its Arrow field."""

    id: int
    field: pa.Field

    @property
    def physical(self) -> str:
        """Name of the column in DuckDB."""
        return f"c{self.id}"


@dataclass(frozen=True, slots=True)
class Projection:
    """A projection of a table: columns by name, the sorted ones in key order."""

    id: int
    name: str
    sorted: tuple[str, ...]
    unsorted: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table with its columns in order; ``sort_key`` holds column ids."""

    id: int
    schema: int
    name: str
    columns: tuple[Column, ...]
    next_column: int
    sort_key: tuple[int, ...] = ()
    properties: str = ""
    external_row_ids: bool | None = None
    projections: tuple[Projection, ...] = ()

    @property
    def physical(self) -> str:
        """Name of the table in DuckDB."""
        return f"t{self.id}"

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """Columns by client name."""
        return {column.field.name: column for column in self.columns}

    @cached_property
    def indexed(self) -> tuple[Column, ...]:
        """The columns with an index: what the table, or a projection of it, is sorted by first."""
        leading = [self.column(projection.sorted[0]) for projection in self.projections]
        distinct = {column.id: column for column in (*self.sorted_columns[:1], *leading)}
        return tuple(column for column in distinct.values() if is_indexable(column.field.type))

    @cached_property
    def memo(self) -> dict[Hashable, Any]:
        """What readers of this definition have worked out about it and want to find again."""
        return {}

    @cached_property
    def sorted_columns(self) -> tuple[Column, ...]:
        """Columns of the sort key, in key order."""
        by_id = {column.id: column for column in self.columns}
        return tuple(by_id[id_] for id_ in self.sort_key)

    def column(self, name: str) -> Column:
        """Return a column by name or refuse with 404."""
        if name not in self.by_name:
            raise Missing(f"table {self.name} has no column {name}")
        return self.by_name[name]

    def projection(self, name: str) -> Projection:
        """Return a projection by name or refuse with 404."""
        for projection in self.projections:
            if projection.name == name:
                return projection
        raise Missing(f"table {self.name} has no projection {name}")


Key = tuple[str, int]
"""Kind ("schema" or "table") and id of an object."""

Changes = Mapping[Key, Schema | Table | None]


@dataclass(frozen=True)
class Catalog:
    """All objects at one instant."""

    buckets: frozenset[str]
    objects: Mapping[Key, Schema | Table] = field(default_factory=dict)

    @cached_property
    def _schemas(self) -> Mapping[tuple[str, int, str], Schema]:
        found = (o for o in self.objects.values() if isinstance(o, Schema))
        return {(schema.bucket, schema.parent, schema.name): schema for schema in found}

    @cached_property
    def _tables(self) -> Mapping[tuple[int, str], Table]:
        found = (o for o in self.objects.values() if isinstance(o, Table))
        return {(table.schema, table.name): table for table in found}

    def apply(self, changes: Changes) -> "Catalog":
        """Return the catalog with changes made."""
        objects = {**self.objects, **changes}
        kept = {key: value for key, value in objects.items() if value is not None}
        return replace(self, objects=kept)

    def check_bucket(self, name: str) -> None:
        """Refuse with 404 when the bucket does not exist."""
        if name not in self.buckets:
            raise Missing(f"bucket {name} does not exist", "NoSuchBucket")

    def find_schema(self, bucket: str, path: str) -> Schema | None:
        """Return the schema at a path like ``a/b`` or None."""
        self.check_bucket(bucket)
        schema, parent = None, 0
        for name in path.split("/"):
            schema = self._schemas.get((bucket, parent, name))
            if schema is None:
                return None
            parent = schema.id
        return schema

    def schema(self, bucket: str, path: str) -> Schema:
        """Return the schema at a path or refuse with 404."""
        schema = self.find_schema(bucket, path)
        if schema is None:
            raise Missing(f"schema {bucket}/{path} does not exist")
        return schema

    def find_table(self, schema: Schema, name: str) -> Table | None:
        """Return a table of a schema or None."""
        return self._tables.get((schema.id, name))

    def table(self, bucket: str, path: str, name: str) -> Table:
        """Return a table or refuse with 404."""
        table = self.find_table(self.schema(bucket, path), name)
        if table is None:
            raise Missing(f"table {bucket}/{path}/{name} does not exist")
        return table

    def schemas_in(self, bucket: str, parent: int) -> list[Schema]:
        """Return the child schemas of a bucket (parent 0) or schema, oldest first."""
        found = (s for s in self._schemas.values() if (s.bucket, s.parent) == (bucket, parent))
        return sorted(found, key=lambda schema: schema.id)

    def tables_in(self, schema: Schema) -> list[Table]:
        """Return the tables of a schema, oldest first."""
        found = (table for table in self._tables.values() if table.schema == schema.id)
        return sorted(found, key=lambda table: table.id)


_TABLES = """
CREATE TABLE IF NOT EXISTS buckets (name VARCHAR);
CREATE TABLE IF NOT EXISTS objects (kind VARCHAR, id BIGINT, detail VARCHAR, fields BLOB);
"""


def load(cursor: duckdb.DuckDBPyConnection, buckets: Iterable[str]) -> Catalog:
    """Return the stored catalog, creating its tables and any bucket that is missing."""
    cursor.execute(_TABLES)
    known = {name for (name,) in cursor.execute("SELECT name FROM buckets").fetchall()}
    missing = sorted(set(buckets) - known)
    for name in missing:
        cursor.execute("INSERT INTO buckets VALUES (?)", [name])
    rows = cursor.execute("SELECT kind, id, detail, fields FROM objects").fetchall()
    objects = {(kind, id_): _read(kind, detail, fields) for kind, id_, detail, fields in rows}
    return Catalog(frozenset(known.union(missing)), objects)


def save(cursor: duckdb.DuckDBPyConnection, changes: Changes) -> None:
    """Store changed objects within the transaction of the cursor."""
    for (kind, id_), value in changes.items():
        cursor.execute("DELETE FROM objects WHERE kind = ? AND id = ?", [kind, id_])
        if value is not None:
            detail, fields = _written(value)
            cursor.execute("INSERT INTO objects VALUES (?, ?, ?, ?)", [kind, id_, detail, fields])


def _written(value: Schema | Table) -> tuple[str, bytes | None]:
    if isinstance(value, Schema):
        return json.dumps(asdict(value)), None
    detail = {name: getattr(value, name) for name in _TABLE_DETAIL}
    detail["columns"] = [column.id for column in value.columns]
    detail["projections"] = [asdict(projection) for projection in value.projections]
    fields = pa.schema([column.field for column in value.columns]).serialize()
    return json.dumps(detail), fields.to_pybytes()


def _read(kind: str, text: str, fields: bytes | None) -> Schema | Table:
    detail = json.loads(text)
    if kind == "schema":
        return Schema(**detail)
    stored = pa.ipc.read_schema(pa.py_buffer(fields))
    numbered = zip(detail["columns"], stored, strict=True)
    detail["columns"] = tuple(Column(id_, field_) for id_, field_ in numbered)
    detail["sort_key"] = tuple(detail["sort_key"])
    detail["projections"] = tuple(
        Projection(**{**item, "sorted": tuple(item["sorted"]), "unsorted": tuple(item["unsorted"])})
        for item in detail["projections"]
    )
    return Table(**detail)


_TABLE_DETAIL = (
    "id",
    "schema",
    "name",
    "next_column",
    "sort_key",
    "properties",
    "external_row_ids",
)
