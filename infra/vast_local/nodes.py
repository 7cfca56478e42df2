"""The numbered nodes of a request's columns.

* The wire names columns by position: depth-first, pre-order, a struct, list, map and the
  map's entries each taking a number before their children.
* A node knows the SQL that reads it and the type that gives, when a filter can use it: a
  column or a field of a struct. The element of a fixed-size list stands for its whole
  list. Inside other lists and maps there is none.
* They are worked out once per table and list of columns.
"""

from dataclasses import dataclass

import pyarrow as pa

from infra.vast_local.catalog import Table
from infra.vast_local.definitions import ROW_ID
from infra.vast_local.rows import ROW_ID_FIELD, row_id_type
from infra.vast_local.types import sql as sql_type
from infra.vast_local.types import storage

_LISTS_KEPT = 256


@dataclass(frozen=True, slots=True)
class Node:
    """One numbered position: a physical top column, the way down from it, and its type.

    ``sql`` reads it, as values of the storage type ``stored``, which is ``declared`` in SQL.
    """

    column: str
    path: tuple[int, ...]
    type: pa.DataType
    is_leaf: bool
    sql: str | None
    stored: pa.DataType
    declared: str
    is_indexed: bool = False


def number(table: Table, names: tuple[str, ...]) -> tuple[Node, ...]:
    """Return the nodes of the named top-level columns, in the order of their numbers."""
    if names not in table.memo:
        if len(table.memo) >= _LISTS_KEPT:
            table.memo.clear()
        table.memo[names] = tuple(_numbered(table, names))
    return table.memo[names]  # type: ignore[no-any-return]


def _numbered(table: Table, names: tuple[str, ...]) -> list[Node]:
    nodes: list[Node] = []
    for name in names:
        if name == ROW_ID_FIELD:
            type_ = row_id_type(table)
            nodes.append(Node(ROW_ID, (), type_, True, ROW_ID, type_, sql_type(type_)))
        else:
            column = table.column(name)
            physical, type_ = column.physical, column.field.type
            is_indexed = column in table.indexed
            _descend(nodes, physical, (), type_, physical, is_indexed=is_indexed)
    return nodes


def _descend(
    nodes: list[Node],
    column: str,
    path: tuple[int, ...],
    type_: pa.DataType,
    sql: str | None,
    whole: pa.DataType | None = None,
    *,
    is_indexed: bool = False,
) -> None:
    children = _children(type_)
    stored = storage(whole or type_)
    declared = sql_type(stored)
    nodes.append(Node(column, path, type_, not children, sql, stored, declared, is_indexed))
    for i, child in enumerate(children):
        below = (*path, i)
        if sql and pa.types.is_struct(type_):
            _descend(nodes, column, below, child, f"struct_extract({sql}, 'f{i}')")
        elif sql and pa.types.is_fixed_size_list(type_):
            _descend(nodes, column, below, child, sql, whole=type_)
        else:
            _descend(nodes, column, below, child, None)


def _children(type_: pa.DataType) -> list[pa.DataType]:
    types = pa.types
    if types.is_struct(type_):
        return [child.type for child in type_]
    if types.is_map(type_):
        return [pa.struct([type_.key_field, type_.item_field])]
    if types.is_list(type_) or types.is_fixed_size_list(type_):
        return [type_.value_type]
    return []
