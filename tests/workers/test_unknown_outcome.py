"""A commit whose answer was lost is not taken for somebody else's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from infra.vast.session import OutcomeUnknown
from schemas.domain.errors import Invalid
from schemas.domain.identifiers import FlowId, ObjectId
from schemas.tables.definitions import OBJECTS
from tasks import flows, storage
from tasks.ports import Ports
from tests.making import new_id, video
from tests.workers.conftest import put_flow


class LosesAnAnswer:
    """A database whose first commit arrives and is not confirmed."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.lost = 0

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        with self.inner.transaction() as transaction:
            yield transaction
        if not self.lost:
            self.lost += 1
            raise OutcomeUnknown


@pytest.fixture
def losing(ports: Ports) -> Ports:
    metadata: Any = ports.metadata
    metadata._database = LosesAnAnswer(metadata._database)
    return ports


def test_a_new_flow_is_new_even_if_read_only(losing: Ports) -> None:
    flow = video(new_id(), read_only=True)

    _, created = flows.put(losing, FlowId(flow["id"]), flow, by="test")

    assert created
    with losing.metadata.read() as snapshot:
        assert len(snapshot.all_flows({"source_id": flow["source_id"]})) == 1


def test_objects_allocated_by_name_are_not_taken(ports: Ports) -> None:
    flow_id = put_flow(ports)
    metadata: Any = ports.metadata
    metadata._database = LosesAnAnswer(metadata._database)
    wanted = [ObjectId(new_id()), ObjectId(new_id())]

    def allocate() -> list[str]:
        found = storage.allocate(
            ports, flow_id, limit=2, object_ids=wanted, storage_id=None, content_type=None
        )
        return [item.object_id for item in found]

    assert allocate() == wanted
    with pytest.raises(Invalid, match="exist already"):
        allocate()


def test_objects_the_store_names_are_allocated_once(ports: Ports) -> None:
    flow_id = put_flow(ports)
    metadata: Any = ports.metadata
    metadata._database = LosesAnAnswer(metadata._database)

    found = storage.allocate(
        ports, flow_id, limit=2, object_ids=None, storage_id=None, content_type=None
    )

    with metadata._database.transaction() as transaction:
        ids = [item.object_id for item in found]
        rows = transaction.table(OBJECTS).select(["id"], isin=("id", ids))["id"].to_pylist()
    assert sorted(rows) == sorted(ids)
