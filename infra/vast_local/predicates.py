"""A filter on the wire becomes SQL.

* The wire has one shape: ``and(or(term ...) ...)``, every ``or`` on one column, a term
  being a call on a column and at most one literal, or an ``and`` of two of those.
* Several ``equal`` terms of one ``or`` become a join with a list parameter. DuckDB 2.0
  compares an IN of constants several times slower, and on a field of a struct wrongly.
* Integers and booleans are written into the SQL, everything else is a parameter.
* A literal must be of its column's kind; a filter that DuckDB could not bind is refused
  here, because an error inside DuckDB would end the transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from struct import Struct

import pyarrow as pa

from infra.vast_local.errors import Invalid
from infra.vast_local.flatbuf import Table
from infra.vast_local.nodes import Node
from infra.vast_local.types import sql, storage

_COMPARISONS = {
    "equal": "=",
    "not_equal": "<>",
    "greater": ">",
    "greater_equal": ">=",
    "less": "<",
    "less_equal": "<=",
}

_LITERAL, _FIELD, _CALL = 1, 2, 3

_INTEGERS = {
    2: Struct("<b"),
    3: Struct("<h"),
    4: Struct("<i"),
    5: Struct("<q"),
    6: Struct("<B"),
    7: Struct("<H"),
    8: Struct("<I"),
    9: Struct("<Q"),
    10: Struct("<q"),
    11: Struct("<q"),
    12: Struct("<q"),
}

_FITS = {bool: pa.types.is_boolean, int: pa.types.is_integer, float: pa.types.is_floating}

_FLOATS = {16: Struct("<e"), 17: Struct("<f"), 18: Struct("<d")}

Literal = bool | int | float | bytes | Decimal | tuple["Literal", ...]
Value = bool | int | float | str | bytes | list["Value"]


@dataclass(slots=True)
class Condition:
    """SQL text of a filter, its parameters in order, and the columns it reads."""

    sql: str = "true"
    parameters: list[object] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Term:
    """One comparison: an operator word, the node it reads and its literal, if it has one."""

    name: str
    node: Node
    literal: Literal | None


def compile_filter(expression: Table, nodes: Sequence[Node]) -> Condition:
    """Return the condition of a request's filter over its numbered nodes."""
    condition = Condition()
    name, groups = _call(expression)
    if name != "and":
        raise Invalid(f"a filter is an and, not {name}")
    parts = []
    for group in groups:
        name, terms = _call(group)
        if name != "or":
            raise Invalid(f"a filter is an and of ors, not of {name}")
        parts.append(_any_of(condition, [_terms(term, nodes) for term in terms]))
    if parts:
        condition.sql = " AND ".join(parts)
    return condition


def _any_of(condition: Condition, choices: list[list[_Term]]) -> str:
    equals = [c[0] for c in choices if len(c) == 1 and c[0].name == "equal"]
    parts = []
    if len(equals) > 1:
        parts.append(_is_in(condition, equals))
        choices = [c for c in choices if len(c) > 1 or c[0].name != "equal"]
    parts += [_all_of(condition, terms) for terms in choices]
    return "(" + " OR ".join(parts) + ")" if parts else "false"


def _is_in(condition: Condition, terms: list[_Term]) -> str:
    node = terms[0].node
    if any(term.node is not node for term in terms):
        raise Invalid("an or is on one column")
    type_ = storage(node.compared)
    condition.parameters.append([_value(term.literal, type_) for term in terms])
    return f"{_column(condition, node)} IN (SELECT unnest(?::{_sql_type(node)}[]))"


def _all_of(condition: Condition, terms: list[_Term]) -> str:
    prefix = _prefix(condition, terms)
    if prefix:
        return prefix
    return "(" + " AND ".join(_compare(condition, term) for term in terms) + ")"


