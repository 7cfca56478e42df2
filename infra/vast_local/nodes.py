"""The numbered nodes of a request's columns.

* The wire names columns by position: depth-first, pre-order, a struct, list, map and the
  map's entries each taking a number before their children.
* A node knows the SQL that reads it and the type that gives, when a filter can use it: a
  column or a field of a struct. The element of a fixed-size list stands for its whole
  list. Inside other lists and maps there is none.
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
    compared: pa.DataType


def number(table: Table, names: list[str]) -> list[Node]:
    """Return the nodes of the named top-level columns, in the order of their numbers."""
    nodes: list[Node] = []
    for name in names:
        if name == ROW_ID_FIELD:
            type_ = row_id_type(table)
            nodes.append(Node(ROW_ID, (), type_, True, ROW_ID, type_))
        else:
            column = table.column(name)
            _descend(nodes, column.physical, (), column.field.type, column.physical)
    return nodes


def _descend(
    nodes: list[Node],
    column: str,
    path: tuple[int, ...],
    type_: pa.DataType,
    sql: str | None,
    whole: pa.DataType | None = None,
) -> None:
    children = _children(type_)
    nodes.append(Node(column, path, type_, not children, sql, whole or type_))
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
