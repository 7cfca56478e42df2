"""JSON of flows (schemas `flow-put` and `flow-get`).

* A flow is checked here and stored as given; what the specification leaves open is kept.
* Which technical fields are needed depends on the format.
"""

from collections.abc import Mapping
from typing import Any

from marshmallow import INCLUDE, Schema, ValidationError, fields, validate, validates_schema

from schemas.domain.collections import Collections
from schemas.domain.flow import Flow
from schemas.domain.timerange import TimeRange
from schemas.http.fields import (
    FORMAT,
    FORMATS,
    MIME_TYPE,
    UUID,
    StrictBoolean,
    StrictInteger,
    TagsField,
    time_text,
)
from schemas.http.queries import STATUSES

_POSITIVE = validate.Range(min=1)
_NOT_NEGATIVE = validate.Range(min=0)
VIDEO, IMAGE, AUDIO, DATA, MULTI = FORMATS


class _Open(Schema):
    """An object that may hold more than is checked."""

    class Meta:
        """Unknown fields are kept."""

        unknown = INCLUDE


class _Rate(_Open):
    numerator = StrictInteger(required=True, validate=_POSITIVE)
    denominator = StrictInteger(validate=_POSITIVE)


class _Ratio(_Open):
    numerator = StrictInteger(required=True, validate=_POSITIVE)
    denominator = StrictInteger(required=True, validate=_POSITIVE)


class _Avc(_Open):
    profile = StrictInteger(required=True)
    level = StrictInteger(required=True)
    flags = StrictInteger(required=True)


class _UncompressedVideo(_Open):
    unc_type = fields.String(
        required=True,
        validate=validate.OneOf(
            [
                *("planar", "YUYV", "UYVY", "AYUV", "v210", "v216", "RGB", "RGBx", "xRGB"),
                *("BGRx", "xBGR", "RGBA", "ARGB", "BGRA", "ABGR", "alpha"),
            ]
        ),
    )


class _UncompressedAudio(_Open):
    unc_type = fields.String(
        required=True, validate=validate.OneOf(["interleaved", "planar", "pairs"])
    )


class _AudioCodec(_Open):
    coded_frame_size = StrictInteger()
    mp4_oti = StrictInteger()


class VideoEssenceSchema(Schema):
    """Essence parameters of a video flow."""

    frame_width = StrictInteger(required=True, validate=_POSITIVE)
    frame_height = StrictInteger(required=True, validate=_POSITIVE)
    bit_depth = StrictInteger(validate=_POSITIVE)
    interlace_mode = fields.String(
        validate=validate.OneOf(
            ["progressive", "interlaced_tff", "interlaced_bff", "interlaced_psf"]
        )
    )
    colorspace = fields.String(validate=validate.OneOf(["BT601", "BT709", "BT2020", "BT2100"]))
    transfer_characteristic = fields.String(validate=validate.OneOf(["SDR", "HLG", "PQ"]))
    aspect_ratio = fields.Nested(_Ratio)
    pixel_aspect_ratio = fields.Nested(_Ratio)
    component_type = fields.String(validate=validate.OneOf(["YCbCr", "RGB"]))
    horiz_chroma_subs = StrictInteger(validate=_POSITIVE)
    vert_chroma_subs = StrictInteger(validate=_POSITIVE)
    unc_parameters = fields.Nested(_UncompressedVideo)
    avc_parameters = fields.Nested(_Avc)
    frame_rate = fields.Nested(_Rate)
    vfr = StrictBoolean()
    init_segments = StrictBoolean()

    @validates_schema(skip_on_field_errors=True)
    def rate_fits(self, data: Mapping[str, Any], **_: Any) -> None:
        """A fixed frame rate is stated, a variable one is not."""
        if data.get("vfr") and "frame_rate" in data:
            raise ValidationError("Must not be set when vfr is true.", "frame_rate")
        if not data.get("vfr") and "frame_rate" not in data:
            raise ValidationError("Must be set unless vfr is true.", "frame_rate")


class AudioEssenceSchema(Schema):
    """Essence parameters of an audio flow."""

    sample_rate = StrictInteger(required=True, validate=_POSITIVE)
    channels = StrictInteger(required=True, validate=_POSITIVE)
    bit_depth = StrictInteger(validate=_POSITIVE)
    codec_parameters = fields.Nested(_AudioCodec)
    unc_parameters = fields.Nested(_UncompressedAudio)
    init_segments = StrictBoolean()


class ImageEssenceSchema(Schema):
    """Essence parameters of an image flow."""

    frame_width = StrictInteger(required=True, validate=_POSITIVE)
    frame_height = StrictInteger(required=True, validate=_POSITIVE)
    aspect_ratio = fields.Nested(_Ratio)


