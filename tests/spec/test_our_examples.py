"""The examples of our own document are true: they fit the schemas, and the requests work."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from schemas.domain.identifiers import UUID_PATTERN
from schemas.http.deletions import DeletionSchema
from schemas.http.examples import EXAMPLES
from schemas.http.flows import FlowGetSchema, FlowSchema
from schemas.http.objects import ObjectSchema, StoragePostSchema, StorageSchema
from schemas.http.profiles import ProfilePostSchema, ProfileSchema
from schemas.http.segments import SegmentPostSchema, SegmentSchema
from schemas.http.service import BackendSchema, ServicePostSchema, ServiceSchema
from schemas.http.sources import SourceSchema
from tests.making import new_id
from tests.spec.official import Document, Official

# What the official document gives to HEAD is not what its GET answers.
Found = tuple[str, str, Mapping[str, Any], Any]


def _values(body: Mapping[str, Any]) -> list[Any]:
    single = [body["example"]] if "example" in body else []
    return [*single, *(example["value"] for example in body.get("examples", {}).values())]


def _found(document: Document) -> Iterator[Found]:
    """Every example: the operation, which of its bodies, that body, and the value."""
    for operation in document.operations.values():
        for of, body in operation.bodies.items():
            for value in _values(body):
                yield operation.name, of, body, value


def test_every_body_in_our_document_has_an_example(served: Document):
    for operation in served.operations.values():
        for of, body in operation.bodies.items():
            assert _values(body), (operation.name, of)


def test_our_examples_fit_our_schemas(served: Document):
    for name, of, body, value in _found(served):
        assert served.faults(body["schema"], value) == [], (name, of)


def test_our_examples_fit_the_official_schemas(served: Document, official: Official):
    compared = set()
    for name, of, _, value in _found(served):
        theirs = official.document.operations.get(name)
        if theirs and theirs.method != "head" and of in theirs.bodies:
            schema = theirs.bodies[of]["schema"]
            assert official.document.faults(schema, value) == [], (name, of)
            compared.add(name)
        if of.startswith(("4", "5")) and not name.endswith("_health"):
            assert official.faults("error", value) == []

    assert {"PUT_flows-flowId", "GET_flows-flowId-segments", "GET_objects"} <= compared


@pytest.fixture(scope="module")
def story(api: httpx.Client) -> dict[type, Any]:
    """Our examples with identifiers of their own, after all their requests were made."""
    names: dict[str, str] = defaultdict(new_id)
    named = re.compile(f"{UUID_PATTERN}|(?<=holiday/)part-7")
    ours = {
        schema: json.loads(named.sub(lambda found: names[found[0]], json.dumps(values)))
        for schema, values in EXAMPLES.items()
    }
    for profile in ours[ProfilePostSchema].values():
        answer = api.post(f"/service/profiles/{profile['id']}", json=profile)
        assert answer.status_code == 201, answer.text
    for flow in ours[FlowSchema].values():
        answer = api.put(f"/flows/{flow['id']}", json=flow)
        assert answer.status_code == 201, answer.text
    flow = ours[FlowSchema]["video"]["id"]
    for kind, name in ((StoragePostSchema, "storage"), (SegmentPostSchema, "segments")):
        for body in ours[kind].values():
            answer = api.post(f"/flows/{flow}/{name}", json=body)
            assert answer.status_code == 201, answer.text
    for body in ours[ServicePostSchema].values():
        assert api.post("/service", json=body).status_code == 200
    return ours


def _shape(value: Any) -> Any:
    """The fields of a JSON value, with types in place of values."""
    if isinstance(value, dict):
        return {name: _shape(inside) for name, inside in value.items()}
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return type(value)


def test_our_examples_are_what_the_store_answers(api: httpx.Client, story: dict[type, Any]):
    flow, later = story[FlowSchema]["video"]["id"], {"Prefer": "respond-async"}
    answers = [
        (api.get(f"/flows/{flow}?include_timerange=true"), story[FlowGetSchema]["video"]),
        *((api.get(f"/sources/{s['id']}"), s) for s in story[SourceSchema].values()),
        *((api.get(f"/objects/{o['id']}"), o) for o in story[ObjectSchema].values()),
        (
            api.get(f"/flows/{flow}/segments?timerange=[0:0_1:0)"),
            list(story[SegmentSchema].values()),
        ),
        (api.get("/service/storage-backends"), list(story[BackendSchema].values())),
        (api.get("/service"), story[ServiceSchema]["service"]),
        *((api.get(f"/service/profiles/{p['id']}"), p) for p in story[ProfileSchema].values()),
        (
            api.delete(f"/flows/{flow}/segments?timerange=[90:0_110:0)", headers=later),
            story[DeletionSchema]["under way"],
        ),
        (api.post(f"/flows/{flow}/storage", json={"limit": 1}), story[StorageSchema]["storage"]),
    ]

    for answer, example in answers:
        assert _shape(answer.json()) == _shape(example)
