"""A commit whose answer was lost is not taken for somebody else's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from infra.vast.session import OutcomeUnknown
from schemas.domain.errors import Invalid, NotSet
from schemas.domain.identifiers import FlowId, ObjectId, ProfileId
from schemas.domain.properties import Property, Tag
from schemas.tables.definitions import OBJECTS, PROFILES, SERVICE
from tasks import flows, profiles, service, sources, storage
from tasks.ports import Ports
from tests.making import a_profile, new_id, video
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


def lose_an_answer(ports: Ports) -> None:
    metadata: Any = ports.metadata
    metadata._database = LosesAnAnswer(metadata._database)


@pytest.fixture
def losing(ports: Ports) -> Ports:
    lose_an_answer(ports)
    return ports


def test_a_new_flow_is_new_even_if_read_only(losing: Ports) -> None:
    flow = video(new_id(), read_only=True)

    _, created = flows.put(losing, FlowId(flow["id"]), flow, by="test")

    assert created
    with losing.metadata.read() as snapshot:
        assert len(snapshot.all_flows({"source_id": flow["source_id"]})) == 1


def test_objects_allocated_by_name_are_not_taken(ports: Ports) -> None:
    flow_id = put_flow(ports)
    lose_an_answer(ports)
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
    lose_an_answer(ports)

    found = storage.allocate(
        ports, flow_id, limit=2, object_ids=None, storage_id=None, content_type=None
    )

    metadata: Any = ports.metadata
    with metadata._database.transaction() as transaction:
        ids = [item.object_id for item in found]
        rows = transaction.table(OBJECTS).select(["id"], isin=("id", ids))["id"].to_pylist()
    assert sorted(rows) == sorted(ids)


def test_a_tag_is_removed_once_and_its_absence_is_no_failure(ports: Ports) -> None:
    flow = video(new_id(), tags={"a": "b", "c": "d"})
    flows.put(ports, FlowId(flow["id"]), flow, by="test")
    source_id = flows.find(ports, FlowId(flow["id"])).source_id
    sources.change(ports, source_id, lambda s: Tag("a").put(s, "b"), by="test")

    lose_an_answer(ports)
    flows.change(ports, FlowId(flow["id"]), Tag("a").without, by="test")
    lose_an_answer(ports)
    sources.change(ports, source_id, Tag("a").without, by="test")

    assert flows.find(ports, FlowId(flow["id"])).tags == {"c": "d"}
    assert sources.find(ports, source_id).tags == {}
    with pytest.raises(NotSet):
        flows.change(ports, FlowId(flow["id"]), Tag("a").without, by="test")
    with pytest.raises(NotSet):
        sources.change(ports, source_id, Tag("a").without, by="test")


def test_a_property_is_set_once(ports: Ports) -> None:
    flow_id = put_flow(ports)
    edits = 0

    def edit(flow: Any) -> Any:
        nonlocal edits
        edits += 1
        return Property("label").put(flow, f"edit {edits}")

    lose_an_answer(ports)
    flows.change(ports, flow_id, edit, by="test")

    assert flows.find(ports, flow_id).label == "edit 1"


def test_a_new_profile_is_new(losing: Ports) -> None:
    profile_id = ProfileId(new_id())

    created = profiles.create(losing, profile_id, a_profile(profile_id), by="test")

    assert profiles.get(losing, profile_id) == created
    assert _rows(losing, PROFILES, id=profile_id) == 1
    with pytest.raises(Invalid, match="exists already"):
        profiles.create(losing, profile_id, a_profile(profile_id), by="test")


def test_the_service_is_described_in_one_place(losing: Ports) -> None:
    said = service.update(losing, {"name": "a"})
    service.update(losing, {"description": "b"})

    assert said.name == "a"
    assert _rows(losing, SERVICE) == 1
    assert (service.get(losing).name, service.get(losing).description) == ("a", "b")


def test_a_flow_that_moved_took_its_source_along(ports: Ports) -> None:
    flow = video(new_id())
    flows.put(ports, FlowId(flow["id"]), flow, by="test")

    lose_an_answer(ports)
    moved, created = flows.put(
        ports, FlowId(flow["id"]), {**flow, "source_id": new_id()}, by="test"
    )

    assert not created
    with ports.metadata.read() as snapshot:
        found = snapshot.sources([moved.source_id, flow["source_id"]])
    assert found.keys() == {moved.source_id}


def _rows(ports: Ports, table: str, **equal: str) -> int:
    metadata: Any = ports.metadata
    with metadata._database.transaction() as transaction:
        return int(transaction.table(table).select(equal=equal).num_rows)
