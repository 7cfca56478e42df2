"""Examples for the OpenAPI document, by schema: a camera, its picture and sound, and a segment.

* An operation shows the examples of its schemas by itself (`api.blueprint`); a list of a schema is
  shown as the list of its examples. What has no schema of its own has its example in its view.
* They are true: tests/spec/test_our_examples.py holds them to our schemas and to the official
  ones, and makes the requests.
"""

from collections.abc import Mapping
from typing import Any, Final

from schemas.http.dead_letters import DeadLetterSchema
from schemas.http.deletions import DeletionSchema
from schemas.http.errors import ErrorSchema
from schemas.http.flows import FlowGetSchema, FlowSchema
from schemas.http.jobs import JobSchema, ProblemSchema
from schemas.http.objects import (
    InstanceSchema,
    ObjectSchema,
    StoragePostSchema,
    StorageSchema,
)
from schemas.http.profiles import ProfilePostSchema, ProfileSchema
from schemas.http.rules import ForecastSchema, RulePostSchema, RuleSchema, RuleTestSchema
from schemas.http.scans import ScanPostSchema, ScanSchema
from schemas.http.segments import FailedSegmentsSchema, SegmentPostSchema, SegmentSchema
from schemas.http.service import BackendSchema, ServicePostSchema, ServiceSchema
from schemas.http.sources import SourceSchema
from schemas.http.timeline import IngestHealthSchema, StallSchema, TimelineSchema
from schemas.http.webhooks import (
    DeliverySchema,
    ReplaySchema,
    WebhookPostSchema,
    WebhookPutSchema,
    WebhookSchema,
)

VIDEO_FLOW: Final = "b7e0c1ca-7a5b-4f0e-9a55-3e2f4b9a1c01"
AUDIO_FLOW: Final = "b7e0c1ca-7a5b-4f0e-9a55-3e2f4b9a1c02"
MULTI_FLOW: Final = "b7e0c1ca-7a5b-4f0e-9a55-3e2f4b9a1c03"
VIDEO_SOURCE: Final = "d4c0f7aa-52b3-4d5e-8a0d-6a1a7d2e5b01"
AUDIO_SOURCE: Final = "d4c0f7aa-52b3-4d5e-8a0d-6a1a7d2e5b02"
MULTI_SOURCE: Final = "d4c0f7aa-52b3-4d5e-8a0d-6a1a7d2e5b03"
ARCHIVE_FLOW: Final = "b7e0c1ca-7a5b-4f0e-9a55-3e2f4b9a1c04"
ARCHIVE_SOURCE: Final = "d4c0f7aa-52b3-4d5e-8a0d-6a1a7d2e5b04"
PROFILE: Final = "7c1d0a52-3f0e-4b53-9c5d-0e8f6a1b2c3d"
BACKEND: Final = "0a2f9f1e-3c6b-5d7a-9b11-7f7c2c0b4e01"
OBJECT: Final = "f25a0f0e-1f4d-4c53-8e6c-0b8a4d3c2f01"
INIT_OBJECT: Final = "f25a0f0e-1f4d-4c53-8e6c-0b8a4d3c2f00"
JOB: Final = "3a9d2b5c-6f0e-4b1d-a2c3-9e8f7d6c5b01"
SCAN: Final = "3a9d2b5c-6f0e-4b1d-a2c3-9e8f7d6c5b03"
WEBHOOK: Final = "9c1f4a6e-5d2b-4c3a-8f7e-2b6d1a0c9e01"
DELETION: Final = "3a9d2b5c-6f0e-4b1d-a2c3-9e8f7d6c5b02"

_BUCKET: Final = "https://media.example/tams-media"
_TIME: Final = "2025-06-01T12:00:00.250000Z"
_LATER: Final = "2025-06-01T12:00:10.750000Z"

