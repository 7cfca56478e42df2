"""Schemas, tables and columns: created, listed, renamed, dropped."""

import pyarrow as pa
import pytest
from vastdb import errors

FIELDS = pa.schema([("a", pa.int64()), ("b", pa.string())])


def test_a_missing_bucket_schema_or_table_is_missing(db):
    with db.session.transaction() as tx:
        with pytest.raises(errors.MissingBucket):
            tx.bucket("nowhere")
        with pytest.raises(errors.MissingSchema):
            tx.bucket(db.bucket).schema("nowhere")
        with pytest.raises(errors.MissingTable):
            db.table(tx, "nowhere")


def test_schemas_nest_and_their_names_keep_case_and_blanks(db):
    with db.session.transaction() as tx:
        outer = tx.bucket(db.bucket).schema(db.schema)
        outer.create_schema("In ner").create_schema("deep").create_table("T t", FIELDS)
        outer.create_schema("in ner")

    with db.session.transaction() as tx:
        outer = tx.bucket(db.bucket).schema(db.schema)
        assert [s.name for s in outer.schemas()] == [
            f"{db.schema}/In ner",
            f"{db.schema}/in ner",
        ]
        assert outer.schema("In ner").schema("deep").tablenames() == ["T t"]


def test_listings_come_in_pages(db):
    names = [f"t{i}" for i in range(7)]
    with db.session.transaction() as tx:
        schema = tx.bucket(db.bucket).schema(db.schema)
        for name in names:
            schema.create_table(name, FIELDS)

        assert schema.tablenames(page_size=3) == names


def listed(db, **options):
    """The names, the next key, whether there is more, and the count, of a listing of tables."""
    with db.session.transaction() as tx:
        place = {"bucket": db.bucket, "schema": db.schema, "txid": tx.txid}
        _, _, tables, next_key, is_truncated, count = db.session.api.list_tables(**place, **options)
        return [table.name for table in tables], next_key, is_truncated, count


def test_a_listing_can_only_count(db):
    for name in ("aa", "ab", "b"):
        db.create(name, FIELDS)

    assert listed(db, count_only=True)[0] == []
    assert listed(db, count_only=True)[2:] == (False, 3)
    assert listed(db, name_prefix="a", count_only=True)[3] == 2


def test_a_listing_is_by_prefix_or_by_one_name(db):
    for name in ("aa", "ab", "a"):
        db.create(name, FIELDS)

    assert listed(db, name_prefix="a")[0] == ["aa", "ab", "a"]
    assert listed(db, name_prefix="a", exact_match=True)[0] == ["a"]
    assert listed(db, name_prefix="A", exact_match=True)[0] == []


def test_a_page_of_a_listing_says_where_the_next_begins(db):
    for name in ("a", "b", "c"):
        db.create(name, FIELDS)

    names, next_key, is_truncated, _ = listed(db, max_keys=2)
    rest = listed(db, max_keys=2, next_key=next_key)

    assert (names, is_truncated) == (["a", "b"], True)
    assert (rest[0], rest[2]) == (["c"], False)


def test_a_schema_with_tables_is_not_dropped(db):
    db.create("t", FIELDS)
    with db.session.transaction() as tx, pytest.raises(errors.Conflict):
        tx.bucket(db.bucket).schema(db.schema).drop()


def test_a_renamed_table_keeps_its_rows(db):
    db.create("t", FIELDS, [[1], ["x"]])
    with db.session.transaction() as tx:
        db.table(tx, "t").rename("u")

    assert db.committed("u") == {"a": [1], "b": ["x"]}
    with db.session.transaction() as tx:
        assert tx.bucket(db.bucket).schema(db.schema).tablenames() == ["u"]


def test_columns_are_added_renamed_and_dropped(db):
    db.create("t", FIELDS, [[1], ["x"]])
    with db.session.transaction() as tx:
        table = db.table(tx, "t")
        table.add_column(pa.schema([("c", pa.list_(pa.int8()))]))
        table.rename_column("b", "a b")
        table.drop_column(pa.schema([("a", pa.int64())]))

        assert db.read(tx, "t") == {"a b": ["x"], "c": [None]}
    assert db.committed("t") == {"a b": ["x"], "c": [None]}


def test_a_dropped_and_recreated_column_starts_empty(db):
    db.create("t", FIELDS, [[1], ["x"]])
    with db.session.transaction() as tx:
        db.table(tx, "t").drop_column(pa.schema([("b", pa.string())]))
        db.table(tx, "t").add_column(pa.schema([("b", pa.string())]))

    assert db.committed("t") == {"a": [1], "b": [None]}


def test_a_type_vast_does_not_store_is_refused(db):
    with db.session.transaction() as tx:
        schema = tx.bucket(db.bucket).schema(db.schema)
        with pytest.raises(errors.NotSupportedSchema):
            schema.create_table("t", pa.schema([("d", pa.dictionary(pa.int8(), pa.string()))]))

        assert schema.tablenames() == []


def test_projections_are_listed_renamed_and_dropped(db):
    db.create("t", FIELDS, [[1, 2], ["y", "x"]])
    with db.session.transaction() as tx:
        table = db.table(tx, "t")
        table.create_projection("p", sorted_columns=["b"], unsorted_columns=["a"])
        table.projection("p").rename("q")
        assert [p.name for p in table.projections()] == ["q"]
        table.projection("q").drop()

        assert list(table.projections()) == []


def test_a_sort_key_is_listed_in_key_order(db):
    with db.session.transaction() as tx:
        schema = tx.bucket(db.bucket).schema(db.schema)
        table = schema.create_table("t", FIELDS, sorting_key=[1, 0])
        table.insert(pa.table([[1], ["x"]], schema=FIELDS))

    with db.session.transaction() as tx:
        table = db.table(tx, "t")
        assert table.sorted_table
        assert [field.name for field in table._metadata.sorted_columns] == ["b", "a"]
        assert db.read(tx, "t", internal_row_id=True) == {"a": [1], "b": ["x"], "$row_id": [0]}
