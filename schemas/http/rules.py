"""JSON of ingest rules, and of trying one out (extensions to TAMS)."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from marshmallow import RAISE, Schema, ValidationError, fields, post_load, pre_load, validate

from schemas import rules
from schemas.domain.errors import Invalid
from schemas.domain.ingest import Forecast, Trial
from schemas.domain.ingest_rule import IngestRule, Keep, Way
from schemas.domain.placing import Restart
from schemas.domain.rejection import reason_of
from schemas.http.fields import StrictBoolean, StrictInteger, time_text
from schemas.http.flows import FlowSchema
from schemas.http.queries import says
from schemas.http.segments import segment_json

_ANY_ID: Final = "10000000-0000-4000-8000-000000000000"


class TargetSchema(Schema):
    """The flow that objects belong to."""

    id = fields.String(
        metadata=says("A UUID, or a text with fields of the key that is one, such as `{flow}`.")
    )
    name = fields.String(
        validate=validate.Length(min=1),
        metadata=says("A text with fields of the key, from which the flow's id follows."),
    )
    create = fields.Dict(
        metadata=says(
            "The flow to create when the first of its objects appears, without its id; texts may "
            "have fields of the key. Without a `source_id`, the source follows from the flow."
        )
    )

    class Meta:
        """Other fields are refused: a rule that is not understood must not be applied."""

        unknown = RAISE


class RulePostSchema(Schema):
    """An ingest rule as a client gives it."""

    class Meta:
        """Other fields are refused: a rule that is not understood must not be applied."""

        unknown = RAISE

    label = fields.String(metadata=says("Its name for people."))
    enabled = StrictBoolean(metadata=says("Whether it is applied."))
    priority = StrictInteger(metadata=says("Rules are tried in this order, lowest first."))
    bucket = fields.String(required=True, metadata=says("The bucket of its objects."))
    prefix = fields.String(metadata=says("What their keys begin with."))
    key = fields.String(
        metadata=says(
            "A template for the rest of the key, such as `{camera}/{start:ms}.ts`; without one, "
            "every key below the prefix."
        )
    )
    init = fields.String(
        metadata=says(
            "The key of the init segment after the prefix, with fields of the key; otherwise it is "
            "the latest in the directory."
        )
    )
    flow = fields.Nested(TargetSchema, required=True)
    times = fields.List(
        fields.String(validate=validate.OneOf([way.value for way in Way])),
        metadata=says("The ways to find the time, tried in turn."),
    )
    origin = fields.String(
        metadata=says(
            "Where the encoder's clock shows 0, as a timestamp or in ISO 8601; or `arrival`: the "
            "first object has ended when it was written."
        )
    )
    sequence_duration = fields.String(
        metadata=says("How long numbered segments are, as a timestamp such as `2:0`.")
    )
    restart = fields.String(
        validate=validate.OneOf([each.value for each in Restart]),
        metadata=says(
            "What to do when the encoder's clock or numbering restarts: the timeline continues, a "
            "new flow of the same source begins, or the objects are refused."
        ),
    )
    tolerance = fields.String(
        metadata=says("How far its clock may jump without having restarted, as a timestamp.")
    )
    not_before = fields.String(
        metadata=says("The earliest time that is believed, as a timestamp or in ISO 8601.")
    )
    ahead = fields.String(
        metadata=says("How far ahead of its arrival an object may be, as a timestamp.")
    )
    check_media = StrictBoolean(
        metadata=says("Whether media are read even where their key gives the whole time.")
    )
    store = fields.String(
        validate=validate.OneOf([each.value for each in Keep]),
        metadata=says("Whether objects stay where they are, or move to a key of the store's."),
    )

    @pre_load
    def without_what_the_store_says(self, data: Any, **_: Any) -> Any:
        """What was read of a rule may be put back."""
        if isinstance(data, Mapping):
            return {name: data[name] for name in data if name not in {"id", "created"}}
        return data

    @post_load
    def with_a_possible_flow(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """A flow that could not be created is refused now, not when its first object comes."""
        if "create" in data["flow"]:
            _check_flow(data["flow"]["create"])
        return data


class RuleSchema(RulePostSchema):
    """An ingest rule as the store gives it; documents what `rule_json` writes."""

    id = fields.String(required=True)
    created = fields.DateTime(required=True)


class RuleTestSchema(Schema):
    """An object to try the rules on: one that is there, or one that might be."""

    class Meta:
        """Other fields are refused."""

        unknown = RAISE

    bucket = fields.String(required=True)
    key = fields.String(required=True, validate=validate.Length(min=1))
    metadata = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata=says("Its user metadata, if it is not there."),
    )


class TrialSchema(Schema):
    """One way to find the time, and what it found or why it found none."""

    way = fields.String(required=True)
    found = fields.String()
    reason = fields.String()
    code = fields.String()


class ForecastSchema(Schema):
    """What would become of an object; documents what `forecast_json` writes."""

    exists = fields.Boolean(required=True)
    rule = fields.String()
    flow_id = fields.String()
    creates_flow = fields.Boolean()
    tried = fields.List(fields.Nested(TrialSchema), required=True)
    segment = fields.Dict()
    note = fields.String()
    code = fields.String()
    reason = fields.String()


def rules_from_file(text: bytes) -> list[dict[str, Any]]:
    """The rules of a JSON file: a list of what may be posted.

    Raises:
        Invalid: naming the rule and field at fault.
    """
    try:
        documents = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"it is not JSON: {error}") from error
    if not isinstance(documents, list):
        raise Invalid("it is not a list of rules")
    rule, found = RulePostSchema(), []
    for number, document in enumerate(documents):
        try:
            found.append(rule.load(document))
        except ValidationError as error:
            raise Invalid(f"rule {number}: {error.messages}") from error
    return found


def rule_json(rule: IngestRule) -> dict[str, Any]:
    """The JSON of a rule."""
    return {"id": rule.id, "created": time_text(rule.created), **rules.to_json(rule)}


def forecast_json(forecast: Forecast) -> dict[str, Any]:
    """The JSON of what would become of an object."""
    payload: dict[str, Any] = {
        "exists": forecast.exists,
        "rule": forecast.rule_id,
        "flow_id": forecast.flow_id,
        "creates_flow": forecast.creates_flow,
        "tried": [_trial_json(trial) for trial in forecast.tried],
        "note": forecast.note or None,
    }
    if forecast.segment is not None:
        shown = segment_json(forecast.segment, None, (), None, with_object_timerange=False)
        payload["segment"] = {name: shown[name] for name in shown if name != "get_urls"}
    if forecast.error is not None:
        payload["code"] = reason_of(forecast.error).value
        payload["reason"] = str(forecast.error)
    return {name: value for name, value in payload.items() if value is not None}


def _trial_json(trial: Trial) -> dict[str, Any]:
    if trial.error is None:
        return {"way": trial.way.value, "found": trial.found}
    return {
        "way": trial.way.value,
        "code": trial.error.reason.value,
        "reason": str(trial.error),
    }


def _check_flow(create: Mapping[str, Any]) -> None:
    """Raises ValidationError when no flow could be made of `create`, whatever the key says."""
    if "id" in create:
        raise ValidationError({"flow": {"create": {"id": ["Is given by flow.id or flow.name."]}}})
    if "container" not in create:
        raise ValidationError(
            {"flow": {"create": {"container": ["Must be set, or the flow could take no media."]}}}
        )
    source = create.get("source_id", _ANY_ID)
    known = not isinstance(source, str) or "{" not in source
    document = {**create, "id": _ANY_ID, "source_id": source if known else _ANY_ID}
    try:
        FlowSchema().load(document)
    except ValidationError as error:
        raise ValidationError({"flow": {"create": error.messages}}) from error
