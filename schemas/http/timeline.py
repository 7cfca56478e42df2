"""JSON of timelines, of the health of ingest and of stalls (extensions to TAMS)."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from marshmallow import Schema, fields

from schemas.domain.coverage import Coverage
from schemas.domain.flow import Flow
from schemas.domain.stall import IngestState, Stall
from schemas.domain.timerange import format_timestamp
from schemas.http.fields import time_text

_MS_NS = 1_000_000


class _InflowSchema(Schema):
    """What is known of the arrivals of a flow."""

    usual_interval = fields.String(
        metadata={"description": "The usual time between arrivals of segments."}
    )
    last_arrival = fields.DateTime(metadata={"description": "When a segment last arrived."})
    refused_overlaps = fields.Integer(
        required=True, metadata={"description": "Segments refused because their time was taken."}
    )
    last_refused_overlap = fields.DateTime()


class TimelineSchema(_InflowSchema):
    """The timeline of a flow; documents what `timeline_json` writes."""

    timerange = fields.String(required=True, metadata={"description": "What was looked at."})
    segments = fields.Integer(required=True)
    covered_duration = fields.String(required=True)
    gap_count = fields.Integer(required=True)
    gap_duration = fields.String(required=True, metadata={"description": "Of all of them."})
    longest_gap = fields.String(required=True, metadata={"description": "`()` if there is none."})
    gaps = fields.List(fields.String(), required=True, metadata={"description": "Of this page."})


class LastHourSchema(Schema):
    """The last hour of the timeline of a flow."""

    timerange = fields.String(required=True)
    covered_duration = fields.String(required=True)
    gap_count = fields.Integer(required=True)
    gap_duration = fields.String(required=True)
    longest_gap = fields.String(required=True)


class IngestingSchema(_InflowSchema):
    """A flow whose status is `ingesting`."""

    flow_id = fields.String(required=True)
    label = fields.String()
    state = fields.Enum(IngestState, by_value=True, required=True)
    ingesting_since = fields.DateTime()
    stalled_since = fields.DateTime()
    last_hour = fields.Nested(LastHourSchema, required=True)


class IngestHealthSchema(Schema):
    """The health of ingest; documents what `health_json` writes."""

    status = fields.String(required=True, metadata={"enum": ["ok", "stalled"]})
    counts = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "Of all flows that are ingesting, by state."},
    )
    flows = fields.List(fields.Nested(IngestingSchema), required=True)


class StallSchema(Schema):
    """A time in which no segment of a flow arrived; documents what `stall_json` writes."""

    flow_id = fields.String(required=True)
    started = fields.DateTime(
        required=True, metadata={"description": "When the last segment before it arrived."}
    )
    noticed = fields.DateTime(required=True)
    ended = fields.DateTime(metadata={"description": "Absent while it goes on."})


def timeline_json(flow: Flow, coverage: Coverage) -> dict[str, Any]:
    """The JSON of a timeline."""
    return {
        **_coverage_json(coverage),
        "segments": coverage.segments,
        "gaps": [str(gap) for gap in coverage.gaps],
        **_inflow_json(flow),
    }


def health_json(
    counts: Counter[IngestState], flows: Sequence[tuple[Flow, IngestState, Coverage]]
) -> dict[str, Any]:
    """The JSON of the health of ingest."""
    return {
        "status": "stalled" if counts[IngestState.STALLED] else "ok",
        "counts": {state.value: counts[state] for state in IngestState},
        "flows": [_ingesting_json(*each) for each in flows],
    }


def stall_json(stall: Stall) -> dict[str, Any]:
    """The JSON of a stall."""
    payload = {
        "flow_id": stall.flow_id,
        "started": time_text(stall.started),
        "noticed": time_text(stall.noticed),
    }
    if stall.ended is not None:
        payload["ended"] = time_text(stall.ended)
    return payload


def _ingesting_json(flow: Flow, state: IngestState, last_hour: Coverage) -> dict[str, Any]:
    inflow = flow.inflow
    payload = {"flow_id": flow.id, "state": state.value, **_inflow_json(flow)}
    if flow.label is not None:
        payload["label"] = flow.label
    if inflow.since is not None:
        payload["ingesting_since"] = time_text(inflow.since)
    if state is IngestState.STALLED and inflow.arrived is not None:
        payload["stalled_since"] = time_text(inflow.arrived)
    return {**payload, "last_hour": _coverage_json(last_hour)}


def _coverage_json(coverage: Coverage) -> dict[str, Any]:
    return {
        "timerange": str(coverage.timerange),
        "covered_duration": format_timestamp(coverage.covered_ns),
        "gap_count": coverage.gap_count,
        "gap_duration": format_timestamp(coverage.gap_ns),
        "longest_gap": str(coverage.longest_gap),
    }


def _inflow_json(flow: Flow) -> dict[str, Any]:
    inflow, usual_ms = flow.inflow, flow.usual_interval_ms
    payload: dict[str, Any] = {"refused_overlaps": inflow.refused_overlaps}
    if inflow.refused is not None:
        payload["last_refused_overlap"] = time_text(inflow.refused)
    if usual_ms is not None:
        payload["usual_interval"] = format_timestamp(usual_ms * _MS_NS)
    if inflow.arrived is not None:
        payload["last_arrival"] = time_text(inflow.arrived)
    return payload
