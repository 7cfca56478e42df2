"""One whole store for the test run, and ways to speak with it.

The store is started by the first test that asks for it, exactly as `tams up` starts it, on free
ports with its data in a temporary directory, and stopped when the run ends.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.services.running import Running, running_store

# Files below `live/` say their flow, start and duration in milliseconds; what is in them is not
# looked at.
LIVE_RULE = {
    "label": "live",
    "bucket": "tams-media",
    "prefix": "live/",
    "key": "{flow}/{start:ms}_{duration:ms}.ts",
    "flow": {"id": "{flow}"},
    "check_media": False,
    "not_before": "0:0",
}


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    rules = tmp_path_factory.mktemp("settings") / "rules.json"
    rules.write_text(json.dumps([LIVE_RULE]))
    directory = tmp_path_factory.mktemp("store")
    settings = {
        "TAMS_INGEST_RULES": str(rules),
        "TAMS_WEBHOOK_ALLOW": "127.0.0.0/8",
        "TAMS_WEBHOOK_HTTP": "allow",
        # A stream whose client has gone keeps its place until the next sign of life.
        "TAMS_API_FOLLOWERS": "24",
    }
    with running_store(directory, **settings) as running:
        yield running


@pytest.fixture(scope="session")
def store_facts(store: Running) -> dict[str, Any]:
    return store.facts


@pytest.fixture(scope="session")
def api(store: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=store.facts["api"], timeout=60) as client:
        yield client
