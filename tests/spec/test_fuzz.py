"""Requests made up from our own document get what it declares, whether or not they keep to it.

Schemathesis makes the same requests in every run, but for identifiers: those are of things that
exist, so that it comes past the door. That it breaks rules which no schema can say, such as that an
end follows its start, is why a request that keeps to the schemas may be refused.
"""

from copy import deepcopy
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.generation import GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import negative_data_rejection, unsupported_method

from tests.making import external, new_id, put_flow
from tests.spec.official import Document

CHECKS = [
    *(not_a_server_error, status_code_conformance, content_type_conformance),
    *(response_headers_conformance, response_schema_conformance, negative_data_rejection),
    unsupported_method,
]
# How many requests at random, and about at most at the edges, are made of one operation.
EXAMPLES = 10
EDGES = 200


@pytest.fixture(scope="module")
def schema(api: httpx.Client, served: Document) -> BaseSchema:
    """The served document with identifiers of what is there, or nowhere, and no `default`."""
    flows = [put_flow(api), put_flow(api, read_only=True), put_flow(api)]
    bodies = [external(0, 1_000), external(1_000, 2_000)]
    api.post(f"/flows/{flows[0]}/segments", json=bodies).raise_for_status()
    job = api.post(
        f"/flows/{flows[0]}/segments", json=bodies, headers={"Prefer": "respond-async"}
    ).json()["id"]
    ids = {
        "flowId": [*flows, new_id()],
        "sourceId": [api.get(f"/flows/{flow}").json()["source_id"] for flow in flows] + [new_id()],
        "objectId": [body["object_id"] for body in bodies] + ["a/b?c#d"],
        "jobId": [job, new_id()],
    }
    content: dict[str, Any] = deepcopy(dict(served.content))
    for endless in ("/events", "/jobs/events"):
        del content["paths"][endless]
    for item in content["paths"].values():
        for parameter in item.get("parameters", ()):
            if parameter["name"] in ids:
                parameter["schema"] = {"enum": ids[parameter["name"]]}
        for operation in item.values():
            if "responses" in operation:
                del operation["responses"]["default"]
    flow = content["components"]["schemas"]["Flow"]["properties"]
    flow["id"], flow["source_id"] = {"enum": ids["flowId"]}, {"enum": ids["sourceId"]}
    return schemathesis.openapi.from_dict(content, config=schemathesis.Config(seed=1))


def test_a_request_at_the_edge_of_what_is_allowed_gets_what_is_declared(
    api: httpx.Client, schema: BaseSchema, subtests: pytest.Subtests
):
    for result in schema.exclude(method="HEAD").get_all_operations():
        operation = result.ok()
        with subtests.test(operation.label):
            cases = list(
                schema.iter_coverage_cases(
                    operation,
                    generation_modes=list(GenerationMode),
                    generation_config=schema.config.generation,
                )
            )
            for case in cases[:: 1 + len(cases) // EDGES]:
                _ask(api, case)


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
def test_a_request_at_random_gets_what_is_declared(
    api: httpx.Client, schema: BaseSchema, subtests: pytest.Subtests, mode: GenerationMode
):
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy(mode))
        def ask(case: schemathesis.Case) -> None:
            _ask(api, case)

        with subtests.test(operation.label):
            ask()


def _ask(api: httpx.Client, case: schemathesis.Case) -> None:
    """Send the request with our client, which checks the answer as well."""
    made = requests.Request(**case.as_transport_kwargs(base_url=str(api.base_url))).prepare()
    # What HTTP does not count as part of a value, its library refuses to send.
    stripped = [(name, value.strip(" \t")) for name, value in made.headers.items()]
    headers = httpx.Headers(stripped, encoding="latin-1")
    request = httpx.Request(made.method, made.url, headers=headers, content=made.body)

    case.validate_response(api.send(request), checks=CHECKS)
