"""Ingest rules as JSON: what the API shows, and what is kept of them.

* `to_json` and `from_json` are inverse to each other, but for what has a default.
* Times are timestamps (`seconds:nanoseconds`); an origin and a bound may be given in ISO 8601.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from schemas.domain.errors import Invalid
from schemas.domain.ingest_rule import YEAR_2000_NS, IngestRule, Keep, RuleId, Target, Way
from schemas.domain.keys import KeyTemplate, parse_iso
from schemas.domain.placing import Restart
from schemas.domain.timerange import format_timestamp, parse_timestamp

ARRIVAL: Final = "arrival"

# What a field is when it is not given, as JSON.
DEFAULTS: Final[Mapping[str, Any]] = {
    "label": "",
    "enabled": True,
    "priority": 100,
    "prefix": "",
    "times": ["metadata", "key", "media"],
    "origin": ARRIVAL,
    "restart": "continue",
    "tolerance": "600:0",
    "not_before": format_timestamp(YEAR_2000_NS),
    "ahead": "86400:0",
    "check_media": True,
    "store": "in-place",
}


def to_json(rule: IngestRule) -> dict[str, Any]:
    """The JSON of a rule, without its id and creation."""
    flow = {"id": rule.flow.id, "name": rule.flow.name, "create": rule.flow.create}
    payload: dict[str, Any] = {
        "label": rule.label,
        "enabled": rule.enabled,
        "priority": rule.priority,
        "bucket": rule.bucket,
        "prefix": rule.prefix,
        "key": rule.key and rule.key.text,
        "init": rule.init,
        "flow": {name: value for name, value in flow.items() if value is not None},
        "times": [way.value for way in rule.times],
        "origin": ARRIVAL if rule.origin_ns is None else format_timestamp(rule.origin_ns),
        "sequence_duration": None
        if rule.sequence_duration_ns is None
        else format_timestamp(rule.sequence_duration_ns),
        "restart": rule.restart.value,
        "tolerance": format_timestamp(rule.tolerance_ns),
        "not_before": format_timestamp(rule.not_before_ns),
        "ahead": format_timestamp(rule.ahead_ns),
        "check_media": rule.check_media,
        "store": rule.keep.value,
    }
    return {name: value for name, value in payload.items() if value is not None}


def from_json(rule_id: RuleId, created: datetime, document: Mapping[str, Any]) -> IngestRule:
    """The rule that `document` describes, whose fields have the right types.

    Raises:
        Invalid: naming the field at fault.
    """
    given = {**DEFAULTS, **document}
    sequence = given.get("sequence_duration")
    return IngestRule(
        id=rule_id,
        created=created,
        bucket=given["bucket"],
        flow=Target(**given["flow"]),
        label=given["label"],
        enabled=given["enabled"],
        priority=given["priority"],
        prefix=given["prefix"],
        key=_key(given.get("key")),
        init=given.get("init"),
        times=tuple(Way(way) for way in given["times"]),
        origin_ns=None if given["origin"] == ARRIVAL else _moment(given, "origin"),
        sequence_duration_ns=None if sequence is None else _length(given, "sequence_duration"),
        restart=Restart(given["restart"]),
        tolerance_ns=_length(given, "tolerance"),
        not_before_ns=_moment(given, "not_before"),
        ahead_ns=_length(given, "ahead"),
        check_media=given["check_media"],
        keep=Keep(given["store"]),
    )


def _key(text: str | None) -> KeyTemplate | None:
    if text is None:
        return None
    try:
        return KeyTemplate(text)
    except Invalid as error:
        raise Invalid(f"key: {error}", field="key") from error


def _moment(given: Mapping[str, Any], field: str) -> int:
    text: str = given[field]
    try:
        return parse_timestamp(text) if ":" in text and "-" not in text[1:] else parse_iso(text).ns
    except Invalid as error:
        raise Invalid(f"{field}: {error}", field=field) from error


def _length(given: Mapping[str, Any], field: str) -> int:
    try:
        ns = parse_timestamp(given[field])
    except Invalid as error:
        raise Invalid(f"{field}: {error}", field=field) from error
    if ns < 0 or (ns == 0 and field == "sequence_duration"):
        raise Invalid(f"{field}: {given[field]} is not a duration", field=field)
    return ns
