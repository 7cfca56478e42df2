"""The driver sees what it is there to see."""

import math
from array import array

import orjson
import pytest

from bench.catalogue import SCENARIOS
from bench.contending import drift
from bench.load import Unexpected
from bench.measures import TARGETS
from bench.scripts import Life, Passage, object_id, offers, place_of, require, timerange
from bench.store import difference

FLOW = "4f79cfd1-c057-47f4-8e4d-1b126ca7bf34"
KEPT = [0, 2, 4]


def read(*places: int, reverse: bool = False) -> Passage:
    """What was read from moment 10 to moment 20."""
    return Passage(10.0, 20.0, reverse, 1, array("q", places))


def test_every_scenario_says_what_it_is_for() -> None:
    assert [name for name, run in SCENARIOS.items() if not run.__doc__] == []


def test_every_row_of_targets_is_of_a_unit() -> None:
    assert [name for name, target in TARGETS.items() if not target.unit or not target.work] == []


def test_the_objects_of_a_flow_have_ids_of_their_own_in_no_order() -> None:
    names = [object_id(FLOW, place) for place in range(1_000)]

    assert len(set(names)) == 1_000
    assert names != sorted(names)
    assert names[0] != object_id(FLOW.replace("4", "5"), 0)


def test_one_segment_is_posted_by_itself_and_several_as_a_list() -> None:
    one, several = orjson.loads(offers(FLOW, [7])), orjson.loads(offers(FLOW, [7, 9]))

    assert (one["timerange"], place_of(one)) == ("[7:0_8:0)", 7)
    assert [place_of(each) for each in several] == [7, 9]
    assert "get_urls" not in orjson.loads(offers(FLOW, [7], stored=True))


@pytest.mark.parametrize(
    ("listed", "seen"),
    [
        ([0, 1, 2], ""),
        ([0, 2], "1 missing, 0 too many, 0 repeated"),
        ([0, 1, 2, 3], "0 missing, 1 too many, 0 repeated"),
        ([0, 1, 1, 2], "0 missing, 0 too many, 1 repeated"),
        ([0, 2, 1], "0 missing, 0 too many, 0 repeated, out of order"),
    ],
)
def test_a_list_that_is_not_what_was_acknowledged_is_seen(listed: list[int], seen: str) -> None:
    found = difference(listed, {0, 1, 2})

    assert found.startswith(seen)
    assert bool(found) == bool(seen)


def test_a_segment_that_is_not_read_after_its_acknowledgement_is_seen() -> None:
    item = {"object_id": object_id(FLOW, 3), "timerange": timerange(3, 3)}

    require(orjson.dumps([item]), FLOW, [3])
    with pytest.raises(Unexpected):
        require(b"[]", FLOW, [3])
    with pytest.raises(Unexpected):
        require(orjson.dumps([item, item]), FLOW, [3])


@pytest.mark.parametrize("passage", [read(0, 2, 4), read(4, 2, 0, reverse=True)])
def test_a_flow_read_as_it_is_has_no_faults(passage: Passage) -> None:
    assert drift(passage, KEPT, []) == ""


@pytest.mark.parametrize(
    ("passage", "seen"),
    [
        (read(0, 2, 2, 4), "1 repeated, such as 2"),
        (read(0, 4), "1 left out, such as 2"),
        (read(0, 2, 3, 4), "1 not there, such as 3"),
        (read(0, 2, 4, reverse=True), "2 repeated, such as 0"),
    ],
)
def test_what_is_repeated_left_out_or_made_up_is_seen(passage: Passage, seen: str) -> None:
    assert drift(passage, KEPT, []) == seen


@pytest.mark.parametrize(
    ("life", "may_be_read", "may_be_left_out"),
    [
        (Life(3, 1, 2), True, False),
        (Life(3, 1, 2, 21, 22), True, False),
        (Life(3, 1, 2, 15, 16), True, True),
        (Life(3, 9, 11), True, True),
        (Life(3, 1, 2, 3, 4), False, True),
        (Life(3, 21, 22), False, True),
        (Life(3, 1, 2, 9, math.inf), True, True),
    ],
)
def test_what_comes_or_goes_while_a_flow_is_read_may_be_read_or_not(
    life: Life, may_be_read: bool, may_be_left_out: bool
) -> None:
    assert (drift(read(0, 2, 3, 4), KEPT, [life]) == "") == may_be_read
    assert (drift(read(0, 2, 4), KEPT, [life]) == "") == may_be_left_out
