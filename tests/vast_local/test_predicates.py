"""Every form of filter finds the rows it should and no others."""

from decimal import Decimal

import pyarrow as pa
import pytest
from vastdb import errors
from vastdb.config import QueryConfig

FIELDS = pa.schema(
    [
        ("n", pa.int64()),
        ("s", pa.string()),
        ("b", pa.bool_()),
        ("f", pa.float64()),
        ("u", pa.uint8()),
        ("d", pa.decimal128(9, 2)),
        ("raw", pa.binary()),
        ("ts", pa.timestamp("ns")),
        ("st", pa.struct([("x", pa.int64()), ("y", pa.string())])),
    ]
)
TEXTS = ["", "a", "ab", "abc", "b", "%_", "Ab", "a\U0010ffff", None, "ü"]
ROWS = [
    [-(2**63), -1, 0, 1, 2, 2**63 - 1, 7, 7, None, 9],
    TEXTS,
    [True, False, True, None, False, True, False, True, None, False],
    [0.0, 0.5, -0.5, float("inf"), 1e300, 2.5, 3.5, 4.5, None, 5.5],
    [0, 1, 2, 3, 4, 5, 6, 255, None, 9],
    [Decimal(n) / 4 if n is not None else None for n in [0, 1, 2, 3, 4, 5, 6, 7, None, 9]],
    [b"", b"\0", b"a", b"\xff", b"\xff\xff", b"b", b"c", b"d", None, b"e"],
    [0, 1, 2, 3, 4, 5, 10**18, -(10**18), None, 9],
    [{"x": i, "y": t} if i != 3 else {"x": None, "y": t} for i, t in enumerate(TEXTS)],
]

CASES = {
    "no predicate": (lambda _: None, range(10)),
    "equal integers": (lambda t: t["n"] == 7, [6, 7]),
    "the smallest integer": (lambda t: t["n"] == -(2**63), [0]),
    "the largest integer": (lambda t: t["n"] >= 2**63 - 1, [5]),
    "equal strings": (lambda t: t["s"] == "ab", [2]),
    "the empty string": (lambda t: t["s"] == "", [0]),
    "unequal, null is neither": (lambda t: t["s"] != "ab", [0, 1, 3, 4, 5, 6, 7, 9]),
    "isin integers": (lambda t: t["n"].isin([7, 0, 100]), [2, 6, 7]),
    "isin strings": (lambda t: t["s"].isin(["ü", "a", "a'b"]), [1, 9]),
    "isin many": (lambda t: t["n"].isin(list(range(1, 3000))), [3, 4, 6, 7, 9]),
    "isin many integers": (
        lambda t: t["n"].isin([0, -(2**63), 2**63 - 1, *range(8, 99)]),
        [0, 2, 5, 9],
    ),
    "isin many strings": (lambda t: t["s"].isin(["", "ü", *map(str, range(99))]), [0, 9]),
    "isin many small integers": (lambda t: t["u"].isin(list(range(5, 256))), [5, 6, 7, 9]),
    "isin decimals": (lambda t: t["d"].isin([0.25, 2.25]), [1, 9]),
    "half-open range": (lambda t: (t["n"] >= 0) & (t["n"] < 7), [2, 3, 4]),
    "between": (lambda t: t["n"].between(1, 7), [3, 4, 6, 7]),
    "is null": (lambda t: t["n"].isnull(), [8]),
    "is not null": (lambda t: ~t["n"].isnull(), [0, 1, 2, 3, 4, 5, 6, 7, 9]),
    "null or a value": (lambda t: t["s"].isnull() | (t["s"] == "b"), [4, 8]),
    "a value or a range": (lambda t: (t["n"] == 0) | t["n"].between(7, 8), [2, 6, 7]),
    "prefix": (lambda t: t["s"].startswith("a"), [1, 2, 3, 7]),
    "prefix whose upper bound is not UTF-8": (lambda t: t["s"].startswith("ü"), [9]),
    "empty prefix": (lambda t: t["s"].startswith(""), [0, 1, 2, 3, 4, 5, 6, 7, 9]),
    "prefix or value": (lambda t: t["s"].startswith("ab") | (t["s"] == "b"), [2, 3, 4]),
    "contains": (lambda t: t["s"].contains("b"), [2, 3, 4, 6]),
    "contains is no pattern": (lambda t: t["s"].contains("%"), [5]),
    "true": (lambda t: t["b"] == True, [0, 2, 5, 7]),  # noqa: E712
    "false": (lambda t: t["b"] == False, [1, 4, 6, 9]),  # noqa: E712
    "floats": (lambda t: t["f"] > 1.0, [3, 4, 5, 6, 7, 9]),
    "a float that is zero": (lambda t: t["f"] == 0.0, [0]),
    "small unsigned": (lambda t: t["u"] > 5, [6, 7, 9]),
    "decimals": (lambda t: t["d"] == 0.75, [3]),
    "binary": (lambda t: t["raw"] == b"\xff", [3]),
    "a field of a struct": (lambda t: t["st"]["x"] == 4, [4]),
    "isin on a field of a struct": (lambda t: t["st"]["x"].isin([1, 2, 3]), [1, 2]),
    "null fields of structs": (lambda t: t["st"]["x"].isnull(), [3]),
    "columns together": (lambda t: (t["n"] == 7) & (t["s"] == "Ab") & (t["f"] < 4), [6]),
    "nothing found": (lambda t: t["n"] == 12345, []),
}


@pytest.fixture(scope="module", params=["plain", "indexed"])
def table(server, request):
    """Names a committed table of ``ROWS``, numbered in column ``id``, in a schema of its own."""
    name = f"predicates_{request.param}"
    session = server.connect()
    columns = [pa.array(values, field.type) for values, field in zip(ROWS, FIELDS, strict=True)]
    rows = pa.table(columns, schema=FIELDS).append_column("id", pa.array(range(10), pa.int64()))
    with session.transaction() as tx:
        t = tx.bucket(server.bucket).create_schema(name).create_table("t", rows.schema)
        t.insert(rows)
        for column in ("n", "s", "u", "ts") if request.param == "indexed" else ():
            t.create_projection(column, [column], ["id"])
    return session, server.bucket, name


@pytest.mark.parametrize("case", CASES)
def test_a_filter_finds_its_rows(table, case):
    session, bucket, schema = table
    predicate, expected = CASES[case]
    with session.transaction() as tx:
        t = tx.bucket(bucket).schema(schema).table("t")
        as_numbered = QueryConfig(use_semi_sorted_projections=False)
        found = t.select(columns=["id"], predicate=predicate(t), config=as_numbered).read_all()

        assert found["id"].to_pylist() == list(expected)


def test_a_filter_on_a_column_that_was_dropped_is_refused(db):
    db.create("t", pa.schema([("a", pa.int64()), ("b", pa.int64())]), [[1], [2]])
    with db.session.transaction() as tx:
        stale = db.table(tx, "t")
        db.table(tx, "t").drop_column(pa.schema([("b", pa.int64())]))

        with pytest.raises(errors.NotFound):
            stale.select(predicate=stale["b"] == 2, columns=["a"], config=db.config).read_all()
