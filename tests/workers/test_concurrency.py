"""Segments of a flow never overlap, whatever arrives at the same time."""

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import httpx

from schemas.domain.timerange import TimeRange
from tests.making import external, listed, put_flow, video


def test_of_overlapping_segments_from_many_threads_one_wins_each_moment(api: httpx.Client) -> None:
    flow_id = put_flow(api)
    starts = [n % 40 * 500 for n in range(200)]  # five offers for each of 40 half-seconds ...
    random.Random(7).shuffle(starts)
    offers = [external(start, start + 1_000) for start in starts]  # ... each a second long

    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda o: api.post(f"/flows/{flow_id}/segments", json=o).status_code, offers)
        )

    assert set(answers) == {201, 400}
    segments = listed(api, flow_id)
    won = {offer["object_id"] for offer, code in zip(offers, answers, strict=True) if code == 201}
    assert {item["object_id"] for item in segments} == won
    assert len(segments) == len(won)
    taken = [TimeRange.parse(item["timerange"]) for item in segments]
    assert all(a.end <= b.start for a, b in pairwise(taken))
    for offer in offers:  # whoever lost, lost to somebody who is there
        if offer["object_id"] not in won:
            wanted = TimeRange.parse(offer["timerange"])
            assert any(wanted.overlaps(other) for other in taken)


def test_the_same_segment_from_many_threads_is_registered_once(api: httpx.Client) -> None:
    flow_id = put_flow(api)
    offer = external(0, 1_000)

    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda _: api.post(f"/flows/{flow_id}/segments", json=offer).status_code, range(16)
            )
        )

    assert answers == [201] * 16
    assert len(listed(api, flow_id)) == 1


def test_one_object_for_two_flows_at_once_is_one_object(api: httpx.Client) -> None:
    flows = [put_flow(api) for _ in range(8)]
    offer = external(0, 1_000)

    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda f: api.post(f"/flows/{f}/segments", json=offer).status_code, flows)
        )

    assert answers == [201] * 8
    found = api.get(f"/objects/{offer['object_id']}").json()
    assert found["referenced_by_flows"] == sorted(flows)
    assert found["first_referenced_by_flow"] in flows
    assert len(found["get_urls"]) == 1


def test_a_flow_put_by_many_threads_at_once_is_created_once(api: httpx.Client) -> None:
    flow = video("10000000-0000-4000-8000-00000000c0de")

    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: api.put(f"/flows/{flow['id']}", json=flow).status_code, range(8))
        )

    assert sorted(answers) == [201] + [204] * 7
    found = api.get("/flows", params={"source_id": flow["source_id"]}).json()
    assert [item["id"] for item in found] == [flow["id"]]
    assert len([s for s in api.get("/sources").json() if s["id"] == flow["source_id"]]) == 1
