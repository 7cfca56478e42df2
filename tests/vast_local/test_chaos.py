"""A server told to make trouble makes it, and never loses what it has confirmed."""

import pyarrow as pa
import pytest
from vastdb import errors
from vastdb.config import BackoffConfig, QueryConfig

from infra.vast_local.chaos import Spec, parse
from infra.vast_local.errors import CannotStart

FIELDS = pa.schema([("n", pa.int64())])
COUNT = 50
EAGER = BackoffConfig(max_value=0.02, max_tries=50)


def test_a_specification_is_words_and_numbers():
    spec = parse("pages=5, shuffle,conflict=0.25,latency=2.5")

    assert spec == Spec(pages=5, shuffle=True, conflict=0.25, latency=2.5)


@pytest.mark.parametrize("text", ["pagse=5", "pages=many", "conflict=-1", "conflict=often"])
def test_what_makes_no_sense_is_refused(text):
    with pytest.raises(CannotStart):
        parse(text)


@pytest.fixture
def troubled(start_server, open_database):
    """Starts a quiet server to make a table, then one that makes trouble."""

    def begin(spec):
        quiet = start_server()
        open_database(quiet).create("t", FIELDS, [list(range(COUNT))])
        assert quiet.stop() == 0
        server = start_server("--chaos", spec)
        return open_database(server, backoff_config=EAGER)

    return begin


def insert(db, value):
    with db.session.transaction() as tx:
        db.table(tx, "t").insert(pa.table([[value]], schema=FIELDS))


def outcome(act, *arguments):
    """Do something; what went wrong, or None."""
    try:
        act(*arguments)
    except (errors.Conflict, errors.ConnectionError) as error:
        return type(error)
    return None


def test_pages_are_small_and_in_no_order(troubled):
    db = troubled("pages=7,shuffle")
    splits = QueryConfig(num_splits=1, num_sub_splits=3, data_endpoints=[db.endpoint])

    with db.session.transaction() as tx:
        batches = list(db.table(tx, "t").select(config=db.config))
        split = db.table(tx, "t").select(config=splits).read_all()["n"].to_pylist()

    numbers = [n for batch in batches for n in batch["n"].to_pylist()]
    assert numbers != list(range(COUNT))
    assert sorted(numbers) == sorted(split) == list(range(COUNT))
    assert max(batch.num_rows for batch in batches) <= 7


def test_results_that_break_off_and_servers_that_are_busy_cost_no_row(troubled):
    db = troubled("pages=7,shuffle,cut=0.1,slowdown=0.1,latency=1")

    with db.session.transaction() as tx:
        found = [sorted(db.read(tx, "t")["n"]) for _ in range(2)]

    assert found == [list(range(COUNT))] * 2


def test_a_conflict_changes_nothing_and_readers_are_spared(troubled):
    db = troubled("conflict=0.5")

    outcomes = [outcome(insert, db, COUNT + i) for i in range(15)]

    done = [COUNT + i for i, bad in enumerate(outcomes) if bad is None]
    assert errors.Conflict in outcomes
    assert db.committed("t")["n"] == [*range(COUNT), *done]


@pytest.mark.parametrize(("word", "happened"), [("lose", False), ("mute", True)])
def test_a_commit_nobody_answers_has_happened_or_not(troubled, word, happened):
    db = troubled(f"{word}=1")

    with pytest.raises(errors.ConnectionError):
        insert(db, COUNT)

    assert (COUNT in db.committed("t")["n"]) is happened
