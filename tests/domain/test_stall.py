"""How often segments usually arrive, and when the next one is overdue."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.domain.flow import Flow, put
from schemas.domain.identifiers import FlowId
from schemas.domain.inflow import Inflow
from schemas.domain.stall import IngestState, Patience

NOW = datetime(2026, 2, 3, 10, 0, 0, tzinfo=UTC)
S = 1_000_000_000


def arriving(*after_s: float, durations_s: tuple[float, ...] = (2,)) -> Inflow:
    """An inflow with arrivals so many seconds after `NOW`."""
    inflow = Inflow(since=NOW)
    for each in after_s:
        durations = [int(seconds * S) for seconds in durations_s]
        inflow = inflow.grown(durations, NOW + timedelta(seconds=each))
    return inflow


def flow(inflow: Inflow, **document: Any) -> Flow:
    document = {"status": "ingesting", **document}
    return Flow(FlowId("f"), document, NOW, "me", NOW, "me", "v", inflow=inflow)


def state(inflow: Inflow, after_s: float, **document: Any) -> IngestState:
    now = NOW + timedelta(seconds=after_s)
    return Patience(3, 5).state_of(flow(inflow, **document), now)


@pytest.mark.parametrize(
    ("inflow", "declared", "usual"),
    [
        (arriving(), None, None),
        (arriving(), 4_000, 4_000),
        (arriving(0), None, 2_000),
        (arriving(0, 60), None, 2_000),  # one interval is no habit
        (arriving(0, 1, 2, 3), None, 2_000),  # faster than it plays
        (arriving(0, 10, 20, 30, durations_s=(2,) * 5), None, 10_000),  # five at a time
        (arriving(0, 10, 20, 30), 2_000, 10_000),
        (arriving(0, 2, 4, 3_600, 3_602), None, 2_000),  # a pause is not taken for usual
        (arriving(0, durations_s=(0,)), None, 0),
        (arriving(*range(0, 40, 2), *range(40, 100, 6)), None, 6_000),  # old habits are forgotten
    ],
)
def test_the_usual_interval_is_what_the_latest_arrivals_have_in_common(
    inflow: Inflow, declared: int | None, usual: int | None
) -> None:
    assert inflow.usual_interval_ms(declared) == usual


def test_what_is_kept_of_arrivals_does_not_grow() -> None:
    inflow = arriving(*range(100))

    assert len(inflow.intervals_ms) == len(inflow.durations_ms) == 9


@pytest.mark.parametrize(
    ("inflow", "after_s", "document", "expected"),
    [
        (arriving(), 1_000, {}, IngestState.WAITING),
        (arriving(0), 6, {}, IngestState.OK),
        (arriving(0), 6.001, {}, IngestState.STALLED),
        (arriving(0, durations_s=(1,)), 5, {}, IngestState.OK),
        (arriving(0, durations_s=(1,)), 5.001, {}, IngestState.STALLED),
        (arriving(0), 29, {"segment_duration": {"numerator": 10}}, IngestState.OK),
        (arriving(0), 31, {"segment_duration": {"numerator": 10}}, IngestState.STALLED),
        (
            arriving(0),
            7,
            {"segment_duration": {"numerator": 5_000, "denominator": 2_500}},
            IngestState.STALLED,
        ),
        (
            arriving(0),
            10**6,
            {"segment_duration": {"numerator": (1 << 63) - 1}},
            IngestState.OK,
        ),
    ],
)
def test_a_flow_is_stalled_when_the_next_segment_is_overdue(
    inflow: Inflow, after_s: float, document: dict[str, Any], expected: IngestState
) -> None:
    assert state(inflow, after_s, **document) is expected


def test_a_flow_that_begins_to_ingest_again_waits_for_its_first_segment() -> None:
    document = {"format": "f", "source_id": "s", "status": "ingesting"}
    known = flow(arriving(0, 2, 4), **document)

    closed = put(
        known,
        known.id,
        {**document, "status": "closed_complete"},
        by="me",
        version="2",
        now=NOW + timedelta(hours=1),
    )
    later = NOW + timedelta(hours=2)
    again = put(closed, known.id, document, by="me", version="3", now=later)
    touched = put(
        again, known.id, {**document, "label": "l"}, by="me", version="4", now=later + timedelta(1)
    )

    assert closed.inflow.since is None
    assert again.inflow.since == touched.inflow.since == later
    assert Patience(3, 5).state_of(again, later + timedelta(hours=1)) is IngestState.WAITING
    resumed = again.inflow.grown([2 * S], later + timedelta(hours=1))
    assert not resumed.waiting
    assert resumed.intervals_ms == (2_000, 2_000)


def test_an_arrival_ends_the_stall_and_overlaps_are_counted() -> None:
    inflow = replace(arriving(0), stalled_since=NOW).refusing(2, NOW).refusing(1, NOW)

    assert (inflow.refused_overlaps, inflow.refused) == (3, NOW)
    assert inflow.stalled_since == NOW
    assert inflow.grown([S], NOW).stalled_since is None
