"""Flows and segments for tests, made through the API as a client would make them."""

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import httpx


def new_id() -> str:
    return str(uuid.uuid4())  # noqa: TID251 - tests have no Ids port


def video(flow_id: str, **more: Any) -> dict[str, Any]:
    return {
        "id": flow_id,
        "source_id": new_id(),
        "format": "urn:x-nmos:format:video",
        "codec": "video/h264",
        "container": "video/mp2t",
        "essence_parameters": {
            "frame_width": 640,
            "frame_height": 360,
            "frame_rate": {"numerator": 25},
        },
        **more,
    }


def put_flow(api: httpx.Client, **more: Any) -> str:
    flow_id = new_id()
    response = api.put(f"/flows/{flow_id}", json=video(flow_id, **more))
    assert response.status_code == 201, response.text
    return flow_id


def a_profile(profile_id: str, **more: Any) -> dict[str, Any]:
    technical = {"format", "codec", "container", "essence_parameters"}
    metadata = {name: value for name, value in video("").items() if name in technical}
    return {"id": profile_id, "flow_metadata": {**metadata, "avg_bit_rate": 4_000}, **more}


def put_profile(api: httpx.Client, **more: Any) -> str:
    profile_id = new_id()
    response = api.post(f"/service/profiles/{profile_id}", json=a_profile(profile_id, **more))
    assert response.status_code == 201, response.text
    return profile_id


def put_linked_flow(api: httpx.Client, profile_id: str, **more: Any) -> str:
    flow = {"id": new_id(), "source_id": new_id(), "profile_id": profile_id, **more}
    response = api.put(f"/flows/{flow['id']}", json=flow)
    assert response.status_code == 201, response.text
    return str(flow["id"])


def allocate(api: httpx.Client, flow_id: str, count: int) -> list[str]:
    response = api.post(f"/flows/{flow_id}/storage", json={"limit": count})
    assert response.status_code == 201, response.text
    return [item["object_id"] for item in response.json()["media_objects"]]


def segment(object_id: str, start: int, end: int, **more: Any) -> dict[str, Any]:
    """A segment from `start` to `end` in milliseconds."""
    return {"object_id": object_id, "timerange": f"[{stamp(start)}_{stamp(end)})", **more}


def stamp(ms: int) -> str:
    return f"{ms // 1_000}:{ms % 1_000 * 1_000_000}"


def external(start: int, end: int, **more: Any) -> dict[str, Any]:
    """A segment of an object held elsewhere, so that no storage needs to be asked for."""
    object_id = new_id()
    urls = [{"label": "elsewhere", "url": f"http://elsewhere.example/{object_id}"}]
    return segment(object_id, start, end, get_urls=urls, **more)


def listed(api: httpx.Client, flow_id: str, **query: Any) -> list[dict[str, Any]]:
    return list(pages(api, f"/flows/{flow_id}/segments", {"accept_get_urls": "", **query}))


def pages(api: httpx.Client, path: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every item of a list, following the `Link` headers."""
    response = api.get(path, params=query)
    while True:
        assert response.status_code == 200, response.text
        yield from response.json()
        if "next" not in response.links:
            return
        response = api.get(response.links["next"]["url"])


def timeranges(segments: Sequence[dict[str, Any]]) -> list[str]:
    return [item["timerange"] for item in segments]
