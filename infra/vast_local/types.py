"""Column types: which Arrow types a table may have, and how DuckDB stores them.

* Dates, times and timestamps are stored as the integers they are on the wire, so every
  unit survives exactly and predicates compare integers.
* float16 is stored as FLOAT, fixed-size binary as BLOB, a map as a list of key-value structs.
* Struct fields are stored under positional names, so client names never reach SQL.
* ``storage`` and ``relayout`` are inverse views of the same buffers; only float16 and
  fixed-size binary are converted.
"""

from collections.abc import Callable

import pyarrow as pa

from infra.vast_local.errors import Invalid

MAX_LIST_SIZE = 100_000
"""Longest fixed-size list, the limit of a DuckDB array."""

_SQL_NAMES: dict[pa.DataType, str] = {
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.uint8(): "UTINYINT",
    pa.uint16(): "USMALLINT",
    pa.uint32(): "UINTEGER",
    pa.uint64(): "UBIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.binary(): "BLOB",
}


def check_field(field: pa.Field) -> None:
    """Refuse a column type that VAST does not store."""
    _check(field.type, field.name)


def storage(type_: pa.DataType) -> pa.DataType:
    """Return the Arrow type DuckDB reads and writes for a column of ``type_``."""
    types = pa.types
    for matches, stored in _STORED_AS:
        if matches(type_):
            return stored
    if types.is_struct(type_):
        return pa.struct([(f"f{i}", storage(child.type)) for i, child in enumerate(type_)])
    if types.is_map(type_):
        entries = pa.struct([("f0", storage(type_.key_type)), ("f1", storage(type_.item_type))])
        return pa.list_(entries)
    if types.is_list(type_):
        return pa.list_(storage(type_.value_type))
    if types.is_fixed_size_list(type_):
        return pa.list_(storage(type_.value_type), type_.list_size)
    return type_


def sql(type_: pa.DataType) -> str:
    """Return the DuckDB type of a column whose *storage* type is given."""
    types = pa.types
    if types.is_struct(type_):
        return "STRUCT(" + ", ".join(f"{f.name} {sql(f.type)}" for f in type_) + ")"
    if types.is_list(type_):
        return f"{sql(type_.value_type)}[]"
    if types.is_fixed_size_list(type_):
        return f"{sql(type_.value_type)}[{type_.list_size}]"
    if types.is_decimal128(type_):
        return f"DECIMAL({type_.precision}, {type_.scale})"
    return _SQL_NAMES[type_]


def is_indexable(type_: pa.DataType) -> bool:
    """Tell whether an index can find values of a column of this type."""
    stored = storage(type_)
    return bool(pa.types.is_integer(stored) or pa.types.is_string(stored))


def relayout(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Return the array as ``target``, its logical or its storage counterpart, sharing buffers.

    The array must start at offset 0, as arrays read from an IPC message do.
    """
    if array.type == target:
        return array
    children = _children(array)
    if children is None:
        if any(map(pa.types.is_temporal, (array.type, target))):
            return array.view(target)
        return array.cast(target)
    own = array.buffers()[: array.type.num_buffers]
    wanted = _child_types(target)
    parts = [relayout(child, type_) for child, type_ in zip(children, wanted, strict=True)]
    return pa.Array.from_buffers(target, len(array), own, array.null_count, children=parts)


def isolate(array: pa.Array, path: tuple[int, ...], leaf: pa.DataType) -> pa.Array:
    """Return one leaf of a storage array, wrapped in exactly the levels above it.

    ``path`` holds the child number at each level below the array, ``leaf`` the logical type.
    """
    if not path:
        return relayout(array, leaf)
    children = _children(array)
    if children is None:
        raise IndexError("the path is longer than the type is deep")
    inner = isolate(children[path[0]], path[1:], leaf)
    own = array.buffers()[: array.type.num_buffers]
    type_ = _around(array.type, inner.type)
    return pa.Array.from_buffers(type_, len(array), own, array.null_count, children=[inner])


def _around(type_: pa.DataType, inner: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(type_):
        return pa.struct([("f", inner)])
    if pa.types.is_fixed_size_list(type_):
        return pa.list_(inner, type_.list_size)
    return pa.list_(inner)


def _children(array: pa.Array) -> list[pa.Array] | None:
    types = pa.types
    if types.is_struct(array.type):
        return [array.field(i) for i in range(array.type.num_fields)]
    if types.is_map(array.type):
        entries = pa.struct([("f0", array.type.key_type), ("f1", array.type.item_type)])
        pair = [array.keys, array.items]
        return [pa.Array.from_buffers(entries, len(array.keys), [None], 0, children=pair)]
    if types.is_list(array.type) or types.is_fixed_size_list(array.type):
        return [array.values]
    return None


def _child_types(type_: pa.DataType) -> list[pa.DataType]:
    if pa.types.is_struct(type_):
        return [child.type for child in type_]
    return [type_.value_type]


def _is_fixed_binary(type_: pa.DataType) -> bool:
    return pa.types.is_fixed_size_binary(type_) and not pa.types.is_decimal(type_)


_STORED_AS: tuple[tuple[Callable[[pa.DataType], bool], pa.DataType], ...] = (
    (pa.types.is_date32, pa.int32()),
    (pa.types.is_time32, pa.int32()),
    (pa.types.is_time64, pa.int64()),
    (pa.types.is_timestamp, pa.int64()),
    (pa.types.is_float16, pa.float32()),
    (_is_fixed_binary, pa.binary()),
)


def _is_scalar(type_: pa.DataType) -> bool:
    return storage(type_) in _SQL_NAMES or pa.types.is_decimal128(type_)


def _check(type_: pa.DataType, name: str) -> None:
    types = pa.types
    if types.is_struct(type_):
        for child in type_:
            _check(child.type, name)
    elif types.is_map(type_):
        _check(type_.key_type, name)
        _check(type_.item_type, name)
    elif types.is_list(type_):
        _check(type_.value_type, name)
    elif types.is_fixed_size_list(type_):
        _check_fixed_list(type_, name)
    elif not _is_scalar(type_):
        raise _unsupported(name, type_)


def _check_fixed_list(type_: pa.DataType, name: str) -> None:
    types, element = pa.types, type_.value_type
    if type_.list_size == 0:
        raise Invalid(
            f"column {name}: a fixed-size list holds at least one element",
            "TabularInvalidColumnTypeParam",
        )
    numeric = types.is_integer(element) or types.is_floating(element)
    dated = types.is_date32(element) or types.is_time(element) or types.is_timestamp(element)
    allowed = numeric or dated or types.is_decimal128(element)
    if not allowed or type_.value_field.nullable or type_.list_size > MAX_LIST_SIZE:
        raise _unsupported(name, type_)


def _unsupported(name: str, type_: pa.DataType) -> Invalid:
    return Invalid(f"column {name}: type {type_} is not supported", "TabularUnsupportedColumnType")
