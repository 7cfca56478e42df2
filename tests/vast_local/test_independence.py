"""Nobody waits for somebody else's query."""

import threading

import pyarrow as pa

from infra.vast_local.server import Database

FIELDS = pa.schema([("n", pa.int64())])


def test_transactions_begin_write_and_commit_while_a_long_query_of_another_runs(tmp_path):
    database = Database(tmp_path, ["b"])
    transactions = database.transactions
    reader = transactions.begin()
    working, ended = threading.Event(), threading.Event()

    def query_for_minutes():
        with transactions.use(reader) as tx:
            working.set()
            tx.cursor.execute("SELECT count(*) FROM range(1000000000) a, range(1000) b")

    def run():
        try:
            query_for_minutes()
        except BaseException:  # noqa: BLE001 - it is interrupted below, one way or another
            ended.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert working.wait(10)

    for _ in range(20):
        id_ = transactions.begin()
        with transactions.use(id_) as tx:
            tx.cursor.execute("CREATE TABLE IF NOT EXISTS x (n BIGINT)")
            tx.cursor.execute("INSERT INTO x VALUES (1)")
        transactions.commit(id_)

    assert not ended.is_set()
    assert thread.is_alive()
    transactions._open[reader].cursor.interrupt()
    assert ended.wait(30)
    database.close()
