"""A filter on the wire becomes SQL.

* The wire has one shape: ``and(or(term ...) ...)``, every ``or`` on one column, a term
  being a call on a column and at most one literal, or an ``and`` of two of those.
* Several ``equal`` terms of one ``or`` become an IN of parameters where there is an index to
  answer it, or where they are few; their number is rounded up, so that the statement is
  seldom a new one. Elsewhere they become a join with a list: DuckDB 2.0 compares an IN of
  constants several times slower, and on a field of a struct wrongly.
* Narrow integers and booleans are written into the SQL, everything else is a parameter, so that
  the same question with other values is the same statement.
* Of a parameter it is noted where the request has its value, which is not read: requests that
  differ in nothing else have one condition.
* A literal must be of its column's kind; a filter that DuckDB could not bind is refused
  here, because an error inside DuckDB would end the transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from struct import Struct

import pyarrow as pa

from infra.vast_local.errors import Invalid
from infra.vast_local.flatbuf import IntegerAt, Irregular, Table, Tables, TextAt
from infra.vast_local.nodes import Node

_COMPARISONS = {
    "equal": "=",
    "not_equal": "<>",
    "greater": ">",
    "greater_equal": ">=",
    "less": "<",
    "less_equal": "<=",
}

_LITERAL, _FIELD, _CALL = 1, 2, 3

_INT64, _LONG, _BYTES = 5, {5, 10, 11, 12}, {22, 23}

_MOST_PARAMETERS = 1 << 10
"""Values of an IN up to which each is a parameter: an index finds them faster than a scan."""

_MOST_COMPARED = {"BIGINT": 16, "VARCHAR": 4}
"""Values of an IN up to which each is a parameter where there is no index, by type."""

_MANY = 33
"""Terms from which on it pays to read them together."""

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

_INT64_END = 1 << 63

_UNCAST = frozenset({"BIGINT", "VARCHAR"})
"""Types that what Python passes to DuckDB becomes by itself in a comparison."""

_FITS = {bool: pa.types.is_boolean, int: pa.types.is_integer, float: pa.types.is_floating}

_FLOATS = {16: Struct("<e"), 17: Struct("<f"), 18: Struct("<d")}

Literal = bool | int | float | bytes | Decimal | tuple["Literal", ...]
Value = bool | int | float | str | bytes | list["Value"]


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is the same in every request of this shape."""

    value: Value

    def read(self, buffer: bytes) -> Value:
        """Return it."""
        del buffer
        return self.value


@dataclass(frozen=True, slots=True)
class ListOf:
    """Values as a list."""

    values: "list[Source]"

    def read(self, buffer: bytes) -> list[Value]:
        """Return the list."""
        return [value.read(buffer) for value in self.values]


Source = IntegerAt | TextAt | Constant | ListOf
"""Where the value of a parameter is found."""


@dataclass(slots=True)
class Condition:
    """SQL text of a filter, where its parameters are, in order, and the columns it reads.

    ``is_common`` says that a request of this shape may come again with other values.
    """

    sql: str = "true"
    sources: list[Source] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)
    is_common: bool = True

    def parameters(self, body: bytes) -> list[object]:
        """Return the parameters a request has."""
        return [source.read(body) for source in self.sources]

    @property
    def places(self) -> list[IntegerAt | TextAt]:
        """Where in a request the values are."""
        inner = [s.values if isinstance(s, ListOf) else [s] for s in self.sources]
        return [s for group in inner for s in group if isinstance(s, (IntegerAt, TextAt))]


@dataclass(frozen=True, slots=True)
class _Term:
    """One comparison: an operator word, the node it reads and its literal, unread, if any."""

    name: str
    node: Node
    literal: Table | None


def compile_filter(expression: Table, nodes: Sequence[Node]) -> Condition:
    """Return the condition of a request's filter over its numbered nodes."""
    condition = Condition()
    name, groups = _call(expression)
    if name != "and":
        raise Invalid(f"a filter is an and, not {name}")
    parts = []
    for group in groups:
        if group.byte(0) != _CALL:
            raise Invalid("a filter is made of calls")
        call = group.table(1)
        if call.text(0) != "or":
            raise Invalid(f"a filter is an and of ors, not of {call.text(0)}")
        alike = _alike(call, nodes)
        if alike is None:
            choices = [_terms(term, nodes) for term in call.tables(1)]
            parts.append(_any_of(condition, choices))
        else:
            node, values = alike
            condition.is_common = False
            parts.append(_is_in(condition, node, list(map(Constant, values))))
    if parts:
        condition.sql = " AND ".join(parts)
    return condition


