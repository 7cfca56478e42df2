"""The tables of the store, as Arrow schemas.

* Bounds of timeranges are two `int64` columns of half-nanosecond cuts, so that overlap is two
  integer comparisons the database can make.
* What is only ever read whole is JSON text; what is filtered on has a column of its own.
* Moments of the wall clock are microseconds of UTC.
"""

from typing import Final

import pyarrow as pa

_TIME = pa.timestamp("us")

SOURCES: Final = "sources"
FLOWS: Final = "flows"
MEMBERS: Final = "members"
SEGMENTS: Final = "segments"
OBJECTS: Final = "objects"
COPIES: Final = "copies"
ORPHANS: Final = "orphans"
DELETIONS: Final = "deletions"
PROFILES: Final = "profiles"
SERVICE: Final = "service"
PROBLEMS: Final = "problems"
RULES: Final = "rules"
STREAMS: Final = "streams"
SIGHTINGS: Final = "sightings"
JOBS: Final = "jobs"
FAILURES: Final = "failures"
SCANS: Final = "scans"
STALLS: Final = "stalls"
OUTBOX: Final = "outbox"
EVENTS: Final = "events"
EVENT_LOG: Final = "event_log"
WEBHOOKS: Final = "webhooks"

TABLES: Final[dict[str, pa.Schema]] = {
    SOURCES: pa.schema(
        [
            ("id", pa.string()),
            ("format", pa.string()),
            ("label", pa.string()),
            ("description", pa.string()),
            ("tags", pa.string()),
            ("created", _TIME),
            ("created_by", pa.string()),
            ("updated", _TIME),
            ("updated_by", pa.string()),
        ]
    ),
    # Cursors of shards, and slots that claimed names fall on, are rows here too, with a `position`
    # (that of slots says who claimed them last): each table that registering segments changes
    # takes a request to read, and one to write.
    FLOWS: pa.schema(
        [
            ("id", pa.string()),
            ("source_id", pa.string()),
            ("format", pa.string()),
            ("collects", pa.bool_()),
            ("document", pa.string()),
            ("created", _TIME),
            ("created_by", pa.string()),
            ("metadata_updated", _TIME),
            ("updated_by", pa.string()),
            ("metadata_version", pa.string()),
            ("segments_updated", _TIME),
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("segments", pa.int64()),
            ("deletion", pa.string()),
            ("status", pa.string()),
            ("ingesting_since", _TIME),
            ("arrived", _TIME),
            ("pace", pa.string()),
            ("stalled_since", _TIME),
            ("refused_overlaps", pa.int64()),
            ("refused", _TIME),
            ("position", pa.string()),
            ("epoch", pa.int64()),
        ]
    ),
    # Which flows collect which, besides in their documents, where nobody can look for it.
    MEMBERS: pa.schema([("member_id", pa.string()), ("flow_id", pa.string())]),
    SEGMENTS: pa.schema(
        [
            ("flow_id", pa.string()),
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("object_id", pa.string()),
            ("ts_offset", pa.int64()),
            ("last_duration", pa.int64()),
            ("sample_offset", pa.int64()),
            ("sample_count", pa.int64()),
        ]
    ),
    OBJECTS: pa.schema(
        [
            ("id", pa.string()),
            ("role", pa.string()),
            ("created", _TIME),
            ("instances", pa.string()),
            ("key", pa.string()),
            ("content_type", pa.string()),
            ("allocated_for", pa.string()),
            ("first_flow", pa.string()),
            ("first_start", pa.int64()),
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("init_object_id", pa.string()),
            ("key_frame_count", pa.int64()),
            ("references", pa.int64()),
            ("dropped_key", pa.string()),
            ("etag", pa.string()),
            ("size", pa.int64()),
            ("clock", pa.int64()),
        ]
    ),
    COPIES: pa.schema(
        [
            ("object_id", pa.string()),
            ("storage_id", pa.string()),
            ("key", pa.string()),
            ("job_id", pa.string()),
            ("created", _TIME),
        ]
    ),
    ORPHANS: pa.schema(
        [
            ("storage_id", pa.string()),
            ("key", pa.string()),
            ("since", _TIME),
            ("ours", pa.bool_()),
            ("etag", pa.string()),
        ]
    ),
    DELETIONS: pa.schema(
        [
            ("id", pa.string()),
            ("flow_id", pa.string()),
            ("timerange", pa.string()),
            ("remaining", pa.string()),
            ("delete_flow", pa.bool_()),
            ("object_id", pa.string()),
            ("state", pa.string()),
            ("deleted", pa.int64()),
            ("created", _TIME),
            ("created_by", pa.string()),
            ("updated", _TIME),
            ("expiry", _TIME),
            ("fault", pa.string()),
            ("collectors", pa.string()),
        ]
    ),
    PROFILES: pa.schema(
        [
            ("id", pa.string()),
            ("document", pa.string()),
            ("created", _TIME),
            ("created_by", pa.string()),
        ]
    ),
    SERVICE: pa.schema([("name", pa.string()), ("description", pa.string())]),
    PROBLEMS: pa.schema(
        [
            ("bucket", pa.string()),
            ("key", pa.string()),
            ("etag", pa.string()),
            ("reason", pa.string()),
            ("seen", _TIME),
            ("code", pa.string()),
        ]
    ),
    RULES: pa.schema([("id", pa.string()), ("created", _TIME), ("document", pa.string())]),
    STREAMS: pa.schema(
        [("flow_id", pa.string()), ("current", pa.string()), ("previous", pa.string())]
    ),
    SIGHTINGS: pa.schema(
        [
            ("bucket", pa.string()),
            ("key", pa.string()),
            ("etag", pa.string()),
            ("kind", pa.string()),
            ("directory", pa.string()),
            ("rule_id", pa.string()),
            ("modified", _TIME),
            ("seen", _TIME),
            ("reason", pa.string()),
        ]
    ),
    JOBS: pa.schema(
        [
            ("id", pa.string()),
            ("kind", pa.string()),
            ("state", pa.string()),
            ("flow_id", pa.string()),
            ("created", _TIME),
            ("started", _TIME),
            ("updated", _TIME),
            ("total", pa.int64()),
            ("done", pa.int64()),
            ("failed", pa.int64()),
            ("version", pa.int64()),
            ("result", pa.string()),
            ("fault", pa.string()),
        ]
    ),
    FAILURES: pa.schema(
        [
            ("job_id", pa.string()),
            ("number", pa.int64()),
            ("object_id", pa.string()),
            ("timerange", pa.string()),
            ("type", pa.string()),
            ("summary", pa.string()),
            ("time", _TIME),
            ("field", pa.string()),
        ]
    ),
    SCANS: pa.schema(
        [
            ("id", pa.string()),
            ("bucket", pa.string()),
            ("prefix", pa.string()),
            ("since", _TIME),
            ("periodic", pa.bool_()),
            ("created", _TIME),
            ("updated", _TIME),
            ("state", pa.string()),
            ("after", pa.string()),
            ("listed", pa.int64()),
            ("found", pa.int64()),
            ("known", pa.int64()),
            ("problems", pa.int64()),
            ("fault", pa.string()),
        ]
    ),
    STALLS: pa.schema(
        [
            ("flow_id", pa.string()),
            ("started", _TIME),
            ("noticed", _TIME),
            ("ended", _TIME),
        ]
    ),
    OUTBOX: pa.schema(
        [
            ("id", pa.string()),
            ("posted", pa.int64()),
            ("number", pa.int64()),
            ("type", pa.string()),
            ("occurred", _TIME),
            ("source_id", pa.string()),
            ("flow_id", pa.string()),
            ("collectors", pa.string()),
            ("segments", pa.int64()),
            ("detail", pa.string()),
        ]
    ),
    EVENTS: pa.schema(
        [
            ("sequence", pa.int64()),
            ("id", pa.string()),
            ("type", pa.string()),
            ("occurred", _TIME),
            ("source_id", pa.string()),
            ("flow_id", pa.string()),
            ("collectors", pa.string()),
            ("logged", _TIME),
            ("detail", pa.string()),
        ]
    ),
    EVENT_LOG: pa.schema([("first", pa.int64()), ("last", pa.int64())]),
    WEBHOOKS: pa.schema(
        [
            ("id", pa.string()),
            ("document", pa.string()),
            ("owner", pa.string()),
            ("created", _TIME),
            ("position", pa.int64()),
            ("status", pa.string()),
            ("api_key", pa.string()),
            ("signing_key", pa.string()),
            ("replays", pa.int64()),
            ("failures", pa.int64()),
            ("failing_since", _TIME),
            ("next_try", _TIME),
            ("fault", pa.string()),
        ]
    ),
}

PROJECTIONS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    FLOWS: {"by_id": ("id",)},
    OBJECTS: {"by_id": ("id",), "by_key": ("key",)},
}
"""What a table is kept sorted by besides, so that asking for it does not read the whole table."""
