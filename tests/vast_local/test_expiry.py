"""A transaction nobody uses is rolled back, one at work or kept alive is not."""

import pytest

from infra.vast_local import catalog
from infra.vast_local.errors import Lost, Missing
from infra.vast_local.storage import Storage
from infra.vast_local.transactions import Transactions


@pytest.fixture
def storage(tmp_path):
    opened = Storage(tmp_path)
    yield opened
    opened.close()


def transactions(storage, **limits):
    cursor = storage.borrow()
    return Transactions(storage, catalog.load(cursor, ["b"]), **limits)


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


def test_an_idle_transaction_in_the_way_of_others_is_forgotten_sooner(storage):
    opened = transactions(storage, idle_s=60.0, in_the_way_s=0.0)
    harmless, abandoned = opened.begin(), opened.begin()
    with opened.use(abandoned) as tx:
        opened.claims.write(tx.holder, 1, {7})
    other = opened.begin()
    with pytest.raises(Lost), opened.use(other) as tx:
        opened.claims.write(tx.holder, 1, {7})

    opened.expire()

    with pytest.raises(Missing):
        opened.commit(abandoned)
    opened.commit(harmless)
    after = opened.begin()
    with opened.use(after) as tx:
        opened.claims.write(tx.holder, 1, {7})
    opened.commit(after)