def _prefix(condition: Condition, terms: list[_Term]) -> str | None:
    """Return the SQL of ``lower <= x < lower with its last byte raised``, or None.

    The raised bound is no valid UTF-8 in general, so it cannot be compared in SQL.
    """
    if [term.name for term in terms] != ["greater_equal", "less"]:
        return None
    lower, upper = terms[0].literal, terms[1].literal
    if not isinstance(lower, bytes) or not isinstance(upper, bytes) or not lower:
        return None
    if upper != lower[:-1] + bytes([(lower[-1] + 1) % 256]):
        return None
    if not pa.types.is_string(terms[0].node.type):
        return None
    column = _column(condition, terms[0].node)
    condition.parameters += [_text(lower), _text(lower)]
    return f"({column} >= ? AND starts_with({column}, ?))"


def _compare(condition: Condition, term: _Term) -> str:
    column = _column(condition, term.node)
    if term.name == "is_null":
        return f"{column} IS NULL"
    if term.name == "is_valid":
        return f"{column} IS NOT NULL"
    if term.name == "match_substring":
        if not pa.types.is_string(term.node.type):
            raise Invalid("only strings contain strings")
        return f"contains({column}, {_literal(condition, term)})"
    if term.name not in _COMPARISONS:
        raise Invalid(f"a filter cannot use {term.name}")
    return f"{column} {_COMPARISONS[term.name]} {_literal(condition, term)}"


def _column(condition: Condition, node: Node) -> str:
    if not node.is_leaf or node.sql is None:
        raise Invalid("a filter reads plain columns and fields of structs")
    condition.columns.add(node.column)
    return node.sql


def _literal(condition: Condition, term: _Term) -> str:
    value = _value(term.literal, storage(term.node.compared))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    condition.parameters.append(value)
    return f"?::{_sql_type(term.node)}"


def _value(literal: Literal | None, type_: pa.DataType) -> Value:
    """Return a literal as a parameter of a storage type, or refuse it."""
    types = pa.types
    match literal:
        case bool() | int() | float() as value if _FITS[type(value)](type_):
            return value
        case Decimal() as value if types.is_decimal(type_):
            return str(value.scaleb(-type_.scale))
        case bytes(value) if types.is_string(type_):
            return _text(value)
        case bytes(value) if types.is_binary(type_):
            return value
        case tuple(values) if types.is_fixed_size_list(type_) and len(values) == type_.list_size:
            return [_value(value, type_.value_type) for value in values]
    raise Invalid(f"a column stored as {type_} cannot be compared with {literal!r}")


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Invalid("a string literal is not UTF-8") from error


def _sql_type(node: Node) -> str:
    return sql(storage(node.compared))


def _terms(expression: Table, nodes: Sequence[Node]) -> list[_Term]:
    name, arguments = _call(expression)
    if name == "and":
        return [term for argument in arguments for term in _terms(argument, nodes)]
    node = nodes[_position(arguments[0])]
    literal = _read_literal(arguments[1]) if len(arguments) > 1 else None
    return [_Term(name, node, literal)]


def _call(expression: Table) -> tuple[str, list[Table]]:
    if expression.byte(0) != _CALL:
        raise Invalid("a filter is made of calls")
    call = expression.table(1)
    return call.text(0), call.tables(1)


def _position(expression: Table) -> int:
    if expression.byte(0) != _FIELD:
        raise Invalid("a call's first argument is a column")
    return expression.table(1).table(1).uint(0)


def _read_literal(expression: Table) -> Literal:
    if expression.byte(0) != _LITERAL:
        raise Invalid("a call's second argument is a literal")
    return _literal_value(expression.table(1))


def _literal_value(literal: Table) -> Literal:
    kind, value = literal.byte(0), literal.table(1)
    match kind:
        case _ if kind in _INTEGERS:
            return value.scalar(0, _INTEGERS[kind])
        case _ if kind in _FLOATS:
            return float(value.scalar(0, _FLOATS[kind]))
        case 1:
            return bool(value.byte(0))
        case 15:
            return Decimal(int.from_bytes(value.blob(0), "little", signed=True))
        case 19:
            return tuple(_literal_value(element) for element in value.tables(0))
        case 22 | 23:
            return value.blob(0)
    raise Invalid(f"a filter cannot hold a literal of kind {kind}")