def _alike(call: Table, nodes: Sequence[Node]) -> tuple[Node, list[Value]] | None:
    """Return the column and the values of many ``equal`` terms, None if they are anything else."""
    places = call.places(1)
    if len(places) < _MANY:
        return None
    try:
        terms = call.read_together(places)
        calls = terms.table(1)
        columns, literals = calls.vector(1, 2)
        kinds = terms.byte(0), columns.byte(0), literals.byte(0)
        if kinds != (_CALL, _FIELD, _LITERAL) or set(calls.blobs(0)) != {b"equal"}:
            return None
        node = nodes[columns.table(1).table(1).uint(0)]
        values = _values(literals.table(1), node)
    except Irregular:
        return None
    return None if values is None else (node, values)


def _values(literals: Tables, node: Node) -> list[Value] | None:
    """Return what literals of one kind say, if it is a common kind."""
    kind, values = literals.byte(0), literals.table(1)
    if kind in _BYTES and pa.types.is_string(node.stored):
        return [_text(value) for value in values.blobs(0)]
    if kind == _INT64 and node.declared == "BIGINT":
        return list(values.integers(0))
    return None


def _any_of(condition: Condition, choices: list[list[_Term]]) -> str:
    equals = [c[0] for c in choices if len(c) == 1 and c[0].name == "equal"]
    parts = []
    if len(equals) > 1:
        node = equals[0].node
        if any(term.node is not node for term in equals):
            raise Invalid("an or is on one column")
        parts.append(_is_in(condition, node, [_source(term.literal, node) for term in equals]))
        choices = [c for c in choices if len(c) > 1 or c[0].name != "equal"]
    parts += [_all_of(condition, terms) for terms in choices]
    return "(" + " OR ".join(parts) + ")" if parts else "false"


def _is_in(condition: Condition, node: Node, values: Sequence[Source]) -> str:
    column = _column(condition, node)
    compared = 0 if node.path else _MOST_COMPARED.get(node.declared, 0)
    most = _MOST_PARAMETERS if node.is_indexed else compared
    if len(values) > most:
        condition.sources.append(ListOf(list(values)))
        return f"{column} IN (SELECT unnest(?::{node.declared}[]))"
    count = 1 << (len(values) - 1).bit_length()
    condition.sources += values
    condition.sources += [values[-1]] * (count - len(values))
    return f"{column} IN ({', '.join([_parameter(node)] * count)})"


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
    lower, upper = [_read(term.literal) for term in terms]
    if not isinstance(lower, bytes) or not isinstance(upper, bytes) or not lower:
        return None
    if upper != lower[:-1] + bytes([(lower[-1] + 1) % 256]):
        return None
    if not pa.types.is_string(terms[0].node.type):
        return None
    column = _column(condition, terms[0].node)
    condition.sources += [Constant(_text(lower)), Constant(_text(lower))]
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
    source = _source(term.literal, term.node)
    if isinstance(source, Constant):
        value = source.value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int) and not (
            term.node.declared == "BIGINT" and -_INT64_END <= value < _INT64_END
        ):
            return str(value)
    condition.sources.append(source)
    return _parameter(term.node)


def _source(literal: Table | None, node: Node) -> Source:
    """Return where the value of a literal is; common kinds stay unread."""
    place = literal.table(1).place(0) if literal else 0
    if literal and place:
        kind = literal.byte(0)
        if kind in _BYTES and node.declared == "VARCHAR":
            return TextAt(place)
        if kind in _LONG and node.declared == "BIGINT":
            return IntegerAt(place)
    return Constant(_value(_read(literal), node.stored))


def _parameter(node: Node) -> str:
    """Return a parameter of a column's type; a cast costs as much again as what it casts."""
    return "?" if node.declared in _UNCAST else f"?::{node.declared}"


def _value(literal: Literal | None, type_: pa.DataType) -> Value:
    """Return a literal as a parameter of a storage type, or refuse it."""
    types = pa.types
    if isinstance(literal, bytes) and types.is_string(type_):
        return _text(literal)
    match literal:
        case bool() | int() | float() as value if _FITS[type(value)](type_):
            return value
        case Decimal() as value if types.is_decimal(type_):
            return str(value.scaleb(-type_.scale))
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


def _read_literal(expression: Table) -> Table:
    if expression.byte(0) != _LITERAL:
        raise Invalid("a call's second argument is a literal")
    return expression.table(1)


def _read(literal: Table | None) -> Literal | None:
    return _literal_value(literal) if literal else None


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
