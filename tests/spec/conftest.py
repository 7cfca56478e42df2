"""The specification, and a client whose every response is checked against it.

The specification stands beside the checkout, in `shared/spec`, or where TAMS_SPEC_DIR says;
without it these tests are skipped.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.broker.connection import Broker
from infra.broker.jobs import RedisJobs
from infra.settings import process_environment
from schemas.domain.identifiers import JobId
from schemas.domain.job import Job, JobKind, JobState
from tests.making import new_id
from tests.services.running import Running
from tests.spec.agreement import Agreement
from tests.spec.official import Document, Official

_BESIDE = Path(__file__).parents[3] / "shared" / "spec"


@pytest.fixture(scope="session")
def official() -> Official:
    return _version("8.2")


@pytest.fixture(scope="session")
def former() -> Official:
    """The specification that clients of 7.0 were written against."""
    return _version("7.0")


def _version(number: str) -> Official:
    directory = Path(process_environment().get("TAMS_SPEC_DIR") or _BESIDE) / number
    if not directory.is_dir():
        pytest.skip(f"the specification is not in {directory}; TAMS_SPEC_DIR says where it is")
    return Official(directory)


@pytest.fixture(scope="session")
def served(store: Running) -> Document:
    """Our own OpenAPI document, as it is served."""
    return Document(httpx.get(f"{store.facts['api']}/openapi.json").json())


@pytest.fixture(scope="session")
def api(official: Official, store: Running, served: Document) -> Iterator[httpx.Client]:
    """A client that checks what it is answered."""
    hooks = {"response": [Agreement(official, served)]}
    with httpx.Client(base_url=store.facts["api"], timeout=60, event_hooks=hooks) as client:
        yield client


@pytest.fixture(scope="session")
def worker(store: Running) -> RedisJobs:
    """What a worker tells of its jobs with, in the hands of the test."""
    return RedisJobs(Broker(store.facts["redis"]), changes_kept=10_000)


def create_job(worker: RedisJobs, **more: Any) -> JobId:
    """A job that no worker of the store knows of, so that the test says what becomes of it."""
    now = datetime.now(UTC)  # noqa: TID251 - tests have no Clock port
    fields = {"kind": JobKind.DELETE_SEGMENTS, "state": JobState.CREATED, "created": now}
    fields |= {"updated": now, "total": 3, "flow_id": new_id(), **more}
    job = Job(JobId(new_id()), **fields)
    worker.create(job)
    return job.id


@pytest.fixture(scope="session")
def backend(api: httpx.Client) -> dict[str, Any]:
    """The storage backend of the store."""
    (only,) = api.get("/service/storage-backends").json()
    return dict(only)
