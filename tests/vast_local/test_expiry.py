"""A transaction nobody uses is rolled back, one at work or kept alive is not."""

import pytest

from infra.vast_local import catalog
from infra.vast_local.errors import Missing
from infra.vast_local.storage import Storage
from infra.vast_local.transactions import Transactions


@pytest.fixture
def storage(tmp_path):
    opened = Storage(tmp_path)
    yield opened
    opened.close()


def transactions(storage, idle_s):
    cursor = storage.borrow()
    return Transactions(storage, catalog.load(cursor, ["b"]), idle_s=idle_s)


def test_an_idle_transaction_is_forgotten(storage):
    opened = transactions(storage, idle_s=0.0)
    id_ = opened.begin()

    opened.expire()

    with pytest.raises(Missing):
        opened.commit(id_)


def test_a_transaction_at_work_does_not_expire(storage):
    opened = transactions(storage, idle_s=0.0)
    id_ = opened.begin()

    with opened.use(id_):
        opened.expire()

    opened.commit(id_)


def test_a_transaction_in_use_lately_does_not_expire(storage):
    opened = transactions(storage, idle_s=60.0)
    id_ = opened.begin()

    opened.expire()

    opened.commit(id_)
