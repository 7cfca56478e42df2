"""The numbered nodes of a request's columns.

* The wire names columns by position: depth-first, pre-order, a struct, list, map and the
  map's entries each taking a number before their children.
* A node knows the SQL that reads it, when it has one: a column, or a field of a struct.
  Inside lists and maps there is none.
"""

from dataclasses import dataclass

import pyarrow as pa

from infra.vast_local.catalog import Table
from infra.vast_local.definitions import ROW_ID
from infra.vast_local.rows import ROW_ID_FIELD, row_id_type


@dataclass(frozen=True, slots=True)
class Node:
    """One numbered position: a physical top column, the way down from it, and its type."""

    column: str
    path: tuple[int, ...]
    type: pa.DataType
    is_leaf: bool
    sql: str | None


def number(table: Table, names: list[str]) -> list[Node]:
    """Return the nodes of the named top-level columns, in the order of their numbers."""
    nodes: list[Node] = []
    for name in names:
        if name == ROW_ID_FIELD:
            nodes.append(Node(ROW_ID, (), row_id_type(table), is_leaf=True, sql=ROW_ID))
        else:
            column = table.column(name)
            _descend(nodes, column.physical, (), column.field.type, column.physical)
    return nodes


def _descend(
    nodes: list[Node], column: str, path: tuple[int, ...], type_: pa.DataType, sql: str | None
) -> None:
    children = _children(type_)
    nodes.append(Node(column, path, type_, is_leaf=not children, sql=sql))
    for i, child in enumerate(children):
        below = f"struct_extract({sql}, 'f{i}')" if sql and pa.types.is_struct(type_) else None
        _descend(nodes, column, (*path, i), child, below)


def _children(type_: pa.DataType) -> list[pa.DataType]:
    types = pa.types
    if types.is_struct(type_):
        return [child.type for child in type_]
    if types.is_map(type_):
        return [pa.struct([type_.key_field, type_.item_field])]
    if types.is_list(type_) or types.is_fixed_size_list(type_):
        return [type_.value_type]
    return []