_VIDEO: Final[Mapping[str, Any]] = {
    "id": VIDEO_FLOW,
    "source_id": VIDEO_SOURCE,
    "format": "urn:x-nmos:format:video",
    "label": "Camera 1, 1080p",
    "description": "The high camera, as the encoder made it",
    "tags": {"programme": "Match of the Week", "purpose": ["live", "archive"]},
    "codec": "video/h264",
    "container": "video/mp4",
    "avg_bit_rate": 8_000,
    "segment_duration": {"numerator": 2},
    "essence_parameters": {
        "frame_width": 1920,
        "frame_height": 1080,
        "frame_rate": {"numerator": 50},
        "bit_depth": 8,
        "interlace_mode": "progressive",
        "colorspace": "BT709",
        "init_segments": True,
    },
}
_AUDIO: Final[Mapping[str, Any]] = {
    "id": AUDIO_FLOW,
    "source_id": AUDIO_SOURCE,
    "format": "urn:x-nmos:format:audio",
    "label": "Camera 1, stereo",
    "codec": "audio/aac",
    "container": "video/mp2t",
    "avg_bit_rate": 192,
    "essence_parameters": {"sample_rate": 48_000, "channels": 2},
}
_MULTI: Final[Mapping[str, Any]] = {
    "id": MULTI_FLOW,
    "source_id": MULTI_SOURCE,
    "format": "urn:x-nmos:format:multi",
    "label": "Camera 1",
    "flow_collection": [
        {"id": VIDEO_FLOW, "role": "picture"},
        {"id": AUDIO_FLOW, "role": "sound"},
    ],
}
_ARCHIVED: Final[Mapping[str, Any]] = {
    "id": ARCHIVE_FLOW,
    "source_id": ARCHIVE_SOURCE,
    "label": "Interview",
    "profile_id": PROFILE,
}
_PROFILE: Final[Mapping[str, Any]] = {
    "id": PROFILE,
    "label": "Interview audio",
    "description": "48 kHz stereo, for the archive",
    "tags": {"department": ["news", "archive"]},
    "flow_metadata": {
        "format": "urn:x-nmos:format:audio",
        "codec": "audio/aac",
        "container": "video/mp2t",
        "avg_bit_rate": 128,
        "segment_duration": {"numerator": 4},
        "essence_parameters": {"sample_rate": 48_000, "channels": 2},
    },
}
_MANAGED: Final[Mapping[str, Any]] = {
    "created_by": "anonymous",
    "updated_by": "anonymous",
    "created": _TIME,
    "metadata_updated": _TIME,
    "metadata_version": "1",
}
_COLLECTED: Final[Mapping[str, Any]] = {**_MANAGED, "collected_by": [MULTI_FLOW]}

_SOURCE: Final[Mapping[str, Any]] = {
    "created_by": "anonymous",
    "updated_by": "anonymous",
    "created": _TIME,
    "updated": _TIME,
}

_STORED: Final[Mapping[str, Any]] = {
    "store_type": "http_object_store",
    "provider": "self-hosted",
    "region": "us-east-1",
    "store_product": "s3",
}


def _url(object_id: str) -> dict[str, Any]:
    path = f"objects/2025/06/01/{VIDEO_FLOW}/{object_id}"
    return {
        "label": "default",
        "url": f"{_BUCKET}/{path}?X-Amz-Expires=3600&X-Amz-Signature=0",
        "presigned": True,
    }


_ERROR: Final[Mapping[str, Any]] = {
    "type": "TimeTaken",
    "summary": "[0:0_2:0) overlaps [1:0_3:0)",
    "message": "[0:0_2:0) overlaps [1:0_3:0)",
    "detail": "[0:0_2:0) overlaps [1:0_3:0)",
    "time": _LATER,
    "field": "timerange",
}
_JOB: Final[Mapping[str, Any]] = {
    "id": JOB,
    "kind": "segments.register",
    "state": "created",
    "flow_id": VIDEO_FLOW,
    "total": 1,
    "done": 0,
    "failed": 0,
    "created": _TIME,
    "updated": _TIME,
    "version": 1,
    "result": f"/flows/{VIDEO_FLOW}/segments",
}

_SAID: Final[Mapping[str, Any]] = {
    "name": "Hall 3",
    "description": "Everything recorded in hall 3 since 2024",
}
_DELETION: Final[Mapping[str, Any]] = {
    "id": DELETION,
    "flow_id": VIDEO_FLOW,
    "timerange_to_delete": "[0:0_3600:0)",
    "timerange_remaining": "[1200:0_3600:0)",
    "delete_flow": False,
    "created": _TIME,
    "created_by": "anonymous",
    "updated": _LATER,
    "status": "started",
}

