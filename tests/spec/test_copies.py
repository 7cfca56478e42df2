"""Copies of objects from one storage backend to another, in a store that has two.

The store may fetch from its own machine, which stands for places elsewhere.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.making import new_id, put_flow, segment
from tests.services.running import Running, running_store
from tests.spec.agreement import Agreement
from tests.spec.official import Document, Official

WARM, COLD = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
BACKENDS = [
    {"id": WARM, "label": "warm", "bucket": "media-warm", "default": True},
    {"id": COLD, "label": "cold", "bucket": "media-cold"},
]
_PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def store(official: Official, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = {"TAMS_STORAGE_BACKENDS": json.dumps(BACKENDS), "TAMS_FETCH_ALLOW": "127.0.0.0/8"}
    with running_store(tmp_path_factory.mktemp("store"), **settings) as running:
        yield running


@pytest.fixture(scope="module")
def api(official: Official, store: Running) -> Iterator[httpx.Client]:
    served = Document(httpx.get(f"{store.facts['api']}/openapi.json").json())
    hooks = {"response": [Agreement(official, served)]}
    with httpx.Client(base_url=store.facts["api"], timeout=60, event_hooks=hooks) as client:
        yield client


def _stored(api: httpx.Client, flow: str, body: bytes) -> str:
    """An object with that content, not registered yet."""
    (item,) = api.post(f"/flows/{flow}/storage", json={"limit": 1}).json()["media_objects"]
    headers = {"content-type": item["put_url"]["content-type"]}
    httpx.put(item["put_url"]["url"], content=body, headers=headers).raise_for_status()
    return str(item["object_id"])


def _register(api: httpx.Client, flow: str, body: dict[str, Any]) -> None:
    response = api.post(f"/flows/{flow}/segments", json=body)
    assert response.status_code == 201, response.text


def _urls(api: httpx.Client, object_id: str) -> dict[str, str]:
    """Where an object is, by label."""
    return {url["label"]: url["url"] for url in api.get(f"/objects/{object_id}").json()["get_urls"]}


def _copied(api: httpx.Client, object_id: str, label: str) -> str:
    """Where the copy is, once it is there."""
    deadline = time.monotonic() + _PATIENCE_S
    while label not in (urls := _urls(api, object_id)):
        assert time.monotonic() < deadline, urls
        time.sleep(0.05)
    return urls[label]


def test_the_example_of_a_controlled_instance_is_accepted_and_the_copy_is_the_same(
    api: httpx.Client, official: Official
):
    flow = put_flow(api)
    object_id = _stored(api, flow, b"media")
    _register(api, flow, segment(object_id, 0, 1_000))
    body = official.example("objects-instances-controlled-post") | {"storage_id": COLD}

    answer = api.post(f"/objects/{object_id}/instances", json=body)
    copy = httpx.get(_copied(api, object_id, "cold"))

    assert answer.status_code == 201, answer.text
    assert set(_urls(api, object_id)) == {"warm", "cold"}
    assert (copy.content, copy.headers["content-type"]) == (b"media", "video/mp2t")


def test_an_object_that_is_only_held_elsewhere_is_copied_from_there(api: httpx.Client):
    flow, object_id = put_flow(api), new_id()
    elsewhere = _stored(api, flow, b"from elsewhere")
    _register(api, flow, segment(elsewhere, 0, 1_000))
    link = {"label": "elsewhere", "url": _urls(api, elsewhere)["warm"]}
    _register(api, flow, segment(object_id, 1_000, 2_000, get_urls=[link]))

    answer = api.post(f"/objects/{object_id}/instances", json={"storage_id": COLD})

    assert answer.status_code == 201, answer.text
    assert httpx.get(_copied(api, object_id, "cold")).content == b"from elsewhere"


def test_a_copy_of_media_is_not_one_of_its_init_object(api: httpx.Client):
    essence = {"frame_width": 640, "frame_height": 360, "vfr": True, "init_segments": True}
    flow = put_flow(api, essence_parameters=essence)
    media, init = _stored(api, flow, b"media"), _stored(api, flow, b"init")
    _register(api, flow, segment(media, 0, 1_000, init_object_id=init))

    api.post(f"/objects/{media}/instances", json={"storage_id": COLD}).raise_for_status()
    _copied(api, media, "cold")
    before = set(_urls(api, init))
    api.post(f"/objects/{init}/instances", json={"storage_id": COLD}).raise_for_status()
    _copied(api, init, "cold")
    api.delete(f"/objects/{media}/instances", params={"storage_id": COLD}).raise_for_status()

    assert before == {"warm"}
    assert (set(_urls(api, media)), set(_urls(api, init))) == ({"warm"}, {"warm", "cold"})