class DataEssenceSchema(Schema):
    """Essence parameters of a data flow."""

    data_type = fields.String()
    init_segments = StrictBoolean()


class MultiEssenceSchema(Schema):
    """Essence parameters of a multi flow."""

    init_segments = StrictBoolean()


_ESSENCE: Mapping[str, Schema] = {
    VIDEO: VideoEssenceSchema(),
    AUDIO: AudioEssenceSchema(),
    IMAGE: ImageEssenceSchema(),
    DATA: DataEssenceSchema(),
    MULTI: MultiEssenceSchema(),
}


class _AudioTrack(_Open):
    channel_numbers = fields.List(
        StrictInteger(validate=_NOT_NEGATIVE), validate=validate.Length(min=1)
    )
    channel_range = fields.String(validate=validate.Regexp(r"^[0-9]+_[0-9]+\Z"))


class ContainerMappingSchema(_Open):
    """Where in the container the essence is."""

    track_index = StrictInteger(validate=_NOT_NEGATIVE)
    format_track_index = StrictInteger(validate=_NOT_NEGATIVE)
    audio_track = fields.Nested(_AudioTrack)
    mp2ts_container = fields.Dict()
    mxf_container = fields.Dict()
    isobmff_container = fields.Dict()


class CollectionItemSchema(_Open):
    """A flow that is collected, and its part in the collection."""

    id = fields.String(required=True, validate=UUID)
    role = fields.String()
    container_mapping = fields.Nested(ContainerMappingSchema)


class FlowSchema(_Open):
    """A flow as a client puts it."""

    id = fields.String(required=True, validate=UUID)
    source_id = fields.String(required=True, validate=UUID)
    format = fields.String(required=True, validate=FORMAT)
    label = fields.String()
    description = fields.String()
    created_by = fields.String()
    updated_by = fields.String()
    tags = TagsField(
        metadata={
            "type": "object",
            "additionalProperties": {
                "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
            },
        }
    )
    metadata_version = fields.String()
    generation = StrictInteger(validate=_NOT_NEGATIVE)
    status = fields.String(validate=validate.OneOf(STATUSES))
    read_only = StrictBoolean()
    max_bit_rate = StrictInteger(validate=_NOT_NEGATIVE)
    avg_bit_rate = StrictInteger(validate=_NOT_NEGATIVE)
    flow_collection = fields.List(fields.Nested(CollectionItemSchema))
    codec = fields.String(validate=MIME_TYPE)
    container = fields.String(validate=MIME_TYPE)
    segment_duration = fields.Nested(_Rate)
    container_mapping = fields.Nested(ContainerMappingSchema)
    essence_parameters = fields.Dict(metadata={"description": "By format; see the schemas."})
    profile_id = fields.String(metadata={"description": "This store has no profiles yet."})

    @validates_schema(skip_on_field_errors=True)
    def fits_format(self, data: Mapping[str, Any], **_: Any) -> None:
        """The technical fields are those of the format."""
        if data.get("profile_id"):
            raise ValidationError(f"Profile {data['profile_id']} does not exist.", "profile_id")
        if data["format"] != MULTI:
            for name in ("codec", "essence_parameters"):
                if name not in data:
                    raise ValidationError(f"Must be set for {data['format']}.", name)
        if "essence_parameters" in data:
            try:
                _ESSENCE[data["format"]].load(data["essence_parameters"])
            except ValidationError as error:
                raise ValidationError({"essence_parameters": error.messages}) from error


class FlowGetSchema(FlowSchema):
    """A flow as the store gives it; documents what `flow_json` writes."""

    created = fields.DateTime()
    metadata_updated = fields.DateTime()
    segments_updated = fields.DateTime()
    timerange = fields.String()
    collected_by = fields.List(fields.String())


def flow_json(
    flow: Flow, collections: Collections, timerange: TimeRange | None = None
) -> dict[str, Any]:
    """The JSON of a flow; `timerange` is included when given."""
    payload = {
        "id": flow.id,
        **flow.document,
        "created_by": flow.created_by,
        "updated_by": flow.updated_by,
        "created": time_text(flow.created),
        "metadata_updated": time_text(flow.metadata_updated),
        "metadata_version": flow.metadata_version,
    }
    if flow.segments_updated is not None:
        payload["segments_updated"] = time_text(flow.segments_updated)
    if collectors := collections.flows_collected_by.get(flow.id):
        payload["collected_by"] = list(collectors)
    if timerange is not None:
        payload["timerange"] = str(timerange)
    return payload
