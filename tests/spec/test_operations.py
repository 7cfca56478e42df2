"""Every operation of the specification is there, HEAD included."""

from typing import Any

import httpx
import pytest

from tests.making import external, new_id, put_flow, video
from tests.spec.official import Official, Operation

_WEBHOOK = {"url": "https://hook.example/", "events": [], "status": "disabled"}
_INSTANCE = {"label": "another place", "url": "http://another.example/"}


@pytest.fixture
def values(api: httpx.Client) -> dict[str, str]:
    """Something for every parameter in a path."""
    member = put_flow(api)
    flow = put_flow(api, tags={"colour": "red"}, flow_collection=[{"id": member}])
    segment = external(0, 1_000)
    api.post(f"/flows/{flow}/segments", json=segment).raise_for_status()
    return {
        "flowId": flow,
        "sourceId": api.get(f"/flows/{flow}").json()["source_id"],
        "objectId": segment["object_id"],
        "name": "colour",
        "profileId": new_id(),
        "webhookId": api.post("/service/webhooks", json=_WEBHOOK).json()["id"],
        "request-id": new_id(),
        "member": member,
    }


def _bodies(values: dict[str, str]) -> dict[str, Any]:
    """A body for every operation that needs one."""
    technical = {"format", "codec", "container", "essence_parameters"}
    metadata = {name: v for name, v in video(new_id()).items() if name in technical}
    flow = video(values["flowId"], source_id=values["sourceId"], tags={"colour": "red"})
    texts = ("tags-name", "description", "label")
    return {
        "POST_service": {},
        "POST_webhooks": _WEBHOOK,
        "PUT_webhooks": {**_WEBHOOK, "id": values["webhookId"], "status": "disabled"},
        "POST_profiles-profileId": {"id": values["profileId"], "flow_metadata": metadata},
        **{f"PUT_sources-sourceId-{name}": "green" for name in texts},
        "PUT_flows-flowId": flow,
        **{f"PUT_flows-flowId-{name}": "green" for name in texts},
        "PUT_flows-flowId-read-only": False,
        "PUT_flows-flowId-flow-collection": [{"id": values["member"]}],
        "PUT_flows-flowId-max-bit-rate": 5_000,
        "PUT_flows-flowId-avg-bit-rate": 4_000,
        "POST_flows-flowId-segments": external(1_000, 2_000),
        "POST_flows-flowId-storage": {"limit": 1},
        "POST_objects-instances": _INSTANCE,
    }


def _in_order(operations: dict[str, Operation]) -> list[Operation]:
    """Those that make before those that read, and those that remove last, from the inside out."""
    makes = [o for o in operations.values() if o.method in {"put", "post"}]
    reads = [o for o in operations.values() if o.method in {"get", "head"}]
    removes = [o for o in operations.values() if o.method == "delete"]
    return makes + reads + sorted(removes, key=lambda o: o.path.count("/"))[::-1]


def test_every_operation_of_the_specification_is_reached(
    api: httpx.Client, official: Official, values: dict[str, str]
):
    bodies = _bodies(values)
    nowhere = api.get("/nothing").json()["summary"]
    queries = {"DELETE_objects-instances": {"label": _INSTANCE["label"]}}
    unreached = {}
    for operation in _in_order(official.document.operations):
        path = operation.path.format(**values)
        body = {"json": bodies[operation.name]} if operation.name in bodies else {}
        answer = api.request(operation.method, path, params=queries.get(operation.name), **body)
        told = api.get(path) if operation.method == "head" else answer
        own_404 = told.status_code == 404 and told.json()["summary"] != nowhere
        if answer.status_code != told.status_code or not (told.is_success or own_404):
            unreached[operation.name] = answer.status_code

    assert unreached == {}