_RULE: Final = {
    "label": "cameras",
    "enabled": True,
    "priority": 100,
    "bucket": "tams-media",
    "prefix": "cameras/",
    "key": "{camera}/{start:ms}.ts",
    "flow": {
        "name": "camera {camera}",
        "create": {
            "format": "urn:x-nmos:format:video",
            "codec": "video/h264",
            "container": "video/mp2t",
            "label": "camera {camera}",
            "essence_parameters": {
                "frame_width": 1920,
                "frame_height": 1080,
                "frame_rate": {"numerator": 25},
            },
        },
    },
    "times": ["metadata", "key"],
    "origin": "arrival",
    "restart": "continue",
    "tolerance": "600:0",
    "not_before": "946684800:0",
    "ahead": "86400:0",
    "check_media": True,
    "store": "in-place",
}
_RULE_ID: Final = "0d0c8c4e-2a4c-4a8e-8b59-0e6f3c9a2b11"
_ASKED: Final[Mapping[str, Any]] = {
    "bucket": "tams-media",
    "prefix": "live/",
    "since": "2025-06-01T11:00:00Z",
}
_SCAN: Final[Mapping[str, Any]] = {
    **_ASKED,
    "id": SCAN,
    "periodic": False,
    "state": "created",
    "listed": 0,
    "found": 0,
    "known": 0,
    "problems": 0,
    "created": _TIME,
    "updated": _TIME,
}
_STALL: Final[Mapping[str, Any]] = {
    "flow_id": VIDEO_FLOW,
    "started": _TIME,
    "noticed": _LATER,
}
_HOUR: Final[Mapping[str, Any]] = {
    "timerange": "[0:0_3600:0)",
    "covered_duration": "3596:0",
    "gap_count": 2,
    "gap_duration": "4:0",
    "longest_gap": "[20:0_22:0)",
}
_INFLOW: Final[Mapping[str, Any]] = {
    "usual_interval": "2:0",
    "last_arrival": _TIME,
    "refused_overlaps": 1,
    "last_refused_overlap": _TIME,
}

_WEBHOOK: Final[Mapping[str, Any]] = {
    "url": "https://hook.example/tams",
    "api_key_name": "Authorization",
    "events": ["flows/segments_added", "flows/segments_deleted"],
    "flow_ids": [VIDEO_FLOW],
    "accept_get_urls": ["default"],
    "tags": {"team": "editing"},
}
_KEYS: Final[Mapping[str, str]] = {
    "api_key_value": "Bearer 8c5f0d1e2b3a",
    "signing_key": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
}
_GIVEN_UP: Final = "the receiver answers 503; given up after 36 tries since 2025-05-31T12:00:10Z"
_DELIVERY: Final[Mapping[str, Any]] = {
    "event_id": "5e0c7d1a-3b4f-4a6c-9d8e-1f2a3b4c5d01",
    "event_type": "flows/segments_added",
    "time": _LATER,
    "attempt": 1,
    "took_ms": 41,
    "delivered": True,
    "status_code": 200,
}

