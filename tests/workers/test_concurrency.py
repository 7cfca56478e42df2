"""Segments of a flow never overlap, whatever arrives at the same time."""

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import httpx

from schemas.domain.timerange import TimeRange
from tests.making import a_profile, external, listed, new_id, put_flow, video


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


def test_a_source_is_there_for_flows_that_join_it_while_its_others_are_deleted(
    api: httpx.Client,
) -> None:
    source_id = new_id()
    going = [put_flow(api, source_id=source_id) for _ in range(4)]
    coming = [video(new_id(), source_id=source_id) for _ in range(8)]
    asked = [("DELETE", f"/flows/{flow_id}", None) for flow_id in going]
    asked += [("PUT", f"/flows/{flow['id']}", flow) for flow in coming]
    random.Random(3).shuffle(asked)

    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda a: (a[0], api.request(a[0], a[1], json=a[2]).status_code), asked)
        )

    assert {code for method, code in answers if method == "PUT"} == {201}
    assert {code for method, code in answers if method == "DELETE"} <= {202, 204}
    assert [s["id"] for s in api.get("/sources").json() if s["id"] == source_id] == [source_id]
    found = api.get("/flows", params={"source_id": source_id}).json()
    assert {flow["id"] for flow in found} == {flow["id"] for flow in coming}


def test_a_profile_posted_by_many_threads_at_once_is_created_once(api: httpx.Client) -> None:
    profile_id, label = new_id(), new_id()
    bodies = [a_profile(profile_id, label=label, description=str(n)) for n in range(8)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda b: api.post(f"/service/profiles/{profile_id}", json=b), bodies)
        )

    (created,) = [answer.json() for answer in answers if answer.status_code == 201]
    assert sorted(answer.status_code for answer in answers) == [201] + [400] * 7
    assert api.get("/service/profiles", params={"label": label}).json() == [created]


def test_tags_set_by_many_threads_at_once_are_all_kept(api: httpx.Client) -> None:
    flow_id = put_flow(api)
    source_id = api.get(f"/flows/{flow_id}").json()["source_id"]

    for thing in (f"/flows/{flow_id}", f"/sources/{source_id}"):
        with ThreadPoolExecutor(8) as pool:
            answers = list(
                pool.map(
                    lambda n, thing=thing: api.put(f"{thing}/tags/{n}", json=str(n)).status_code,
                    range(16),
                )
            )

        assert answers == [204] * 16
        assert api.get(f"{thing}/tags").json() == {str(n): str(n) for n in range(16)}


def test_of_conflicting_collections_put_at_once_one_is_accepted(api: httpx.Client) -> None:
    source_id, a, b = new_id(), put_flow(api), put_flow(api)
    flows = [put_flow(api, source_id=source_id) for _ in range(6)]
    orders = [[a, b], [b, a]] * 3

    def put(n: int) -> int:
        collection = [{"id": member} for member in orders[n]]
        return api.put(f"/flows/{flows[n]}/flow_collection", json=collection).status_code

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(put, range(6)))

    assert sorted(answers) == [204] * 3 + [400] * 3
    assert answers in ([204, 400] * 3, [400, 204] * 3)


def test_a_flow_deleted_while_it_is_collected_is_in_no_collection(api: httpx.Client) -> None:
    for _ in range(4):
        member, collector = put_flow(api), put_flow(api)

        def collect(member: str = member, collector: str = collector) -> int:
            body = [{"id": member}]
            return api.put(f"/flows/{collector}/flow_collection", json=body).status_code

        with ThreadPoolExecutor(2) as pool:
            collecting = pool.submit(collect)
            deleting = pool.submit(api.delete, f"/flows/{member}")

        assert collecting.result() in {204, 400}
        assert deleting.result().status_code in {202, 204}
        assert api.get(f"/flows/{collector}/flow_collection").json() == []


def test_a_source_that_flows_leave_and_join_at_once_is_there_if_it_has_flows(
    api: httpx.Client,
) -> None:
    here, there = new_id(), new_id()
    flows = [put_flow(api, source_id=here) for _ in range(4)]

    def move(n: int) -> int:
        to = there if n % 2 else here
        flow = video(flows[n % 4], source_id=to)
        return api.put(f"/flows/{flow['id']}", json=flow).status_code

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(move, [1, 2, 3, 0, *range(4), 5, 6, 7]))

    assert set(answers) == {204}
    for source_id in (here, there):
        found = api.get("/flows", params={"source_id": source_id}).json()
        listed_once = [s for s in api.get("/sources").json() if s["id"] == source_id]
        assert len(listed_once) == (1 if found else 0)