EXAMPLES: Final[Mapping[type, Mapping[str, Any]]] = {
    ErrorSchema: {"overlap": _ERROR},
    ServicePostSchema: {"name": _SAID},
    ServiceSchema: {
        "service": {
            **_SAID,
            "type": "urn:x-tams:service.tams-server",
            "api_version": "8.2",
            "service_version": "tams-server 0.1.0",
            "event_stream_mechanisms": [
                {
                    "name": "webhooks",
                    "docs": "https://tams.example/docs#/Webhooks/POST_webhooks",
                },
                {
                    "name": "tams-server.server-sent-events",
                    "docs": "https://tams.example/docs#/Events/GET_events",
                    "config": {"url": "https://tams.example/events"},
                },
            ],
            "min_object_timeout": "3600:0",
            "min_presigned_url_timeout": "3600:0",
        }
    },
    BackendSchema: {
        "backend": {"id": BACKEND, "label": "default", "default_storage": True, **_STORED}
    },
    SourceSchema: {
        "video": {
            **_SOURCE,
            "id": VIDEO_SOURCE,
            "format": "urn:x-nmos:format:video",
            "label": _VIDEO["label"],
            "description": _VIDEO["description"],
            "collected_by": [MULTI_SOURCE],
        },
        "multi": {
            **_SOURCE,
            "id": MULTI_SOURCE,
            "format": "urn:x-nmos:format:multi",
            "label": "Camera 1",
            "source_collection": [
                {"id": VIDEO_SOURCE, "role": "picture"},
                {"id": AUDIO_SOURCE, "role": "sound"},
            ],
        },
    },
    FlowSchema: {"video": _VIDEO, "audio": _AUDIO, "multi": _MULTI, "by profile": _ARCHIVED},
    FlowGetSchema: {
        "video": {**_VIDEO, **_COLLECTED, "segments_updated": _LATER, "timerange": "[0:0_2:0)"},
        "audio": {**_AUDIO, **_COLLECTED},
        "multi": {**_MULTI, **_MANAGED},
    },
    ProfilePostSchema: {"audio": _PROFILE},
    ProfileSchema: {"audio": {**_PROFILE, "created_by": "anonymous", "created": _TIME}},
    StoragePostSchema: {
        "number": {"limit": 2},
        "ids": {"object_ids": [OBJECT]},
        "init segment": {"object_ids": [INIT_OBJECT], "content_type": "video/mp4"},
    },
    StorageSchema: {
        "storage": {
            "media_objects": [
                {
                    "object_id": OBJECT,
                    "put_url": {"url": _url(OBJECT)["url"], "content-type": "video/mp4"},
                    "presigned": True,
                }
            ]
        }
    },
    SegmentPostSchema: {
        "new": {
            "object_id": OBJECT,
            "init_object_id": INIT_OBJECT,
            "timerange": "[0:0_2:0)",
            "key_frame_count": 2,
        },
        "external": {
            "object_id": "holiday/part-7",
            "timerange": "[100:0_102:0)",
            "ts_offset": "90:0",
            "init_object_id": INIT_OBJECT,
            "get_urls": [{"label": "archive", "url": "https://archive.example/holiday/7.mp4"}],
        },
    },
    SegmentSchema: {
        "segment": {
            "object_id": OBJECT,
            "timerange": "[0:0_2:0)",
            "key_frame_count": 2,
            "init_object": {"object_id": INIT_OBJECT, "get_urls": [_url(INIT_OBJECT)]},
            "get_urls": [_url(OBJECT)],
        }
    },
    FailedSegmentsSchema: {
        "overlap": {
            "failed_segments": [{"object_id": OBJECT, "timerange": "[0:0_2:0)", "error": _ERROR}]
        }
    },
    ObjectSchema: {
        "media": {
            "id": OBJECT,
            "referenced_by_flows": [VIDEO_FLOW],
            "first_referenced_by_flow": VIDEO_FLOW,
            "timerange": "[0:0_2:0)",
            "key_frame_count": 2,
            "init_object": {"id": INIT_OBJECT, "get_urls": [_url(INIT_OBJECT)]},
            "get_urls": [_url(OBJECT)],
        },
        "init segment": {
            "id": INIT_OBJECT,
            "referenced_by_flows": [VIDEO_FLOW],
            "first_referenced_by_flow": VIDEO_FLOW,
            "get_urls": [_url(INIT_OBJECT)],
        },
    },
    InstanceSchema: {
        "copy": {"storage_id": BACKEND},
        "URL": {"url": f"https://cdn.example/{OBJECT}.mp4", "label": "cdn"},
    },
    DeadLetterSchema: {
        "message": {
            "id": "notice-1748779210750-0",
            "kind": "notification",
            "reason": "the message is not JSON: unexpected end of data",
            "time": _LATER,
            "about": {"origin": "webhook"},
            "content": '{"Records": [',
        }
    },
    DeletionSchema: {
        "under way": _DELETION,
        "done": {
            **_DELETION,
            "timerange_remaining": "()",
            "expiry": "2025-06-01T13:00:10.750000Z",
            "status": "done",
        },
    },
    RulePostSchema: {"cameras": _RULE},
    RuleSchema: {"cameras": {"id": _RULE_ID, "created": _TIME, **_RULE}},
    RuleTestSchema: {
        "object": {"bucket": "tams-media", "key": "cameras/7/1764072000000.ts"},
        "metadata": {
            "bucket": "tams-media",
            "key": "drop/holiday.ts",
            "metadata": {"tams-flow-id": VIDEO_FLOW, "tams-timerange": "[0:0_2:0)"},
        },
    },
    ForecastSchema: {
        "segment": {
            "exists": True,
            "rule": _RULE_ID,
            "flow_id": VIDEO_FLOW,
            "creates_flow": False,
            "tried": [
                {"way": "metadata", "code": "no-time", "reason": "no timerange in the metadata"},
                {"way": "key", "found": "start 1764072000:0"},
            ],
            "segment": {
                "object_id": "cameras/7/1764072000000.ts",
                "timerange": "[1764072000:0_1764072002:0)",
            },
        }
    },
    WebhookPostSchema: {"webhook": {**_WEBHOOK, **_KEYS}},
    WebhookPutSchema: {"disabled": {"id": WEBHOOK, **_WEBHOOK, "status": "disabled"}},
    WebhookSchema: {
        "started": {"id": WEBHOOK, **_WEBHOOK, "status": "started"},
        "in error": {
            "id": WEBHOOK,
            **_WEBHOOK,
            "status": "error",
            "error": {
                "type": "DeliveryFailed",
                **dict.fromkeys(("summary", "message", "detail"), _GIVEN_UP),
                "time": _LATER,
            },
        },
    },
    ReplaySchema: {"since noon": {"since": "2025-06-01T12:00:00Z"}},
    DeliverySchema: {
        "delivered": _DELIVERY,
        "refused": {
            **_DELIVERY,
            "delivered": False,
            "status_code": 503,
            "reason": "the receiver answers 503",
        },
    },
    JobSchema: {
        "waiting": _JOB,
        "done": {
            **_JOB,
            "state": "done",
            "done": 1,
            "version": 2,
            "started": _LATER,
            "updated": _LATER,
            "ended": _LATER,
            "duration_s": 10.5,
        },
    },
    TimelineSchema: {
        "timeline": {
            **_HOUR,
            **_INFLOW,
            "segments": 1_798,
            "gaps": ["[20:0_22:0)", "[30:0_32:0)"],
        }
    },
    IngestHealthSchema: {
        "stalled": {
            "status": "stalled",
            "counts": {"ok": 11, "stalled": 1, "waiting": 2},
            "flows": [
                {
                    **_INFLOW,
                    "flow_id": VIDEO_FLOW,
                    "label": _VIDEO["label"],
                    "state": "stalled",
                    "ingesting_since": "2025-06-01T11:00:00.125000Z",
                    "stalled_since": _TIME,
                    "last_hour": _HOUR,
                }
            ],
        }
    },
    StallSchema: {"going on": _STALL, "ended": {**_STALL, "ended": "2025-06-01T12:01:00.500000Z"}},
    ScanPostSchema: {"recent": _ASKED, "whole bucket": {"bucket": "tams-media"}},
    ScanSchema: {
        "begun": _SCAN,
        "done": {
            **_SCAN,
            "state": "done",
            "listed": 5_000,
            "found": 3,
            "known": 1_190,
            "problems": 7,
            "updated": _LATER,
        },
    },
    ProblemSchema: {
        "problem": {
            "bucket": "tams-media",
            "key": "drop/segment-7.ts",
            "etag": "9b2cf535f27731c974343645a3985328",
            "code": "no-flow",
            "reason": "no flow: there is no tams-flow-id metadata, and no rule matches the key",
            "seen": _TIME,
        }
    },
}

EVENT: Final[Mapping[str, Any]] = {
    "event_timestamp": _LATER,
    "event_type": "flows/segments_added",
    "event": {"flow_id": VIDEO_FLOW, "segments": [EXAMPLES[SegmentSchema]["segment"]]},
}
"""The body of an event."""
